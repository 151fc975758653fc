//! The report of a run: one schema for every scenario, each key documented in docs/LOADTEST.md. Keys stay; what a
//! scenario does not have is null.

mod machine;
mod page;
mod series;
mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use machine::{Machine, commit, now};
pub use series::{Done, Histograms, Series, Watched};

use super::aftermath::Aftermath;
use super::goals::{Goal, float};
use super::harness::Harness;
use crate::audit::{AuditReport, Check};
use crate::calibrate;
use crate::crowd::{Crowd, Holds};
pub use crate::times::Spread;
use crate::times::Times;
use crate::viewers::Seen;

/// Everything that one run showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub scenario: Cow<'static, str>,
    /// With the same flags it repeats the run's choices, not its timing.
    pub seed: u64,
    /// That a release build was made from; with `-dirty` when files differed from it then.
    pub commit: Option<String>,
    /// When the report was made, RFC 3339.
    #[serde(default)]
    pub date: String,
    pub machine: Machine,
    /// The flags that matter.
    pub options: serde_json::Value,
    /// Of the load, without the start of the stack and the audit.
    pub duration_s: f64,
    /// Whether the run counts: every goal reached, the audit clean, the harness in time.
    pub counts: bool,
    pub goals: Vec<Goal>,
    /// What could not be read after the load.
    #[serde(default)]
    pub missing: Vec<Missing>,
    pub audit: Audit,
    pub viewers: Option<Viewers>,
    /// From a change's publication until a viewer had applied it.
    pub lag_ms: Option<Spread>,
    /// From the moment at which a viewer meant to come until its map was there.
    pub join_ms: Option<Spread>,
    /// From the moment at which an attempt was meant until its answer.
    pub hold_ms: Option<Spread>,
    /// From the moment at which a purchase was meant to begin until it was confirmed.
    #[serde(default)]
    pub booking_ms: Option<Spread>,
    pub holds: Option<Holds>,
    pub payments: Option<Payments>,
    pub calibration: Option<Calibration>,
    pub ratios: Option<Ratios>,
    pub rss_kib_per_viewer: Option<f64>,
    pub harness: Harness,
    /// What this scenario alone measures, by name.
    #[serde(default, deserialize_with = "crate::times::nans_when_null")]
    pub figures: BTreeMap<Cow<'static, str>, f64>,
    pub faults: Vec<FaultLine>,
    #[serde(default)]
    pub histograms: Histograms,
    /// What happened in each second.
    #[serde(default)]
    pub series: Option<Series>,
}

/// A part of the report that could not be read. The run does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub figure: String,
    pub why: String,
}

/// What the audit found, with the checks of what was told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Audit {
    pub violations: u64,
    #[serde(flatten)]
    pub report: AuditReport,
}

/// What became of the viewers. Frames are counted over all of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Viewers {
    /// Who had the map at the end.
    pub connected: u64,
    /// Whose map at the end is not the ledger's, or whose history breaks the delta rule.
    pub diverged: u64,
    pub resumed_by_catch_up: u64,
    pub resumed_by_snapshot: u64,
    /// Connections that ended, by the viewer, by the gateway or by a fault.
    pub reconnects: u64,
    /// Times that somebody stopped reading, or hid the page, for a while.
    pub stalls: u64,
    pub hides: u64,
    pub deltas: u64,
    /// Of the deltas: the first after a resume, a stall or a hidden page.
    pub catch_ups: u64,
    pub snapshots: u64,
    pub beats: u64,
    /// Seat changes that viewers decoded and applied.
    pub changes: u64,
    pub frames_per_s: f64,
    /// Of the viewer with the fewest, among those who stayed all the time.
    #[serde(deserialize_with = "crate::times::nan_when_null")]
    pub frames_per_s_least: f64,
    /// Processes that played them.
    pub processes: u64,
}

/// How many payments came to what: captured = booked + refunded + open.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Payments {
    pub captured: u64,
    pub booked: u64,
    pub refunded: u64,
    /// Neither; 0 at rest.
    pub open: u64,
    /// Paid after the booking's end, the seats were free; some were cancelled later.
    pub rescued: u64,
    /// Of the refunded ones: paid after the booking's end, somebody else had the seats.
    pub refunded_late: u64,
    /// Of the refunded ones: for a booking that was paid already.
    pub refunded_double: u64,
    pub refunded_wrong_amount: u64,
    /// Of the refunded ones: for a confirmed booking that was cancelled.
    pub refunded_cancelled: u64,
    /// Of all: no webhook ever told of them.
    pub found_by_reconciliation: u64,
    /// Of all: a webhook about them was accepted more than once.
    pub duplicated: u64,
    /// Webhooks accepted beyond the first of each event.
    pub duplicates_received: u64,
}

/// What the machine did at most, just before the run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Calibration {
    pub send_us: f64,
    pub frames_per_s: f64,
    pub redis_holds_per_s: f64,
    pub pg_transactions_per_s: f64,
}

/// The run's figures as parts of what the machine does at most.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ratios {
    /// Processor time of the gateways for a frame, in raw sends.
    pub cpu_per_frame: Option<f64>,
    pub frames_per_s: Option<f64>,
    pub holds: Option<f64>,
    pub bookings: Option<f64>,
}

