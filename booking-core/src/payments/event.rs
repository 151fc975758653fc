//! Events of Razorpay's webhooks, reduced to what settlement needs: personal data of the payer are not kept. Tolerant
//! of unknown fields and events, strict on ids, amounts, currency and status.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Payment, PaymentStatus, Refund, RefundStatus};

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ProviderEvent {
    /// A payment was captured or failed.
    Payment(Payment),
    /// A refund was accepted, processed or failed.
    Refund(Refund),
    /// Nothing that changes anything.
    Other,
    /// Of a kind that matters, but not to be understood: an operator has to look.
    Unreadable {
        /// What was missing.
        why: String,
    },
}

/// An event with its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedEvent {
    /// The provider's event type.
    pub kind: String,
    /// What it says.
    pub event: ProviderEvent,
}

#[derive(Deserialize)]
struct Envelope {
    event: String,
    #[serde(default)]
    payload: Value,
}

#[derive(Deserialize)]
struct PaymentEntity {
    id: String,
    order_id: Option<String>,
    amount: u64,
    currency: String,
    status: String,
}

#[derive(Deserialize)]
struct RefundEntity {
    id: String,
    payment_id: String,
    amount: u64,
    status: String,
}

/// Longest event type that is stored.
const KIND_MAX: usize = 100;

/// Parses a webhook's body.
///
/// # Errors
/// When it is not a JSON object with an `event`.
pub fn parse(body: &[u8]) -> Result<ParsedEvent, serde_json::Error> {
    let envelope: Envelope = serde_json::from_slice(body)?;
    let event = match envelope.event.as_str() {
        "payment.captured" | "payment.failed" | "order.paid" => payment_event(entity(&envelope.payload, "payment")),
        "refund.created" | "refund.processed" | "refund.failed" => refund_event(entity(&envelope.payload, "refund")),
        _ => Ok(ProviderEvent::Other),
    };
    let event = event.unwrap_or_else(|e| ProviderEvent::Unreadable { why: e.to_string() });
    Ok(ParsedEvent { kind: envelope.event.chars().take(KIND_MAX).collect(), event })
}

fn entity(payload: &Value, name: &str) -> Value {
    payload.get(name).and_then(|part| part.get("entity")).cloned().unwrap_or_default()
}

fn payment_event(entity: Value) -> Result<ProviderEvent, serde_json::Error> {
    Ok(payment(entity)?.map_or(ProviderEvent::Other, ProviderEvent::Payment))
}

fn refund_event(entity: Value) -> Result<ProviderEvent, serde_json::Error> {
    refund(entity).map(ProviderEvent::Refund)
}

/// A payment entity; `None` for one that belongs to no order, or is neither captured nor failed. The status decides,
/// not the name of the event: their own samples carry `captured: true` beside `authorized`. A refunded payment was
/// captured.
pub(crate) fn payment(entity: Value) -> Result<Option<Payment>, serde_json::Error> {
    let entity: PaymentEntity = serde_json::from_value(entity)?;
    let status = match entity.status.as_str() {
        "captured" | "refunded" => PaymentStatus::Captured,
        "failed" => PaymentStatus::Failed,
        _ => return Ok(None),
    };
    let Some(order) = entity.order_id else { return Ok(None) };
    Ok(Some(Payment { id: entity.id, order, amount: entity.amount, currency: entity.currency, status }))
}

/// A refund entity.
pub(crate) fn refund(entity: Value) -> Result<Refund, serde_json::Error> {
    let entity: RefundEntity = serde_json::from_value(entity)?;
    let status = match entity.status.as_str() {
        "processed" => RefundStatus::Processed,
        "failed" => RefundStatus::Failed,
        _ => RefundStatus::Pending,
    };
    Ok(Refund { id: entity.id, payment: entity.payment_id, amount: entity.amount, status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_matters_and_ignores_the_rest() {
        let body = br#"{"entity":"event","account_id":"acc_1","event":"payment.captured","contains":["payment"],
            "payload":{"payment":{"entity":{"id":"pay_1","order_id":"order_1","amount":5000,"currency":"INR",
            "status":"captured","notes":[],"email":"a@b.c","contact":"+91","error_code":null,"upi":{"vpa":"x"}}}},
            "created_at":1}"#;
        let parsed = parse(body).unwrap();
        assert_eq!(parsed.kind, "payment.captured");
        let ProviderEvent::Payment(payment) = &parsed.event else { panic!("{parsed:?}") };
        assert_eq!((payment.id.as_str(), payment.amount, payment.status), ("pay_1", 5000, PaymentStatus::Captured));
        let stored = serde_json::to_string(&parsed.event).unwrap();
        assert!(!stored.contains("a@b.c"), "{stored}");
        assert_eq!(serde_json::from_str::<ProviderEvent>(&stored).unwrap(), parsed.event);
    }

    #[test]
    fn tells_what_it_cannot_read() {
        let event = |body: &str| parse(body.as_bytes()).map(|p| p.event);
        assert_eq!(event(r#"{"event":"subscription.charged"}"#).unwrap(), ProviderEvent::Other);
        let authorized = r#"{"event":"payment.captured","payload":{"payment":{"entity":{"id":"p","order_id":"o",
            "amount":1,"currency":"INR","status":"authorized","captured":true}}}}"#;
        assert_eq!(event(authorized).unwrap(), ProviderEvent::Other);
        assert!(matches!(event(r#"{"event":"payment.captured"}"#).unwrap(), ProviderEvent::Unreadable { .. }));
        for bad in ["", "[]", "null", "{}", "\u{feff}{}", r#"{"event":1}"#, r#"{"event":"x","payload":1e400}"#] {
            assert!(event(bad).is_err(), "{bad}");
        }
        assert!(event(&"[".repeat(1_000)).is_err());
    }
}
