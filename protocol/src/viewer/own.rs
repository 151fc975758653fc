//! What the customer has at one show: live holds and bookings, right although replies and pushes may overtake each
//! other.
//!
//! A hold takes the position of its batch, and every later event of that hold carries a position at or after it: so an
//! end at q ends the hold taken at p if q ≥ p, and an end from before (the same hold id in an older generation) does
//! not. An end may arrive before the reply that grants the hold; the last ends are remembered, so that such a reply
//! does not bring a dead hold back. Bookings carry a version: the highest wins.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::command::{BookingInfo, BookingState, HoldInfo, HoldPhase};
use crate::id::{BookingId, HoldId, SeatIndex, ShowId};
use crate::position::Position;
use crate::seat::SeatStatus;
use crate::viewer::SeatMap;

/// Ends that are remembered; more than a customer can have in flight, small enough to search.
const ENDS_MAX: usize = 64;
/// Bookings that are remembered; when full, the oldest that is not pending is forgotten.
const BOOKINGS_MAX: usize = 64;

/// Own holds and bookings at one show.
#[derive(Debug, Clone)]
pub struct OwnThings {
    show: ShowId,
    holds: BTreeMap<HoldId, HoldInfo>,
    bookings: BTreeMap<BookingId, BookingInfo>,
    /// Newest last, at most [`ENDS_MAX`].
    ends: VecDeque<(HoldId, Position)>,
    /// For each own-holds command in flight, what was known when it was sent: only that can be missing in its reply.
    asked: BTreeMap<u64, BTreeSet<HoldId>>,
}

impl OwnThings {
    pub(super) const fn new(show: ShowId) -> Self {
        Self { show, holds: BTreeMap::new(), bookings: BTreeMap::new(), ends: VecDeque::new(), asked: BTreeMap::new() }
    }

    pub(super) fn on_hold(&mut self, hold: &HoldInfo) {
        if hold.show != self.show {
            return;
        }
        if hold.phase == HoldPhase::Ended {
            return self.on_ended(hold.hold, hold.position);
        }
        let ended = self.ends.iter().any(|(id, end)| *id == hold.hold && *end >= hold.position);
        // An older look at a hold that has become a booking.
        let booked = hold.booking.is_some_and(|booking| self.bookings.contains_key(&booking));
        let newer = self.holds.get(&hold.hold).is_none_or(|known| known.position <= hold.position);
        if !ended && !booked && newer {
            self.holds.insert(hold.hold, hold.clone());
        }
    }

    pub(super) fn on_ended(&mut self, hold: HoldId, position: Position) {
        if self.ends.len() == ENDS_MAX {
            self.ends.pop_front();
        }
        self.ends.push_back((hold, position));
        if self.holds.get(&hold).is_some_and(|known| position >= known.position) {
            self.holds.remove(&hold);
        }
    }

    pub(super) fn on_booking(&mut self, booking: &BookingInfo) {
        if booking.show != self.show {
            return;
        }
        if self.bookings.get(&booking.booking).is_some_and(|known| known.version > booking.version) {
            return;
        }
        // The booking stands for the hold that it was made from, whichever message comes first: no seat is in a live
        // hold and in an active booking at once.
        if matches!(booking.state, BookingState::Pending | BookingState::Confirmed) {
            self.holds.retain(|_, hold| !hold.seats.iter().any(|seat| booking.seats.contains(seat)));
        }
        self.bookings.insert(booking.booking, booking.clone());
        if self.bookings.len() > BOOKINGS_MAX {
            let finished = self.bookings.values().filter(|b| b.state != BookingState::Pending);
            if let Some(oldest) = finished.min_by_key(|b| b.created_at_ms).map(|b| b.booking) {
                self.bookings.remove(&oldest);
            }
        }
    }

    pub(super) fn on_asked(&mut self, id: u64) {
        self.asked.insert(id, self.holds.keys().copied().collect());
    }

    /// Whether it was an own-holds command that failed.
    pub(super) fn on_failed(&mut self, id: u64) -> bool {
        self.asked.remove(&id).is_some()
    }

    /// Whether the map shows that a live hold must be over, and nobody was asked yet.
    pub(super) fn contradicts(&self, map: &SeatMap) -> bool {
        let over = |hold: &HoldInfo| {
            map.position() >= Some(hold.position)
                && hold.seats.iter().any(|seat| map.status(*seat) == Some(SeatStatus::Available))
        };
        self.asked.is_empty() && self.holds.values().any(over)
    }

    pub(super) fn on_disconnected(&mut self) {
        self.asked.clear();
    }

    /// Takes the answer of an own-holds command; returns the bookings that are not pending any more, as far as it
    /// knows: somebody has to ask what became of them.
    pub(super) fn on_own_holds(&mut self, id: u64, holds: &[HoldInfo], pending: &[BookingInfo]) -> Vec<BookingId> {
        let known = self.asked.remove(&id).unwrap_or_default();
        self.holds.retain(|id, _| !known.contains(id) || holds.iter().any(|hold| hold.hold == *id));
        for hold in holds {
            self.on_hold(hold);
        }
        for booking in pending {
            self.on_booking(booking);
        }
        self.pending().map(|b| b.booking).filter(|id| !pending.iter().any(|b| b.booking == *id)).collect()
    }

    /// Live holds.
    pub fn holds(&self) -> impl Iterator<Item = &HoldInfo> {
        self.holds.values()
    }

    /// A live hold.
    #[must_use]
    pub fn hold(&self, hold: &HoldId) -> Option<&HoldInfo> {
        self.holds.get(hold)
    }

    /// The bookings heard of, in any state; the full list is a command.
    pub fn bookings(&self) -> impl Iterator<Item = &BookingInfo> {
        self.bookings.values()
    }

    /// A booking heard of.
    #[must_use]
    pub fn booking(&self, booking: &BookingId) -> Option<&BookingInfo> {
        self.bookings.get(booking)
    }

    /// Bookings that wait for payment. One that an own-holds reply does not list any more stays until a push or reply
    /// tells what became of it.
    pub fn pending(&self) -> impl Iterator<Item = &BookingInfo> {
        self.bookings.values().filter(|booking| booking.state == BookingState::Pending)
    }

    /// Whether a live hold or a pending booking has the seat.
    #[must_use]
    pub fn has(&self, seat: SeatIndex) -> bool {
        self.holds.values().any(|hold| hold.seats.contains(&seat))
            || self.pending().any(|booking| booking.seats.contains(&seat))
    }
}
