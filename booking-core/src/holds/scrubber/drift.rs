//! What the scrubber can find wrong, and how it is reported.

use seatwire_protocol::{SeatIndex, ShowId};

use crate::metrics as names;

/// Seats named in a log line.
const NAMED_MAX: usize = 20;

/// Kinds of drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drift {
    /// The ledger has a newer version of a seat, and nobody brought it in time.
    Behind,
    /// A generation or version that the ledger never had, or another status under the same version.
    Ahead,
    /// A packed status that is not the ledger's overlaid by the lock.
    Status,
    /// A lock that no live hold stands behind.
    Lock,
    /// A live hold without a lock on one of its seats.
    Hold,
    /// What a customer holds is not what its live holds say.
    HeldBy,
    /// What a customer has claimed and booked is not what the seats say.
    OwnedBy,
    /// A due entry that is missing, left over, or far off.
    Due,
    /// Sale state, opening time or their version.
    Sale,
    /// Version of the layout, number of seats, or rows.
    Layout,
}

impl Drift {
    /// As metrics and logs name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::Status => "status",
            Self::Lock => "lock",
            Self::Hold => "hold",
            Self::HeldBy => "held_by",
            Self::OwnedBy => "owned_by",
            Self::Due => "due",
            Self::Sale => "sale",
            Self::Layout => "layout",
        }
    }
}

/// Drift of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind.
    pub kind: Drift,
    /// Seats concerned, where it is about seats.
    pub seats: Vec<SeatIndex>,
    /// Seats or entries that were wrong.
    pub count: usize,
}

impl Finding {
    /// About seats; at least one thing is wrong.
    pub(super) fn seats(kind: Drift, seats: Vec<SeatIndex>) -> Self {
        Self { kind, count: seats.len().max(1), seats }
    }

    pub(super) fn entries(kind: Drift, count: usize) -> Self {
        Self { kind, seats: Vec::new(), count }
    }

    /// Counts and logs it.
    pub(super) fn report(&self, show: ShowId, action: &'static str) {
        let kind = self.kind.name();
        metrics::counter!(names::MAP_DRIFT, "kind" => kind, "action" => action).increment(self.count as u64);
        let seats: Vec<u32> = self.seats.iter().take(NAMED_MAX).map(|seat| seat.0).collect();
        tracing::warn!(show.id = %show, kind, action, count = self.count, ?seats, "the seat map had drifted");
    }
}
