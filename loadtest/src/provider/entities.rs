//! Orders, payments and refunds: as the journal keeps them, and as the API shows them (Razorpay's field names; `notes`
//! is `[]` when empty and an object otherwise, as there).

use rand::Rng as _;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    /// In minor units.
    pub(crate) amount: u64,
    pub(crate) amount_paid: u64,
    pub(crate) currency: String,
    pub(crate) receipt: Option<String>,
    pub(crate) status: OrderStatus,
    pub(crate) attempts: u32,
    pub(crate) notes: Map<String, Value>,
    /// Unix seconds.
    pub(crate) created_at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrderStatus {
    Created,
    /// Somebody tried to pay; it failed, or is not captured yet.
    Attempted,
    /// For good: a refund does not change it.
    Paid,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) order_id: String,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) status: PaymentStatus,
    pub(crate) amount_refunded: u64,
    pub(crate) created_at: u64,
    /// What happens to it by itself later, and how that is told.
    pub(crate) later: Option<LateCapture>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentStatus {
    Authorized,
    Captured,
    /// Not for ever: a late answer of the bank can still capture it.
    Failed,
    Refunded,
}

/// A capture that comes after the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LateCapture {
    pub(crate) at_ms: u64,
    pub(crate) webhooks: WebhookPlan,
}

/// How the webhooks of a payment are sent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct WebhookPlan {
    pub(crate) delay_ms: u64,
    /// 0: never sent.
    pub(crate) copies: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) payment_id: String,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) status: RefundStatus,
    pub(crate) receipt: Option<String>,
    pub(crate) notes: Map<String, Value>,
    pub(crate) created_at: u64,
    pub(crate) idempotency_key: Option<String>,
    /// The request's body in canonical form: the same key with another body is refused.
    pub(crate) request: String,
    /// A pending refund's end: when, and which.
    pub(crate) later: Option<(u64, RefundStatus)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefundStatus {
    Pending,
    Processed,
    Failed,
}

impl Order {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": self.id, "entity": "order", "amount": self.amount, "amount_paid": self.amount_paid,
            "amount_due": self.amount.saturating_sub(self.amount_paid), "currency": self.currency,
            "receipt": self.receipt, "offer_id": null, "status": self.status, "attempts": self.attempts,
            "notes": notes_json(&self.notes), "created_at": self.created_at,
        })
    }
}

impl Payment {
    /// Whether the money was taken; stays true when it is given back.
    pub(crate) fn captured(&self) -> bool {
        matches!(self.status, PaymentStatus::Captured | PaymentStatus::Refunded)
    }

    pub(crate) fn to_json(&self) -> Value {
        let failed = self.status == PaymentStatus::Failed;
        let refund_status = match self.amount_refunded {
            0 => None,
            refunded if refunded < self.amount => Some("partial"),
            _ => Some("full"),
        };
        json!({
            "id": self.id, "entity": "payment", "amount": self.amount, "currency": self.currency,
            "status": self.status, "order_id": self.order_id, "invoice_id": null, "international": false,
            "method": "upi", "amount_refunded": self.amount_refunded, "refund_status": refund_status,
            "captured": self.captured(), "description": null, "card_id": null, "bank": null, "wallet": null,
            "vpa": "simulation@seatwire", "notes": [], "fee": null, "tax": null,
            "error_code": failed.then_some("BAD_REQUEST_ERROR"),
            "error_description": failed.then_some("The payment was declined (simulation)"),
            "error_source": failed.then_some("customer"), "error_step": failed.then_some("payment_authorization"),
            "error_reason": failed.then_some("payment_declined"), "acquirer_data": {}, "created_at": self.created_at,
        })
    }
}

impl Refund {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": self.id, "entity": "refund", "amount": self.amount, "currency": self.currency,
            "payment_id": self.payment_id, "notes": notes_json(&self.notes), "receipt": self.receipt,
            "acquirer_data": {"arn": null}, "created_at": self.created_at, "batch_id": null, "status": self.status,
            "speed_processed": "normal", "speed_requested": "normal",
        })
    }
}

fn notes_json(notes: &Map<String, Value>) -> Value {
    if notes.is_empty() { json!([]) } else { Value::Object(notes.clone()) }
}

/// A list as the API wraps it.
pub(crate) fn collection(items: Vec<Value>) -> Value {
    json!({"entity": "collection", "count": items.len(), "items": items})
}

/// `prefix` and 14 random letters and digits.
pub(crate) fn new_id(prefix: &str) -> String {
    let random = rand::rng().sample_iter(Alphanumeric).take(14).map(char::from);
    prefix.chars().chain(random).collect()
}
