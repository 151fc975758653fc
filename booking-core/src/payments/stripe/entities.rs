//! Stripe's objects, as far as settlement needs them. Currencies are lower-case there and upper-case here.

use serde::Deserialize;
use serde_json::Value;

use crate::payments::{Order, Payment, PaymentStatus, Refund, RefundStatus};

/// A link to another object: its id, or the object itself where it was expanded.
#[derive(Deserialize)]
#[serde(untagged)]
enum Link {
    Id(String),
    Object { id: String },
}

impl Link {
    fn id(self) -> String {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

#[derive(Deserialize)]
struct PaymentIntent {
    id: String,
    amount: u64,
    #[serde(default)]
    amount_received: u64,
    currency: String,
    status: String,
    #[serde(default)]
    latest_charge: Option<Link>,
    /// Before version 2022-11-15, instead of `latest_charge`; the newest is first.
    #[serde(default)]
    charges: Option<Charges>,
    #[serde(default)]
    last_payment_error: Option<PaymentError>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Charges {
    data: Vec<Link>,
}

#[derive(Deserialize)]
struct PaymentError {
    #[serde(default)]
    charge: Option<Link>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    receipt: Option<String>,
}

#[derive(Deserialize)]
struct Charge {
    id: String,
    #[serde(default)]
    payment_intent: Option<Link>,
    amount: u64,
    #[serde(default)]
    amount_captured: u64,
    captured: bool,
    currency: String,
    status: String,
}

#[derive(Deserialize)]
struct RefundObject {
    id: String,
    charge: Link,
    amount: u64,
    status: String,
}

/// A PaymentIntent as an order.
pub(super) fn order(object: Value) -> Result<Order, serde_json::Error> {
    let intent: PaymentIntent = serde_json::from_value(object)?;
    let receipt = intent.metadata.and_then(|metadata| metadata.receipt);
    Ok(Order { id: intent.id, receipt, amount: intent.amount, currency: intent.currency.to_uppercase() })
}

/// The payment that a PaymentIntent tells of: its charge succeeded, or failed. `None` while it is under way, and when it
/// received another amount than it is for: that is a sum, and what each charge took only the charge tells. A charge that
/// has no id can't be matched with anything later, so it is an error.
pub(super) fn intent(object: Value) -> Result<Option<Payment>, serde_json::Error> {
    let intent: PaymentIntent = serde_json::from_value(object)?;
    let (status, amount, charge) = match intent.status.as_str() {
        "succeeded" if intent.amount_received != intent.amount => return Ok(None),
        "succeeded" => {
            let newest = || intent.charges.and_then(|charges| charges.data.into_iter().next());
            let charge = intent.latest_charge.or_else(newest);
            let charge = charge.ok_or_else(|| serde::de::Error::missing_field("latest_charge"))?;
            (PaymentStatus::Captured, intent.amount_received, charge)
        }
        "requires_payment_method" => match intent.last_payment_error.and_then(|error| error.charge) {
            Some(charge) => (PaymentStatus::Failed, intent.amount, charge),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(Payment { id: charge.id(), order: intent.id, amount, currency: intent.currency.to_uppercase(), status }))
}

/// A charge; `None` for one that belongs to no PaymentIntent, or is neither captured nor failed. A refunded one was
/// captured.
pub(super) fn charge(object: Value) -> Result<Option<Payment>, serde_json::Error> {
    let charge: Charge = serde_json::from_value(object)?;
    let (status, amount) = match (charge.status.as_str(), charge.captured) {
        ("succeeded", true) => (PaymentStatus::Captured, charge.amount_captured),
        ("failed", _) => (PaymentStatus::Failed, charge.amount),
        _ => return Ok(None),
    };
    let Some(order) = charge.payment_intent.map(Link::id) else { return Ok(None) };
    Ok(Some(Payment { id: charge.id, order, amount, currency: charge.currency.to_uppercase(), status }))
}

/// A refund.
pub(super) fn refund(object: Value) -> Result<Refund, serde_json::Error> {
    let refund: RefundObject = serde_json::from_value(object)?;
    let status = match refund.status.as_str() {
        "succeeded" => RefundStatus::Processed,
        "failed" | "canceled" => RefundStatus::Failed,
        _ => RefundStatus::Pending,
    };
    Ok(Refund { id: refund.id, payment: refund.charge.id(), amount: refund.amount, status })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payment_is_its_charge_whichever_object_tells_of_it() {
        let of_intent = json!({"id": "pi_1", "amount": 500, "amount_received": 500, "currency": "inr",
            "status": "succeeded", "latest_charge": "ch_1"});
        let older = json!({"id": "pi_1", "amount": 500, "amount_received": 500, "currency": "inr",
            "status": "succeeded", "charges": {"data": [{"id": "ch_1"}]}});
        let of_charge = json!({"id": "ch_1", "payment_intent": "pi_1", "amount": 500, "amount_captured": 500,
            "captured": true, "currency": "inr", "status": "succeeded", "refunded": true});
        let payment = intent(of_intent).unwrap().unwrap();
        assert_eq!((payment.id.as_str(), payment.order.as_str(), payment.currency.as_str()), ("ch_1", "pi_1", "INR"));
        assert_eq!(intent(older).unwrap().as_ref(), Some(&payment));
        assert_eq!(charge(of_charge).unwrap(), Some(payment));
    }

    #[test]
    fn a_sum_that_is_not_the_intents_amount_is_no_payment() {
        // Two charges: of 499, and of 500 after that one.
        let summed = json!({"id": "pi_1", "amount": 500, "amount_received": 999, "currency": "inr",
            "status": "succeeded", "latest_charge": "ch_2"});
        assert_eq!(intent(summed).unwrap(), None);
    }

    #[test]
    fn a_declined_card_is_a_failed_payment_and_what_is_under_way_is_none() {
        let declined = json!({"id": "pi_1", "amount": 500, "amount_received": 0, "currency": "usd",
            "status": "requires_payment_method", "last_payment_error": {"charge": "ch_1", "code": "card_declined"}});
        assert_eq!(intent(declined).unwrap().unwrap().status, PaymentStatus::Failed);
        for status in ["requires_payment_method", "processing", "requires_action", "canceled", "something_new"] {
            let open = json!({"id": "pi_1", "amount": 500, "currency": "usd", "status": status});
            assert_eq!(intent(open).unwrap(), None, "{status}");
        }
        let nameless =
            json!({"id": "pi_1", "amount": 5, "amount_received": 5, "currency": "usd", "status": "succeeded"});
        assert!(intent(nameless).is_err());
        for amount in [json!(-5), json!(1.5), json!("5"), json!(null)] {
            let bad = json!({"id": "re_1", "charge": "ch_1", "amount": amount, "status": "succeeded"});
            assert!(refund(bad).is_err(), "{amount}");
        }
    }
}
