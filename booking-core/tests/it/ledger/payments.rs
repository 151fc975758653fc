//! Payments that come twice, wrong, late or not at all: each ends in its booking or in one full refund.

use seatwire_protocol::command::{BookingState, CancelBooking, RefundState};
use serde_json::json;

use super::rig::{Rig, customer, idempotency_key};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_and_a_wrong_amount_are_refunded() {
    let rig = Rig::new().await;
    let twice = rig.book("ann", &[0, 1]).await;
    let wrong = rig.book("bob", &[4]).await;
    rig.pay(&twice, json!({"double": 1, "copies": 2})).await;
    rig.pay(&wrong, json!({"amount": 100})).await;
    rig.settle().await;
    rig.refund().await;
    let twice = rig.booking(twice.booking).await;
    assert_eq!(twice.state, BookingState::Confirmed);
    assert_eq!(twice.refunds.iter().map(|refund| refund.state).collect::<Vec<_>>(), [RefundState::Processed]);
    let wrong = rig.booking(wrong.booking).await;
    assert_eq!((wrong.state, wrong.refunds[0].amount), (BookingState::Pending, 100));
    let reasons = rig.text("SELECT string_agg(reason, ',' ORDER BY reason) FROM refunds").await;
    assert_eq!(reasons, "second_payment,wrong_amount");
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paying_late_gets_free_seats_else_the_money_back() {
    let rig = Rig::with(|config| config.claim_ms = 200).await;
    let free = rig.book("ann", &[0, 1]).await;
    let sold = rig.book("bob", &[4, 5]).await;
    let held = rig.book("cid", &[8, 9]).await;
    let cancelled = rig.book("dan", &[12]).await;
    for booking in [&free, &sold, &held] {
        rig.expire(booking.booking).await;
    }
    // All have expired; one is cancelled where it can still be.
    let cancel = CancelBooking { customer: customer("dan"), booking: cancelled.booking, key: idempotency_key("c") };
    rig.saga.cancel(&cancel).await.unwrap().unwrap();

    // One of bob's seats is sold to somebody else, one of cid's is held.
    let mut other = rig.book("eve", &[5]).await;
    rig.hold(&customer("fay"), "h", &[9]).await;
    rig.pay(&other, json!({})).await;
    rig.settle().await;
    for booking in [&free, &sold, &held, &cancelled] {
        rig.pay(booking, json!({})).await;
    }
    rig.settle().await;
    rig.refund().await;

    other = rig.booking(other.booking).await;
    assert_eq!(other.state, BookingState::Confirmed);
    assert_eq!(rig.booking(free.booking).await.state, BookingState::Confirmed);
    assert_eq!(rig.booking(cancelled.booking).await.state, BookingState::Confirmed);
    for lost in [&sold, &held] {
        let lost = rig.booking(lost.booking).await;
        assert_eq!((lost.state, lost.refunds.len()), (BookingState::Expired, 1));
    }
    let results = rig
        .text(
            "SELECT string_agg(result, ',' ORDER BY result) FROM payment_events
        WHERE kind = 'payment.captured' OR result IN ('rescued', 'refund')",
        )
        .await;
    assert_eq!(results.matches("rescued").count(), 2, "{results}");
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_no_webhook_told_of_is_found_before_its_booking_expires() {
    let rig = Rig::with(|config| {
        config.claim_ms = 200;
        config.reconcile_ms = 1;
    })
    .await;
    let lost = rig.book("ann", &[0, 1]).await;
    rig.pay(&lost, json!({"lose": 1})).await;
    let asked = async || {
        rig.saga.expire_once().await.unwrap();
        rig.saga.settle_once().await.unwrap();
        rig.booking(lost.booking).await.state == BookingState::Confirmed
    };
    super::rig::wait_for("confirmation by asking", asked).await;
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE source = 'fetch'").await, 1);

    // A second payment that nobody tells of is found by reconciliation.
    let twice = rig.book("bob", &[4]).await;
    rig.pay(&twice, json!({"lose": 1, "double": 1})).await;
    let found = async || {
        rig.saga.reconcile_once().await.unwrap();
        rig.saga.settle_once().await.unwrap();
        rig.count("SELECT count(*) FROM payments WHERE outcome IS NOT NULL").await == 3
    };
    super::rig::wait_for("reconciliation", found).await;
    rig.refund().await;
    assert_eq!(rig.booking(twice.booking).await.state, BookingState::Confirmed);
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_payment_is_not_the_end() {
    let rig = Rig::new().await;
    let booking = rig.book("ann", &[3]).await;
    rig.pay(&booking, json!({"outcome": "failure"})).await;
    rig.settle().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Pending);
    assert_eq!(rig.text("SELECT status FROM payments").await, "failed");
    rig.pay(&booking, json!({})).await;
    rig.settle().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_made_once_whatever_the_provider_answers() {
    let rig = Rig::new().await;
    let first = rig.buy("ann", &[0]).await;
    let second = rig.buy("bob", &[1]).await;
    let cancel = async |name: &str, booking| {
        let command = CancelBooking { customer: customer(name), booking, key: idempotency_key("c") };
        rig.saga.cancel(&command).await.unwrap().unwrap();
    };
    // The answer is lost: the same key again is the same refund.
    rig.control(json!({"refund": "lose_answer", "webhooks": "hold"})).await;
    cancel("ann", first.booking).await;
    assert_eq!(rig.saga.refund_once().await.unwrap(), 1);
    rig.control(json!({"refund": null, "webhooks": "send"})).await;
    rig.refund().await;
    assert_eq!(rig.text("SELECT string_agg(state, ',') FROM refunds").await, "PROCESSED");

    // A definite failure: a new attempt under a new key.
    rig.control(json!({"refund": "fail"})).await;
    cancel("bob", second.booking).await;
    let failed = async || {
        rig.saga.refund_once().await.unwrap();
        rig.saga.settle_once().await.unwrap();
        rig.count("SELECT count(*) FROM refunds WHERE state = 'FAILED'").await > 0
    };
    super::rig::wait_for("the failure", failed).await;
    rig.control(json!({"refund": null})).await;
    rig.refund().await;
    let keys = rig.count("SELECT count(DISTINCT idempotency_key) FROM refunds").await;
    assert!(keys >= 3, "{keys}");
    assert_eq!(rig.booking(second.booking).await.refunds[0].state, RefundState::Processed);
    assert_eq!(rig.count("SELECT count(*) FROM refunds WHERE state = 'PROCESSED'").await, 2);
}

/// The answer is lost, the webhook is late, and so is the list of refunds: nothing but the key says which refund it was.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_key_prevents_a_second_refund_while_nothing_is_told() {
    let rig = Rig::new().await;
    let booking = rig.book("ann", &[0]).await;
    rig.pay(&booking, json!({"double": 1})).await;
    rig.settle().await;
    rig.control(json!({"refund": "lose_answer", "webhooks": "hold", "hide_refunds": true})).await;
    rig.saga.refund_once().await.unwrap();
    assert_eq!(rig.provider_ledger().await["refunds"].as_array().unwrap().len(), 1, "it was made");
    assert_eq!(rig.text("SELECT state FROM refunds").await, "REQUESTED", "and nobody knows");
    rig.control(json!({"refund": null})).await;
    rig.sql.batch_execute("UPDATE refunds SET next_try_at = now()").await.unwrap();
    rig.saga.refund_once().await.unwrap();
    assert_eq!(rig.text("SELECT string_agg(state || ' ' || attempt, ',') FROM refunds").await, "PROCESSED 1");
    assert_eq!(rig.provider_ledger().await["refunds"].as_array().unwrap().len(), 1);
    rig.control(json!({"webhooks": "send", "hide_refunds": null})).await;
    rig.settle().await;
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_can_not_be_asked_for_is_no_reason_to_leave_the_others_for_later() {
    let rig = Rig::with(|config| config.reconcile_ms = 1).await;
    rig.book("ann", &[0]).await;
    rig.sql
        .batch_execute(
            "INSERT INTO orders (id, provider, receipt, amount, currency, next_check_at)
                VALUES ('no plain id', 'razorpay', 'x', 1, 'INR', now())",
        )
        .await
        .unwrap();
    let due = "SELECT count(*) FROM orders WHERE next_check_at <= now()";
    super::rig::wait_for("both orders' turn", async || rig.count(due).await == 2).await;
    assert_eq!(rig.saga.reconcile_once().await.unwrap(), 1);
    // Alone it looks like an outage: the worker is to back off, and the question does not count.
    rig.sql
        .batch_execute(
            "UPDATE orders SET next_check_at = now() + CASE receipt WHEN 'x' THEN '0' ELSE '1 hour' END::interval",
        )
        .await
        .unwrap();
    assert!(rig.saga.reconcile_once().await.is_err());
    assert_eq!(rig.count("SELECT checks::bigint FROM orders WHERE receipt = 'x'").await, 0);
}
