//! [`HoldStore`]: one typed call an operation. Cheap to clone.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use seatwire_protocol::command::{BestAvailable, HoldInfo, Released, SnapshotReply};
use seatwire_protocol::ws::Push;
use seatwire_protocol::{BookingId, CustomerId, HoldId, IdempotencyKey, Position, SeatIndex, ShowId};

use super::{Applied, BegunBook, HoldConfig, HoldError, LedgerChange, LedgerReader, Outcome};

/// All operations on holds and on the seat map in Redis.
#[derive(Clone)]
pub struct HoldStore {
    shared: Arc<Shared>,
}

struct Shared {
    _config: HoldConfig,
    _ledger: Arc<dyn LedgerReader>,
}

fn absent<T>() -> Result<T, HoldError> {
    Err(HoldError::Unavailable("not connected".to_owned()))
}

#[allow(clippy::unused_async, reason = "the interface; the operations follow")]
impl HoldStore {
    /// A store for the Redis at `url`; connects at the first use, and again after every loss.
    ///
    /// # Errors
    /// When the address can't be read.
    pub fn new(config: HoldConfig, _url: &str, ledger: Arc<dyn LedgerReader>) -> Result<Self, HoldError> {
        Ok(Self { shared: Arc::new(Shared { _config: config, _ledger: ledger }) })
    }

    /// Starts the background tasks: expiry, and the publisher of pushes.
    pub fn spawn(&self, _tracker: &TaskTracker, _shutdown: &CancellationToken) {
        let _ = &self.shared;
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), HoldError> {
        absent()
    }

    /// Holds seats, all or none. The same key answers the same hold in its current state.
    pub async fn hold(
        &self,
        _show: ShowId,
        _customer: &CustomerId,
        _key: &IdempotencyKey,
        _seats: &[SeatIndex],
        _best: Option<&BestAvailable>,
    ) -> Outcome<HoldInfo> {
        absent()
    }

    /// More time; the same key extends once.
    pub async fn extend(
        &self,
        _show: ShowId,
        _customer: &CustomerId,
        _hold: HoldId,
        _key: &IdempotencyKey,
    ) -> Outcome<HoldInfo> {
        absent()
    }

    /// Gives the seats back.
    pub async fn release(&self, _show: ShowId, _customer: &CustomerId, _hold: HoldId) -> Outcome<Released> {
        absent()
    }

    /// Live holds of each customer, and how many seats each has in pending bookings (0: no need to ask the ledger).
    pub async fn own_holds(&self, _show: ShowId, _customers: &[CustomerId]) -> Outcome<Vec<(Vec<HoldInfo>, u32)>> {
        absent()
    }

    /// The whole map; loads the show when it has to.
    pub async fn snapshot(&self, _show: ShowId) -> Outcome<SnapshotReply> {
        absent()
    }

    /// Where the streams are; `None` for a show that is not loaded, or not yet whole.
    pub async fn positions(&self, _shows: &[ShowId]) -> Result<Vec<Option<Position>>, HoldError> {
        absent()
    }

    /// Starts to turn a hold into a booking. `booking` is used unless an earlier attempt under the same key began.
    pub async fn begin_book(
        &self,
        _show: ShowId,
        _customer: &CustomerId,
        _hold: HoldId,
        _key: &IdempotencyKey,
        _booking: BookingId,
    ) -> Outcome<BegunBook> {
        absent()
    }

    /// Takes one attempt back, known not to have committed. With no other attempt open the hold can be used again.
    pub async fn end_book(
        &self,
        _show: ShowId,
        _customer: &CustomerId,
        _hold: HoldId,
        _begun: &BegunBook,
    ) -> Result<(), HoldError> {
        absent()
    }

    /// Brings a committed change of the ledger into the map and the feed.
    pub async fn apply(&self, _change: &LedgerChange) -> Result<Applied, HoldError> {
        absent()
    }

    /// A hold for somebody whose payment came late: phase paying, no caps, replacing his own browse holds there. Answers
    /// the hold id that the following `apply` has to name.
    pub async fn place_payer_hold(
        &self,
        _show: ShowId,
        _customer: &CustomerId,
        _seats: &[SeatIndex],
        _payment: &str,
    ) -> Outcome<HoldId> {
        absent()
    }

    /// Gives up a hold of [`Self::place_payer_hold`].
    pub async fn end_payer_hold(&self, _show: ShowId, _customer: &CustomerId, _hold: HoldId) -> Result<(), HoldError> {
        absent()
    }

    /// Ends a hold by an operator's act.
    pub async fn force_release(&self, _show: ShowId, _hold: HoldId) -> Outcome<Released> {
        absent()
    }

    /// Starts a new generation and loads the show again.
    pub async fn reload(&self, _show: ShowId) -> Outcome<Position> {
        absent()
    }

    /// Removes a show that is over.
    pub async fn unload(&self, _show: ShowId) -> Result<(), HoldError> {
        absent()
    }

    /// Takes `cost` tokens of the bucket `name` (at most `burst`, refilled by `per_second`), shared by all cores.
    /// Answers 0, or the milliseconds to wait.
    pub async fn take_tokens(&self, _name: &str, _burst: u32, _per_second: f64, _cost: u32) -> Result<u64, HoldError> {
        absent()
    }

    /// Tells a customer's gateways something of his own; lost when Redis is out of reach (gateways ask again then).
    pub async fn push(&self, _customer: &CustomerId, _push: &Push) {}

    /// Ends every hold that is due, on all shows, and opens every sale that is. Answers how many holds ended.
    pub async fn sweep_once(&self) -> Result<usize, HoldError> {
        absent()
    }
}
