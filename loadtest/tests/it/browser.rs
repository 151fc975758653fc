//! The page in a real browser: headless Chromium, driven through chromedriver, on a real stack. Screenshots of each state
//! go to the folder named by `SEATWIRE_SCREENSHOTS`, if it is set.

mod driver;

use std::time::Duration;

use fantoccini::{Client, Locator};
use seatwire_loadtest::launcher::{Stack, StackOptions};

use self::driver::{Browser, skip};

const PATIENCE: Duration = Duration::from_secs(30);
const SHOW: u64 = 1;
/// How much wider the page is than its window, in pixels.
const OVERFLOW: &str = "return document.documentElement.scrollWidth - document.documentElement.clientWidth;";

async fn css(window: &Client, selector: &str) -> fantoccini::elements::Element {
    let found = window.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
    found.unwrap_or_else(|error| panic!("{selector} never came: {error}"))
}

async fn click(window: &Client, selector: &str) {
    css(window, selector).await.click().await.unwrap();
}

/// A seat of the map in a state, as everybody sees it.
fn seat(label: &str, status: &str) -> String {
    format!("#seat-map [data-label=\"{label}\"][data-status=\"{status}\"]")
}

/// Labels of two neighbouring seats that are free.
async fn two_free_seats(window: &Client) -> (String, String) {
    css(window, "#seat-map[data-live=\"true\"] [data-status=\"available\"]").await;
    let labels = window
        .execute(
            "const free = [...document.querySelectorAll('#seat-map [data-status=available]')];
             const next = (a, b) => Number(b.dataset.seat) === Number(a.dataset.seat) + 1;
             const i = free.findIndex((seat, i) => i > 20 && free[i + 1] && next(seat, free[i + 1]));
             return [free[i].dataset.label, free[i + 1].dataset.label];",
            vec![],
        )
        .await
        .unwrap();
    serde_json::from_value(labels).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn buys_two_seats_while_another_window_watches() {
    if skip() {
        return;
    }
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let page = stack.addresses().gateway;
    let browser = Browser::start().await;
    let (buyer, watcher) = (browser.window(1200, 900).await, browser.window(1200, 900).await);
    for window in [&buyer, &watcher] {
        window.goto(&format!("{page}/#/show/{SHOW}")).await.unwrap();
    }
    let (first, second) = two_free_seats(&buyer).await;
    browser.shot(&buyer, "1-seat-map").await;

    // The watcher has chosen the same seat, and sees it go.
    click(&watcher, &seat(&first, "available")).await;
    css(&watcher, &seat(&first, "chosen")).await;
    click(&buyer, &seat(&first, "available")).await;
    click(&buyer, &seat(&second, "available")).await;
    click(&buyer, "#hold-button:enabled").await;
    for label in [&first, &second] {
        css(&buyer, &seat(label, "mine")).await;
        css(&watcher, &seat(label, "held")).await;
    }
    css(&watcher, &format!("#notices [data-text^=\"Someone just took {first}.\"]")).await;
    click(&watcher, &seat(&second, "held")).await;
    css(&watcher, &format!("#notices [data-text=\"{second} is held by someone else.\"]")).await;
    browser.shot(&buyer, "2-held").await;
    browser.shot(&watcher, "3-refused").await;

    // A refresh keeps the hold.
    buyer.refresh().await.unwrap();
    css(&buyer, &seat(&first, "mine")).await;

    css(&buyer, "#email").await.send_keys("buyer@example.com").await.unwrap();
    click(&buyer, "#pay-button:enabled").await;
    let pay = css(&buyer, "button.pay").await;
    browser.shot(&buyer, "4-checkout").await;
    pay.click().await.unwrap();
    css(&buyer, "section[data-state=\"confirmed\"] #confirmation-seats").await;
    let seats = css(&buyer, "#booking-seats").await.text().await.unwrap();
    assert_eq!(seats, format!("{first} and {second}"));
    browser.shot(&buyer, "5-confirmed").await;
    for label in [&first, &second] {
        css(&watcher, &seat(label, "booked")).await;
    }
    browser.shot(&watcher, "6-booked").await;

    click(&buyer, "#nav-bookings").await;
    css(&buyer, "[data-booking][data-state=\"confirmed\"]").await;
    browser.shot(&buyer, "7-bookings").await;
    for window in [&buyer, &watcher] {
        let log = browser.console(window).await;
        assert!(log.is_empty(), "console: {log:?}");
    }
    browser.stop([buyer, watcher]).await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arena_of_twenty_thousand_seats_and_a_sale_that_has_not_opened_are_shown_on_a_phone() {
    if skip() {
        return;
    }
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let page = stack.addresses().gateway;
    let browser = Browser::start().await;
    let window = browser.window(390, 844).await;
    window.goto(&page).await.unwrap();
    css(&window, "[data-show] [data-sale=\"before\"]").await;
    browser.shot(&window, "8-shows-phone").await;
    assert_eq!(window.execute(OVERFLOW, vec![]).await.unwrap(), 0, "nothing is wider than the phone");
    click(&window, "a[data-show]:has([data-sale=\"before\"])").await;
    css(&window, "#opening-countdown").await;
    css(&window, "#seat-map[data-live=\"true\"] [data-seat]").await;
    browser.shot(&window, "9-before-phone").await;
    window.goto(&format!("{page}/#/show/4")).await.unwrap();
    css(&window, "#seat-map[data-live=\"true\"] canvas").await;
    browser.shot(&window, "10-arena-phone").await;
    assert_eq!(window.execute(OVERFLOW, vec![]).await.unwrap(), 0, "nothing is wider than the phone");
    let wide = browser.window(1300, 900).await;
    wide.goto(&format!("{page}/#/show/4")).await.unwrap();
    css(&wide, "#seat-map[data-live=\"true\"] canvas").await;
    click(&wide, "#best-button:enabled").await;
    css(&wide, "#hold-card").await;
    browser.shot(&wide, "11-arena-held").await;
    for window in [&window, &wide] {
        let log = browser.console(window).await;
        assert!(log.is_empty(), "console: {log:?}");
    }
    browser.stop([window, wide]).await;
    stack.shutdown().await;
}
