//! Counts the commands that customers wait for. Whoever plays customers enters each command here; a fault that met none
//! shows nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What a customer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Hold,
    Book,
    /// A payment, until its result is known.
    Pay,
    /// Anything else; asked for, the sum of all.
    Any,
}

/// Shared by all customers of a run.
#[derive(Debug, Default)]
pub struct InFlight {
    holds: AtomicUsize,
    bookings: AtomicUsize,
    payments: AtomicUsize,
    others: AtomicUsize,
}

/// A command is in flight as long as this lives.
#[derive(Debug)]
pub struct Entered<'a>(&'a AtomicUsize);

impl InFlight {
    #[must_use]
    pub fn enter(&self, kind: Kind) -> Entered<'_> {
        let counter = self.counter(kind);
        counter.fetch_add(1, Ordering::SeqCst);
        Entered(counter)
    }

    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Any => {
                [Kind::Hold, Kind::Book, Kind::Pay].into_iter().map(|kind| self.count(kind)).sum::<usize>()
                    + self.others.load(Ordering::SeqCst)
            }
            kind => self.counter(kind).load(Ordering::SeqCst),
        }
    }

    fn counter(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Hold => &self.holds,
            Kind::Book => &self.bookings,
            Kind::Pay => &self.payments,
            Kind::Any => &self.others,
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