impl Ratios {
    /// Holds and bookings of a crowd; it is not about frames.
    pub(super) fn of_purchases(machine: &Calibration, crowd: &Crowd, seconds: f64) -> Self {
        let per_second = |count: u64| float(count) / seconds;
        Self {
            cpu_per_frame: None,
            frames_per_s: None,
            holds: Some(per_second(crowd.holds().attempts()) / machine.redis_holds_per_s),
            bookings: Some(per_second(crowd.told.confirmed() as u64) / machine.pg_transactions_per_s),
        }
    }
}

/// One fault that met work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultLine {
    pub name: String,
    pub at_s: f64,
    /// Commands and payments that customers waited for when it was fired.
    pub in_flight: usize,
    /// Until all was right again; none when that never came.
    pub back_to_normal_s: Option<f64>,
    pub bound_s: f64,
    /// Another fault was in effect at the same time.
    pub overlapping: bool,
    /// What must hold.
    pub hypothesis: Cow<'static, str>,
    pub note: String,
}

impl FaultLine {
    pub fn is_late(&self) -> bool {
        self.back_to_normal_s.is_none_or(|back| back > self.bound_s)
    }
}

impl Viewers {
    pub fn resumed_percent(&self) -> f64 {
        100.0 * float(self.resumed_by_catch_up) / float(self.resumed_by_catch_up + self.resumed_by_snapshot)
    }
}

impl From<&calibrate::Calibration> for Calibration {
    fn from(measured: &calibrate::Calibration) -> Self {
        Self {
            send_us: measured.send_us,
            frames_per_s: measured.frames_per_s,
            redis_holds_per_s: measured.redis_holds_per_s_pipelined,
            pg_transactions_per_s: measured.pg_transactions_per_s_16,
        }
    }
}

impl Audit {
    /// With the checks of what was told beside the audit's own.
    pub fn new(mut report: AuditReport, told: Vec<Check>) -> Self {
        report.checks.extend(told);
        Self { violations: report.checks.iter().map(|check| check.violations).sum(), report }
    }
}

impl Report {
    /// With nothing measured yet.
    pub(super) fn of(scenario: &'static str, seed: u64, duration_s: f64, after: Aftermath, harness: Harness) -> Self {
        let (audit, missing) = after.told();
        Self {
            scenario: scenario.into(),
            seed,
            commit: commit(),
            date: now(),
            machine: Machine::here(),
            options: serde_json::Value::Null,
            duration_s,
            counts: false,
            goals: Vec::new(),
            missing,
            audit,
            viewers: None,
            lag_ms: None,
            join_ms: None,
            hold_ms: None,
            booking_ms: None,
            holds: None,
            payments: None,
            calibration: None,
            ratios: None,
            rss_kib_per_viewer: None,
            harness,
            figures: BTreeMap::new(),
            faults: Vec::new(),
            histograms: Histograms::default(),
            series: None,
        }
    }

    /// How customers fared, and how long whole purchases took, where there are any.
    #[must_use]
    pub(super) fn customers(mut self, crowd: &Crowd, done: &[Done], purchases: Option<&Times>) -> Self {
        (self.holds, self.hold_ms) = (Some(crowd.holds()), crowd.hold_times.spread());
        self.histograms.hold = crowd.hold_times.buckets();
        self.booking_ms = purchases.and_then(Times::spread);
        self.histograms.booking = purchases.and_then(Times::buckets);
        self.series = Some(Series::of(done, &BTreeMap::new()));
        self
    }

    /// What viewers saw, if that is known.
    #[must_use]
    pub(super) fn seen(mut self, seen: Option<Seen>, done: &[Done]) -> Self {
        if let Some(seen) = seen {
            (self.lag_ms, self.join_ms) = (seen.lag.spread(), seen.joins.spread());
            (self.histograms.lag, self.histograms.join) = (seen.lag.buckets(), seen.joins.buckets());
            self.series = Some(Series::of(done, &seen.watched));
            self.viewers = Some(seen.viewers);
        }
        self
    }

    /// What this scenario alone measured.
    #[must_use]
    pub(super) fn figures(mut self, figures: impl IntoIterator<Item = (impl Into<Cow<'static, str>>, f64)>) -> Self {
        self.figures.extend(figures.into_iter().map(|(name, value)| (name.into(), value)));
        self
    }

    /// # Errors
    /// With a sentence for everything that keeps the run from counting.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let failures = self.failures();
        anyhow::ensure!(failures.is_empty(), "this run does not count: {}", failures.join("; "));
        Ok(())
    }

    fn failures(&self) -> Vec<String> {
        let missed = self.goals.iter().filter(|goal| !goal.met);
        let mut failures: Vec<String> = missed
            .map(|goal| goal.to_string().trim_start_matches("FAIL ").split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        failures.extend(self.missing.iter().map(Missing::to_string));
        failures.extend(self.audit.report.violated().map(|check| format!("{} is violated", check.name)));
        if self.harness.lagged {
            failures.push("the harness lagged, so the times are not the product's alone".to_owned());
        }
        failures
    }

    /// To be called when everything else is filled in.
    #[must_use]
    pub fn judged(mut self, limits: &super::goals::Limits) -> Self {
        self.goals.extend(limits.goals(&self));
        self.counts = self.failures().is_empty();
        self
    }
}

/// For people.
fn commit_text(report: &Report) -> &str {
    report.commit.as_deref().unwrap_or("unknown")
}

#[cfg(test)]
mod tests;
