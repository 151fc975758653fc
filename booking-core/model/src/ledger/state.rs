//! Everything that the ledger's model knows: two seats, two buyers, PostgreSQL, Redis, and tasks on cores.

/// Seats of the show.
pub const SEATS: usize = 2;
/// Buyers; the first wants the seats of `Scenario::wishes[0]`, and so on.
pub const BUYERS: usize = 2;
/// Holds of a buyer: those that he asks for, then the one that saves a late payment.
pub const HOLDS_EACH: usize = 3;
/// The place of the payer's hold among a buyer's holds.
pub const PAYER: u8 = 2;
/// Tasks at most; each may run on another core.
pub const TASKS: usize = 3;

/// 0 or 1.
pub type Buyer = u8;
/// 0 .. BUYERS * HOLDS_EACH.
pub type HoldId = u8;

/// The `n`th hold of a buyer.
pub const fn hold_of(buyer: Buyer, n: u8) -> HoldId {
    buyer * 3 + n
}

/// Whose hold it is.
pub const fn owner(hold: HoldId) -> Buyer {
    hold / 3
}

/// What the ledger says of a seat. Blocked seats are not modelled: they are booked seats without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    Available,
    Claimed(Buyer),
    Booked(Buyer),
}

/// A seat with its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    pub version: u8,
    pub status: Status,
}

/// State of a buyer's only booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BookingState {
    None,
    Pending,
    Confirmed,
    Expired,
}

/// What became of the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Payment {
    None,
    Captured,
    Booking,
    Refund,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Booking {
    pub state: BookingState,
    /// The hold that it came from.
    pub hold: HoldId,
    pub payment: Payment,
    /// Outcomes given to the payment; more than one is a fault.
    pub outcomes: u8,
}

/// The transactions that change seats; each leaves one outbox row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    Claim,
    Expire,
    Confirm,
}

pub const CAUSES: [Cause; 3] = [Cause::Claim, Cause::Expire, Cause::Confirm];

/// An outbox row: a committed change. Which buyer's and why is its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    /// The ledger's generation, read in the transaction.
    pub generation: u8,
    /// By seat; 0 for a seat that it does not touch.
    pub versions: [u8; SEATS],
    /// The hold that ends without a word.
    pub hold: HoldId,
}

/// PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ledger {
    pub seats: [Seat; SEATS],
    pub bookings: [Booking; BUYERS],
    pub generation: u8,
    /// Rows that are not marked as applied, by buyer and cause.
    pub outbox: [[Option<Change>; 3]; BUYERS],
}

/// A hold in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    None,
    Browse,
    /// From begin_book: attempts that a task may still take back, and whether there is one that nobody will (its task
    /// crashed, or committed).
    Paying {
        attempts: u8,
        left: bool,
    },
}

/// What load wrote about the show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Show {
    pub generation: u8,
    /// Run id of the server that it was loaded on.
    pub run: u8,
    pub complete: bool,
    /// seat_version; `None` until applied.
    pub known: [Option<Seat>; SEATS],
}

/// Redis. Holds and locks survive a load, nothing survives a wipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Redis {
    pub run: u8,
    pub show: Option<Show>,
    pub holds: [Phase; BUYERS * HOLDS_EACH],
    pub locks: [Option<HoldId>; SEATS],
}

impl Redis {
    pub const fn empty(run: u8) -> Self {
        Self { run, show: None, holds: [Phase::None; BUYERS * HOLDS_EACH], locks: [None; SEATS] }
    }

    pub fn is_live(&self, hold: HoldId) -> bool {
        self.holds[usize::from(hold)] != Phase::None
    }

    /// Ends a hold and frees its seats.
    pub fn end(&mut self, hold: HoldId) {
        self.holds[usize::from(hold)] = Phase::None;
        for lock in &mut self.locks {
            if *lock == Some(hold) {
                *lock = None;
            }
        }
    }
}

/// Where a task of some core is between two atomic steps. It may stay there for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// begin_book has answered; next is the claim.
    Begun { buyer: Buyer, hold: HoldId, generation: u8 },
    /// The claim is known not to have committed; next is end_book.
    TakeBack { hold: HoldId, generation: u8 },
    /// Only in a variant: seats were seen to be free, without a lock.
    SawFree { buyer: Buyer, hold: HoldId },
    /// A change to be applied: after its commit, or by the relay (`again`: it may re-read the generation once).
    Apply { buyer: Buyer, cause: Cause, change: Change, again: bool },
    /// The change was applied under this generation; next is the mark in the outbox.
    Mark { buyer: Buyer, cause: Cause, generation: u8 },
    /// The payer's hold is placed (`None`: Redis was out of reach); next is the settlement.
    Rescue { buyer: Buyer, hold: Option<HoldId> },
    /// The settlement was not a rescue; next the payer's hold is given up.
    GiveUp { hold: HoldId },
    /// The loader has read the show's row.
    RowRead { expected: u8, renew: bool },
    /// It has looked at Redis; next is the bump.
    Looked { expected: u8, seen: u8 },
    /// It has a generation; next is load. `early` only in a variant: rows read before load.
    Taken { generation: u8, early: Option<Rows> },
    /// Load has answered; next is the one SELECT.
    Loaded { generation: u8 },
    /// It has the rows; next is apply.
    HasRows { generation: u8, rows: Rows },
    /// The rows are applied; next is complete.
    Filled { generation: u8 },
    /// Nothing to do.
    Idle,
}

/// All seats as one SELECT reads them, each with the hold of its booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rows {
    pub generation: u8,
    pub seats: [Seat; SEATS],
    pub holds: [Option<HoldId>; SEATS],
}

/// What went wrong in a step and can't be seen in the state that it led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A claim committed under a live hold of somebody else.
    pub claimed_under_hold: bool,
    /// A rescue did.
    pub rescued_under_hold: bool,
    /// A booking told its owner that the hold it came from is lost.
    pub told_lost: bool,
    /// A generation was loaded twice.
    pub reused: bool,
    /// A generation replaced a higher one, or became complete at or below one that had been complete.
    pub went_back: bool,
    /// A map was filled under a generation that the ledger had left before the rows were read.
    pub dead_filled: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub ledger: Ledger,
    pub redis: Redis,
    /// The copy that a failover falls back to.
    pub copy: Option<Redis>,
    /// Sorted, because which core runs a task makes no difference.
    pub tasks: [Task; TASKS],
    /// Holds that each buyer has asked for.
    pub asked: [u8; BUYERS],
    pub wipes_left: u8,
    pub rollbacks_left: u8,
    pub renews_left: u8,
    /// The highest run id so far.
    pub run_max: u8,
    /// Redis has lost something: holds may have gone with it.
    pub lost: bool,
    /// News of the ledger ended a hold in payment: they came later than a paying hold lasts.
    pub late_news: bool,
    pub loaded_generations: u16,
    pub complete_max: u8,
    /// A late payment got its seats.
    pub rescued: bool,
    pub faults: Faults,
}
