//! A purchase without a pointer, from the list of shows to the confirmation.

use fantoccini::key::Key;
use seatwire_loadtest::launcher::{Stack, StackOptions};

use super::driver::Driver;
use super::window::{Size, Window};
use super::{CINEMA_ON_SALE, LIVE, find_show};

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_by_keyboard_alone() {
    let Some(driver) = Driver::start().await else { return };
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let window = Window::open(&driver, &stack.addresses().gateway, "keyboard", Size::Desk).await;
    let [enter, right, down] = [Key::Enter, Key::Right, Key::Down].map(|key| key.to_string());

    let show = find_show(&window, CINEMA_ON_SALE).await;
    window.tab_to(&format!(".show-card[data-show='{show}']")).await;
    window.press(&enter).await;
    window.until(LIVE).await;
    window.until("document.querySelector('[data-seat][data-status]')").await;
    // One seat of the map is in the tab order; arrows go from there.
    window.tab_to("[data-seat]").await;
    let free = "document.activeElement.dataset.status === 'available'";
    for _ in 0..3 {
        window.press(&down).await;
    }
    for _ in 0..20 {
        if window.value(free).await == true {
            break;
        }
        window.press(&right).await;
    }
    window.press(&enter).await;
    window.until("document.activeElement.dataset.status === 'chosen'").await;
    window.until("document.activeElement.getAttribute('aria-checked') === 'true'").await;
    window.tab_to("#hold-button").await;
    window.press(&enter).await;
    // The next thing to do has the focus.
    window.until("document.activeElement.id === 'email'").await;
    window.press("ana@example.com").await;
    window.tab_to("#pay-button").await;
    window.press(&enter).await;

    window.until("document.querySelector('button[value=success]')").await;
    window.tab_to("button[value=success]").await;
    window.press(&enter).await;
    window.sees("#booking-title", "confirmed").await;
    window.tab_to("a[href='/#/bookings'].button").await;
    window.press(&enter).await;
    window.until("document.querySelector('.booking-card[data-state=confirmed]')").await;
    assert_eq!(window.complaints().await, Vec::<String>::new());
    window.close().await;
    stack.shutdown().await;
}
