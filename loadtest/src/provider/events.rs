//! Webhook events: the body is fixed when the thing happens (a snapshot, as with the real provider) and kept as the
//! exact text that is signed and sent.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entities::{Order, Payment, Refund, WebhookPlan, new_id};

/// A webhook that is not delivered yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Travels in an unsigned header only; the same in every copy and retry.
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) due_at_ms: u64,
    pub(crate) copies_left: u32,
}

/// `payment.captured`, and `order.paid` when this capture paid the order.
pub(crate) fn captured(payment: &Payment, paid_order: Option<&Order>, plan: WebhookPlan, now_ms: u64) -> Vec<Event> {
    let payment = json!({"entity": payment.to_json()});
    let mut events = event("payment.captured", json!({"payment": payment.clone()}), plan, now_ms);
    if let Some(order) = paid_order {
        let payload = json!({"payment": payment, "order": {"entity": order.to_json()}});
        events.append(&mut event("order.paid", payload, plan, now_ms));
    }
    events
}

/// `payment.failed`.
pub(crate) fn failed(payment: &Payment, plan: WebhookPlan, now_ms: u64) -> Vec<Event> {
    event("payment.failed", json!({"payment": {"entity": payment.to_json()}}), plan, now_ms)
}

/// `refund.processed` or `refund.failed`.
pub(crate) fn refund(kind: &str, refund: &Refund, payment: &Payment, now_ms: u64) -> Vec<Event> {
    let payload = json!({"refund": {"entity": refund.to_json()}, "payment": {"entity": payment.to_json()}});
    event(kind, payload, WebhookPlan { delay_ms: 0, copies: 1 }, now_ms)
}

fn event(kind: &str, payload: Value, plan: WebhookPlan, now_ms: u64) -> Vec<Event> {
    if plan.copies == 0 {
        return Vec::new();
    }
    let contains: Vec<&String> = payload.as_object().into_iter().flat_map(|parts| parts.keys()).collect();
    let body = json!({
        "entity": "event", "account_id": ACCOUNT, "event": kind, "contains": contains, "payload": payload,
        "created_at": now_ms / 1000,
    });
    vec![Event {
        id: new_id("evt_"),
        body: body.to_string(),
        due_at_ms: now_ms.saturating_add(plan.delay_ms),
        copies_left: plan.copies,
    }]
}

const ACCOUNT: &str = "acc_SeatwireSimula";
