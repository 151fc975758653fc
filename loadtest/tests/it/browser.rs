//! The page in headless Chromium on a whole private stack: what customers do and see, in one window and in another.
//! Pictures of each state go to the folder named by `SEATWIRE_SCREENSHOTS`, if it is set.

mod axe;
mod clock;
pub(crate) mod driver;
mod figures;
mod keyboard;
mod opening;
mod operator;
mod purchase;
mod states;
mod touch;
pub(crate) mod window;

use seatwire_loadtest::launcher::{Process, Service, Stack, StackOptions};
use serde_json::Value;

use self::axe::is_accessible;
use self::driver::Driver;
use self::window::{Size, Window};

/// The number of a show in the list that the page shows, by a JavaScript condition on its card.
async fn find_show(window: &Window, condition: &str) -> u64 {
    window.visit("/").await;
    let cards = "[...document.querySelectorAll('.show-card')]";
    window.until(&format!("{cards}.some((card) => {condition})")).await;
    let show = window.value(&format!("Number({cards}.find((card) => {condition}).dataset.show)")).await;
    show.as_u64().expect("a show's number")
}

const CINEMA_ON_SALE: &str =
    "card.querySelector('.sale').dataset.sale === 'open' && !card.textContent.includes('20,000')";
const BEFORE_SALE: &str = "card.querySelector('.sale').dataset.sale === 'before'";
const ARENA: &str = "card.textContent.includes('20,000')";
const LIVE: &str = "document.querySelector('#seat-map').dataset.live === 'true'";

/// Opens a show's map and waits until it is live.
async fn watch(window: &Window, show: u64) {
    window.visit(&format!("/#/show/{show}")).await;
    window.until(LIVE).await;
    window.until("document.querySelector('[data-seat][data-status], canvas')").await;
}

/// Labels of two free seats side by side.
async fn two_free_seats(window: &Window) -> Vec<String> {
    let script = "(() => { const seats = [...document.querySelectorAll('[data-seat]')]; \
        const free = (seat) => seat?.dataset.status === 'available'; \
        const at = seats.findIndex((seat, i) => i > 60 && free(seat) && free(seats[i + 1]) \
            && seat.dataset.label[0] === seats[i + 1].dataset.label[0]); \
        return [seats[at].dataset.label, seats[at + 1].dataset.label]; })()";
    let Value::Array(labels) = window.value(script).await else { panic!("two seats") };
    labels.into_iter().map(|label| label.as_str().expect("a label").to_owned()).collect()
}

