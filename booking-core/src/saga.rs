//! The booking saga: from a hold to a confirmed booking, or to the money back.
//!
//! ```text
//!           claim                     settle (captured, in time)
//! hold ───────────────► PENDING ────────────────────────────────► CONFIRMED
//!                          │ expire / cancel                         │ cancel
//!                          ▼                    rescue               ▼
//!                  EXPIRED, CANCELLED ──────────────────►    CANCELLED + refund
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`state`] | what a captured payment leads to; pure |
//! | `claim`, `settle`, `expire`, `cancel`, `cancel_show`, `operator` | the transactions |
//! | `intake` | webhooks' way into the inbox, several to a commit |
//! | `refund_events`, `refunds`, `reconcile` | what is settled with the provider |
//! | `old_keys` | the end of idempotency keys |
//! | `effects`, `relay` | how committed changes reach Redis and their owners |
//! | `runner` | the loops around each worker's `…_once` |
//!
//! Workers are driven by rows in PostgreSQL: woken in-process, polling as the net. No network call happens inside a
//! transaction. Redis may vanish at any moment; no money and no seat depends on it.

mod cancel;
mod cancel_show;
mod claim;
mod effects;
mod expire;
mod intake;
mod old_keys;
pub mod operator;
mod reconcile;
mod refund_events;
mod refunds;
mod relay;
mod runner;
mod settle;
pub mod state;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use seatwire_protocol::BookingId;
use seatwire_protocol::command::{BookingInfo, BookingState};
use tokio::sync::{Notify, mpsc};

use crate::db::outbox::AppliedRow;
use crate::db::{Db, DbError};
use crate::events::EventWakes;
use crate::form::percent_encoded;
use crate::holds::{HoldError, HoldStore};
use crate::payments::{PaymentProvider, Providers};

/// Times, caps and addresses.
#[derive(Clone)]
pub struct SagaConfig {
    /// How long a pending booking waits for its payment.
    pub claim_ms: u64,
    /// COMMIT of a claim is sent only so long after its hold was asked to pay.
    pub commit_within: Duration,
    /// Seats pending and booked per customer and show.
    pub seats_max: u64,
    /// Lapsed claims within the window that start a cool-down.
    pub lapses_max: u64,
    /// Window in which lapsed claims count.
    pub lapse_window_ms: u64,
    /// Length of the cool-down after the last lapse.
    pub cool_down_ms: u64,
    /// A provider that does not answer keeps an overdue booking alive for so long.
    pub ask_ms: u64,
    /// Reconciliation asks for an order first after this; then each time twice as late.
    pub reconcile_ms: u64,
    /// Reconciliation gives an order up after so many days.
    pub reconcile_days: i32,
    /// Idempotency keys are remembered for so many hours, at least a day.
    pub key_hours: i32,
    /// The relay leaves younger rows to the core that made them.
    pub relay_age_ms: u64,
    /// Base of the checkout page as browsers reach it.
    pub checkout_url: String,
    /// The page that the checkout returns to.
    pub public_url: String,
}

impl Default for SagaConfig {
    fn default() -> Self {
        Self {
            claim_ms: 720_000,
            commit_within: Duration::from_secs(40),
            seats_max: 10,
            lapses_max: 2,
            lapse_window_ms: 1_800_000,
            cool_down_ms: 60_000,
            ask_ms: 120_000,
            reconcile_ms: 900_000,
            reconcile_days: 5,
            key_hours: 24,
            relay_age_ms: 500,
            checkout_url: String::new(),
            public_url: String::new(),
        }
    }
}

impl std::fmt::Debug for SagaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SagaConfig").field("claim_ms", &self.claim_ms).finish_non_exhaustive()
    }
}

