//! What customers were told, and so must be true for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use seatwire_protocol::command::{BookingInfo, BookingState, RefundState};
use seatwire_protocol::{BookingId, CustomerId, HoldId};

/// Written by everybody who is told something.
#[derive(Debug, Default)]
pub struct Told(Mutex<Sayings>);

#[derive(Debug, Default)]
pub(super) struct Sayings {
    pub(super) bookings: BTreeMap<BookingId, Saying>,
    /// Payments that the provider's checkout answered as captured.
    pub(super) payments: BTreeSet<String>,
}

/// What was said of one booking.
#[derive(Debug)]
pub(super) struct Saying {
    pub(super) customer: String,
    pub(super) hold: HoldId,
    pub(super) seats: Vec<u32>,
    pub(super) amount: u64,
    pub(super) confirmed: bool,
    pub(super) expired: bool,
    pub(super) cancelled: bool,
    /// Amounts of refunds that are done, ascending.
    pub(super) refunded: Vec<u64>,
}

impl Told {
    /// A booking was made of this hold.
    pub(super) fn booked(&self, customer: &CustomerId, hold: HoldId, booking: &BookingInfo) {
        let saying = Saying {
            customer: customer.as_str().to_owned(),
            hold,
            seats: booking.seats.iter().map(|seat| seat.0).collect(),
            amount: booking.amount,
            confirmed: false,
            expired: false,
            cancelled: false,
            refunded: Vec::new(),
        };
        self.lock().bookings.insert(booking.booking, saying);
    }

    /// Its owner was told this of a booking.
    pub(super) fn see(&self, booking: &BookingInfo) {
        let mut sayings = self.lock();
        let Some(saying) = sayings.bookings.get_mut(&booking.booking) else { return };
        match booking.state {
            BookingState::Confirmed => saying.confirmed = true,
            BookingState::Expired => saying.expired = true,
            BookingState::Cancelled => saying.cancelled = true,
            _ => {}
        }
        let done = booking.refunds.iter().filter(|refund| refund.state == RefundState::Processed);
        let mut refunded: Vec<u64> = done.map(|refund| refund.amount).collect();
        // An answer may overtake a newer one.
        if refunded.len() > saying.refunded.len() {
            refunded.sort_unstable();
            saying.refunded = refunded;
        }
    }

    pub(super) fn paid(&self, payments: &[String]) {
        self.lock().payments.extend(payments.iter().cloned());
    }

    /// Bookings that somebody was told are confirmed.
    pub fn confirmed(&self) -> usize {
        self.lock().bookings.values().filter(|saying| saying.confirmed).count()
    }

    /// Payments that the provider's checkout answered as captured.
    pub fn payments(&self) -> usize {
        self.lock().payments.len()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Sayings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
