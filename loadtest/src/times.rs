//! Times that many tasks note, and what a report says of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize};

/// In microseconds, up to ten minutes, three digits.
#[derive(Debug, Clone)]
pub struct Times(Arc<Mutex<Histogram<u64>>>);

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

    /// The same; `None` when nothing was noted.
    pub fn buckets(&self) -> Option<Buckets> {
        Buckets::of(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `None` when nothing was noted.
    pub fn spread(&self) -> Option<Spread> {
        Spread::of(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many times were how long, in steps that grow by a quarter of an octave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Buckets {
    /// What each bucket ends with, milliseconds, ascending; it begins with the end of the one before.
    pub upto_ms: Vec<f64>,
    pub counts: Vec<u64>,
}

impl Buckets {
    /// From the first to the last that has any; `None` when there are no times.
    pub fn of(times: &Histogram<u64>) -> Option<Self> {
        let mut counts: Vec<u64> = Vec::new();
        for step in times.iter_recorded() {
            let bucket = bucket(step.value_iterated_to());
            counts.resize(counts.len().max(bucket + 1), 0);
            if let Some(count) = counts.get_mut(bucket) {
                *count += step.count_since_last_iteration();
            }
        }
        let first = counts.iter().position(|count| *count > 0)?;
        let upto_ms = (first..counts.len()).map(upto_ms).collect();
        Some(Self { upto_ms, counts: counts.split_off(first) })
    }
}

/// Below 50 us all is one.
fn bucket(micros: u64) -> usize {
    let step = ((ms(micros) / SMALLEST_MS).log2() * STEPS_OF_AN_OCTAVE).ceil().clamp(0.0, 1_000.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1,000")]
    let bucket = step as usize;
    bucket
}

fn upto_ms(bucket: usize) -> f64 {
    let exact = SMALLEST_MS * (f64::from(u32::try_from(bucket).unwrap_or(u32::MAX)) / STEPS_OF_AN_OCTAVE).exp2();
    (exact * 1_000.0).round() / 1_000.0
}

const SMALLEST_MS: f64 = 0.05;
const STEPS_OF_AN_OCTAVE: f64 = 4.0;

/// For figures that were not measured: JSON has no NaN.
pub(crate) fn nan_when_null<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or(f64::NAN))
}

/// The same of several by name.
pub(crate) fn nans_when_null<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<BTreeMap<Cow<'static, str>, f64>, D::Error> {
    let figures = BTreeMap::<String, Option<f64>>::deserialize(input)?;
    Ok(figures.into_iter().map(|(name, value)| (name.into(), value.unwrap_or(f64::NAN))).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_the_bucket_that_ends_with_it_or_later() {
        let times = Times::new().unwrap();
        assert_eq!((times.buckets(), times.spread()), (None, None));
        for micros in [100, 101, 900, 40_000, 40_001] {
            times.note_many(micros, 2);
        }
        let Buckets { upto_ms, counts } = times.buckets().unwrap();
        assert_eq!((counts.iter().sum::<u64>(), counts.len()), (10, upto_ms.len()));
        assert!(upto_ms.is_sorted() && counts[0] > 0 && counts[counts.len() - 1] > 0);
        let below = |ms: f64| counts.iter().zip(&upto_ms).filter(|(_, upto)| **upto <= ms).map(|(c, _)| c).sum::<u64>();
        assert_eq!([below(0.09), below(0.15), below(1.1), below(30.0)], [0, 4, 6, 6]);
    }
}
