//! What operators want to know of this core: how late ends of holds were, and how much the scrubber found wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The worst lag is told for at least this long.
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Vitals {
    expired: AtomicU64,
    drift: AtomicU64,
    lag: Mutex<Lag>,
}

/// The worst of this window, and of the one before.
#[derive(Default)]
struct Lag {
    since: Option<Instant>,
    now_ms: Option<u64>,
    before_ms: Option<u64>,
}

/// Since the core started, but for the lag: the worst of the last minute or two, nothing when no hold expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VitalSigns {
    /// Holds that this core ended because their time was over.
    pub holds_expired: u64,
    /// From a hold's honoured end to its event, milliseconds.
    pub expiry_lag_ms: Option<u64>,
    /// Seats and entries that the scrubber found wrong.
    pub drift: u64,
}

impl Vitals {
    pub(super) fn expired(&self, late: Duration) {
        self.expired.fetch_add(1, Ordering::Relaxed);
        let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        self.lag.lock().unwrap_or_else(PoisonError::into_inner).note(late_ms, Instant::now());
    }

    pub(super) fn drifted(&self, count: usize) {
        self.drift.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn signs(&self) -> VitalSigns {
        let expiry_lag_ms = self.lag.lock().unwrap_or_else(PoisonError::into_inner).worst(Instant::now());
        let holds_expired = self.expired.load(Ordering::Relaxed);
        VitalSigns { holds_expired, expiry_lag_ms, drift: self.drift.load(Ordering::Relaxed) }
    }
}

impl Lag {
    fn turn(&mut self, now: Instant) {
        let age = self.since.map_or(WINDOW * 2, |since| now.duration_since(since));
        if age >= WINDOW {
            self.before_ms = if age < WINDOW * 2 { self.now_ms } else { None };
            (self.now_ms, self.since) = (None, Some(now));
        }
    }

    fn note(&mut self, late_ms: u64, now: Instant) {
        self.turn(now);
        self.now_ms = self.now_ms.max(Some(late_ms));
    }

    fn worst(&mut self, now: Instant) -> Option<u64> {
        self.turn(now);
        self.now_ms.max(self.before_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_lag_is_told_for_a_minute_and_forgotten_after_two() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        assert_eq!(lag.worst(start), None);
        lag.note(70, start);
        lag.note(20, start + WINDOW / 2);
        assert_eq!(lag.worst(start + WINDOW / 2), Some(70));
        lag.note(30, start + WINDOW);
        assert_eq!(lag.worst(start + WINDOW), Some(70));
        assert_eq!(lag.worst(start + WINDOW * 2), Some(30));
        assert_eq!(lag.worst(start + WINDOW * 9), None);
    }
}
