//! What happened in each second of a run, and how many times were how long: what a page draws.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::crowd::Crowd;
use crate::times::{Buckets, Spread};

/// Of the same times as `lag_ms`, `join_ms`, `hold_ms` and `booking_ms`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    pub lag: Option<Buckets>,
    pub join: Option<Buckets>,
    pub hold: Option<Buckets>,
    #[serde(default)]
    pub booking: Option<Buckets>,
}

/// One value for each step from the beginning of the load; empty when a scenario does not have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub step_s: f64,
    /// Deltas and snapshots that viewers got.
    pub frames_per_s: Vec<f64>,
    pub granted_per_s: Vec<f64>,
    pub refused_per_s: Vec<f64>,
    /// Bookings whose customers were told that they are confirmed.
    pub confirmed_per_s: Vec<f64>,
    /// At the end of the step.
    pub viewers_live: Vec<u64>,
    /// Null where no change was timed.
    pub lag_p99_ms: Vec<Option<f64>>,
}

/// What customers had done at some moment, counted from the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    pub granted: u64,
    pub refused: u64,
    pub confirmed: u64,
}

/// What all viewers saw in one second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watched {
    pub frames: u64,
    pub live: u64,
    pub lag: Option<Spread>,
}

impl Done {
    pub(in crate::run) fn of(crowd: &Crowd) -> Self {
        let (holds, confirmed) = (crowd.holds(), crowd.told.confirmed() as u64);
        Self { granted: holds.granted, refused: holds.refused, confirmed }
    }
}

impl Series {
    /// Of seconds: what was done by the end of each, and what was seen in each. Long runs get longer steps.
    pub fn of(done: &[Done], watched: &BTreeMap<u64, Watched>) -> Self {
        let rates = |count: fn(&Done) -> u64| -> Vec<f64> {
            let mut before = 0;
            let rate = |now: &Done| super::float(count(now) - std::mem::replace(&mut before, count(now)));
            done.iter().map(rate).collect()
        };
        let seconds = if watched.is_empty() { 0 } else { done.len() as u64 };
        let seen: Vec<Watched> = (0..seconds).map(|second| watched.get(&second).copied().unwrap_or_default()).collect();
        let mut series = Self {
            step_s: 1.0,
            frames_per_s: seen.iter().map(|seen| super::float(seen.frames)).collect(),
            granted_per_s: rates(|done| done.granted),
            refused_per_s: rates(|done| done.refused),
            confirmed_per_s: rates(|done| done.confirmed),
            viewers_live: seen.iter().map(|seen| seen.live).collect(),
            lag_p99_ms: seen.iter().map(|seen| seen.lag.map(|lag| lag.p99)).collect(),
        };
        while series.granted_per_s.len() > STEPS_MAX {
            series = series.halved();
        }
        series
    }

    /// Two steps in one: the mean of rates, the last of what is there, the worst of the times.
    fn halved(self) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "one or two")]
        let mean = |of: Vec<f64>| of.chunks(2).map(|pair| pair.iter().sum::<f64>() / pair.len() as f64).collect();
        Self {
            step_s: self.step_s * 2.0,
            frames_per_s: mean(self.frames_per_s),
            granted_per_s: mean(self.granted_per_s),
            refused_per_s: mean(self.refused_per_s),
            confirmed_per_s: mean(self.confirmed_per_s),
            viewers_live: self.viewers_live.chunks(2).filter_map(|pair| pair.last().copied()).collect(),
            lag_p99_ms: self.lag_p99_ms.chunks(2).map(worst).collect(),
        }
    }
}

fn worst(times: &[Option<f64>]) -> Option<f64> {
    times.iter().flatten().copied().reduce(f64::max)
}

const STEPS_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    fn done(granted: u64) -> Done {
        Done { granted, refused: 2 * granted, confirmed: 0 }
    }

    #[test]
    fn rates_are_of_each_second_and_seconds_without_news_are_kept() {
        let lag = Some(Spread { p50: 1.0, p95: 2.0, p99: 3.0, max: 4.0 });
        let watched =
            BTreeMap::from([(0, Watched { frames: 5, live: 1, lag }), (2, Watched { frames: 7, live: 2, lag })]);
        let series = Series::of(&[done(3), done(3), done(10)], &watched);
        assert_eq!(series.granted_per_s, [3.0, 0.0, 7.0]);
        assert_eq!(series.refused_per_s, [6.0, 0.0, 14.0]);
        assert_eq!(series.frames_per_s, [5.0, 0.0, 7.0]);
        assert_eq!(series.lag_p99_ms, [Some(3.0), None, Some(3.0)]);
        assert!(Series::of(&[done(1)], &BTreeMap::new()).viewers_live.is_empty());
    }

    #[test]
    fn a_long_run_has_longer_steps_and_the_same_sums() {
        let all: Vec<Done> = (1..=1_001).map(done).collect();
        let series = Series::of(&all, &BTreeMap::new());
        assert_eq!((series.step_s, series.granted_per_s.len()), (4.0, 251));
        assert!(series.granted_per_s.iter().all(|rate| *rate == 1.0));
    }
}
