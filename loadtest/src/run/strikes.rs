//! Faults during a run, by a plan: alone, so that the time until all is right again is this fault's own, or overlapping.
//! Each is fired only while commands that it is about are in flight; one that meets no work is not counted.

mod plan;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use plan::{FaultFlags, Plan};

use super::report::FaultLine;
use super::say;
use crate::faults::{Fault, InFlight, Normal, Part, Shot};
use crate::launcher::Stack;

/// What faults meet.
pub(super) struct Ground<'a> {
    pub(super) stack: &'a mut Stack,
    pub(super) normal: &'a Normal,
    pub(super) in_flight: &'a InFlight,
    /// Purchases that came through so far.
    pub(super) purchases: &'a (dyn Fn() -> usize + Sync),
    /// Told of a Redis that takes another's place.
    pub(super) redis: watch::Sender<String>,
    pub(super) began: Instant,
}

impl Ground<'_> {
    /// Fires by plan until so many have met work, the plan is over, or `stop`.
    pub(super) async fn strike(mut self, plan: Plan, seed: u64, stop: &CancellationToken) -> Vec<FaultLine> {
        let (mut lines, mut rng) = (Vec::new(), StdRng::seed_from_u64(seed ^ SALT));
        let wanted = plan.wanted();
        for volley in plan.volleys(seed) {
            if lines.len() >= wanted || stop.is_cancelled() {
                break;
            }
            let pause = Duration::from_millis(rng.random_range(PAUSE_MS));
            let fired = async {
                tokio::time::sleep(pause).await;
                match volley.as_slice() {
                    [fault] => self.alone(*fault).await.map(|line| vec![line]),
                    faults => self.together(faults, &mut rng).await,
                }
            };
            match fired.await {
                Ok(fired) => fired.into_iter().for_each(|line| {
                    tell(&line);
                    lines.push(line);
                }),
                Err(error) => say(&format!("{volley:?} did not count: {error:#}")),
            }
        }
        lines
    }

    async fn alone(&mut self, fault: Fault) -> anyhow::Result<FaultLine> {
        let mut shot = self.fire(fault).await?;
        let row = fault.row();
        let healed_first = row.since == crate::faults::Since::Healed;
        if healed_first {
            tokio::time::sleep(fault.lasts()).await;
            shot.heal(self.stack).await?;
        }
        let begin = if healed_first { Instant::now() } else { shot.fired };
        let (back, mut note) = match shot.back_to_normal(self.normal).await {
            Ok(outcome) => (Some(outcome.back), outcome.note),
            Err(error) => (None, format!("{error:#}")),
        };
        let back = if fault.part() == Part::Provider { self.purchases_again(begin).await } else { back };
        if !healed_first {
            tokio::time::sleep(fault.lasts()).await;
            shot.heal(self.stack).await?;
            // The next fault is alone, too.
            if let Err(error) = self.normal.wait().await {
                note = format!("{note} and {error:#} after it was taken away");
            }
        }
        self.tell_redis();
        let back = back.map(|back| back.as_secs_f64());
        Ok(self.line(&shot, back, row.bound.as_secs_f64(), note))
    }

    /// The times count from when the last of them was taken away.
    async fn together(&mut self, faults: &[Fault], rng: &mut StdRng) -> anyhow::Result<Vec<FaultLine>> {
        let (mut shots, mut failure) = (Vec::new(), None);
        for fault in faults {
            match self.fire(*fault).await {
                Ok(shot) => shots.push(shot),
                Err(error) => failure = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(APART_MS))).await;
        }
        tokio::time::sleep(faults.iter().map(|fault| fault.lasts()).max().unwrap_or_default()).await;
        shots.sort_by_key(|shot| shot.fault.heals_by_restart());
        for shot in &mut shots {
            shot.heal(self.stack).await?;
        }
        let begin = Instant::now();
        let right = self.normal.wait().await;
        self.tell_redis();
        if let Some(error) = failure.filter(|_| shots.len() < 2) {
            return Err(error);
        }
        let note = right.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
        let back = right.ok().map(|right| right.at.saturating_duration_since(begin).as_secs_f64());
        let bound = shots.iter().map(|shot| shot.fault.row().bound).max().unwrap_or_default().as_secs_f64();
        let lines =
            shots.iter().map(|shot| FaultLine { overlapping: true, ..self.line(shot, back, bound, note.clone()) });
        Ok(lines.collect())
    }

    async fn fire(&mut self, fault: Fault) -> anyhow::Result<Shot> {
        fault.prepare(self.stack).await?;
        if fault == Fault::FailOver {
            // Something has to be written that the replica does not hear of.
            tokio::time::sleep(LOSE_FOR).await;
        }
        fault.fire(self.stack, self.in_flight).await
    }

    async fn purchases_again(&self, begin: Instant) -> Option<Duration> {
        let before = (self.purchases)();
        let end = Instant::now() + PURCHASES_WITHIN;
        while (self.purchases)() < before + PURCHASES {
            if Instant::now() >= end {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(begin.elapsed())
    }

    fn tell_redis(&self) {
        let url = self.stack.redis().url();
        self.redis.send_if_modified(|known| std::mem::replace(known, url.clone()) != url);
    }

    fn line(&self, shot: &Shot, back: Option<f64>, bound_s: f64, note: String) -> FaultLine {
        let row = shot.fault.row();
        FaultLine {
            name: row.name.to_owned(),
            at_s: shot.fired.saturating_duration_since(self.began).as_secs_f64(),
            in_flight: shot.in_flight,
            back_to_normal_s: back,
            bound_s,
            overlapping: false,
            hypothesis: row.hypothesis.into(),
            note: note.trim().to_owned(),
        }
    }
}

fn tell(line: &FaultLine) {
    let FaultLine { name, at_s, in_flight, back_to_normal_s, .. } = line;
    let back = back_to_normal_s.map_or_else(|| "never".to_owned(), |back| format!("after {back:.1} s"));
    let also = if line.overlapping { "at the same time " } else { "" };
    say(&format!("{at_s:.1} s {also}{name}, {in_flight} in flight, right again {back}"));
}

/// Choices of their own.
const SALT: u64 = 0xfa17;
const PAUSE_MS: std::ops::Range<u64> = 50..400;
const APART_MS: std::ops::Range<u64> = 0..400;
const LOSE_FOR: Duration = Duration::from_millis(300);
/// Purchases that show that money moves again.
const PURCHASES: usize = 3;
const PURCHASES_WITHIN: Duration = Duration::from_secs(90);
