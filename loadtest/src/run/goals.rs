//! Goals: what a scenario needs for its run to count, and what the caller asks of it by flags.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::flags;
use super::report::Report;

/// Something without which the run does not count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Goal {
    pub name: String,
    pub bound: Bound,
    #[serde(deserialize_with = "crate::times::nan_when_null")]
    pub target: f64,
    /// NaN, null in JSON: it was not measured.
    #[serde(deserialize_with = "crate::times::nan_when_null")]
    pub value: f64,
    pub met: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtLeast,
    AtMost,
}

impl Goal {
    pub fn at_least(name: &str, target: u64, value: u64) -> Self {
        Self::least(name, float(target), float(value))
    }

    pub fn at_most(name: &str, target: f64, value: f64) -> Self {
        Self { name: name.to_owned(), bound: Bound::AtMost, target, value, met: value <= target }
    }

    pub fn least(name: &str, target: f64, value: f64) -> Self {
        Self { name: name.to_owned(), bound: Bound::AtLeast, target, value, met: value >= target }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, bound, target, value, met } = self;
        let bound = if *bound == Bound::AtLeast { "at least" } else { "at most" };
        let mark = if *met { "ok  " } else { "FAIL" };
        let value = if value.is_nan() { "not measured".to_owned() } else { figure(*value) };
        write!(f, "{mark} {name:<36} {value:>12}  {bound} {}", figure(*target))
    }
}

/// What only some scenarios measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) viewers: bool,
    /// Of gateways that are never restarted, on a machine that was calibrated.
    pub(super) cpu_per_frame: bool,
}

/// Goals by flags; a figure that was not measured misses its goal.
#[derive(Debug, Clone, Default, Args)]
pub struct Limits {
    /// Half of the seat changes reach their viewers within this time, such as 20ms.
    #[arg(long, env = "SEATWIRE_RUN_MAX_LAG_P50", value_name = "TIME")]
    pub max_lag_p50: Option<Time>,
    /// 99 of 100 seat changes reach their viewers within this time, such as 100ms.
    #[arg(long, env = "SEATWIRE_RUN_MAX_LAG_P99", value_name = "TIME")]
    pub max_lag_p99: Option<Time>,
    /// 99 of 100 viewers have the map within this time of the moment at which they meant to come.
    #[arg(long, env = "SEATWIRE_RUN_MAX_JOIN_P99", value_name = "TIME")]
    pub max_join_p99: Option<Time>,
    /// 99 of 100 attempts to hold seats are answered within this time.
    #[arg(long, env = "SEATWIRE_RUN_MAX_HOLD_P99", value_name = "TIME")]
    pub max_hold_p99: Option<Time>,
    /// Every viewer who stays gets so many frames a second.
    #[arg(long, env = "SEATWIRE_RUN_MIN_FRAMES", value_name = "N", value_parser = flags::number)]
    pub min_frames: Option<f64>,
    /// Reconnects that resume without a snapshot, percent.
    #[arg(long, env = "SEATWIRE_RUN_MIN_RESUMED", value_name = "PERCENT", value_parser = flags::percent)]
    pub min_resumed: Option<f64>,
    /// Memory of the gateways for each viewer.
    #[arg(long, env = "SEATWIRE_RUN_MAX_RSS", value_name = "KIB", value_parser = flags::number)]
    pub max_rss_kib_per_viewer: Option<f64>,
    /// Processor time of a gateway for a frame, in sends of the same machine.
    #[arg(long, env = "SEATWIRE_RUN_MAX_CPU_PER_FRAME", value_name = "RATIO", value_parser = flags::number)]
    pub max_cpu_per_frame: Option<f64>,
    /// Faults that may take longer than their bound.
    #[arg(long, env = "SEATWIRE_RUN_MAX_LATE_FAULTS", value_name = "N")]
    pub max_late_faults: Option<u32>,
    /// The harness itself may be so late, for the 99th of 100 things that it meant to do.
    #[arg(long, env = "SEATWIRE_RUN_MAX_BEHIND", default_value = "250ms", value_name = "TIME")]
    pub max_behind: Time,
}

impl Limits {
    /// Before the run: whether every goal is for something that it will measure.
    pub(super) fn ensure_measured(&self, measured: Measured) -> anyhow::Result<()> {
        let of_viewers = [
            ("--max-lag-p50", self.max_lag_p50.is_some()),
            ("--max-lag-p99", self.max_lag_p99.is_some()),
            ("--max-join-p99", self.max_join_p99.is_some()),
            ("--min-frames", self.min_frames.is_some()),
            ("--min-resumed", self.min_resumed.is_some()),
            ("--max-rss-kib-per-viewer", self.max_rss_kib_per_viewer.is_some()),
        ];
        let unknown = of_viewers.iter().find(|(_, given)| *given && !measured.viewers);
        anyhow::ensure!(
            unknown.is_none(),
            "{}: this scenario has no viewers, so the goal could never be reached",
            unknown.map_or("", |(flag, _)| *flag)
        );
        anyhow::ensure!(
            self.max_cpu_per_frame.is_none() || measured.cpu_per_frame,
            "--max-cpu-per-frame: needs a scenario with viewers, no faults or restarts, and --calibrate above 0"
        );
        Ok(())
    }

