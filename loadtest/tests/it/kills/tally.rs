//! What happened in a run, and what was told to customers and so must be true for ever.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use seatwire_loadtest::faults::InFlight;
use seatwire_protocol::BookingId;

use crate::shop::Shop;
use crate::support;

/// Written by all buyers.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) refused: AtomicU64,
    pub(crate) holds_expired: AtomicU64,
    pub(crate) bookings_expired: AtomicU64,
    pub(crate) late_payments: AtomicU64,
    pub(crate) refunded: AtomicU64,
    pub(crate) released: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) given_up: AtomicU64,
    pub(crate) in_flight: InFlight,
    /// Bookings that a customer was told are confirmed.
    told_confirmed: Mutex<Vec<BookingId>>,
}

impl Tally {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tell_confirmed(&self, booking: BookingId) {
        self.told_confirmed.lock().unwrap().push(booking);
    }

    pub(crate) fn confirmed(&self) -> usize {
        self.told_confirmed.lock().unwrap().len()
    }

    /// A run in which nothing happened shows nothing.
    pub(crate) fn check(&self) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert!(self.confirmed() >= 30, "confirmed bookings: {self}");
        assert!(count(&self.refused) >= 10, "refusals: {self}");
        assert!(count(&self.holds_expired) >= 3, "holds that expired: {self}");
        assert!(count(&self.bookings_expired) >= 3, "bookings that expired: {self}");
        assert!(count(&self.reconnects) >= 10, "connections that were lost: {self}");
        let tries = self.confirmed() as u64 + count(&self.given_up);
        assert!(count(&self.given_up) * 5 <= tries, "most purchases come through: {self}");
    }

    /// A success that was told is durable.
    pub(crate) async fn check_told(&self, shop: &Shop) {
        let ledger = support::connect(&shop.at.postgres).await;
        let rows = ledger.query("SELECT id FROM bookings WHERE state = 'CONFIRMED'", &[]).await.unwrap();
        let confirmed: Vec<BookingId> =
            rows.iter().map(|row| BookingId(*row.get::<_, uuid::Uuid>(0).as_bytes())).collect();
        let told = self.told_confirmed.lock().unwrap();
        let lost: Vec<_> = told.iter().filter(|booking| !confirmed.contains(booking)).collect();
        assert!(lost.is_empty(), "told as confirmed, and not so in the ledger: {lost:?}");
        assert!(confirmed.len() >= told.len());
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} confirmed, {} refused, {} holds expired, {} bookings expired, {} paid late, {} refunded, {} released, \
             {} cancelled, {} reconnects, {} given up",
            self.confirmed(),
            count(&self.refused),
            count(&self.holds_expired),
            count(&self.bookings_expired),
            count(&self.late_payments),
            count(&self.refunded),
            count(&self.released),
            count(&self.cancelled),
            count(&self.reconnects),
            count(&self.given_up),
        )
    }
}
