//! The operator's page on a whole stack: what an operator does is what viewers see.

use seatwire_loadtest::launcher::{Process, Stack, StackOptions};
use serde_json::Value;

use super::axe::is_accessible;
use super::driver::Driver;
use super::window::{Size, Window};
use super::{CINEMA_ON_SALE, find_show, hold, two_free_seats, watch};

async fn sign_in(operator: &Window, token: &str) {
    operator.until("document.querySelector('#token')").await;
    operator.write("#name", "Ann Bellé").await;
    operator.write("#token", token).await;
    operator.click("#sign-in").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_viewers_and_what_he_does_is_on_their_screens() {
    let Some(driver) = Driver::start().await else { return };
    let mut stack = Stack::start(StackOptions::new().gateways(2)).await.unwrap();
    let addresses = stack.addresses();
    let operator = Window::open(&driver, &addresses.core_http, "operator", Size::Desk).await;
    let viewer = Window::open(&driver, &addresses.gateway, "viewer", Size::Desk).await;
    let other = Window::open(&driver, &addresses.gateways[1], "other", Size::Phone).await;
    let show = find_show(&viewer, CINEMA_ON_SALE).await;
    for window in [&viewer, &other] {
        watch(window, show).await;
    }
    let seats = two_free_seats(&viewer).await;

    operator.visit("/operator").await;
    sign_in(&operator, "nonsense").await;
    operator.sees("#sign-in-problem", "not the admin token").await;
    operator.refresh().await;
    operator.picture("operator-sign-in").await;
    sign_in(&operator, std::fs::read_to_string(stack.admin_token()).unwrap().trim()).await;
    operator.until("document.querySelector('#viewers').textContent === '2'").await;
    operator.until(&format!("document.querySelector('tbody tr').dataset.show === '{show}'")).await;
    operator.picture("operator-overview").await;
    is_accessible(&operator, "the operator's overview").await;

    // Blocked by label: all see it, and the history knows who.
    operator.click(&format!("tr[data-show=\"{show}\"] a")).await;
    operator.until("document.querySelectorAll('#seat-rows button').length > 60").await;
    operator.write("#seat-labels", &seats.join(", ")).await;
    operator.click("#block:enabled").await;
    operator.sees("#said", &format!("Blocked {}, {}", seats[0], seats[1])).await;
    for window in [&viewer, &other] {
        window.sees_seats(&seats, "blocked").await;
    }
    operator.write("#seat-labels", "ZZ99").await;
    operator.sees("#seat-problem", "No such seats here: ZZ99").await;
    operator.until("document.querySelector('#block').disabled").await;
    operator.click("#clear-seats").await;
    // What can't be done is refused in words.
    operator.write("#seat-labels", &seats[0]).await;
    operator.click("#block:enabled").await;
    operator.sees("#said .bad", &format!("{} is not for sale", seats[0])).await;
    operator.click("#unblock:enabled").await;
    viewer.sees_seats(&seats[..1], "available").await;
    operator.write("#find-seat", &seats[0]).await;
    operator.write("#find-seat", "\u{e007}").await;
    operator.sees("#seat-history", "blocked → available").await;

    // A customer's hold is seen and released; its owner is told.
    let free = two_free_seats(&viewer).await;
    hold(&viewer, &free).await;
    operator.sees("#holds", &free.join(", ")).await;
    operator.picture("operator-show").await;
    is_accessible(&operator, "a show for operators").await;
    operator.click("#holds button").await;
    operator.write("#confirm-note", "asked by phone").await;
    operator.picture("operator-confirm").await;
    operator.click("#confirm-yes").await;
    operator.sees("#said", "Released the hold").await;
    other.sees_seats(&free, "available").await;
    viewer.until("document.querySelector('#hold-card') === null").await;

    operator.click("#close-sale").await;
    operator.click("#confirm-yes").await;
    operator.sees("#sale-state", "Closed").await;
    viewer.until("document.querySelector('.choice').hidden || document.querySelector('#hold-button').disabled").await;
    operator.click("#open-sale").await;
    operator.click("#confirm-yes").await;
    operator.sees("#sale-state", "Open").await;

    // A scanned ticket that is none.
    operator.write("#booking-id", &format!("SEATWIRE:{}", "0".repeat(32))).await;
    operator.write("#booking-id", "\u{e007}").await;
    operator.sees("#found-booking", "no such booking").await;

    // What can't be undone has to be typed.
    operator.click("#cancel-show").await;
    operator.until("document.querySelector('#confirm-yes').disabled").await;
    operator.write("#confirm-typed", &show.to_string()).await;
    operator.click("#confirm-yes:enabled").await;
    operator.sees("#sale-state", "Cancelled").await;
    viewer.sees_seats(&free, "blocked").await;

    // Viewers of a gateway that dies are no longer counted.
    stack.kill(Process::Gateway(1));
    operator.until("document.querySelector('#show-viewers').textContent === '1'").await;

    operator.visit("/operator#/queues").await;
    operator.sees("main", "Nothing is parked.").await;
    operator.picture("operator-queues").await;
    is_accessible(&operator, "queues").await;
    // Nothing of it is at a gateway.
    let reached = "fetch('/operator').then((answer) => { document.body.dataset.reached = answer.status })";
    viewer.value(&format!("void {reached}")).await;
    viewer.until("document.body.dataset.reached === '404'").await;

    let log = std::fs::read_to_string(stack.logs().join("core-0.log"))
        .or_else(|_| std::fs::read_to_string(stack.logs().join("core.log")))
        .unwrap();
    let released = log.lines().find(|line| line.contains("operator released a hold")).expect("a line of the log");
    assert!(released.contains("Ann Bellé") && released.contains("asked by phone"), "{released}");
    assert!(!log.contains(&addresses.secrets.admin), "the token is in the log");
    // The browser tells of each refusal: the wrong token, the seat that was blocked already, the ticket that is none.
    let expected =
        |text: &String| ["401", "404", "409"].iter().any(|status| text.contains(&format!("status of {status}")));
    let complaints = operator.complaints().await;
    assert!(complaints.iter().all(expected) && complaints.len() == 3, "{complaints:?}");
    for window in [operator, viewer, other] {
        window.close().await;
    }
    stack.shutdown().await;
}

/// At phone size nothing sticks out, and the session ends with the token.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_page_fits_a_phone_and_is_left_by_signing_out() {
    let Some(driver) = Driver::start().await else { return };
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let addresses = stack.addresses();
    let operator = Window::open(&driver, &addresses.core_http, "operator-phone", Size::Phone).await;
    operator.visit("/operator").await;
    sign_in(&operator, &addresses.secrets.admin).await;
    operator.until("document.querySelectorAll('tbody tr').length > 3").await;
    let arena = "[...document.querySelectorAll('tbody tr')].find((row) => row.children[3].textContent.length > 5)";
    let show = operator.value(&format!("Number({arena}.dataset.show)")).await.as_u64().expect("the arena");
    for (place, there) in [
        ("#/".to_owned(), "tbody tr"),
        (format!("#/show/{show}"), "#seat-rows button"),
        ("#/queues".to_owned(), "tbody tr"),
    ] {
        operator.visit(&format!("/operator{place}")).await;
        operator.until(&format!("document.querySelector({there:?})")).await;
        let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(operator.value(fits).await, Value::Bool(true), "something sticks out on a phone: {place}");
        operator.picture(&format!("operator-{}", there.len() + place.len())).await;
    }
    operator.click("#sign-out").await;
    operator.until("document.querySelector('#token').value === ''").await;
    operator.refresh().await;
    operator.until("document.querySelector('#token')").await;
    assert_eq!(operator.complaints().await, Vec::<String>::new());
    operator.close().await;
    stack.shutdown().await;
}
