//! What the holds need to know of the ledger: who owns which seat, in which version, under which generation.
//!
//! The ledger (PostgreSQL) is the truth; this module only names its answers. The database layer implements
//! [`LedgerReader`], so the holds stay free of SQL.

use futures_util::future::BoxFuture;

use seatwire_protocol::{BookingId, CustomerId, HoldId, SaleState, SeatIndex, SeatStatus, ShowId};

/// What the ledger says of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LedgerStatus {
    /// Free.
    Available = 0,
    /// Belongs to a pending booking; viewers see it as held.
    Claimed = 1,
    /// Sold.
    Booked = 2,
    /// Not for sale.
    Blocked = 3,
}

impl LedgerStatus {
    /// What viewers see of it when nobody holds the seat.
    #[must_use]
    pub const fn visible(self) -> SeatStatus {
        SeatStatus::from_bits(self as u8)
    }
}

/// Whether a show sells, from when, by which rule, and how new this knowledge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sale {
    /// The state. "Before" with an opening time in the past counts as open.
    pub state: SaleState,
    /// When the sale opens by itself, milliseconds since 1970.
    pub opens_at_ms: Option<i64>,
    /// Whether a hold may not leave a single seat alone.
    pub no_orphan: bool,
    /// Grows with every change of the fields above.
    pub version: u64,
}

/// A show as the loader finds it before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowRow {
    /// The show.
    pub show: ShowId,
    /// Number of seats; indexes are 0 .. seats.
    pub seats: u32,
    /// Sale state.
    pub sale: Sale,
    /// Version of the layout.
    pub layout_version: u64,
    /// The last generation handed out; 0 when none was.
    pub generation: u64,
    /// Run id of the Redis server that it was taken for.
    pub run_id: String,
    /// Rows for "best available", best first; empty when the show does not offer it.
    pub rows: Vec<SeatRun>,
}

/// Adjacent seats of one row and one tier with no aisle between: `first`, `first + 1` … Listed best row first; the pieces
/// of a row whose tier changes without an aisle follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatRun {
    /// The first seat.
    pub first: SeatIndex,
    /// How many.
    pub count: u32,
    /// Price tier of the seats.
    pub tier: u32,
    /// The first seat is the neighbour of the last one of the piece before.
    pub joined: bool,
}

/// All seats of a show and the generation, read by one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerMap {
    /// The generation at the time of the read.
    pub generation: u64,
    /// Sale state at the time of the read.
    pub sale: Sale,
    /// Every seat.
    pub seats: Vec<SeatRow>,
}

/// One seat of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatRow {
    /// The seat.
    pub seat: SeatIndex,
    /// Its status.
    pub status: LedgerStatus,
    /// Its version.
    pub version: u64,
    /// The hold that the seat's booking came from, while the seat is claimed or booked.
    pub hold: Option<HoldId>,
    /// Whose booking it is in.
    pub customer: Option<CustomerId>,
}

/// A committed change of the ledger, for the seat map in Redis. May be applied any number of times and in any order:
/// versions decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerChange {
    /// The show.
    pub show: ShowId,
    /// The ledger's generation, read in the same transaction.
    pub generation: u64,
    /// Seats with their new status and version.
    pub seats: Vec<(SeatIndex, LedgerStatus, u64)>,
    /// The hold that the booking came from; it ends without a word.
    pub hold: Option<HoldId>,
    /// The booking that changed; what was begun for another one under the same hold id stays.
    pub booking: Option<BookingId>,
    /// Whose booking it is; claimed and booked seats count for this customer's cap.
    pub customer: Option<CustomerId>,
    /// The sale state, when the change touched it.
    pub sale: Option<Sale>,
    /// Whether an operator made it (blocking seats, closing the sale).
    pub operator: bool,
}

/// What became of a [`LedgerChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Redis knows at least this much now.
    Done,
    /// The show is not in Redis, or of a dead timeline: a later load reads the ledger.
    NotLoaded,
    /// Redis is at this generation: read the ledger's generation again and retry.
    StaleGeneration(u64),
}

/// The ledger could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ledger: {0}")]
pub struct LedgerError(pub String);

/// What the loader and the scrubber ask the ledger.
pub trait LedgerReader: Send + Sync + 'static {
    /// The show's row; `None` when there is no such show.
    fn load_show(&self, show: ShowId) -> BoxFuture<'_, Result<Option<ShowRow>, LedgerError>>;

    /// Takes a new generation by compare-and-set: `SET generation = greatest(generation, seen) + 1, run_id = run_id
    /// WHERE generation = expected`. Answers the new generation, or `None` when somebody else was faster.
    fn bump_generation<'a>(
        &'a self,
        show: ShowId,
        expected: u64,
        seen: u64,
        run_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, LedgerError>>;

    /// All seats and the generation in ONE statement; `None` when there is no such show.
    fn read_map(&self, show: ShowId) -> BoxFuture<'_, Result<Option<LedgerMap>, LedgerError>>;
}
