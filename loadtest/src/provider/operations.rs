//! What the provider does: each operation looks at the ledger and gives the answer with the record that makes it so.
//! Pure apart from random ids; the store commits.

use serde_json::{Map, Value};

use super::Shapes;
use super::control::RefundFault;
use super::entities::{
    LateCapture, Order, OrderStatus, Payment, PaymentStatus, Refund, RefundStatus, WebhookPlan, new_id,
};
use super::error::ApiError;
use super::events;
use super::ledger::{Ledger, Record};
use super::pay_form::{PayOutcome, PayRequest};

/// A checked body of `POST /v1/orders`.
pub(crate) struct NewOrder {
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) receipt: Option<String>,
    pub(crate) notes: Map<String, Value>,
}

/// A checked body of `POST /v1/payments/{id}/refund`.
pub(crate) struct NewRefund {
    /// Absent: all that is left.
    pub(crate) amount: Option<u64>,
    pub(crate) receipt: Option<String>,
    pub(crate) notes: Map<String, Value>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) request: String,
}

type Outcome<T> = Result<(T, Record), ApiError>;

/// The order of this receipt when there is one: a caller that lost the answer asks again. Stripe knows no receipts.
pub(crate) fn create_order(ledger: &Ledger, new: NewOrder, now_ms: u64) -> Outcome<Order> {
    if ledger.shapes == Shapes::Razorpay
        && let Some(known) = new.receipt.as_deref().and_then(|receipt| ledger.order_of_receipt(receipt))
    {
        if known.amount != new.amount || known.currency != new.currency {
            return Err(ApiError::field("receipt", "The receipt was used for an order of another amount"));
        }
        return Ok((known.clone(), Record::default()));
    }
    let order = Order {
        id: new_id(ledger.shapes.order_prefix()),
        amount: new.amount,
        amount_paid: 0,
        currency: new.currency,
        receipt: new.receipt,
        status: OrderStatus::Created,
        attempts: 0,
        notes: new.notes,
        created_at: now_ms / 1000,
    };
    Ok((order.clone(), Record { orders: vec![order], ..Record::default() }))
}

/// One attempt to pay an order: captured, failed, or captured later; two payments when the request says so.
pub(crate) fn pay(ledger: &Ledger, order_id: &str, request: &PayRequest, now_ms: u64) -> Outcome<Vec<Payment>> {
    let mut order = ledger.order(order_id).ok_or_else(ApiError::no_such_id)?.clone();
    if order.status == OrderStatus::Paid {
        return Err(ApiError::bad(ALREADY_PAID));
    }
    order.status = OrderStatus::Attempted;
    let mut record = Record::default();
    for _ in 0..if request.double { 2 } else { 1 } {
        order.attempts = order.attempts.saturating_add(1);
        let status = match (request.outcome, request.capture_after_ms) {
            (PayOutcome::Failure, _) => PaymentStatus::Failed,
            (PayOutcome::Success, Some(_)) => PaymentStatus::Authorized,
            (PayOutcome::Success, None) => PaymentStatus::Captured,
        };
        let later = request.capture_after_ms.map(|after| now_ms.saturating_add(after));
        let payment = Payment {
            id: new_id(ledger.shapes.payment_prefix()),
            order_id: order.id.clone(),
            amount: request.amount.unwrap_or(order.amount),
            currency: request.currency.clone().unwrap_or_else(|| order.currency.clone()),
            status,
            amount_refunded: 0,
            created_at: now_ms / 1000,
            later: later.map(|at_ms| LateCapture { at_ms, webhooks: request.webhooks }),
        };
        match status {
            PaymentStatus::Failed => {
                let mut failed = events::failed(ledger.shapes, &payment, &order, request.webhooks, now_ms);
                record.events.append(&mut failed);
            }
            PaymentStatus::Captured => {
                note_capture(ledger.shapes, &mut record, &mut order, &payment, request.webhooks, now_ms);
            }
            PaymentStatus::Authorized | PaymentStatus::Refunded => {}
        }
        record.payments.push(payment);
    }
    record.orders.push(order);
    Ok((record.payments.clone(), record))
}

/// The capture that a payment was to get later, whatever became of its order meanwhile.
pub(crate) fn capture_late(ledger: &Ledger, payment_id: &str, now_ms: u64) -> Outcome<()> {
    let mut record = Record::default();
    if let Some(payment) = ledger.payment(payment_id)
        && let Some(later) = &payment.later
        && let Some(order) = ledger.order(&payment.order_id)
    {
        let mut order = order.clone();
        let captured = Payment { status: PaymentStatus::Captured, later: None, ..payment.clone() };
        note_capture(ledger.shapes, &mut record, &mut order, &captured, later.webhooks, now_ms);
        record.payments.push(captured);
        record.orders.push(order);
    }
    Ok(((), record))
}

