//! One stretch of a load: what the crowd saw, and what it cost.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::bench::cpu::{self, Used};
use crate::bench::crowd::{Crowd, Stats, percentile_ms};
use crate::bench::edge::Edge;
use crate::bench::publisher::Publisher;
use crate::bench::report::count;
use crate::bench::sends::Sends;

/// Before anything is counted. Linux acknowledges the first 16 segments after an idle time one by one
/// (TCP_MAX_QUICKACKS), at the sender's cost where both are one machine: a frame then costs up to twice as much.
const WARM: Duration = Duration::from_secs(2);
/// Seats of a batch.
const BATCH_SEATS: u64 = 3;
/// A crowd, or a publisher, that is busy for more of the time than this may be late.
const BUSY: f64 = 0.95;
/// A publisher that is later than this is behind, milliseconds.
const LATE_MS: f64 = 50.0;

pub(super) struct Pass {
    pub(super) stats: Stats,
    seconds: f64,
    frames: u64,
    /// Of gateway or raw loop.
    pub(super) used: Used,
    /// Of the crowd's thread.
    crowd: Used,
    /// How late the publisher was, milliseconds, p99.
    late_ms: f64,
}

impl Pass {
    pub(super) fn frames_per_s(&self) -> f64 {
        count(self.frames) / self.seconds
    }

    pub(super) fn us_a_frame(&self) -> f64 {
        cpu::micros_each(self.used.nanos, self.frames)
    }

    /// How much of a core it took.
    pub(super) fn cores(&self) -> f64 {
        count(self.used.nanos) / 1e9 / self.seconds
    }

    /// Seats with statuses, decoded and applied.
    pub(super) fn changes_per_s(&self) -> f64 {
        count(self.stats.entries) / self.seconds
    }

    /// Share of the changes that a later one in the same frame replaced.
    pub(super) fn conflated(&self) -> f64 {
        let published = (self.stats.batches * BATCH_SEATS).max(1);
        100.0 * (1.0 - count(self.stats.entries) / count(published))
    }

    pub(super) fn bytes_a_change(&self) -> f64 {
        count(self.stats.delta_bytes) / count(self.stats.entries.max(1))
    }

    pub(super) fn changes_a_frame(&self) -> f64 {
        count(self.stats.entries) / count(self.stats.deltas.max(1))
    }

    pub(super) fn entries_a_frame(&self) -> u32 {
        u32::try_from(self.stats.entries / self.stats.deltas.max(1)).unwrap_or(u32::MAX)
    }

    pub(super) fn p50_ms(&self) -> f64 {
        percentile_ms(&self.stats.latency, 50.0)
    }

    pub(super) fn p99_ms(&self) -> f64 {
        percentile_ms(&self.stats.latency, 99.0)
    }

    /// How much of the time the crowd was at work, or wanted to be.
    pub(super) fn crowd_busy(&self) -> f64 {
        count(self.crowd.nanos + self.crowd.waited) / 1e9 / self.seconds
    }

    /// How long sockets that had something waited for their turn in the crowd, p99.
    pub(super) fn crowd_late_ms(&self) -> f64 {
        percentile_ms(&self.stats.cycles, 99.0)
    }

    /// Share of the time that others had the measured core while it was wanted.
    pub(super) fn robbed(&self) -> f64 {
        100.0 * count(self.used.waited) / 1e9 / self.seconds
    }

    pub(super) fn is_behind(&self) -> bool {
        self.crowd_busy() > BUSY || self.late_ms > LATE_MS
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} frames/s at {:.2} us, p50 {:.1} p99 {:.1} ms, crowd busy {:.0} % late {:.1} ms, publisher late \
             {:.1} ms, core taken by others {:.0} %",
            self.frames_per_s(),
            self.us_a_frame(),
            self.p50_ms(),
            self.p99_ms(),
            100.0 * self.crowd_busy(),
            self.crowd_late_ms(),
            self.late_ms,
            self.robbed()
        )
    }
}

/// Changes through Redis and the gateway.
pub(super) fn gateway(
    edge: &Edge,
    crowd: &mut Crowd,
    publisher: &mut Publisher,
    per_second: u32,
    length: Duration,
) -> anyhow::Result<Pass> {
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| publisher.run(per_second, WARM + length));
        crowd.run_for(WARM)?;
        crowd.clear_stats()?;
        let (began, gateway, here) = (Instant::now(), edge.used(0), cpu::used_here());
        crowd.run_for(length)?;
        let (seconds, used, crowd_used) =
            (began.elapsed().as_secs_f64(), edge.used(0).since(gateway), cpu::used_here().since(here));
        let stats = crowd.stats.clone();
        while !sender.is_finished() {
            crowd.step(Duration::from_millis(5))?;
        }
        let sent = sender.join().map_err(|_| anyhow!("the publisher fell"))??;
        let (frames, late_ms) = (stats.frames(), percentile_ms(&sent.late, 99.0));
        Ok(Pass { stats, seconds, frames, used, crowd: crowd_used, late_ms })
    })
}

/// The raw loop.
pub(super) fn raw(
    crowd: &mut Crowd,
    sends: &mut Sends,
    every: Duration,
    entries: u32,
    length: Duration,
) -> anyhow::Result<Pass> {
    sends.run(crowd, every, entries, WARM)?;
    crowd.clear_stats()?;
    let here = cpu::used_here();
    let cost = sends.run(crowd, every, entries, length)?;
    let crowd_used = cpu::used_here().since(here);
    let stats = crowd.stats.clone();
    Ok(Pass { stats, seconds: cost.seconds, frames: cost.frames, used: cost.used, crowd: crowd_used, late_ms: 0.0 })
}
