//! Machines whose clocks are wrong by ten minutes, and a second tab: what is left of a hold is the server's to tell.

use seatwire_loadtest::launcher::{Stack, StackOptions};

use super::axe::is_accessible;
use super::driver::Driver;
use super::window::{Size, Window};
use super::{CINEMA_ON_SALE, find_show, hold, two_free_seats, watch};

/// The page's clock, off by so many milliseconds.
fn clock_off_by(ms: i64) -> String {
    format!(
        "(() => {{ const Real = Date; globalThis.Date = class extends Real {{ \
            constructor(...given) {{ given.length ? super(...given) : super(Real.now() + {ms}); }} \
            static now() {{ return Real.now() + {ms}; }} }}; }})()"
    )
}

/// Seconds that the page shows as left of its hold.
async fn seconds_left(window: &Window) -> u64 {
    window.until("/^[0-9]+:[0-9]{2}$/.test(document.querySelector('#hold-time').textContent)").await;
    let seconds =
        "document.querySelector('#hold-time').textContent.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)";
    window.value(seconds).await.as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_changes_nothing_and_a_second_tab_shows_the_same() {
    let Some(driver) = Driver::start().await else { return };
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let gateway = stack.addresses().gateway;
    let mut windows = Vec::new();
    for (name, off) in [("fast", 600_000), ("slow", -600_000)] {
        let window = Window::open(&driver, &gateway, name, Size::Desk).await;
        window.before_each(&clock_off_by(off)).await;
        windows.push(window);
    }
    let show = find_show(&windows[0], CINEMA_ON_SALE).await;
    for window in &windows {
        watch(window, show).await;
        let off = window.value("Math.abs(Date.now() - performance.timeOrigin - performance.now())").await;
        assert!(off.as_f64().unwrap() > 590_000.0, "the clock is not wrong: {off}");
        let seats = two_free_seats(window).await;
        hold(window, &seats).await;
        let left = seconds_left(window).await;
        assert!((240..=300).contains(&left), "{left} s left of a hold of five minutes");
        window.refresh().await;
        window.sees_seats(&seats, "mine").await;
        let after = seconds_left(window).await;
        assert!(after <= left && after >= 200, "{after} s after a refresh, {left} s before");

        // Another tab of the same customer: the same hold, and what is done there is done here.
        let here = window.new_tab().await;
        watch(window, show).await;
        window.sees_seats(&seats, "mine").await;
        let there = seconds_left(window).await;
        assert!(there <= after && there >= 200, "{there} s in the second tab, {after} s in the first");
        window.click("#release-button").await;
        window.sees_seats(&seats, "available").await;
        window.go_to(here).await;
        window.sees_seats(&seats, "available").await;
        window.until("!document.querySelector('#hold-card')").await;
    }

    // Time to pay is counted the same way.
    let fast = &windows[0];
    let seats = two_free_seats(fast).await;
    hold(fast, &seats).await;
    fast.write("#email", "ana@example.com").await;
    fast.click("#pay-button").await;
    fast.until("document.querySelector('button[value=success]')").await;
    let booking =
        fast.value("new URL(new URL(location).searchParams.get('return_url')).searchParams.get('booking')").await;
    fast.visit(&format!("/?booking={}", booking.as_str().unwrap())).await;
    fast.sees("#booking-seats", &seats[0]).await;
    fast.until("/^1[12]:[0-9]{2}$/.test(document.querySelector('main [role=timer]').textContent)").await;
    is_accessible(fast, "a payment is awaited").await;
    for window in windows {
        assert_eq!(window.complaints().await, Vec::<String>::new());
        window.close().await;
    }
    stack.shutdown().await;
}
