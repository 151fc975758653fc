//! Settlement and expiry where something does not fit: the money goes back, or an operator has to look.

use seatwire_core::holds::Refusal;
use seatwire_protocol::command::BookingState;
use seatwire_protocol::{SaleState, SeatIndex};
use serde_json::json;

use super::rig::{Rig, connect, customer, idempotency_key};
use super::webhooks::{Sent, payment_event};

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_in_another_currency_is_refunded() {
    let rig = Rig::new().await;
    let booking = rig.book("ann", &[0]).await;
    let order = booking.order.clone().unwrap();
    let body = payment_event(&order, "pay_dollars", booking.amount, "USD", "captured");
    assert_eq!(Sent::of(&body).to(&rig).await, 200);
    rig.drain_inbox().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Pending);
    assert_eq!(rig.text("SELECT outcome_reason FROM payments").await, "wrong_amount");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_changes_its_order_confirms_nothing() {
    let rig = Rig::new().await;
    let (ann, bob) = (rig.book("ann", &[0]).await, rig.book("bob", &[1]).await);
    assert_eq!(ann.amount, bob.amount);
    let event = |booking: &seatwire_protocol::command::BookingInfo, status| {
        payment_event(booking.order.as_deref().unwrap(), "pay_1", booking.amount, "INR", status)
    };
    assert_eq!(Sent::of(&event(&ann, "failed")).to(&rig).await, 200);
    rig.drain_inbox().await;
    assert_eq!(Sent::of(&event(&bob, "captured")).to(&rig).await, 200);
    rig.saga.settle_once().await.unwrap();
    assert_eq!(rig.count("SELECT failures::bigint FROM payment_events WHERE processed_at IS NULL").await, 1);
    for booking in [ann, bob] {
        assert_eq!(rig.booking(booking.booking).await.state, BookingState::Pending);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_after_the_sale_was_closed_is_refunded_by_the_ledger_alone() {
    let mut rig = Rig::with(|config| config.claim_ms = 1).await;
    let booking = rig.book("ann", &[0]).await;
    rig.expire(booking.booking).await;
    rig.saga.set_sale(rig.show, SaleState::Closed, None).await.unwrap().unwrap();
    rig.redis.kill();
    rig.pay(&booking, json!({})).await;
    rig.settle().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Expired);
    assert_eq!(rig.text("SELECT outcome_reason FROM payments").await, "sale_closed");
    rig.refund().await;
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_does_not_expire_while_the_inbox_has_its_payment() {
    let rig = Rig::with(|config| {
        config.claim_ms = 1;
        // The provider's word is not waited for, only the inbox is.
        config.ask_ms = 0;
    })
    .await;
    let booking = rig.book("ann", &[0]).await;
    rig.pay(&booking, json!({"lose": 1})).await;
    // Asked, the provider tells of the payment: it is in the inbox from here on.
    rig.saga.expire_once().await.unwrap();
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE processed_at IS NULL").await, 1);
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Pending);
    rig.settle().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_frees_only_seats_of_its_own() {
    let rig = Rig::with(|config| config.claim_ms = 1).await;
    let ann = rig.book("ann", &[0]).await;
    rig.book("bob", &[1]).await;
    // What no code of ours can do: one of ann's seats is bob's.
    rig.sql
        .batch_execute(
            "SET session_replication_role = replica;
            UPDATE show_seats SET booking_id = (SELECT booking_id FROM show_seats WHERE show_id = 1 AND seat = 1)
                WHERE show_id = 1 AND seat = 0;
            UPDATE bookings SET expires_at = now() + interval '1 hour' WHERE customer_id = 'bob';
            SET session_replication_role = origin",
        )
        .await
        .unwrap();
    assert!(rig.saga.expire_once().await.is_err());
    assert_eq!(rig.booking(ann.booking).await.state, BookingState::Pending);
    assert_eq!(rig.count("SELECT count(*) FROM show_seats WHERE status = 'claimed'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_came_second_leaves_the_payers_hold_to_the_first() {
    let rig = Rig::with(|config| config.claim_ms = 1).await;
    let booking = rig.book("ann", &[0]).await;
    rig.expire(booking.booking).await;
    let body = payment_event(booking.order.as_deref().unwrap(), "pay_1", booking.amount, "INR", "captured");
    assert_eq!(Sent::of(&body).to(&rig).await, 200);
    // The first worker has the event under lock: the second one places the payer's hold, and is skipped.
    let first = connect(&rig.postgres.superuser_url()).await;
    first.batch_execute("BEGIN; SELECT id FROM payment_events FOR UPDATE").await.unwrap();
    assert_eq!(rig.saga.settle_once().await.unwrap(), 1);
    let eve = rig.holds.hold(rig.show, &customer("eve"), &idempotency_key("h"), &[SeatIndex(0)], None).await.unwrap();
    assert!(matches!(eve, Err(Refusal::Taken(_))), "{eve:?}");
    first.batch_execute("ROLLBACK").await.unwrap();
    rig.drain_inbox().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_is_not_refused_by_a_map_that_lacks_the_end_of_its_own_booking() {
    let rig = Rig::with(|config| (config.claim_ms, config.relay_age_ms) = (1, 0)).await;
    let booking = rig.book("ann", &[0]).await;
    rig.expire(booking.booking).await;
    // As if the core had died before it applied the expiry; that a map refuses is brought about by another's hold.
    rig.sql.batch_execute("UPDATE outbox SET applied_at = NULL, next_try_at = now()").await.unwrap();
    rig.hold(&customer("eve"), "h", &[0]).await;
    let body = payment_event(booking.order.as_deref().unwrap(), "pay_1", booking.amount, "INR", "captured");
    assert_eq!(Sent::of(&body).to(&rig).await, 200);
    assert_eq!(rig.saga.settle_once().await.unwrap(), 1);
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE processed_at IS NULL").await, 1);
    assert_eq!(rig.count("SELECT count(*) FROM refunds").await, 0);
    // The relay has brought it: now a refusal is one.
    assert!(rig.saga.relay_once().await.unwrap() > 0);
    rig.sql.batch_execute("UPDATE payment_events SET next_try_at = now() WHERE processed_at IS NULL").await.unwrap();
    assert_eq!(rig.saga.settle_once().await.unwrap(), 1);
    assert_eq!(rig.text("SELECT outcome_reason FROM payments").await, "seats_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_refund_of_a_late_payment_the_payers_hold_is_given_up() {
    let rig = Rig::with(|config| config.claim_ms = 1).await;
    let booking = rig.book("ann", &[0]).await;
    rig.expire(booking.booking).await;
    // The seat is gone in the ledger, and Redis has not heard of it: the payer's hold is placed in vain.
    rig.sql
        .batch_execute(
            "SET session_replication_role = replica;
            UPDATE show_seats SET status = 'blocked' WHERE show_id = 1 AND seat = 0;
            SET session_replication_role = origin",
        )
        .await
        .unwrap();
    let body = payment_event(booking.order.as_deref().unwrap(), "pay_1", booking.amount, "INR", "captured");
    assert_eq!(Sent::of(&body).to(&rig).await, 200);
    rig.drain_inbox().await;
    assert_eq!(rig.text("SELECT outcome_reason FROM payments").await, "seats_taken");
    let eve = rig.holds.hold(rig.show, &customer("eve"), &idempotency_key("h"), &[SeatIndex(0)], None).await.unwrap();
    assert!(eve.is_ok(), "{eve:?}");
}
