//! Purchases that do not go straight: payments that come late, a provider that is slow, a gateway that dies.

use seatwire_loadtest::client::Http;
use seatwire_loadtest::launcher::{Process, Service, Stack, StackOptions};
use serde_json::{Value, json};

use super::axe::is_accessible;
use super::driver::Driver;
use super::window::{Size, Window};
use super::{CINEMA_ON_SALE, find_show, hold, two_free_seats, watch};

/// Holds two seats and goes to the checkout page with them.
async fn go_to_checkout(buyer: &Window, seats: &[String]) {
    hold(buyer, seats).await;
    check_out(buyer).await;
}

/// With the seats that are held.
async fn check_out(buyer: &Window) {
    buyer.write("#email", "ana@example.com").await;
    buyer.click("#pay-button").await;
    buyer.until("document.querySelector('button[value=success]')").await;
}

/// Both ways that a late payment can end, side by side: the seats are still free, or somebody else has them.
#[tokio::test(flavor = "multi_thread")]
async fn who_pays_late_gets_the_seats_or_the_money() {
    let Some(driver) = Driver::start().await else { return };
    let options = StackOptions::new().env(Service::Core, "SEATWIRE_CLAIM_MS", 3_000);
    let stack = Stack::start(options).await.unwrap();
    let gateway = stack.addresses().gateway;
    let lucky = Window::open(&driver, &gateway, "lucky", Size::Desk).await;
    let unlucky = Window::open(&driver, &gateway, "unlucky", Size::Phone).await;
    let faster = Window::open(&driver, &gateway, "faster", Size::Desk).await;
    let show = find_show(&lucky, CINEMA_ON_SALE).await;
    for window in [&lucky, &unlucky, &faster] {
        watch(window, show).await;
    }
    let seats = two_free_seats(&lucky).await;
    // Both have their seats before the short time to pay begins.
    hold(&lucky, &seats).await;
    faster.sees_seats(&seats, "held").await;
    let taken = two_free_seats(&faster).await;
    hold(&unlucky, &taken).await;
    faster.sees_seats(&taken, "held").await;
    check_out(&lucky).await;
    check_out(&unlucky).await;

    // Their time passes on the checkout page, and the seats are back on everybody's map.
    faster.sees_seats(&seats, "available").await;
    faster.sees_seats(&taken, "available").await;
    hold(&faster, &taken).await;
    faster.sees_seats(&taken, "mine").await;

    lucky.click("button[value=success]").await;
    lucky.sees("#booking-title", "Your booking is confirmed").await;
    lucky.sees("#confirmation-seats", &seats.concat()).await;
    lucky.until("document.querySelector('#ticket-code').naturalWidth > 0").await;
    lucky.picture("late-rescued").await;
    is_accessible(&lucky, "confirmed").await;
    faster.sees_seats(&seats, "booked").await;

    unlucky.click("button[value=success]").await;
    unlucky.sees("#booking-title", "You did not get the seats; your money comes back").await;
    unlucky.sees("#refund", "Your payment arrived after the time to pay was over").await;
    unlucky.until("/[₹$][0-9,.]+ (is on its way back to you|was paid back)/.test(document.querySelector('#refund').textContent)").await;
    unlucky.sees("#refund", "working days").await;
    unlucky.picture("late-refunded").await;
    is_accessible(&unlucky, "refunded").await;
    unlucky.click("a[href='/#/bookings']:not(nav a)").await;
    unlucky.sees(".booking-card[data-state=expired] .refund", "back").await;
    unlucky.picture("late-refunded-bookings").await;
    is_accessible(&unlucky, "my bookings").await;
    faster.sees_seats(&taken, "mine").await;
    for window in [lucky, unlucky, faster] {
        assert_eq!(window.complaints().await, Vec::<String>::new());
        window.close().await;
    }
    stack.shutdown().await;
}

/// Each phase that the page tells of, with the seconds since the page began.
const NOTE_PHASES: &str = "(() => { window.phases = []; \
    const note = () => { const phase = document.querySelector('main section')?.dataset.phase; \
        if (phase && window.phases.at(-1)?.[0] !== phase) window.phases.push([phase, performance.now() / 1000]); }; \
    new MutationObserver(note).observe(document, \
        { subtree: true, childList: true, attributes: true, attributeFilter: ['data-phase'] }); })()";

