//! Webhook events: the body is fixed when the thing happens (a snapshot, as with the real provider) and kept as the
//! exact text that is signed and sent.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entities::{Order, Payment, Refund, RefundStatus, WebhookPlan, new_id};
use super::{Shapes, stripe};

/// A webhook that is not delivered yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    /// The same in every copy and retry; Razorpay's travels in an unsigned header only.
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) due_at_ms: u64,
    pub(crate) copies_left: u32,
}

/// Of a capture, and of its order when this capture paid it.
pub(crate) fn captured(
    shapes: Shapes,
    payment: &Payment,
    paid_order: Option<&Order>,
    plan: WebhookPlan,
    now_ms: u64,
) -> Vec<Event> {
    if shapes == Shapes::Stripe {
        return stripe_events(stripe::events::captured(payment, paid_order), plan, now_ms);
    }
    let payment = json!({"entity": payment.to_json()});
    let mut events = event("payment.captured", json!({"payment": payment.clone()}), plan, now_ms);
    if let Some(order) = paid_order {
        let payload = json!({"payment": payment, "order": {"entity": order.to_json()}});
        events.append(&mut event("order.paid", payload, plan, now_ms));
    }
    events
}

/// Of a declined payment.
pub(crate) fn failed(shapes: Shapes, payment: &Payment, order: &Order, plan: WebhookPlan, now_ms: u64) -> Vec<Event> {
    if shapes == Shapes::Stripe {
        return stripe_events(stripe::events::failed(payment, order), plan, now_ms);
    }
    event("payment.failed", json!({"payment": {"entity": payment.to_json()}}), plan, now_ms)
}

/// Of a refund's end.
pub(crate) fn refund(shapes: Shapes, refund: &Refund, payment: &Payment, now_ms: u64) -> Vec<Event> {
    let plan = WebhookPlan { delay_ms: 0, copies: 1 };
    if shapes == Shapes::Stripe {
        return stripe_events(stripe::events::refund(refund, payment), plan, now_ms);
    }
    let kind = if refund.status == RefundStatus::Failed { "refund.failed" } else { "refund.processed" };
    let payload = json!({"refund": {"entity": refund.to_json()}, "payment": {"entity": payment.to_json()}});
    event(kind, payload, plan, now_ms)
}

fn stripe_events(events: Vec<(&'static str, Value)>, plan: WebhookPlan, now_ms: u64) -> Vec<Event> {
    let body = |(kind, object): (&str, Value)| {
        let id = new_id("evt_");
        let body = stripe::events::envelope(&id, kind, &object, now_ms).to_string();
        sent(id, body, plan, now_ms)
    };
    events.into_iter().filter(|_| plan.copies > 0).map(body).collect()
}

fn sent(id: String, body: String, plan: WebhookPlan, now_ms: u64) -> Event {
    Event { id, body, due_at_ms: now_ms.saturating_add(plan.delay_ms), copies_left: plan.copies }
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
    vec![sent(new_id("evt_"), body.to_string(), plan, now_ms)]
}

const ACCOUNT: &str = "acc_SeatwireSimula";