/// Starts a refund. The same key and body give the same refund, in its current state.
pub(crate) fn refund(
    ledger: &Ledger,
    payment_id: &str,
    new: NewRefund,
    fault: Option<RefundFault>,
    now_ms: u64,
) -> Outcome<Refund> {
    let payment = ledger.payment(payment_id).ok_or_else(ApiError::no_such_id)?;
    if let Some(known) = new.idempotency_key.as_deref().and_then(|key| ledger.refund_of_key(key)) {
        if known.payment_id != payment_id || known.request != new.request {
            return Err(ApiError::bad("Different request with the same idempotency key"));
        }
        return Ok((known.clone(), Record::default()));
    }
    let left = payment.amount.saturating_sub(payment.amount_refunded);
    if !payment.captured() {
        return Err(ApiError::bad("The payment status should be captured for action to be taken"));
    }
    if fault == Some(RefundFault::Refuse) {
        return Err(ApiError::bad("This payment can not be refunded (switched on)"));
    }
    if left == 0 {
        return Err(ApiError::bad("The payment has been fully refunded already"));
    }
    let amount = new.amount.unwrap_or(left);
    if amount > left {
        return Err(ApiError::field("amount", "The total refund amount is greater than the refund payment amount"));
    }
    let later = match fault {
        Some(RefundFault::Fail) => Some((now_ms.saturating_add(REFUND_FAILS_MS), RefundStatus::Failed)),
        Some(RefundFault::Pending) => Some((now_ms.saturating_add(REFUND_PENDING_MS), RefundStatus::Processed)),
        Some(RefundFault::LoseAnswer | RefundFault::HoldAnswer | RefundFault::Refuse) | None => None,
    };
    let refund = Refund {
        id: new_id(ledger.shapes.refund_prefix()),
        payment_id: payment.id.clone(),
        amount,
        currency: payment.currency.clone(),
        status: if later.is_some() { RefundStatus::Pending } else { RefundStatus::Processed },
        receipt: new.receipt,
        notes: new.notes,
        created_at: now_ms / 1000,
        idempotency_key: new.idempotency_key,
        request: new.request,
        later,
    };
    // A pending refund counts at once: two that overlap may not give back more than was taken.
    let payment = with_refunded(payment, payment.amount_refunded.saturating_add(amount));
    let mut record = Record::default();
    // Of a refund whose answer is held nobody hears but by asking again.
    if refund.status == RefundStatus::Processed && fault != Some(RefundFault::HoldAnswer) {
        record.events = events::refund(ledger.shapes, &refund, &payment, now_ms);
    }
    record.payments.push(payment);
    record.refunds.push(refund.clone());
    Ok((refund, record))
}

/// A pending refund ends as it was to.
pub(crate) fn end_refund(ledger: &Ledger, refund_id: &str, now_ms: u64) -> Outcome<()> {
    let mut record = Record::default();
    if let Some(refund) = ledger.refund(refund_id)
        && let Some((_, status)) = refund.later
        && let Some(payment) = ledger.payment(&refund.payment_id)
    {
        let refund = Refund { status, later: None, ..refund.clone() };
        let given_back = if status == RefundStatus::Failed { 0 } else { refund.amount };
        let others = payment.amount_refunded.saturating_sub(refund.amount);
        let payment = with_refunded(payment, others.saturating_add(given_back));
        record.events = events::refund(ledger.shapes, &refund, &payment, now_ms);
        record.payments.push(payment);
        record.refunds.push(refund);
    }
    Ok(((), record))
}

/// Books a captured payment on its order and makes its webhooks.
fn note_capture(
    shapes: Shapes,
    record: &mut Record,
    order: &mut Order,
    payment: &Payment,
    webhooks: WebhookPlan,
    now_ms: u64,
) {
    let was_paid = order.status == OrderStatus::Paid;
    // Money of another currency pays nothing of it.
    if !was_paid && payment.currency == order.currency {
        order.amount_paid = order.amount_paid.saturating_add(payment.amount);
        if order.amount_paid >= order.amount {
            order.status = OrderStatus::Paid;
        }
    }
    let now_paid = order.status == OrderStatus::Paid && !was_paid;
    record.events.append(&mut events::captured(shapes, payment, now_paid.then_some(&*order), webhooks, now_ms));
}

fn with_refunded(payment: &Payment, amount_refunded: u64) -> Payment {
    let whole = amount_refunded >= payment.amount;
    let status = if whole { PaymentStatus::Refunded } else { PaymentStatus::Captured };
    Payment { amount_refunded, status, ..payment.clone() }
}

pub(crate) const ALREADY_PAID: &str = "The order has been paid already";
/// A refund that is to fail is pending for a moment first, as with a bank.
const REFUND_FAILS_MS: u64 = 200;
const REFUND_PENDING_MS: u64 = 1000;
