//! Times that many tasks note, and what a report says of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// In microseconds, up to ten minutes, three digits.
#[derive(Debug, Clone)]
pub struct Times(Arc<Mutex<Histogram<u64>>>);

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Times {
    /// # Errors
    /// Never: the bounds are constants.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Histogram::new_with_bounds(1, 600_000_000, 3)?))))
    }

    pub fn note(&self, time: Duration) {
        self.note_many(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), 1);
    }

    pub fn note_many(&self, micros: u64, count: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record_n(micros, count);
    }

    /// Each recorded time in microseconds with its count, to be noted elsewhere.
    pub fn pairs(times: &Histogram<u64>) -> Vec<(u64, u64)> {
        times.iter_recorded().map(|step| (step.value_iterated_to(), step.count_since_last_iteration())).collect()
    }

    /// `None` when nothing was noted.
    pub fn spread(&self) -> Option<Spread> {
        Spread::of(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Spread {
    /// Of times in microseconds; `None` when there are none.
    pub fn of(times: &Histogram<u64>) -> Option<Self> {
        let at = |percent| ms(times.value_at_percentile(percent));
        (!times.is_empty()).then(|| Self { p50: at(50.0), p95: at(95.0), p99: at(99.0), max: ms(times.max()) })
    }
}

#[expect(clippy::cast_precision_loss, reason = "times stay far below 2^52 microseconds")]
fn ms(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}
