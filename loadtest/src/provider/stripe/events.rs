//! Stripe's events: an envelope with the object as it was when it happened.

use serde_json::{Value, json};

use super::entities::{charge, payment_intent};
use crate::provider::entities::{Order, Payment, Refund, RefundStatus};

/// `charge.succeeded`, and `payment_intent.succeeded` when this capture paid it.
pub(crate) fn captured(payment: &Payment, paid_order: Option<&Order>) -> Vec<(&'static str, Value)> {
    let mut events = vec![("charge.succeeded", charge(payment))];
    events.extend(paid_order.map(|order| ("payment_intent.succeeded", payment_intent(order, Some(payment)))));
    events
}

/// `charge.failed` and `payment_intent.payment_failed`.
pub(crate) fn failed(payment: &Payment, order: &Order) -> Vec<(&'static str, Value)> {
    vec![("charge.failed", charge(payment)), ("payment_intent.payment_failed", payment_intent(order, Some(payment)))]
}

/// `refund.updated` or `refund.failed`.
pub(crate) fn refund(refund: &Refund, payment: &Payment) -> Vec<(&'static str, Value)> {
    let kind = if refund.status == RefundStatus::Failed { "refund.failed" } else { "refund.updated" };
    vec![(kind, super::entities::refund(refund, &payment.order_id))]
}

pub(crate) fn envelope(id: &str, kind: &str, object: &Value, now_ms: u64) -> Value {
    json!({
        "id": id, "object": "event", "api_version": VERSION, "created": now_ms / 1000, "data": {"object": object},
        "livemode": false, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null}, "type": kind,
    })
}

const VERSION: &str = "2022-11-15";
