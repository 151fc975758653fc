//! Faults during a run, by a plan: alone, so that the time until all is right again is this fault's own, or overlapping.
//! Each is fired only while commands that it is about are in flight; one that meets no work is not counted.

mod plan;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use plan::{FaultFlags, Plan};

use super::report::FaultLine;
use super::say;
use crate::faults::{Fault, InFlight, Normal, Part, Shot};
use crate::launcher::Stack;
use crate::viewers::Looker;

/// What faults do to the viewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToViewers {
    /// All connections break, to come back within this time.
    Scatter(Duration),
    /// Every second one stops reading, or reads again.
    Read(bool),
}

/// What faults meet.
pub(super) struct Ground<'a> {
    pub(super) stack: &'a mut Stack,
    pub(super) normal: &'a Normal,
    pub(super) in_flight: &'a InFlight,
    /// Purchases that came through so far.
    pub(super) purchases: &'a (dyn Fn() -> usize + Sync),
    /// Told of a Redis that takes another's place.
    pub(super) redis: watch::Sender<String>,
    /// Led by somebody else.
    pub(super) viewers: mpsc::Sender<ToViewers>,
    pub(super) looker: Looker,
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
        let live = self.looker.look().live;
        let mut shot = self.fire(fault).await?;
        let row = fault.row();
        let healed_first = row.since == crate::faults::Since::Healed;
        let mut begin = shot.fired;
        if healed_first {
            if fault == Fault::ExhaustDescriptors {
                self.others_see(&shot).await?;
            }
            tokio::time::sleep(fault.lasts()).await;
            if let Err(error) = self.heal(&mut shot).await {
                return Ok(self.line(&shot, None, row.bound.as_secs_f64(), format!("{error:#}")));
            }
            begin = Instant::now();
        }
        let (mut back, mut note) = match shot.back_to_normal(self.normal).await {
            Ok(outcome) => (Some(outcome.back), outcome.note),
            Err(error) => (None, format!("{error:#}")),
        };
        let also = match fault.part() {
            Part::Provider => Some(self.purchases_again(begin).await),
            Part::Viewers if healed_first || fault == Fault::ScatterViewers => {
                Some(self.viewers_again(live, begin).await)
            }
            _ => None,
        };
        if let Some(also) = also {
            back = back.zip(also).map(|(right, also)| right.max(also));
        }
        if !healed_first {
            tokio::time::sleep(fault.lasts()).await;
            // The next fault is alone, too.
            let right = match self.heal(&mut shot).await {
                Ok(()) => self.normal.wait_and(shot.left()).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = right {
                (back, note) = (None, format!("{note}, and {error:#} after it was taken away"));
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
        let (mut healed, mut left) = (Ok(()), Vec::new());
        for shot in &mut shots {
            healed = healed.and(self.heal(shot).await);
            left.extend_from_slice(shot.left());
        }
        let begin = Instant::now();
        let right = self.normal.wait_and(&left).await;
        let right = healed.and(right);
        self.tell_redis();
        if let Some(error) = failure.filter(|_| shots.len() < 2) {
            return Err(error);
        }
        let note = right.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
        let back = right.ok().map(|right| right.at.saturating_duration_since(begin).as_secs_f64());
        let bound = shots.iter().map(|shot| shot.fault.row().bound).max().unwrap_or_default().as_secs_f64();
        let lines = shots.iter().map(|shot| {
            let note = format!("{} {note}", shot.note());
            FaultLine { overlapping: true, ..self.line(shot, back, bound, note) }
        });
        Ok(lines.collect())
    }

    async fn fire(&mut self, fault: Fault) -> anyhow::Result<Shot> {
        fault.prepare(self.stack).await?;
        if fault == Fault::FailOver {
            // Something has to be written that the replica does not hear of.
            tokio::time::sleep(LOSE_FOR).await;
        }
        match of_viewers(fault) {
            Some(act) => fault.fire_at_viewers(self.in_flight, self.order(act)).await,
            None => fault.fire(self.stack, self.in_flight).await,
        }
    }

    async fn heal(&mut self, shot: &mut Shot) -> anyhow::Result<()> {
        if shot.fault == Fault::StallViewers {
            self.order(ToViewers::Read(true)).await?;
        }
        shot.heal(self.stack).await
    }

    async fn order(&self, act: ToViewers) -> anyhow::Result<()> {
        self.viewers.send(act).await.map_err(|_| anyhow::anyhow!("nobody leads the viewers"))
    }

    /// Whoever is connected to a gateway that takes nobody goes on.
    async fn others_see(&self, shot: &Shot) -> anyhow::Result<()> {
        self.normal.wait_without(0).await.map(drop).with_context(|| format!("{:?}", shot.fault))
    }

    /// Until nearly as many viewers are live as were before; some are always away.
    async fn viewers_again(&self, before: u64, begin: Instant) -> Option<Duration> {
        let end = Instant::now() + VIEWERS_WITHIN;
        // What they last said may be older than the fault.
        tokio::time::sleep(TOLD_EVERY).await;
        while self.looker.look().live < before - before / 20 {
            if Instant::now() >= end {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(begin.elapsed())
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

fn of_viewers(fault: Fault) -> Option<ToViewers> {
    match fault {
        Fault::ScatterViewers => Some(ToViewers::Scatter(BACK_WITHIN)),
        Fault::StallViewers => Some(ToViewers::Read(false)),
        _ => None,
    }
}

fn tell(line: &FaultLine) {
    super::live::note(line);
    let FaultLine { name, at_s, in_flight, back_to_normal_s, bound_s, note, .. } = line;
    let back = match back_to_normal_s {
        None => "NEVER".to_owned(),
        Some(back) if back > bound_s => format!("LATE, after {back:.1} s instead of {bound_s:.0}"),
        Some(back) => format!("after {back:.1} s"),
    };
    let also = if line.overlapping { "at the same time " } else { "" };
    let note = if note.is_empty() { String::new() } else { format!("; {note}") };
    say(&format!("{at_s:.1} s {also}{name}, {in_flight} in flight, right again {back}{note}"));
}

/// Choices of their own.
const SALT: u64 = 0xfa17;
const PAUSE_MS: std::ops::Range<u64> = 50..400;
const APART_MS: std::ops::Range<u64> = 0..400;
const LOSE_FOR: Duration = Duration::from_millis(300);
/// Purchases that show that money moves again.
const PURCHASES: usize = 3;
const PURCHASES_WITHIN: Duration = Duration::from_secs(90);
/// Viewers whose connections broke come back within this time.
const BACK_WITHIN: Duration = Duration::from_secs(2);
const VIEWERS_WITHIN: Duration = Duration::from_secs(60);
/// As processes of viewers tell where they are.
const TOLD_EVERY: Duration = Duration::from_secs(1);
