//! What a customer meets less often: rules explained, a sale that closes, a house that is sold out, no gateway.

use seatwire_loadtest::client::Http;
use seatwire_loadtest::launcher::{Addresses, Process, Stack, StackOptions};
use serde_json::{Value, json};

use super::axe::is_accessible;
use super::driver::Driver;
use super::window::{Size, Window};
use super::{CINEMA_ON_SALE, find_show, hold, two_free_seats, watch};

/// Does something to a show as an operator.
async fn operate(at: &Addresses, show: u64, what: &str, body: Value) {
    let url = format!("{}/admin/shows/{show}/{what}", at.core_http);
    let bearer = format!("Bearer {}", at.secrets.admin);
    let reply = Http::default().post(&url, &[("authorization", &bearer)], &body).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Labels of free seats in the middle of a row: so many side by side, with two more free on each side.
async fn free_run(window: &Window, count: usize) -> Vec<String> {
    let script = format!(
        "(() => {{ const seats = [...document.querySelectorAll('[data-seat]')]; \
            const free = (seat) => seat?.dataset.status === 'available'; \
            const row = (seat) => seat?.dataset.label.match(/^[A-Z]+/)[0]; \
            const run = (at) => Array.from({{ length: {count} + 4 }}, (_, k) => seats[at - 2 + k]); \
            const beside = (seat, k, all) => k === 0 || Number(seat.getAttribute('transform').match(/-?[0-9]+/)[0]) \
                - Number(all[k - 1].getAttribute('transform').match(/-?[0-9]+/)[0]) <= 12; \
            const at = seats.findIndex((seat, i) => i > 60 && run(i).every((one, k, all) => \
                free(one) && row(one) === row(seat) && beside(one, k, all))); \
            return run(at).slice(2, -2).map((seat) => seat.dataset.label); }})()"
    );
    serde_json::from_value(window.value(&script).await).expect("free seats side by side")
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_explained_and_ends_are_told() {
    let Some(driver) = Driver::start().await else { return };
    let mut stack = Stack::start(StackOptions::new()).await.unwrap();
    let at = stack.addresses();
    let desk = Window::open(&driver, &at.gateway, "desk", Size::Desk).await;
    let phone = Window::open(&driver, &at.gateway, "phone", Size::Phone).await;
    let show = find_show(&desk, CINEMA_ON_SALE).await;
    watch(&desk, show).await;
    watch(&phone, show).await;

    // A single seat would stay alone: the way out is one press away.
    let run = free_run(&desk, 3).await;
    operate(&at, show, "options", json!({ "no_orphan": false })).await;
    hold(&desk, &run[..1]).await;
    operate(&at, show, "options", json!({ "no_orphan": true })).await;
    phone.sees_seats(&run[..1], "held").await;
    phone.click_seats(&run[2..]).await;
    phone.click("#hold-button").await;
    phone.sees("#notices", &format!("{} would be left as a single seat", run[1])).await;
    phone.sees(".notice-act", &format!("Take {} too", run[1])).await;
    phone.picture("orphan").await;
    is_accessible(&phone, "a single seat would stay alone").await;
    phone.click(".notice-act").await;
    phone.sees_seats(&run[1..], "mine").await;
    phone.picture("orphan-held").await;
    is_accessible(&phone, "a hold on a phone").await;
    operate(&at, show, "options", json!({ "no_orphan": false })).await;

    // More holds than one customer may have.
    for _ in 0..2 {
        let more = two_free_seats(&desk).await;
        desk.click_seats(&more[..1]).await;
        desk.click("#hold-button").await;
        desk.until("document.querySelectorAll('.hold').length === 2").await;
    }
    desk.sees("#notices", "at most 2 holds").await;
    desk.picture("limit").await;
    is_accessible(&desk, "over a limit").await;

    // The sale closes: what is only held can't be booked any more.
    operate(&at, show, "sale", json!({ "state": "closed" })).await;
    for window in [&desk, &phone] {
        window.sees("#sale-title", "The sale is closed").await;
        window.sees("#notices", "The sale of this show is closed").await;
        window.sees("#hold-card", "can't be booked now").await;
        window.until("document.querySelector('#pay-button').disabled").await;
        window.picture("closed").await;
    }
    is_accessible(&phone, "the sale is closed").await;
    operate(&at, show, "sale", json!({ "state": "open" })).await;
    phone.until("document.querySelector('.opening').hidden").await;
    phone.sees("#notices", "The sale is open again").await;
    phone.until("!document.querySelector('#notices').textContent.includes('closed')").await;
    phone.click("#release-button").await;
    phone.sees_seats(&run[1..], "available").await;

    // Nothing is left.
    let free = phone.value(
        "[...document.querySelectorAll('g.seat[data-status=available]')].map(({ dataset }) => Number(dataset.seat))",
    );
    operate(&at, show, "block", json!({ "seats": free.await })).await;
    phone.until("!document.querySelector('#sold-out').hidden").await;
    assert_eq!(phone.value("document.querySelector('.best').hidden").await, true);
    phone.run("scrollTo(0, 0)").await;
    phone.picture("sold-out").await;
    is_accessible(&phone, "sold out").await;
    // One comes back.
    desk.click("#release-button").await;
    phone.until("document.querySelector('#sold-out').hidden && !document.querySelector('.best').hidden").await;

    // No gateway, on a phone.
    stack.kill(Process::Gateway(0));
    phone.until("document.querySelector('#connection').dataset.state === 'reconnecting'").await;
    phone.sees("#stale-note", "Not live").await;
    phone.picture("reconnecting").await;
    is_accessible(&phone, "reconnecting on a phone").await;
    for window in [desk, phone] {
        window.close().await;
    }
    stack.shutdown().await;
}
