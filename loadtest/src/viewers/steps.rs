//! What viewers see in each second, counted from the same moment in all their processes.

use std::collections::BTreeMap;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::run::report::Watched;
use crate::times::Spread;

/// One second of one process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) second: u64,
    pub(super) frames: u64,
    /// At its end.
    pub(super) live: u64,
    /// Microseconds with their counts.
    pub(super) lag: Vec<(u64, u64)>,
}

/// Cuts one process's counters into seconds.
pub(super) struct Cutter {
    from: Instant,
    seconds: u64,
    frames: u64,
    lag: Histogram<u64>,
}

impl Cutter {
    pub(super) fn new(from: Instant) -> anyhow::Result<Self> {
        Ok(Self { from, seconds: 0, frames: 0, lag: crate::bench::crowd::histogram()? })
    }

    /// What was seen before is in the first second.
    pub(super) fn count_from(&mut self, from: Instant) {
        (self.from, self.seconds) = (from, 0);
    }

    /// Whether a second is over. One that took longer than a second has all that happened meanwhile.
    pub(super) fn is_due(&self) -> bool {
        self.from.elapsed().as_secs() > self.seconds
    }

    pub(super) fn cut(&mut self, frames: u64, live: u64, lag: &Histogram<u64>) -> anyhow::Result<Step> {
        self.seconds = self.from.elapsed().as_secs();
        let mut fresh = lag.clone();
        fresh.subtract(&self.lag).map_err(|error| anyhow::anyhow!("times went back: {error:?}"))?;
        self.lag.clone_from(lag);
        let frames = frames - std::mem::replace(&mut self.frames, frames);
        let pairs = fresh.iter_recorded().map(|step| (step.value_iterated_to(), step.count_since_last_iteration()));
        Ok(Step { second: self.seconds.saturating_sub(1), frames, live, lag: pairs.collect() })
    }
}

/// The seconds of all processes.
#[derive(Debug, Default)]
pub(super) struct Steps(BTreeMap<u64, Vec<Step>>);

impl Steps {
    pub(super) fn add(&mut self, step: Step) {
        self.0.entry(step.second).or_default().push(step);
    }

    pub(super) fn watched(&self) -> anyhow::Result<BTreeMap<u64, Watched>> {
        self.0.iter().map(|(second, steps)| Ok((*second, together(steps)?))).collect()
    }
}

fn together(steps: &[Step]) -> anyhow::Result<Watched> {
    let (mut watched, mut lag) = (Watched::default(), Histogram::<u64>::new_with_bounds(1, 600_000_000, 2)?);
    for step in steps {
        watched.frames += step.frames;
        watched.live += step.live;
        step.lag.iter().for_each(|(micros, count)| lag.saturating_record_n(*micros, *count));
    }
    watched.lag = Spread::of(&lag);
    Ok(watched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_all_processes_are_put_together() {
        let mut steps = Steps::default();
        steps.add(Step { second: 1, frames: 10, live: 3, lag: vec![(1_000, 50)] });
        steps.add(Step { second: 0, frames: 1, live: 1, lag: Vec::new() });
        steps.add(Step { second: 1, frames: 5, live: 4, lag: vec![(9_000, 50)] });
        let watched = steps.watched().unwrap();
        let at = |second: u64| (watched[&second].frames, watched[&second].live);
        assert_eq!([at(0), at(1)], [(1, 1), (15, 7)]);
        let lag = watched[&1].lag.unwrap();
        assert!(watched[&0].lag.is_none() && lag.p50 < 1.1 && lag.p99 > 8.9);
    }

    #[test]
    fn each_cut_has_what_is_new() {
        let mut cutter = Cutter::new(Instant::now()).unwrap();
        assert!(!cutter.is_due());
        let mut lag = crate::bench::crowd::histogram().unwrap();
        lag.record_n(500, 3).unwrap();
        let first = cutter.cut(7, 1, &lag).unwrap();
        lag.record_n(500, 2).unwrap();
        let second = cutter.cut(9, 1, &lag).unwrap();
        assert_eq!((first.frames, first.lag), (7, vec![(500, 3)]));
        assert_eq!((second.frames, second.lag), (2, vec![(500, 2)]));
    }
}