/// The customer has paid and the provider takes its time to say so: 10 s, 30 s, and then the money is safe.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_is_told_in_three_phases() {
    let Some(driver) = Driver::start().await else { return };
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let addresses = stack.addresses();
    let turn = async |switches: Value| {
        let control = format!("{}/control", addresses.provider);
        assert_eq!(Http::default().post(&control, &[], &switches).await.unwrap().status, 200);
    };
    let buyer = Window::open(&driver, &addresses.gateway, "waiting", Size::Phone).await;
    let show = find_show(&buyer, CINEMA_ON_SALE).await;
    watch(&buyer, show).await;
    let seats = two_free_seats(&buyer).await;
    go_to_checkout(&buyer, &seats).await;
    turn(json!({ "webhooks": "hold" })).await;
    // The page itself notes when it tells of each: on a busy machine a look at it from here may come too late.
    buyer.before_each(NOTE_PHASES).await;
    buyer.click("button[value=success]").await;
    let phases = ["confirming", "still_working", "money_is_safe"];
    for phase in phases {
        buyer.until(&format!("window.phases.some(([name]) => name === '{phase}')")).await;
        buyer.sees("#booking-seats", &seats[0]).await;
        buyer.picture(&format!("phase-{phase}")).await;
    }
    let told = buyer.value("window.phases").await;
    let names: Vec<&str> = told.as_array().unwrap().iter().map(|told| told[0].as_str().unwrap()).collect();
    let at = |phase: usize| told[phase][1].as_f64().unwrap();
    assert_eq!(names, phases);
    assert!(at(1) >= 10.0 && at(2) >= 30.0, "{told}");
    buyer.sees("#booking-title", "your money is safe").await;
    // From here there is a way to the list, and back; whatever is looked at when the news comes shows it.
    buyer.click("#to-bookings").await;
    buyer.sees(".booking-card[data-state=pending]", &seats[0]).await;
    buyer.picture("phase-bookings").await;
    turn(json!({ "webhooks": null })).await;
    buyer.until("document.querySelector('.booking-card[data-state=confirmed]')").await;
    buyer.click(".booking-card h2 a").await;
    buyer.sees("#booking-title", "Your booking is confirmed").await;
    buyer.until("document.querySelector('#ticket-code').naturalWidth > 0").await;
    buyer.picture("confirmed-phone").await;
    assert_eq!(buyer.complaints().await, Vec::<String>::new());
    buyer.close().await;
    stack.shutdown().await;
}

/// The gateway is killed while seats are held, and again while the customer pays: hold and countdown are kept, and the
/// purchase goes through.
#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_outlives_its_gateway() {
    let Some(driver) = Driver::start().await else { return };
    let mut stack = Stack::start(StackOptions::new()).await.unwrap();
    let gateway = stack.addresses().gateway;
    let buyer = Window::open(&driver, &gateway, "survivor", Size::Desk).await;
    let show = find_show(&buyer, CINEMA_ON_SALE).await;
    watch(&buyer, show).await;
    let seats = two_free_seats(&buyer).await;
    hold(&buyer, &seats).await;
    let left = "(([m, s]) => 60 * m + 1 * s)(document.querySelector('#hold-time').textContent.split(':'))";
    let before = buyer.value(left).await.as_u64().expect("seconds left");

    stack.kill(Process::Gateway(0));
    buyer.until("document.querySelector('#seat-map').dataset.live === 'false'").await;
    buyer.sees("#hold-card", &seats[0]).await;
    buyer.picture("gateway-gone").await;
    stack.restart(Process::Gateway(0)).await.unwrap();
    buyer.sees_seats(&seats, "mine").await;
    let after = buyer.value(left).await.as_u64().expect("seconds left");
    assert!(after <= before && after + 60 > before, "the countdown went from {before} to {after} s");

    buyer.write("#email", "ana@example.com").await;
    buyer.click("#pay-button:enabled").await;
    buyer.until("document.querySelector('button[value=success]')").await;
    stack.kill(Process::Gateway(0));
    stack.restart(Process::Gateway(0)).await.unwrap();
    buyer.click("button[value=success]").await;
    buyer.sees("#booking-title", "Your booking is confirmed").await;
    buyer.sees("#confirmation-seats", &seats.concat()).await;
    buyer.sees("#connection", "Live").await;
    // That the socket broke is all that the browser has to say.
    let complaints = buyer.complaints().await;
    assert!(
        complaints.iter().all(|text| text.contains("ERR_CONNECTION_REFUSED") || text.contains("WebSocket")),
        "{complaints:?}"
    );
    buyer.close().await;
    stack.shutdown().await;
}
