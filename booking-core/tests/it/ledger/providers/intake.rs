//! What a webhook is answered: by its form, never by its business (B23 to B28).

use seatwire_loadtest::provider::Shapes;
use seatwire_protocol::command::BookingState;
use serde_json::json;

use super::webhook::{Header, captured, hmac, now, post, send, signed, stripe_signed, unknown_event, unreadable_event};
use crate::ledger::rig::{Rig, WEBHOOK_SECRET, wait_for};

pub(super) async fn each_kind_of_bad_webhook_gets_its_answer_and_leaves_nothing(shapes: Shapes) {
    let rig = Rig::of(shapes, |_| {}).await;
    let good = captured(shapes, "order_x", "pay_x", 100, "INR");
    let good_headers = signed(shapes, WEBHOOK_SECRET, &good);
    let (name, header) = good_headers[0].clone();
    let digest = &header[header.len() - 64..];
    let with = |signature: &str| vec![(name, header.replace(digest, signature))];
    for (what, headers) in [
        ("none", vec![]),
        ("another secret", signed(shapes, "another secret", &good)),
        ("two headers", [good_headers.clone(), good_headers.clone()].concat()),
        ("half", with(&digest[..32])),
        ("too long", with(&format!("{digest}00"))),
        ("spaces inside", with(&format!("{} {}", &digest[..32], &digest[32..]))),
        ("base64", with("sMvNq4u+IAc/mVzCXyXrMOSAde2RZv02VIrhywgY4nM=")),
        ("no hex", with(&"z".repeat(64))),
        ("a tab inside", with(&format!("{}\t{}", &digest[..32], &digest[32..]))),
        (
            "of another",
            vec![(if shapes == Shapes::Stripe { "x-razorpay-signature" } else { "stripe-signature" }, header.clone())],
        ),
    ] {
        assert_eq!(post(&rig, &headers, &good).await, 400, "{what}");
    }
    // Written otherwise, the same event is another text.
    let spaced = String::from_utf8(good.clone()).unwrap().replacen(':', ": ", 1);
    assert_eq!(post(&rig, &good_headers, spaced.as_bytes()).await, 400);
    if shapes == Shapes::Stripe {
        bad_stripe_headers(&rig, &good).await;
    }
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    let twice = r#"{"event":"a","event":"b","type":"a","type":"b"}"#;
    for body in [
        "not json",
        "",
        "[]",
        "{}",
        "\u{feff}{}",
        r#"{"event":"x","type":"x","payload":1e400,"data":1e400}"#,
        r#"{"event":"\ud800","type":"\ud800"}"#,
        &deep,
        twice,
    ] {
        assert_eq!(send(&rig, body.as_bytes()).await, 400, "{body:.40}");
    }
    assert_eq!(send(&rig, &vec![b' '; (256 << 10) + 1]).await, 413);
    let other_kind: Header = ("content-type", "text/plain".to_owned());
    assert_eq!(post(&rig, &[good_headers[0].clone(), other_kind], &good).await, 415);
    assert_eq!(rig.count("SELECT count(*) FROM payment_events").await, 0);
    // Upper-case digits are the same number.
    assert_eq!(post(&rig, &with(&digest.to_uppercase()), &good).await, 200);
}

async fn bad_stripe_headers(rig: &Rig, body: &[u8]) {
    let at = |time: String| vec![stripe_signed(WEBHOOK_SECRET, &time, body)];
    let digest = |time: &str| hmac(WEBHOOK_SECRET, &[time.as_bytes(), b".", body]);
    let time = now().to_string();
    let raw = |text: String| vec![("stripe-signature", text)];
    for (what, headers) in [
        ("old", at((now() - 400).to_string())),
        ("future", at((now() + 400).to_string())),
        ("negative", at(format!("-{time}"))),
        ("overflow", at("99999999999999999999999".to_owned())),
        ("empty time", at(String::new())),
        ("no time", raw(format!("v1={}", digest("")))),
        ("only v0", raw(format!("t={time},v0={}", digest(&time)))),
        ("fifty", raw(format!("t={time},v1={}{}", digest(&time), format!(",v1={}", "0".repeat(64)).repeat(49)))),
    ] {
        assert_eq!(post(rig, &headers, body).await, 400, "{what}");
    }
}

pub(super) async fn what_is_signed_has_one_effect_and_what_is_not_ours_none(shapes: Shapes) {
    let rig = Rig::of(shapes, |_| {}).await;
    let paid = rig.buy("ann", &[0]).await;
    let other = rig.book("bob", &[4]).await;
    let events = rig.count("SELECT count(*) FROM payment_events").await;
    let payment = rig.text("SELECT id FROM payments").await;
    // Told again under another event id, by an old secret, with a new time: the same text is the same event.
    let foreign = captured(shapes, "order_of_another", "pay_of_another", 500, "INR");
    for (secret, id) in [(WEBHOOK_SECRET, "1"), (WEBHOOK_SECRET, "2"), ("an older one", "3")] {
        let mut headers = signed(shapes, secret, &foreign);
        headers.push(("x-razorpay-event-id", id.to_owned()));
        assert_eq!(post(&rig, &headers, &foreign).await, 200);
    }
    assert_eq!(send(&rig, unknown_event(shapes)).await, 200);
    assert_eq!(send(&rig, unreadable_event(shapes)).await, 200);
    // A known payment under another booking's order, and the settled one once more in other words.
    let order = other.order.clone().unwrap();
    assert_eq!(send(&rig, &captured(shapes, &order, &payment, other.amount, "INR")).await, 200);
    let settled = captured(shapes, paid.order.as_deref().unwrap(), &payment, paid.amount, "INR");
    assert_eq!(send(&rig, &settled).await, 200);
    assert_eq!(rig.count("SELECT count(*) FROM payment_events").await, events + 5);
    let parked = async || {
        rig.saga.settle_once().await.unwrap();
        rig.sql.batch_execute("UPDATE payment_events SET next_try_at = now()").await.unwrap();
        rig.saga.backlog().await.unwrap().inbox == 0
    };
    wait_for("the inbox", parked).await;
    for (result, count) in [("quarantined", 1), ("unreadable", 1), ("ignored", 1), ("confirmed", 1)] {
        let query = format!("SELECT count(*) FROM payment_events WHERE result = '{result}'");
        assert_eq!(rig.count(&query).await, count, "{result}");
    }
    let known = "SELECT count(*) FROM payment_events WHERE processed_at IS NULL AND last_error LIKE '%another order%'";
    assert_eq!(rig.count(known).await, 1, "for an operator");
    assert_eq!(rig.count("SELECT count(*) FROM payments").await, 1);
    assert_eq!(rig.count("SELECT count(*) FROM refunds").await, 0, "not ours to give back");
    assert_eq!(rig.booking(other.booking).await.state, BookingState::Pending);

    // A right order paid in another currency, or by another amount, is given back.
    for (name, seat, fields) in [("cid", 8, json!({"currency": "USD"})), ("dan", 12, json!({"amount": 101}))] {
        let booking = rig.book(name, &[seat]).await;
        rig.pay(&booking, fields).await;
        rig.settle().await;
        rig.refund().await;
        let booking = rig.booking(booking.booking).await;
        assert_eq!((booking.state, booking.refunds.len()), (BookingState::Pending, 1), "{name}");
    }
    rig.check().await;
}
