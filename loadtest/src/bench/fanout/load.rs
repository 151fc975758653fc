//! The loads, and what is said of each.

use super::TICK_MS;
use super::pass::Pass;
use crate::bench::report::{Figure, Report, count, median, median_ratio};

/// Viewers, and batches of three seats.
pub(super) struct Load {
    pub(super) name: &'static str,
    pub(super) viewers: usize,
    /// 1: the arena of 20,000 seats; more: halls of 500.
    pub(super) shows: usize,
    pub(super) batches_per_second: u32,
    /// Rare batches need time to be many.
    pub(super) seconds_min: u64,
    goals: &'static [Goal],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// CPU of a frame beside the raw loop.
    Cpu,
    /// At most 0.6 core.
    Core,
    /// p99 within tick and 1.3 raw rounds.
    Round,
    /// At most 3 bytes a change.
    Bytes,
    /// 40 million changes a second, p99 100 ms.
    Flood,
    /// p50 4 ms, p99 10 ms.
    Light,
    /// p50 40 ms.
    OnSale,
    /// p99 200 ms.
    Shows,
}

pub(super) const LOADS: &[Load] = &[
    Load {
        name: "1,000 viewers, 10 batches/s",
        viewers: 1_000,
        shows: 1,
        batches_per_second: 10,
        seconds_min: 5,
        goals: &[Goal::Light],
    },
    Load {
        name: "1,000 viewers, 1,000 changes/s",
        viewers: 1_000,
        shows: 1,
        batches_per_second: 333,
        seconds_min: 1,
        goals: &[Goal::Cpu],
    },
    Load {
        name: "5,000 viewers, 1,000 changes/s",
        viewers: 5_000,
        shows: 1,
        batches_per_second: 333,
        seconds_min: 1,
        goals: &[Goal::Cpu, Goal::Core, Goal::Round, Goal::Bytes],
    },
    Load {
        name: "5,000 viewers, 500 batches/s",
        viewers: 5_000,
        shows: 1,
        batches_per_second: 500,
        seconds_min: 1,
        goals: &[Goal::OnSale, Goal::Round],
    },
    Load {
        name: "5,000 viewers, 8,000 changes/s",
        viewers: 5_000,
        shows: 1,
        batches_per_second: 2_667,
        seconds_min: 1,
        goals: &[Goal::Flood],
    },
    Load {
        name: "10,000 viewers, 20 shows, 50 batches/s each",
        viewers: 10_000,
        shows: 20,
        batches_per_second: 1_000,
        seconds_min: 1,
        goals: &[Goal::Core, Goal::Shows],
    },
];

/// More rooms than one core can keep up with.
pub(super) struct Saturation {
    pub(super) name: &'static str,
    pub(super) viewers: usize,
    pub(super) shows: usize,
    pub(super) batches_per_second: u32,
}

pub(super) const SATURATIONS: &[Saturation] = &[
    Saturation { name: "saturated, 1,000 viewers of 4 shows", viewers: 1_000, shows: 4, batches_per_second: 4_000 },
    Saturation { name: "saturated, 5,000 viewers of 4 shows", viewers: 5_000, shows: 4, batches_per_second: 2_000 },
];

pub(super) fn report(report: &mut Report, load: &Load, measured: &[Pass], reference: &[Pass]) {
    let has = |goal| load.goals.contains(&goal);
    let all = |passes: &[Pass], of: fn(&Pass) -> f64| passes.iter().map(of).collect::<Vec<_>>();
    let alone = |what: &str, unit, of: fn(&Pass) -> f64| {
        Figure::new(format!("{}: {what}", load.name), unit, median(all(measured, of)))
    };
    let beside = |what: &str, unit, of: fn(&Pass) -> f64| {
        let (mine, raw) = (all(measured, of), all(reference, of));
        let ratio = median_ratio(&mine, &raw);
        let mut figure = alone(what, unit, of).beside(median(raw));
        figure.ratio = Some(ratio);
        figure
    };
    let passes = Figure::new(format!("{}: passes that count", load.name), "", count(measured.len() as u64));
    report.add(passes.goal(">= 1", !measured.is_empty()));
    if measured.is_empty() {
        return;
    }
    let cpu = beside("CPU of a frame", "us", Pass::us_a_frame);
    let met = cpu.ratio.is_some_and(|ratio| ratio <= 1.15);
    report.add(if has(Goal::Cpu) { cpu.goal("ratio <= 1.15", met) } else { cpu });
    report.add(alone("frames", "/s", Pass::frames_per_s));
    let cores = alone("gateway's core", "", Pass::cores);
    let met = cores.measured <= 0.6;
    report.add(if has(Goal::Core) { cores.goal("<= 0.6", met) } else { cores });
    let changes = alone("changes delivered", "/s", Pass::changes_per_s);
    let met = changes.measured >= 40e6;
    report.add(if has(Goal::Flood) { changes.goal(">= 40 M", met) } else { changes });
    report.add(alone("changes a frame", "", Pass::changes_a_frame));
    report.add(alone("of them conflated", "%", Pass::conflated));
    let bytes = alone("bytes a change", "", Pass::bytes_a_change);
    let met = bytes.measured <= 3.0;
    report.add(if has(Goal::Bytes) { bytes.goal("<= 3", met) } else { bytes });
    let p50 = beside("published to applied, p50", "ms", Pass::p50_ms);
    let (light, on_sale) = (p50.measured <= 4.0, p50.measured <= 40.0);
    report.add(match () {
        () if has(Goal::Light) => p50.goal("<= 4 ms", light),
        () if has(Goal::OnSale) => p50.goal("<= 40 ms", on_sale),
        () => p50,
    });
    let p99 = beside("published to applied, p99", "ms", Pass::p99_ms);
    let within = |ms: f64| p99.measured <= ms;
    let round = within(TICK_MS + 1.3 * p99.reference.unwrap_or(0.0));
    let (light, shows, flood) = (within(10.0), within(200.0), within(100.0));
    report.add(match () {
        () if has(Goal::Light) => p99.goal("<= 10 ms", light),
        () if has(Goal::Round) => p99.goal("<= tick + 1.3 raw rounds", round),
        () if has(Goal::Shows) => p99.goal("<= 200 ms", shows),
        () if has(Goal::Flood) => p99.goal("<= 100 ms", flood),
        () => p99,
    });
    report.add(beside("crowd busy", "", Pass::crowd_busy));
    report.add(beside("crowd late, p99", "ms", Pass::crowd_late_ms));
    report.add(beside("measured core had by others", "%", Pass::robbed));
}