async fn hold(window: &Window, labels: &[String]) {
    window.click_seats(labels).await;
    window.sees_seats(labels, "chosen").await;
    window.click("#hold-button").await;
    window.sees_seats(labels, "mine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buys_two_seats_while_another_window_watches() {
    let Some(driver) = Driver::start().await else { return };
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let gateway = stack.addresses().gateway;
    let buyer = Window::open(&driver, &gateway, "buyer", Size::Desk).await;
    let other = Window::open(&driver, &gateway, "other", Size::Desk).await;

    let show = find_show(&buyer, CINEMA_ON_SALE).await;
    buyer.picture("1-shows").await;
    is_accessible(&buyer, "the list of shows").await;
    watch(&buyer, show).await;
    watch(&other, show).await;
    let seats = two_free_seats(&buyer).await;

    // The other one has chosen a seat that is taken under its eyes, and is told.
    other.click_seats(&seats[..1]).await;
    other.sees_seats(&seats[..1], "chosen").await;
    buyer.click_seats(&seats).await;
    buyer.sees_seats(&seats, "chosen").await;
    buyer.picture("2-chosen").await;
    is_accessible(&buyer, "seats chosen").await;
    buyer.click("#hold-button").await;
    buyer.sees_seats(&seats, "mine").await;
    buyer.sees("#hold-card", &format!("{} and {}", seats[0], seats[1])).await;
    buyer.picture("3-held").await;
    other.sees_seats(&seats, "held").await;
    other.sees("#notices", &format!("Someone just took {}", seats[0])).await;
    other.click_seats(&seats[1..]).await;
    other.sees("#notices", &format!("{} is held by someone else", seats[1])).await;
    // What comes nearest is offered, and one press away.
    other.sees(".notice-act", "instead").await;
    other.picture("3-refused").await;
    is_accessible(&other, "a seat lost, another one offered").await;
    other.click(".notice-act").await;
    other.until("document.querySelector('#hold-card')").await;
    other.click("#release-button").await;

    buyer.write("#email", "ana@example.com").await;
    buyer.click("#pay-button").await;
    buyer.until("document.querySelector('button[value=success]')").await;
    buyer.picture("4-checkout").await;
    // Declined: the seats stay reserved, and the way back to the payment is shown.
    buyer.click("button[value=failure]").await;
    buyer.click("#pay-again").await;
    buyer.until("document.querySelector('button[value=success]')").await;
    buyer.click("button[value=success]").await;
    buyer.sees("#booking-title", "Your booking is confirmed").await;
    buyer.sees("#confirmation-seats", &seats.concat()).await;
    buyer.picture("5-confirmed").await;
    other.sees_seats(&seats, "booked").await;
    other.picture("5-booked").await;

    buyer.visit("/#/bookings").await;
    buyer.sees(".booking-card[data-state=confirmed]", &format!("{} and {}", seats[0], seats[1])).await;
    buyer.picture("6-bookings").await;
    other.visit("/#/bookings").await;
    other.sees(".booking-list", "You have no bookings yet").await;

    buyer.click(".booking-card .button.quiet").await;
    buyer.click("#cancel-yes").await;
    buyer.sees(".booking-card[data-state=cancelled] .refund", "back").await;
    buyer.picture("7-cancelled").await;
    watch(&other, show).await;
    other.sees_seats(&seats, "available").await;

    for window in [buyer, other] {
        assert_eq!(window.complaints().await, Vec::<String>::new());
        window.close().await;
    }
    stack.shutdown().await;
}

/// Both ask for the same seats in the same moment: one gets them, the other is told. The hold is still there after a
/// refresh, and its end is told when its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_survives_a_refresh_and_its_end_is_told() {
    let Some(driver) = Driver::start().await else { return };
    // Long enough to be extended, and looked at, by a busy machine.
    let options = StackOptions::new().env(Service::Core, "SEATWIRE_HOLD_MS", 30_000);
    let stack = Stack::start(options).await.unwrap();
    let gateway = stack.addresses().gateway;
    let first = Window::open(&driver, &gateway, "first", Size::Phone).await;
    let second = Window::open(&driver, &gateway, "second", Size::Desk).await;
    let show = find_show(&first, CINEMA_ON_SALE).await;
    first.picture("shows").await;
    is_accessible(&first, "the list of shows on a phone").await;
    watch(&first, show).await;
    is_accessible(&first, "the map on a phone").await;
    watch(&second, show).await;
    let seats = two_free_seats(&first).await;

    for window in [&first, &second] {
        window.click_seats(&seats).await;
        window.sees_seats(&seats, "chosen").await;
    }
    tokio::join!(first.click("#hold-button"), second.click("#hold-button"));
    let mine = "document.querySelector('#hold-card') !== null";
    let refused = format!("document.querySelector('#notices').textContent.includes('{}')", seats[0]);
    let either = format!("{mine} || {refused}");
    tokio::join!(first.until(&either), second.until(&either));
    let (winner, loser) = if first.value(mine).await == Value::Bool(true) { (first, second) } else { (second, first) };
    winner.sees_seats(&seats, "mine").await;
    loser.until(&refused).await;
    loser.sees_seats(&seats, "held").await;
    loser.sees(".notice-act", "instead").await;
    loser.picture("refused").await;

    winner.refresh().await;
    winner.sees_seats(&seats, "mine").await;
    winner.sees("#hold-card", &seats[0]).await;
    winner.picture("refreshed").await;
    winner.until("document.querySelector('.hold.is-short')").await;
    winner.click("#extend-button").await;
    winner.picture("extended").await;
    // These look for a while, and so come when the hold may end.
    is_accessible(&winner, "little time left").await;
    is_accessible(&loser, "a hold refused").await;

    // A page that had to read its own holds again knows that one is over, but not why.
    winner.until("/ran out|is over/.test(document.querySelector('#notices').textContent)").await;
    winner.picture("hold-lost").await;
    is_accessible(&winner, "a hold lost").await;
    winner.sees_seats(&seats, "available").await;
    loser.sees_seats(&seats, "available").await;
    for window in [winner, loser] {
        assert_eq!(window.complaints().await, Vec::<String>::new());
        window.close().await;
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_without_its_gateway_does_not_look_live_and_comes_back() {
    let Some(driver) = Driver::start().await else { return };
    let mut stack = Stack::start(StackOptions::new()).await.unwrap();
    let gateway = stack.addresses().gateway;
    let window = Window::open(&driver, &gateway, "customer", Size::Desk).await;
    let show = find_show(&window, CINEMA_ON_SALE).await;
    watch(&window, show).await;
    let seats = two_free_seats(&window).await;
    hold(&window, &seats).await;

    stack.kill(Process::Gateway(0));
    window.until("document.querySelector('#seat-map').dataset.live === 'false'").await;
    window.sees("#stale-note", "Not live").await;
    window.until("document.querySelector('#connection').dataset.state === 'reconnecting'").await;
    window.picture("not-live").await;
    is_accessible(&window, "reconnecting").await;
    stack.restart(Process::Gateway(0)).await.unwrap();
    window.sees_seats(&seats, "mine").await;
    window.sees("#connection", "Live").await;
    window.click("#release-button").await;
    window.sees_seats(&seats, "available").await;
    window.close().await;
    stack.shutdown().await;
}
