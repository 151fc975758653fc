//! The same books in Stripe's objects, with the fields that its clients read.

use serde_json::{Value, json};

use crate::provider::entities::{Order, OrderStatus, Payment, PaymentStatus, Refund, RefundStatus};
use crate::provider::ledger::Ledger;

/// A PaymentIntent, with its latest charge. What it received is what that charge took: charges are never added up.
pub(crate) fn payment_intent(order: &Order, latest: Option<&Payment>) -> Value {
    let received = latest.filter(|payment| payment.captured()).map_or(0, |payment| payment.amount);
    let under_way = latest.is_some_and(|payment| payment.status == PaymentStatus::Authorized);
    let status = match order.status {
        OrderStatus::Paid => "succeeded",
        OrderStatus::Attempted if under_way => "processing",
        OrderStatus::Created | OrderStatus::Attempted => "requires_payment_method",
    };
    let declined = latest.filter(|payment| payment.status == PaymentStatus::Failed);
    let error = declined.map(|payment| {
        json!({"charge": payment.id, "code": "card_declined", "message": "Your card was declined (simulation).",
            "type": "card_error"})
    });
    json!({
        "id": order.id, "object": "payment_intent", "amount": order.amount, "amount_capturable": 0,
        "amount_received": received, "automatic_payment_methods": {"enabled": true}, "canceled_at": null,
        "capture_method": "automatic", "client_secret": format!("{}_secret_simulation", order.id),
        "confirmation_method": "automatic", "created": order.created_at, "currency": order.currency.to_lowercase(),
        "customer": null, "last_payment_error": error, "latest_charge": latest.map(|payment| &payment.id),
        "livemode": false, "metadata": metadata(order), "next_action": null, "payment_method_types": ["card"],
        "status": status,
    })
}

/// A PaymentIntent as the books have it now.
pub(crate) fn current_intent(ledger: &Ledger, order: &Order) -> Value {
    payment_intent(order, ledger.payments_of(&order.id).last())
}

pub(crate) fn charge(payment: &Payment) -> Value {
    let status = match payment.status {
        PaymentStatus::Authorized => "pending",
        PaymentStatus::Captured | PaymentStatus::Refunded => "succeeded",
        PaymentStatus::Failed => "failed",
    };
    let failed = payment.status == PaymentStatus::Failed;
    let amount_captured = if payment.captured() { payment.amount } else { 0 };
    json!({
        "id": payment.id, "object": "charge", "amount": payment.amount, "amount_captured": amount_captured,
        "amount_refunded": payment.amount_refunded, "balance_transaction": null,
        "billing_details": {"address": null, "email": null, "name": null, "phone": null},
        "captured": payment.captured(), "created": payment.created_at, "currency": payment.currency.to_lowercase(),
        "customer": null, "description": null, "disputed": false,
        "failure_code": failed.then_some("card_declined"),
        "failure_message": failed.then_some("Your card was declined (simulation)."), "fraud_details": {},
        "livemode": false, "metadata": {}, "paid": payment.captured(), "payment_intent": payment.order_id,
        "payment_method": null, "receipt_email": null, "refunded": payment.amount_refunded >= payment.amount,
        "status": status,
    })
}

pub(crate) fn refund(refund: &Refund, order_id: &str) -> Value {
    let status = match refund.status {
        RefundStatus::Pending => "pending",
        RefundStatus::Processed => "succeeded",
        RefundStatus::Failed => "failed",
    };
    json!({
        "id": refund.id, "object": "refund", "amount": refund.amount, "balance_transaction": null,
        "charge": refund.payment_id, "created": refund.created_at, "currency": refund.currency.to_lowercase(),
        "metadata": {}, "payment_intent": order_id, "reason": null, "receipt_number": null, "status": status,
    })
}

/// A list as the API wraps it.
pub(crate) fn list(url: &str, data: Vec<Value>) -> Value {
    json!({"object": "list", "url": url, "has_more": false, "data": data})
}

fn metadata(order: &Order) -> Value {
    order.receipt.as_ref().map_or_else(|| json!({}), |receipt| json!({"receipt": receipt}))
}
