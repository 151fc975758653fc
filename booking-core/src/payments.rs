//! Payment providers behind one trait. Amounts are integers in minor units; nothing in here touches the database.
//!
//! | module | what |
//! |---|---|
//! | [`razorpay`], [`stripe`] | one provider each: its API, its webhooks' signature and events |
//! | [`providers`] | those that are configured, found by name |
//! | `api`, [`breaker`] | calls with deadline, back-off and a breaker, the same for all |
//! | [`event`], [`signature`] | what a webhook is reduced to, and how its HMAC is compared |

mod api;
pub mod breaker;
pub mod event;
pub mod providers;
pub mod razorpay;
pub mod signature;
pub mod stripe;

use std::time::SystemTime;

use futures_util::future::BoxFuture;
use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

pub use event::{ParsedEvent, ProviderEvent};
pub use providers::Providers;
pub use razorpay::Razorpay;
pub use stripe::Stripe;

/// What a call to a provider came to when it did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// Out of reach, too slow, busy or confused: whether the call took effect is unknown.
    #[error("provider unavailable: {0}")]
    Unknown(String),
    /// A definite no, with the provider's status: the call had no effect.
    #[error("provider refused ({status}): {text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The provider's description.
        text: String,
    },
    /// The provider repeats a failure that it stored under this idempotency key: nothing more will come of the key.
    /// What the first call did has to be looked up; then the call may be made anew, under another key.
    #[error("provider repeats a stored failure: {0}")]
    Spent(String),
}

/// Why a webhook is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadWebhook {
    /// The signature is missing, wrong, or of another time.
    Signature,
    /// Signed, but no event.
    Syntax,
}

/// An order to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Our name for it, unique: at most 40 characters.
    pub receipt: String,
    /// Minor units.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
}

/// An order at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The provider's id.
    pub id: String,
    /// Our name for it; another system's orders have another, or none.
    pub receipt: Option<String>,
    /// Minor units.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
}

/// Where a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The money is ours, until it is refunded.
    Captured,
    /// It failed; it may still be captured later.
    Failed,
}

/// A payment of an order, verified by signature or fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The provider's id.
    pub id: String,
    /// The order that was paid.
    pub order: String,
    /// Minor units.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
    /// Where it is.
    pub status: PaymentStatus,
}

/// Where a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Accepted, not finished.
    Pending,
    /// The money is on its way back.
    Processed,
    /// It did not work; the money is still here.
    Failed,
}

/// A refund at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The provider's id.
    pub id: String,
    /// The payment.
    pub payment: String,
    /// Minor units.
    pub amount: u64,
    /// Where it is.
    pub status: RefundStatus,
}

/// What the saga asks of a payment provider. Every call has a deadline of its own, and is refused at once while the
/// provider is known to be down.
pub trait PaymentProvider: Send + Sync + 'static {
    /// The provider's name, as stored beside orders, payments and events; its webhooks come to `/webhooks/NAME`.
    fn name(&self) -> &'static str;

    /// Checks a webhook's signature over the raw body, then reads the event.
    ///
    /// # Errors
    /// [`BadWebhook`]; never for what the event says.
    fn read_webhook(&self, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Result<ParsedEvent, BadWebhook>;

    /// Makes an order; an unused one is harmless.
    fn create_order(&self, order: NewOrder) -> BoxFuture<'_, Result<Order, ProviderError>>;

    /// An order; `None` when the provider has none of this id.
    fn order(&self, id: String) -> BoxFuture<'_, Result<Option<Order>, ProviderError>>;

    /// Payments of an order that are captured or failed.
    fn payments_of(&self, order: String) -> BoxFuture<'_, Result<Vec<Payment>, ProviderError>>;

    /// Refunds a payment in full. The same key and body refund once, however often they are sent.
    fn refund(&self, payment: String, amount: u64, key: String) -> BoxFuture<'_, Result<Refund, ProviderError>>;

    /// A refund; `None` when the provider has none of this id.
    fn refund_status(&self, id: String) -> BoxFuture<'_, Result<Option<Refund>, ProviderError>>;

    /// All refunds of a payment.
    fn refunds_of(&self, payment: String) -> BoxFuture<'_, Result<Vec<Refund>, ProviderError>>;
}
