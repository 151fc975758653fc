//! Viewers whose connections ended and who come back, each at its own time, with the maps that they have.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use crate::bench::crowd::{Close, Crowd, Join, TakenUp};
use crate::bench::publisher::Publisher;
use crate::bench::report::count;

const PATIENCE: Duration = Duration::from_secs(60);
/// Without a word from the gateway about it.
const AWAY: Duration = Duration::from_secs(1);

/// Who is away, and how those that came back were taken up.
pub(super) struct Herd {
    /// How each viewer joins when it comes back.
    joins: Vec<Join>,
    away: BinaryHeap<Reverse<(Instant, usize)>>,
    back: Vec<usize>,
    /// Closes that were looked at.
    seen: usize,
    pub(super) closes: Vec<Close>,
    pub(super) resumed: u64,
    pub(super) snapshots: u64,
}

impl Herd {
    pub(super) fn new(joins: Vec<Join>) -> Self {
        let (away, back, closes) = (BinaryHeap::new(), Vec::new(), Vec::new());
        Self { joins, away, back, seen: 0, closes, resumed: 0, snapshots: 0 }
    }

    pub(super) fn comes_back(&mut self, viewer: usize, at: Instant) {
        self.away.push(Reverse((at, viewer)));
    }

    pub(super) fn resumed_percent(&self) -> f64 {
        100.0 * count(self.resumed) / count((self.resumed + self.snapshots).max(1))
    }

    /// Reads, and lets viewers come back, those too whose connections end meanwhile, until so many were back and live.
    pub(super) fn run(&mut self, crowd: &mut Crowd, expected: usize) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut whole = 0;
        while whole < expected {
            if Instant::now() > end {
                bail!("{whole} of {expected} came back, {} were refused", crowd.stats.refused);
            }
            for close in crowd.stats.closes.get(self.seen..).unwrap_or_default() {
                self.closes.push(*close);
                let after = if close.code.is_some() { close.return_after } else { AWAY };
                self.away.push(Reverse((close.at + after, close.viewer)));
            }
            self.seen = crowd.stats.closes.len();
            while let Some(Reverse((at, viewer))) = self.away.peek().copied().filter(|r| r.0.0 <= Instant::now()) {
                self.away.pop();
                self.rejoin(crowd, viewer).with_context(|| format!("viewer {viewer}, due at {at:?}"))?;
            }
            crowd.step(Duration::from_millis(2))?;
            whole += self.take_live(crowd);
        }
        Ok(())
    }

    fn rejoin(&mut self, crowd: &mut Crowd, viewer: usize) -> anyhow::Result<()> {
        let mut join = self.joins.get(viewer).context("a viewer that was never to come back")?.clone();
        let maps = crowd.viewers().get(viewer).map(|viewer| &viewer.maps);
        for ((_, position), map) in join.shows.iter_mut().zip(maps.into_iter().flatten()) {
            *position = map.position;
        }
        crowd.rejoin(viewer, &join)?;
        self.back.push(viewer);
        Ok(())
    }

    /// How many of those that are back have become live since the last look.
    fn take_live(&mut self, crowd: &Crowd) -> usize {
        let before = self.back.len();
        let Self { back, resumed, snapshots, .. } = self;
        back.retain(|number| {
            let Some(viewer) = crowd.viewers().get(*number).filter(|viewer| viewer.is_live()) else { return true };
            let by_snapshot = viewer.maps.iter().any(|map| map.taken_up == Some(TakenUp::Snapshot));
            *(if by_snapshot { &mut *snapshots } else { &mut *resumed }) += 1;
            false
        });
        before - self.back.len()
    }
}

/// Seats change while `act` runs.
pub(super) fn while_changing(
    publisher: &mut Publisher,
    per_second: u32,
    act: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stop = publisher.stop();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| publisher.run(per_second, PATIENCE * 5));
        let result = act();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        sender.join().map_err(|_| anyhow!("the publisher fell"))??;
        result
    })
}
