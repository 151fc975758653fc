//! What a crowd saw since its counters were last cleared.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use seatwire_protocol::Position;

/// Times up to a minute in microseconds, three digits.
pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// Milliseconds that `percent` of the recorded times do not exceed.
pub(crate) fn percentile_ms(times: &Histogram<u64>, percent: f64) -> f64 {
    if times.is_empty() { f64::NAN } else { super::super::report::count(times.value_at_percentile(percent)) / 1_000.0 }
}

/// A WebSocket that ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Close {
    pub(crate) viewer: usize,
    pub(crate) at: Instant,
    /// `None`: without a close frame.
    pub(crate) code: Option<u16>,
    /// Of a restart: when to come back.
    pub(crate) return_after: Duration,
}

/// The counters.
#[derive(Debug, Clone)]
pub(crate) struct Stats {
    pub(crate) deltas: u64,
    pub(crate) snapshots: u64,
    pub(crate) beats: u64,
    /// Bytes of deltas, WebSocket header and all.
    pub(crate) delta_bytes: u64,
    /// Length of the last snapshot.
    pub(crate) snapshot_bytes: u64,
    /// Seats with their statuses that were decoded and applied.
    pub(crate) entries: u64,
    /// Batches that the applied deltas stand for.
    pub(crate) batches: u64,
    /// Of the deltas: the first after a resume, a stall or a hidden page.
    pub(crate) catch_ups: u64,
    /// Frames that no viewer may get: gaps, steps back. There must be none.
    pub(crate) violations_total: u64,
    /// The first ones, each with the viewer's last frames.
    pub(crate) violations: Vec<String>,
    /// Errors that viewers were told; the first ones.
    pub(crate) errors: Vec<String>,
    /// Times that a viewer was told that its map is not current.
    pub(crate) stale: u64,
    /// Times that a viewer was told that it is current again.
    pub(crate) current: u64,
    /// Upgrades refused, by whatever status.
    pub(crate) refused: u64,
    pub(crate) closes: Vec<Close>,
    /// From a batch's publication until a viewer had applied it, microseconds, of a sample of the viewers.
    pub(crate) latency: Histogram<u64>,
    /// From a join's first byte until its first seat frame was applied, microseconds.
    pub(crate) joins: Histogram<u64>,
    /// How long sockets that had something waited for their turn, at most, microseconds.
    pub(crate) cycles: Histogram<u64>,
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
            catch_ups: 0,
            violations_total: 0,
            violations: Vec::new(),
            errors: Vec::new(),
            stale: 0,
            current: 0,
            refused: 0,
            closes: Vec::new(),
            latency: histogram()?,
            joins: histogram()?,
            cycles: histogram()?,
        })
    }

    pub(super) fn violated(&mut self, what: String) {
        self.violations_total += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(what);
        }
    }

    /// Everything that a fan-out wrote.
    pub(crate) fn frames(&self) -> u64 {
        self.deltas + self.snapshots
    }
}

/// When the latest batches of a show were published; written by whoever publishes or listens in, read by the viewers of
/// the same process.
#[derive(Debug)]
pub(crate) struct Published {
    began: Instant,
    /// By sequence, in turn.
    batches: Vec<Batch>,
}

#[derive(Debug, Default)]
struct Batch {
    /// Generation and sequence.
    position: AtomicU64,
    nanos: AtomicU64,
}

impl Published {
    /// Remembers so many batches.
    pub(crate) fn with_room(batches: usize) -> Self {
        Self { began: Instant::now(), batches: std::iter::repeat_with(Batch::default).take(batches.max(1)).collect() }
    }

    /// The first time counts: a message may come again.
    pub(crate) fn note(&self, position: Position, at: Instant) {
        let batch = self.place(position);
        if let Some(batch) = batch.filter(|batch| batch.position.load(Ordering::Acquire) != packed(position)) {
            let nanos = u64::try_from(at.duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
            batch.nanos.store(nanos, Ordering::Release);
            batch.position.store(packed(position), Ordering::Release);
        }
    }

    /// How long ago it was; `None` when that was not noted.
    pub(super) fn age(&self, position: Position, now: Instant) -> Option<Duration> {
        let batch = self.place(position)?;
        let known = batch.position.load(Ordering::Acquire) == packed(position);
        let nanos = batch.nanos.load(Ordering::Acquire);
        known.then(|| now.duration_since(self.began).saturating_sub(Duration::from_nanos(nanos)))
    }

    fn place(&self, position: Position) -> Option<&Batch> {
        let length = self.batches.len() as u64;
        self.batches.get(usize::try_from(position.sequence % length).ok()?)
    }
}

/// Never 0: sequences begin with 1. Generations are small.
fn packed(position: Position) -> u64 {
    (position.generation << 44) ^ position.sequence
}

const VIOLATIONS_MAX: usize = 20;
