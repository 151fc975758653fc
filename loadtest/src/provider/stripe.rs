//! Stripe's shapes: an order is a PaymentIntent, a payment is a charge. Forms instead of JSON, a bearer key, lower-case
//! currencies, and idempotency keys that repeat the first answer, a stored 500 too.

pub(crate) mod api;
pub(crate) mod entities;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod stored;
