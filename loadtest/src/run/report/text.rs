//! The report for people: first what was checked, then what happened, last the goals and the verdict.

use std::fmt;

use super::super::goals::figure;
use super::{Calibration, FaultLine, Missing, Payments, Ratios, Report, Spread, Viewers};
use crate::crowd::Holds;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.audit.report)?;
        let commit = self.commit.as_deref().unwrap_or("unknown");
        writeln!(f, "\n{}  seed {}  commit {commit}  {:.1} s", self.scenario, self.seed, self.duration_s)?;
        let machine = &self.machine;
        let (cores, cpu, build, load) = (machine.cores, &machine.cpu, &machine.build, machine.load_average);
        writeln!(f, "{build} build, {cores} cores ({cpu}), load average {load:.1}")?;
        faults(f, &self.faults)?;
        writeln!(f)?;
        if let Some(viewers) = &self.viewers {
            write!(f, "{viewers}")?;
        }
        let times = [
            ("change to viewer", self.lag_ms),
            ("join", self.join_ms),
            ("hold", self.hold_ms),
            ("purchase", self.booking_ms),
        ];
        for (name, spread) in times {
            if let Some(Spread { p50, p95, p99, max }) = spread {
                writeln!(f, "{name:<16}  p50 {p50:.1} ms, p95 {p95:.1}, p99 {p99:.1}, max {max:.1}")?;
            }
        }
        if let Some(Holds { granted, refused, expired, errors, contended, seats }) = self.holds {
            writeln!(f, "holds             granted {granted}, refused {refused}, expired {expired}, errors {errors}")?;
            writeln!(f, "                  contended {contended}, for {seats} different seats")?;
        }
        if let Some(payments) = &self.payments {
            write!(f, "{payments}")?;
        }
        for (name, value) in &self.figures {
            writeln!(f, "{:<32}  {}", name.replace('_', " "), figure(*value))?;
        }
        if let Some(kib) = self.rss_kib_per_viewer {
            writeln!(f, "memory            {kib:.2} KiB of the gateways a viewer")?;
        }
        if let Some(calibration) = &self.calibration {
            write!(f, "{calibration}")?;
        }
        if let Some(ratios) = &self.ratios {
            write!(f, "{ratios}")?;
        }
        let lagged = if self.harness.lagged { ": it lagged" } else { "" };
        let (cores, behind) = (self.harness.cpu_cores, self.harness.behind_ms);
        writeln!(f, "harness           {cores:.2} cores, behind p99 {behind:.1} ms{lagged}\n")?;
        for goal in &self.goals {
            writeln!(f, "{goal}")?;
        }
        if self.counts {
            return writeln!(f, "\nThis run counts: the audit is clean and every goal was reached.");
        }
        writeln!(f, "\nThis run does not count:")?;
        self.failures().iter().try_for_each(|failure| writeln!(f, "  {failure}"))
    }
}

fn faults(f: &mut fmt::Formatter<'_>, faults: &[FaultLine]) -> fmt::Result {
    if !faults.is_empty() {
        writeln!(f, "\n{:>7}  {:<38} {:>9} {:>8} {:>8}", "at s", "fault", "in flight", "back s", "bound s")?;
    }
    for fault in faults {
        let back = fault.back_to_normal_s.map_or_else(|| "never".to_owned(), |back| format!("{back:.1}"));
        let late = if fault.is_late() { "late" } else { "" };
        let name = if fault.overlapping { format!("+ {}", fault.name) } else { fault.name.clone() };
        let FaultLine { at_s, in_flight, bound_s, note, .. } = fault;
        let line = format!("{at_s:>7.1}  {name:<38} {in_flight:>9} {back:>8} {bound_s:>8} {late:<4} {note}");
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} can't be told: {}", self.figure, self.why)
    }
}

impl fmt::Display for Viewers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connected, diverged, processes, reconnects, stalls, hides, .. } = self;
        writeln!(f, "viewers           connected {connected}, diverged {diverged}, played by {processes} processes")?;
        let Self { resumed_by_catch_up, resumed_by_snapshot, .. } = self;
        writeln!(f, "                  dropped and came back {reconnects}, stalled {stalls}, hid {hides}")?;
        write!(f, "                  resumed by catch-up {resumed_by_catch_up}, by snapshot {resumed_by_snapshot}")?;
        if self.resumed_percent().is_finite() {
            write!(f, " ({:.1} % without)", self.resumed_percent())?;
        }
        let Self { deltas, catch_ups, snapshots, beats, changes, .. } = self;
        writeln!(
            f,
            "\nframes            deltas {deltas} ({catch_ups} catch-ups), snapshots {snapshots}, beats {beats}"
        )?;
        let (all, least) = (self.frames_per_s, self.frames_per_s_least);
        write!(f, "                  {all:.0} a second, ")?;
        if least.is_finite() {
            write!(f, "at least {least:.1} to each who stayed; ")?;
        }
        writeln!(f, "{changes} seat changes")
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { send_us, frames_per_s, redis_holds_per_s, pg_transactions_per_s } = self;
        write!(f, "this machine      one send {send_us:.2} us, {frames_per_s:.0} frames/s, ")?;
        writeln!(f, "{redis_holds_per_s:.0} scripts/s, {pg_transactions_per_s:.0} transactions/s")
    }
}

impl fmt::Display for Ratios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [
            ("CPU of a frame", self.cpu_per_frame),
            ("frames/s", self.frames_per_s),
            ("holds/s", self.holds),
            ("bookings/s", self.bookings),
        ];
        let known = known.into_iter().filter_map(|(name, ratio)| Some(format!("{name} {:.3}", ratio?)));
        writeln!(f, "beside it         {}", known.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Payments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { captured, booked, refunded, open, rescued, .. } = self;
        writeln!(f, "payments          captured {captured} = booked {booked} + refunded {refunded} + open {open}")?;
        writeln!(f, "                  rescued {rescued}: paid late, their seats still free")?;
        let Self { refunded_late, refunded_double, refunded_wrong_amount, refunded_cancelled, .. } = self;
        writeln!(
            f,
            "                  of the refunded late {refunded_late}, double {refunded_double}, wrong amount \
             {refunded_wrong_amount}, cancelled {refunded_cancelled}"
        )?;
        let Self { found_by_reconciliation, duplicated, duplicates_received, .. } = self;
        writeln!(
            f,
            "                  found by reconciliation {found_by_reconciliation}, told of more than once {duplicated} \
             ({} webhooks)",
            figure(super::super::goals::float(*duplicates_received))
        )
    }
}
