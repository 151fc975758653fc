//! Seat holds in Redis: advice, made fast.
//!
//! A hold keeps a paying person from being disappointed; it never is what stops a double sale, the ledger does that.
//! One Lua script call is one atomic step; it changes the state, takes the next sequence of the show and publishes the
//! batch, so state and feed cannot disagree. Redis may vanish at any time: the map is loaded again from the ledger
//! under a new generation.
//!
//! | module | what |
//! |---|---|
//! | [`store`] | [`HoldStore`]: one typed call an operation |
//! | `link`, `scripts`, `keys`, `reply` | the connection with its server's run id, the Lua files, key names, answers |
//! | [`ledger`] | what is asked of the ledger |
//! | `loader` | fills the map of a show once for everybody |
//! | `rows` | which seats are neighbours, for the choice of adjacent ones |
//! | `allowance` | what one customer may do in a time, across all cores |
//! | `expiry` | ends holds whose time is over, and opens sales that are due |
//! | `scrubber` | compares map and ledger |
//! | `push` | tells owners what happened to their holds |
//! | [`presence`], `board`, `vitals` | who is there, live counts, and how late ends of holds are, for operators |

mod allowance;
mod apply;
mod board;
mod booking;
mod expiry;
mod keys;
pub mod ledger;
mod link;
mod loader;
pub mod presence;
mod push;
mod reads;
mod reply;
mod rows;
mod scripts;
mod scrubber;
mod secret;
pub mod store;
mod vitals;

use std::time::Duration;

use seatwire_protocol::error::SeatConflict;
use seatwire_protocol::{BookingId, SeatIndex};

pub use board::SeatCounts;
pub use ledger::{Applied, LedgerChange, LedgerReader, LedgerStatus};
pub use scrubber::{Drift, Finding, Scrub, Scrubbed};
pub use store::HoldStore;
pub use vitals::VitalSigns;

/// Times, caps and the secret. All in milliseconds.
#[derive(Clone)]
pub struct HoldConfig {
    /// Key of the HMAC that makes hold ids; the same on every core.
    pub hold_secret: Vec<u8>,
    /// Time of a fresh hold, and of each extension.
    pub hold_ms: u64,
    /// How often a customer may extend.
    pub extensions: u32,
    /// No extension goes past creation plus this.
    pub lifetime_ms: u64,
    /// Honoured beyond what the customer was told.
    pub grace_ms: u64,
    /// What begin_book grants at least.
    pub paying_ms: u64,
    /// What end_book leaves at least.
    pub resume_ms: u64,
    /// Seats held, pending and booked per customer and show.
    pub seats_max: u32,
    /// Live holds per customer and show.
    pub holds_max: u32,
    /// Lapses of one seat within the window that start its cool-down for the customer who let it lapse.
    pub lapses_max: u32,
    /// Window in which lapses count.
    pub lapse_window_ms: u64,
    /// Length of the cool-down after the last lapse.
    pub cool_down_ms: u64,
    /// New holds per customer within the window, over all shows; 0: no limit.
    pub new_holds_max: u32,
    /// The window in which new holds count.
    pub new_holds_window_ms: u64,
    /// Commands per customer and second that all cores together take up in the long run; 0: no limit.
    pub commands_per_second: u32,
    /// Commands that a customer who was quiet may send at once.
    pub commands_burst: u32,
    /// How long an ended hold can still be asked for.
    pub ended_kept_ms: u64,
    /// How long a call waits for a show that is being loaded.
    pub load_wait_ms: u64,
}

impl Default for HoldConfig {
    fn default() -> Self {
        Self {
            hold_secret: Vec::new(),
            hold_ms: 300_000,
            extensions: 2,
            lifetime_ms: 900_000,
            grace_ms: 2_000,
            paying_ms: 60_000,
            resume_ms: 30_000,
            seats_max: 10,
            holds_max: 2,
            lapses_max: 2,
            lapse_window_ms: 1_800_000,
            cool_down_ms: 60_000,
            new_holds_max: 6,
            new_holds_window_ms: 600_000,
            commands_per_second: 20,
            commands_burst: 60,
            ended_kept_ms: 600_000,
            load_wait_ms: 2_000,
        }
    }
}

impl std::fmt::Debug for HoldConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HoldConfig").field("hold_ms", &self.hold_ms).finish_non_exhaustive()
    }
}

/// Redis or the ledger could not be asked, or answered nonsense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// Out of reach, or no answer in time: whether it took effect is unknown. The same call may be repeated.
    #[error("holds are out of reach: {0}")]
    Unavailable(String),
    /// A fault of ours.
    #[error("internal fault in holds: {0}")]
    Internal(String),
}

/// Which cap was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// Seats held, pending and booked by one customer at one show.
    Seats,
    /// Live holds of one customer at one show.
    Holds,
    /// Extensions of one hold.
    Extensions,
    /// Lifetime of one hold, milliseconds.
    Lifetime,
    /// Pending bookings of one customer at one show.
    Pending,
}

/// What is counted of one customer, over all shows, gateways and cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Commands.
    Commands,
    /// New holds.
    NewHolds,
}

/// A business refusal: an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The show's map is being loaded.
    NotReady {
        /// Milliseconds to wait.
        retry_after_ms: u64,
    },
    /// There is no such show.
    NoSuchShow,
    /// Every seat in conflict, and why.
    Taken(Vec<SeatConflict>),
    /// Every seat that the show does not have.
    NoSuchSeat(Vec<SeatConflict>),
    /// Every seat that would be left alone.
    Orphan(Vec<SeatConflict>),
    /// A cap is reached.
    Limit {
        /// Which.
        kind: LimitKind,
        /// Its value.
        cap: u64,
    },
    /// The sale has not opened.
    NotOnSale {
        /// Milliseconds until it does.
        opens_in_ms: u64,
    },
    /// The sale is over.
    SaleClosed,
    /// This customer let these seats, or bookings, lapse too often.
    CoolDown {
        /// Milliseconds to wait.
        retry_after_ms: u64,
        /// The seats that he has to wait for; empty for bookings.
        seats: Vec<SeatConflict>,
    },
    /// This customer does too much in too short a time.
    RateLimited {
        /// Milliseconds to wait.
        retry_after_ms: u64,
        /// What is counted.
        what: Allowance,
    },
    /// The hold is being turned into a booking.
    InPayment,
    /// The hold is over.
    Gone,
    /// Somebody else's hold, or none.
    NotOwner,
    /// The idempotency key was used with another body.
    KeyReused,
    /// The same key, or another booking of this customer at this show, is at work in another request.
    InProgress,
    /// No adjacent seats of that kind are left.
    NoneLeft,
    /// The request makes no sense.
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        message: &'static str,
    },
}

/// An answer, a refusal, or a failure.
pub type Outcome<T> = Result<Result<T, Refusal>, HoldError>;

/// A hold that is being turned into a booking; [`HoldStore::end_book`] takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunBook {
    /// The seats, ascending.
    pub seats: Vec<SeatIndex>,
    /// Id of the booking: the one offered, or that of an earlier attempt under the same key.
    pub booking: BookingId,
    /// Generation under which it began.
    pub generation: u64,
    /// This attempt.
    pub attempt: u64,
    /// How long the hold lasts at least.
    pub remaining: Duration,
}
