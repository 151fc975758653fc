//! What a crowd saw since its counters were last cleared.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Times up to a minute in microseconds, three digits.
pub(in crate::bench) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// Milliseconds that `percent` of the recorded times do not exceed.
pub(in crate::bench) fn percentile_ms(times: &Histogram<u64>, percent: f64) -> f64 {
    if times.is_empty() { f64::NAN } else { super::super::report::count(times.value_at_percentile(percent)) / 1_000.0 }
}

/// A WebSocket that ended.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Close {
    pub(in crate::bench) viewer: usize,
    pub(in crate::bench) at: Instant,
    /// `None`: without a close frame.
    pub(in crate::bench) code: Option<u16>,
    /// Of a restart: when to come back.
    pub(in crate::bench) return_after: Duration,
}

/// The counters.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Stats {
    pub(in crate::bench) deltas: u64,
    pub(in crate::bench) snapshots: u64,
    pub(in crate::bench) beats: u64,
    /// Bytes of deltas, WebSocket header and all.
    pub(in crate::bench) delta_bytes: u64,
    /// Length of the last snapshot.
    pub(in crate::bench) snapshot_bytes: u64,
    /// Seats with their statuses that were decoded and applied.
    pub(in crate::bench) entries: u64,
    /// Batches that the applied deltas stand for.
    pub(in crate::bench) batches: u64,
    /// Frames that did not fit the viewer's position; there must be none.
    pub(in crate::bench) gaps: u64,
    /// Times that a viewer was told that its map is not current.
    pub(in crate::bench) stale: u64,
    /// Times that a viewer was told that it is current again.
    pub(in crate::bench) current: u64,
    /// Upgrades refused, by whatever status.
    pub(in crate::bench) refused: u64,
    pub(in crate::bench) closes: Vec<Close>,
    /// From a batch's publication until a viewer had applied it, microseconds, of a sample of the viewers.
    pub(in crate::bench) latency: Histogram<u64>,
    /// From a join's first byte until its first seat frame was applied, microseconds.
    pub(in crate::bench) joins: Histogram<u64>,
    /// How long sockets that had something waited for their turn, at most, microseconds.
    pub(in crate::bench) cycles: Histogram<u64>,
}

impl Stats {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            deltas: 0,
            snapshots: 0,
            beats: 0,
            delta_bytes: 0,
            snapshot_bytes: 0,
            entries: 0,
            batches: 0,
            gaps: 0,
            stale: 0,
            current: 0,
            refused: 0,
            closes: Vec::new(),
            latency: histogram()?,
            joins: histogram()?,
            cycles: histogram()?,
        })
    }

    /// Everything that a fan-out wrote.
    pub(in crate::bench) fn frames(&self) -> u64 {
        self.deltas + self.snapshots
    }
}

/// When each batch of a show was published; written by whoever publishes, read by the viewers of the same process.
#[derive(Debug)]
pub(in crate::bench) struct Published {
    began: Instant,
    first: u64,
    nanos: Vec<AtomicU64>,
}

impl Published {
    /// Room for so many batches after sequence `here`.
    pub(in crate::bench) fn after(here: u64, batches: usize) -> Self {
        let nanos = std::iter::repeat_with(AtomicU64::default).take(batches).collect();
        Self { began: Instant::now(), first: here + 1, nanos }
    }

    pub(in crate::bench) fn note(&self, sequence: u64, at: Instant) {
        if let Some(place) = self.place(sequence) {
            let nanos = u64::try_from(at.duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
            place.store(nanos, Ordering::Relaxed);
        }
    }

    /// How long ago it was; `None` when that was not noted.
    pub(super) fn age(&self, sequence: u64, now: Instant) -> Option<Duration> {
        let nanos = self.place(sequence)?.load(Ordering::Relaxed);
        (nanos > 0).then(|| now.duration_since(self.began).saturating_sub(Duration::from_nanos(nanos)))
    }

    fn place(&self, sequence: u64) -> Option<&AtomicU64> {
        self.nanos.get(usize::try_from(sequence.checked_sub(self.first)?).ok()?)
    }
}
