//! Each captured payment ends in its booking or in one full refund, in whatever order and number it is told of.

use seatwire_loadtest::provider::Shapes;
use seatwire_protocol::command::{BookingState, RefundState};
use serde_json::json;

use crate::ledger::rig::Rig;

pub(super) async fn events_in_any_order_and_number_end_in_one_outcome(shapes: Shapes) {
    let rig = Rig::of(shapes, |_| {}).await;
    rig.control(json!({"shuffle": true})).await;
    let copied = rig.book("ann", &[0, 1]).await;
    let declined = rig.book("bob", &[4]).await;
    let retried = rig.book("cid", &[8]).await;
    rig.pay(&copied, json!({"copies": 3})).await;
    // Declined, and captured after all; and another card after a declined one.
    rig.pay(&declined, json!({"outcome": "failure", "capture_after_ms": 1})).await;
    rig.pay(&retried, json!({"outcome": "failure", "copies": 2})).await;
    rig.pay(&retried, json!({})).await;
    rig.settle().await;
    for booking in [&copied, &declined, &retried] {
        let booking = rig.booking(booking.booking).await;
        assert_eq!((booking.state, booking.refunds.len()), (BookingState::Confirmed, 0));
    }
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE result = 'confirmed'").await, 3);
    assert_eq!(rig.count("SELECT count(*) FROM payments WHERE status = 'failed'").await, 1);
    let told = rig.text("SELECT string_agg(DISTINCT kind, ',' ORDER BY kind) FROM payment_events").await;
    let expected = match shapes {
        Shapes::Razorpay => "order.paid,payment.captured,payment.failed",
        Shapes::Stripe => "charge.failed,charge.succeeded,payment_intent.payment_failed,payment_intent.succeeded",
    };
    assert_eq!(told, expected);
    rig.check().await;
}

pub(super) async fn late_lost_double_and_wrong_payments_end_in_seats_or_money_back(shapes: Shapes) {
    let rig = Rig::of(shapes, |config| {
        config.claim_ms = 200;
        config.reconcile_ms = 1;
    })
    .await;
    let (free, sold) = (rig.book("ann", &[0, 1]).await, rig.book("bob", &[4, 5]).await);
    rig.expire(free.booking).await;
    rig.expire(sold.booking).await;
    let other = rig.book("eve", &[5]).await;
    rig.pay(&other, json!({"double": 1, "copies": 2})).await;
    rig.settle().await;
    rig.pay(&free, json!({})).await;
    // Found by asking, settled and given back before its own webhooks arrive.
    rig.control(json!({"webhooks": "hold"})).await;
    rig.pay(&sold, json!({})).await;
    rig.sql.batch_execute("UPDATE orders SET next_check_at = now()").await.unwrap();
    rig.saga.reconcile_once().await.unwrap();
    rig.drain_inbox().await;
    while rig.saga.refund_once().await.unwrap() > 0 {}
    rig.control(json!({"webhooks": "send", "shuffle": true})).await;
    rig.settle().await;
    rig.refund().await;

    assert_eq!(rig.booking(free.booking).await.state, BookingState::Confirmed, "rescued");
    let sold = rig.booking(sold.booking).await;
    assert_eq!((sold.state, sold.refunds.len()), (BookingState::Expired, 1));
    let other = rig.booking(other.booking).await;
    assert_eq!((other.state, other.refunds.len()), (BookingState::Confirmed, 1));
    assert!(sold.refunds.iter().chain(&other.refunds).all(|refund| refund.state == RefundState::Processed));
    let provider = rig.text("SELECT string_agg(DISTINCT provider, ',') FROM payments").await;
    assert_eq!(provider, shapes.name());
    assert_eq!(rig.provider_ledger().await["refunds"].as_array().unwrap().len(), 2);
    rig.check().await;
}