    /// One goal for each flag that was given.
    pub(super) fn goals(&self, report: &Report) -> Vec<Goal> {
        let mut goals = Vec::new();
        let mut most = |name: &str, limit: Option<f64>, value: Option<f64>| {
            goals.extend(limit.map(|limit| Goal::at_most(name, limit, value.unwrap_or(f64::NAN))));
        };
        let (lag, join, hold) = (report.lag_ms, report.join_ms, report.hold_ms);
        most("seat change to viewer p50, ms", self.max_lag_p50.map(Time::ms), lag.map(|lag| lag.p50));
        most("seat change to viewer p99, ms", self.max_lag_p99.map(Time::ms), lag.map(|lag| lag.p99));
        most("join p99, ms", self.max_join_p99.map(Time::ms), join.map(|join| join.p99));
        most("hold p99, ms", self.max_hold_p99.map(Time::ms), hold.map(|hold| hold.p99));
        most("RSS a viewer, KiB", self.max_rss_kib_per_viewer, report.rss_kib_per_viewer);
        let ratio = report.ratios.as_ref().and_then(|ratios| ratios.cpu_per_frame);
        most("CPU of a frame, in raw sends", self.max_cpu_per_frame, ratio);
        let late = report.faults.iter().filter(|fault| fault.is_late()).count();
        most("faults later than their bound", self.max_late_faults.map(f64::from), Some(float(late as u64)));
        most("harness behind p99, ms", Some(self.max_behind.ms()), Some(report.harness.behind_ms));
        let viewers = report.viewers.as_ref();
        let mut least = |name: &str, limit: Option<f64>, value: Option<f64>| {
            goals.extend(limit.map(|limit| Goal::least(name, limit, value.unwrap_or(f64::NAN))));
        };
        least("frames a second and viewer, least", self.min_frames, viewers.map(|viewers| viewers.frames_per_s_least));
        least("resumed without snapshot, %", self.min_resumed, viewers.map(super::report::Viewers::resumed_percent));
        goals
    }
}

/// A time on the command line: `100ms`, `2s`, `1.5s`, `10m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time(pub Duration);

impl Time {
    pub fn ms(self) -> f64 {
        self.0.as_secs_f64() * 1_000.0
    }
}

impl FromStr for Time {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected a time, such as 100ms, 2s, 10m or 1h";
        let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
        let known = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)));
        let (number, unit) = known.ok_or(expected)?;
        let number: f64 = number.parse().map_err(|_| expected)?;
        Duration::try_from_secs_f64(number * unit).map(Self).map_err(|_| expected)
    }
}

/// Whole where that says enough.
pub(crate) fn figure(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let of = |text: &str| text.parse::<Time>().map(Time::ms);
        assert_eq!([of("100ms"), of("2s"), of("1.5s"), of("0s")], [Ok(100.0), Ok(2_000.0), Ok(1_500.0), Ok(0.0)]);
        assert_eq!([of("1m"), of("1.5h")], [Ok(60_000.0), Ok(5_400_000.0)]);
        for bad in ["", "100", "ms", "-1s", "1d", "NaNs", "1e400s"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_goal_that_no_run_of_the_scenario_could_reach_is_refused() {
        let refused = |limits: &Limits, viewers, cpu_per_frame| {
            limits.ensure_measured(Measured { viewers, cpu_per_frame }).err().map(|error| error.to_string())
        };
        let lag = Limits { max_lag_p99: Some(Time::default()), ..Limits::default() };
        assert_eq!(refused(&lag, true, false), None);
        assert!(refused(&lag, false, false).unwrap().starts_with("--max-lag-p99: this scenario has no viewers"));
        let cpu = Limits { max_cpu_per_frame: Some(1.0), ..Limits::default() };
        assert_eq!(refused(&cpu, true, true), None);
        assert!(refused(&cpu, true, false).unwrap().starts_with("--max-cpu-per-frame"));
    }

    #[test]
    fn what_was_not_measured_misses_its_goal() {
        assert!(!Goal::at_most("lag", 100.0, f64::NAN).met);
        assert!(!Goal::least("frames", 5.0, f64::NAN).met);
        assert!(Goal::at_most("lag", 100.0, 100.0).met && Goal::least("frames", 5.0, 5.0).met);
    }
}
