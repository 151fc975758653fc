//! Razorpay's webhooks: `X-Razorpay-Signature` is the hexadecimal HMAC of the raw body. The event id travels in an
//! unsigned header and no time is signed, so an event may come again at any time: its effects are guarded by its rows.

use hyper::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use crate::payments::event::{ParsedEvent, ProviderEvent};
use crate::payments::{BadWebhook, Payment, PaymentStatus, Refund, RefundStatus, signature};

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

/// Checks and reads a webhook.
pub(super) fn read(secrets: &[Vec<u8>], headers: &HeaderMap, body: &[u8]) -> Result<ParsedEvent, BadWebhook> {
    let mut signatures = headers.get_all("x-razorpay-signature").iter();
    let (Some(one), None) = (signatures.next(), signatures.next()) else { return Err(BadWebhook::Signature) };
    if !one.to_str().is_ok_and(|one| signature::is_valid(secrets, body, one)) {
        return Err(BadWebhook::Signature);
    }
    let id = headers.get("x-razorpay-event-id").and_then(|id| id.to_str().ok());
    parse(id, body).map_err(|_| BadWebhook::Syntax)
}

/// Parses a webhook's body.
fn parse(id: Option<&str>, body: &[u8]) -> Result<ParsedEvent, serde_json::Error> {
    let envelope: Envelope = serde_json::from_slice(body)?;
    let event = match envelope.event.as_str() {
        "payment.captured" | "payment.failed" | "order.paid" => payment_event(entity(&envelope.payload, "payment")),
        "refund.created" | "refund.processed" | "refund.failed" => {
            refund(entity(&envelope.payload, "refund")).map(ProviderEvent::Refund)
        }
        _ => Ok(ProviderEvent::Other),
    };
    Ok(ParsedEvent::new(id, &envelope.event, event))
}

fn entity(payload: &Value, name: &str) -> Value {
    payload.get(name).and_then(|part| part.get("entity")).cloned().unwrap_or_default()
}

fn payment_event(entity: Value) -> Result<ProviderEvent, serde_json::Error> {
    Ok(payment(entity)?.map_or(ProviderEvent::Other, ProviderEvent::Payment))
}

/// A payment entity; `None` for one that belongs to no order, or is neither captured nor failed. The status decides,
/// not the name of the event: their own samples carry `captured: true` beside `authorized`. A refunded payment was
/// captured.
pub(super) fn payment(entity: Value) -> Result<Option<Payment>, serde_json::Error> {
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
pub(super) fn refund(entity: Value) -> Result<Refund, serde_json::Error> {
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

    fn event(body: &str) -> Result<ProviderEvent, serde_json::Error> {
        parse(None, body.as_bytes()).map(|parsed| parsed.event)
    }

    #[test]
    fn keeps_what_matters_and_nothing_of_the_payer() {
        let body = br#"{"event":"payment.captured","payload":{"payment":{"entity":{"id":"pay_1","order_id":"order_1",
            "amount":5000,"currency":"INR","status":"captured","notes":[],"email":"a@b.c","upi":{"vpa":"x"}}}}}"#;
        let parsed = parse(Some("evt"), body).unwrap();
        assert_eq!((parsed.kind.as_str(), parsed.id.as_deref()), ("payment.captured", Some("evt")));
        let ProviderEvent::Payment(payment) = &parsed.event else { panic!("{parsed:?}") };
        assert_eq!((payment.id.as_str(), payment.amount, payment.status), ("pay_1", 5000, PaymentStatus::Captured));
        let stored = serde_json::to_string(&parsed.event).unwrap();
        assert!(!stored.contains("a@b.c"), "{stored}");
        assert_eq!(serde_json::from_str::<ProviderEvent>(&stored).unwrap(), parsed.event);
    }

    #[test]
    fn tells_what_it_cannot_read() {
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
