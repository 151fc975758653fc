//! The report of a run: keys that stay, each documented in docs/LOADTEST.md. A part that a scenario does not have is
//! left out.

use std::fmt;

use serde::Serialize;

use crate::audit::{AuditReport, Check};
use crate::crowd::Holds;

/// Everything that one run showed.
#[derive(Debug, Serialize)]
pub struct Report {
    pub scenario: &'static str,
    /// With the same flags it repeats the run's choices, not its timing.
    pub seed: u64,
    /// Of the source tree that the program was built in; with `-dirty` when it was changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Of the load, without the start of the stack and the audit.
    pub duration_s: f64,
    pub goals: Vec<Goal>,
    pub audit: Audit,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payments: Option<Payments>,
    pub harness: Harness,
    pub faults: Vec<FaultLine>,
}

/// Something without which the run does not count.
#[derive(Debug, Clone, Serialize)]
pub struct Goal {
    pub name: &'static str,
    /// At least so much.
    pub target: f64,
    pub value: f64,
    pub met: bool,
}

/// What the audit found, with the checks of what was told.
#[derive(Debug, Serialize)]
pub struct Audit {
    pub violations: u64,
    #[serde(flatten)]
    pub report: AuditReport,
}

/// How many payments came to what: captured = booked + refunded + open.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Payments {
    pub captured: u64,
    pub booked: u64,
    pub refunded: u64,
    /// Neither; 0 at rest.
    pub open: u64,
    /// Of the booked ones: paid after the booking's end, the seats were free.
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

/// What the harness itself used.
#[derive(Debug, Clone, Serialize)]
pub struct Harness {
    pub cpu_cores: f64,
}

/// One fault that met work.
#[derive(Debug, Clone, Serialize)]
pub struct FaultLine {
    pub name: String,
    pub at_s: f64,
    /// Commands and payments that customers waited for when it was fired.
    pub in_flight: usize,
    /// Until purchases came through again; none when the run ended before.
    pub back_to_normal_s: Option<f64>,
    pub bound_s: f64,
}

impl Goal {
    pub fn at_least(name: &'static str, target: u64, value: u64) -> Self {
        Self { name, target: float(target), value: float(value), met: value >= target }
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
    /// # Errors
    /// With a sentence for everything that keeps the run from counting.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let missed = self.goals.iter().filter(|goal| !goal.met);
        let mut failures: Vec<String> =
            missed.map(|goal| format!("{} {}, at least {} needed", goal.name, goal.value, goal.target)).collect();
        failures.extend(self.audit.report.violated().map(|check| format!("{} is violated", check.name)));
        anyhow::ensure!(failures.is_empty(), "this run does not count: {}", failures.join("; "));
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.audit.report)?;
        let commit = self.commit.as_deref().unwrap_or("unknown");
        writeln!(f, "\n{}  seed {}  commit {commit}  {:.1} s", self.scenario, self.seed, self.duration_s)?;
        if !self.faults.is_empty() {
            writeln!(f, "\n{:>7}  {:<20} {:>9} {:>8} {:>8}", "at s", "fault", "in flight", "back s", "bound s")?;
        }
        for FaultLine { name, at_s, in_flight, back_to_normal_s, bound_s } in &self.faults {
            let back = back_to_normal_s.map_or_else(|| "-".to_owned(), |back| format!("{back:.1}"));
            let late = if back_to_normal_s.is_some_and(|back| back > *bound_s) { "late" } else { "" };
            let line = format!("{at_s:>7.1}  {name:<20} {in_flight:>9} {back:>8} {bound_s:>8} {late}");
            writeln!(f, "{}", line.trim_end())?;
        }
        if let Some(Holds { granted, refused, expired, errors }) = self.holds {
            writeln!(f, "\nholds     granted {granted}, refused {refused}, expired {expired}, errors {errors}")?;
        }
        if let Some(payments) = &self.payments {
            write!(f, "{payments}")?;
        }
        writeln!(f, "harness   {:.2} cores\n", self.harness.cpu_cores)?;
        for Goal { name, target, value, met } in &self.goals {
            let mark = if *met { "ok  " } else { "FAIL" };
            writeln!(f, "{mark} {name:<28} {value:>8}  at least {target:>8}")?;
        }
        match self.verdict() {
            Ok(()) => writeln!(f, "\nThis run counts: the audit is clean and every goal was reached."),
            Err(_) => writeln!(f, "\nThis run does not count."),
        }
    }
}

impl fmt::Display for Payments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { captured, booked, refunded, open, rescued, .. } = self;
        writeln!(f, "payments  captured {captured} = booked {booked} + refunded {refunded} + open {open}")?;
        writeln!(f, "          rescued {rescued} of the booked")?;
        let Self { refunded_late, refunded_double, refunded_wrong_amount, refunded_cancelled, .. } = self;
        writeln!(
            f,
            "          of the refunded late {refunded_late}, double {refunded_double}, wrong amount \
             {refunded_wrong_amount}, cancelled {refunded_cancelled}"
        )?;
        let Self { found_by_reconciliation, duplicated, duplicates_received, .. } = self;
        writeln!(
            f,
            "          found by reconciliation {found_by_reconciliation}, told of more than once {duplicated} \
             ({duplicates_received} webhooks)"
        )
    }
}

/// Of the source tree that this program was built in.
pub(super) fn commit() -> Option<String> {
    let mut git = std::process::Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(goal: Goal, violations: u64) -> Report {
        let mut check = Check::new("nothing_is_lost", "11");
        (0..violations).for_each(|row| check.violated(row));
        let audit = AuditReport { checks: vec![check], money: Vec::new(), counts: std::collections::BTreeMap::new() };
        Report {
            scenario: "test",
            seed: 1,
            commit: None,
            duration_s: 1.0,
            goals: vec![goal],
            audit: Audit::new(audit, Vec::new()),
            holds: None,
            payments: Some(Payments::default()),
            harness: Harness { cpu_cores: 0.1 },
            faults: Vec::new(),
        }
    }

    #[test]
    fn a_run_counts_only_when_its_goals_are_reached_and_the_audit_is_clean() {
        assert!(report(Goal::at_least("rescued", 3, 3), 0).verdict().is_ok());
        let missed = report(Goal::at_least("rescued", 3, 2), 0).verdict().unwrap_err().to_string();
        assert_eq!(missed, "this run does not count: rescued 2, at least 3 needed");
        let violated = report(Goal::at_least("rescued", 3, 3), 2);
        assert_eq!(violated.audit.violations, 2);
        assert!(violated.verdict().unwrap_err().to_string().contains("nothing_is_lost is violated"));
    }

    #[test]
    fn keys_stay_and_parts_that_are_not_there_are_left_out() {
        let json = serde_json::to_value(report(Goal::at_least("rescued", 3, 3), 0)).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["audit", "duration_s", "faults", "goals", "harness", "payments", "scenario", "seed"]);
        let keys = |part: &serde_json::Value| part.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&json["goals"][0]), ["met", "name", "target", "value"]);
        assert_eq!(keys(&json["audit"]), ["checks", "counts", "money", "violations"]);
    }
}