/// A step could not be done; refusals are answers, not errors.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SagaError {
    /// A server is out of reach. Whether the step took effect may be unknown: the same key tells.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A fault of ours.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl From<DbError> for SagaError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(_) | DbError::InDoubt(_) | DbError::TooLate => Self::Unavailable(error.to_string()),
            DbError::Constraint(_) | DbError::Fault(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<HoldError> for SagaError {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Unavailable(text) => Self::Unavailable(text),
            HoldError::Internal(text) => Self::Internal(text),
        }
    }
}

/// Handle of the saga; cheap to clone.
#[derive(Clone)]
pub struct Saga {
    inner: Arc<Inner>,
}

struct Inner {
    config: SagaConfig,
    db: Db,
    holds: HoldStore,
    providers: Providers,
    wake: Wakes,
    intake: intake::Intake,
    marks: mpsc::Sender<AppliedRow>,
    /// Taken by the marker when the workers start.
    marks_taken: Mutex<Option<mpsc::Receiver<AppliedRow>>>,
}

/// Who is woken when rows for it were committed here.
#[derive(Default)]
struct Wakes {
    settle: Arc<Notify>,
    settle_others: Arc<Notify>,
    refunds: Arc<Notify>,
    cancellations: Arc<Notify>,
    events: EventWakes,
}

/// Applied rows waiting to be marked. When full, the row is left unmarked: the relay applies it again, harmlessly.
const MARKS_MAX: usize = 4_096;

impl Saga {
    /// A saga without workers; see [`Self::spawn`].
    #[must_use]
    pub fn new(config: SagaConfig, db: Db, holds: HoldStore, providers: impl Into<Providers>) -> Self {
        let (marks, marks_taken) = mpsc::channel(MARKS_MAX);
        let marks_taken = Mutex::new(Some(marks_taken));
        let providers = providers.into();
        let intake = intake::Intake::default();
        let inner = Inner { config, db, holds, providers, wake: Wakes::default(), intake, marks, marks_taken };
        Self { inner: Arc::new(inner) }
    }

    /// Adds the checkout address to a pending booking.
    #[must_use]
    pub fn with_checkout(&self, mut booking: BookingInfo) -> BookingInfo {
        if booking.state == BookingState::Pending
            && let Some(order) = &booking.order
        {
            let config = &self.inner.config;
            let back = format!("{}/?booking={}", config.public_url.trim_end_matches('/'), booking.booking.to_hex());
            let base = config.checkout_url.trim_end_matches('/');
            booking.checkout_url = Some(format!("{base}/checkout/{order}?return_url={}", percent_encoded(&back)));
        }
        booking
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    pub(crate) fn providers(&self) -> &Providers {
        &self.inner.providers
    }

    /// Who is woken when events of bookings were committed here.
    #[must_use]
    pub fn event_wakes(&self) -> &EventWakes {
        &self.inner.wake.events
    }

    /// The provider that a row names.
    fn provider(&self, name: &str) -> Result<&dyn PaymentProvider, SagaError> {
        let provider = self.inner.providers.named(name);
        provider.ok_or_else(|| SagaError::Unavailable(format!("the payment provider {name} is not configured")))
    }

    /// An event was stored in the inbox by this process.
    pub(crate) fn wake_settle(&self) {
        self.inner.wake.settle.notify_one();
        self.inner.wake.settle_others.notify_one();
    }
}

/// What we call a booking's order at the provider; the prefix tells our orders from those of other systems that share
/// the merchant account.
fn receipt(booking: BookingId) -> String {
    format!("sw_{}", booking.to_hex())
}

/// The booking of a receipt of ours.
fn booking_of_receipt(receipt: &str) -> Option<BookingId> {
    receipt.strip_prefix("sw_")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_name_their_booking_and_fit_the_provider() {
        let booking = BookingId([0xAB; 16]);
        assert_eq!(booking_of_receipt(&receipt(booking)), Some(booking));
        assert!(receipt(booking).len() <= 40);
        for other in ["", "sw_", "invoice-7", &booking.to_hex()] {
            assert_eq!(booking_of_receipt(other), None, "{other}");
        }
    }
}
