//! `bench holds`: hold and release pairs of three seats over the MessagePack port, beside the same script calls sent to
//! the same Redis directly. Reference and measurement take turns, and ratios are medians over the rounds.

use std::net::TcpStream;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::task::block_in_place;

use super::capture::Pattern;
use super::driver::{self, Op, Source};
use super::port::{self, Port};
use super::raw::Raw;
use super::report::{Figure, Report, Times, count, median, median_ratio};
use super::rig::Rig;
use super::work::{List, Pairs};
use super::{BenchArgs, cpu, progress};
use crate::launcher::StackOptions;

/// Connections, and commands in flight on each; written `4x16`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    connections: usize,
    depth: usize,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|n| (1..=256).contains(n));
        let shape = text.split_once('x').and_then(|(c, d)| Some((number(c)?, number(d)?)));
        let (connections, depth) = shape.ok_or("must be connections x commands in flight on each, such as 4x16")?;
        Ok(Self { connections, depth })
    }
}

/// Most holds of one pass; fewer in a short run.
const PASS_MAX: usize = 5_000;
const PASS_PER_SECOND: usize = 2_500;
/// How those of a pass are sent.
const PASS_SHAPE: Shape = Shape { connections: 4, depth: 16 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Core,
    Redis,
}

/// What a stretch of work took.
#[derive(Default)]
struct Cost {
    operations: u64,
    granted: u64,
    refused: u64,
    seconds: f64,
    core_nanos: u64,
    redis_nanos: u64,
    times: Vec<Duration>,
}

impl Cost {
    fn rate(&self) -> f64 {
        count(self.operations) / self.seconds
    }
    fn core_us(&self) -> f64 {
        cpu::micros_each(self.core_nanos, self.operations)
    }
    fn redis_us(&self) -> f64 {
        cpu::micros_each(self.redis_nanos, self.operations)
    }
}

/// Runs it.
///
/// # Errors
/// When the stack does not start, or answers what it should not.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let rig = if args.limits {
        Rig::start_limited(StackOptions::new()).await?
    } else {
        Rig::start(StackOptions::new()).await?
    };
    let patterns = rig.patterns().await?;
    let mut report = Report::begin("holds", rig.redis_version().await?, args.seconds, args.rounds);
    let length = Duration::from_secs(args.seconds);
    for shape in args.shapes.iter().copied() {
        progress(&format!("pairs, {} connections with {} in flight each", shape.connections, shape.depth));
        let (mut measured, mut reference) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            reference.push(pairs(&rig, &patterns, Way::Redis, shape, length)?);
            measured.push(pairs(&rig, &patterns, Way::Core, shape, length)?);
        }
        report_pairs(&mut report, shape, &measured, &reference);
    }
    progress("holds, refusals and releases apart");
    let (mut measured, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        reference.push(passes(&rig, &patterns, Way::Redis, args.seconds)?);
        measured.push(passes(&rig, &patterns, Way::Core, args.seconds)?);
    }
    report_passes(&mut report, &measured, &reference);
    rig.stack.shutdown().await;
    report.end(args.json.as_deref())
}

fn report_pairs(report: &mut Report, shape: Shape, measured: &[Cost], reference: &[Cost]) {
    let name = |what: &str| format!("{what}, {}x{}", shape.connections, shape.depth);
    let all = |costs: &[Cost], of: fn(&Cost) -> f64| costs.iter().map(of).collect::<Vec<_>>();
    let figure = |what: &str, unit, of: fn(&Cost) -> f64| {
        let (measured, reference) = (all(measured, of), all(reference, of));
        let ratio = median_ratio(&measured, &reference);
        let mut figure = Figure::new(name(what), unit, median(measured)).beside(median(reference));
        figure.ratio = Some(ratio);
        figure
    };
    let pairs = figure("hold and release pairs", "/s", Cost::rate);
    let met = pairs.ratio.is_some_and(|ratio| ratio >= 0.7);
    // One command at a time is bound by round trips, and there are two of them instead of one.
    report.add(if shape.connections * shape.depth > 1 { pairs.goal("ratio >= 0.7", met) } else { pairs });
    let (granted, refused) = measured.iter().fold((0, 0), |(g, r), cost| (g + cost.granted, r + cost.refused));
    let share = 100.0 * count(granted) / count(granted + refused);
    report.add(Figure::new(name("grant share"), "%", share).goal(">= 95", share >= 95.0));
    report.add(figure("Redis CPU of a pair", "us", Cost::redis_us));
    report.add(Figure::new(name("core CPU of a pair"), "us", median(all(measured, Cost::core_us))));
    for percent in [50, 99] {
        let of = |costs: &[Cost]| Times::new(costs.iter().flat_map(|cost| cost.times.clone()).collect());
        let (measured, reference) = (of(measured).percentile_ms(percent), of(reference).percentile_ms(percent));
        report.add(Figure::new(name(&format!("time of a command, p{percent}")), "ms", measured).beside(reference));
    }
}

fn report_passes(report: &mut Report, measured: &[[Cost; 3]], reference: &[[Cost; 3]]) {
    let all = |rounds: &[[Cost; 3]], kind: usize, of: fn(&Cost) -> f64| -> Vec<f64> {
        rounds.iter().filter_map(|costs| costs.get(kind)).map(of).collect()
    };
    let hold_core = all(measured, 0, Cost::core_us);
    let hold_redis = all(measured, 0, Cost::redis_us);
    for (kind, name) in ["hold", "refusal", "release"].into_iter().enumerate() {
        let core = all(measured, kind, Cost::core_us);
        let figure = Figure::new(format!("core CPU of a {name}"), "us", median(core.clone()));
        let met = figure.measured <= 40.0;
        report.add(match name {
            "hold" => figure.goal("<= 40", met),
            "refusal" => {
                let ratio = median_ratio(&core, &hold_core);
                let mut figure = figure.beside(median(hold_core.clone()));
                figure.ratio = Some(ratio);
                figure.goal("no more than a grant", ratio <= 1.0)
            }
            _ => figure,
        });
        let (redis, raw) = (all(measured, kind, Cost::redis_us), all(reference, kind, Cost::redis_us));
        let mut figure =
            Figure::new(format!("Redis CPU of a {name}"), "us", median(redis.clone())).beside(median(raw.clone()));
        figure.ratio = Some(median_ratio(&redis, &raw));
        let met = median_ratio(&redis, &hold_redis) <= 1.0;
        report.add(if name == "refusal" { figure.goal("no more than a grant", met) } else { figure });
        let (rates, raw) = (all(measured, kind, Cost::rate), all(reference, kind, Cost::rate));
        let mut figure = Figure::new(format!("{name}s alone"), "/s", median(rates.clone())).beside(median(raw.clone()));
        figure.ratio = Some(median_ratio(&rates, &raw));
        report.add(figure);
    }
}

/// Pairs for some time; an operation is a pair.
fn pairs(rig: &Rig, patterns: &(Pattern, Pattern), way: Way, shape: Shape, length: Duration) -> anyhow::Result<Cost> {
    let until = Instant::now() + length;
    let sources = (0..shape.connections).map(|_| Pairs::new(&rig.starts, shape.depth, until)).collect();
    let (mut cost, sources) = drive(rig, patterns, way, shape.depth, sources)?;
    cost.granted = sources.iter().map(|source| source.granted).sum();
    cost.refused = sources.iter().map(|source| source.refused).sum();
    cost.operations = cost.granted;
    Ok(cost)
}

/// Holds that are granted, as many on the same seats that are refused, and the releases of the first.
fn passes(rig: &Rig, patterns: &(Pattern, Pattern), way: Way, seconds: u64) -> anyhow::Result<[Cost; 3]> {
    let holds = PASS_MAX.min(PASS_PER_SECOND.saturating_mul(usize::try_from(seconds)?));
    let starts: Vec<u32> = rig.starts.iter().copied().take(holds).collect();
    let share = starts.len().div_ceil(PASS_SHAPE.connections).max(1);
    let list = |ops: Vec<Vec<Op>>| -> anyhow::Result<(Cost, Vec<List>)> {
        let (mut cost, lists) = drive(rig, patterns, way, PASS_SHAPE.depth, ops.into_iter().map(List::new).collect())?;
        cost.operations = cost.times.len() as u64;
        cost.granted = lists.iter().map(|list| list.releases.len() as u64).sum();
        cost.refused = lists.iter().map(|list| list.refused).sum();
        Ok((cost, lists))
    };
    let holds = || starts.chunks(share).map(List::holds).collect();
    let (granted, lists) = list(holds())?;
    let (refused, _) = list(holds())?;
    let (released, _) = list(lists.into_iter().map(|list| list.releases).collect())?;
    if granted.refused > 0 || refused.granted > 0 {
        return Err(anyhow!("{} holds were refused, {} not", granted.refused, refused.granted));
    }
    Ok([granted, refused, released])
}

/// One connection and thread for each source.
fn drive<S: Source + Send>(
    rig: &Rig,
    patterns: &(Pattern, Pattern),
    way: Way,
    depth: usize,
    sources: Vec<S>,
) -> anyhow::Result<(Cost, Vec<S>)> {
    let redis = rig.redis_address()?;
    let connect = |source: S| -> anyhow::Result<(TcpStream, S)> {
        let stream = match way {
            Way::Core => port::connect(rig.addresses.core, &rig.addresses.secrets.core)?,
            Way::Redis => TcpStream::connect(redis)?,
        };
        Ok((stream, source))
    };
    let work = sources.into_iter().map(connect).collect::<anyhow::Result<Vec<_>>>()?;
    let one = |(mut stream, mut source): (TcpStream, S)| -> anyhow::Result<(S, Vec<Duration>)> {
        let times = match way {
            Way::Core => driver::run(&mut stream, &mut Port::new(rig.show), &mut source, depth),
            Way::Redis => driver::run(&mut stream, &mut Raw::new(patterns.clone()), &mut source, depth),
        };
        Ok((source, times?))
    };
    let (began, core_before, redis_before) = (Instant::now(), rig.core_cpu(), rig.redis_cpu());
    let results: Vec<anyhow::Result<(S, Vec<Duration>)>> = block_in_place(|| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = work.into_iter().map(|work| scope.spawn(|| one(work))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread fell")))).collect()
        })
    });
    let mut cost = Cost {
        seconds: began.elapsed().as_secs_f64(),
        core_nanos: rig.core_cpu().saturating_sub(core_before),
        redis_nanos: rig.redis_cpu().saturating_sub(redis_before),
        ..Cost::default()
    };
    let mut sources = Vec::new();
    for result in results {
        let (source, times) = result?;
        sources.push(source);
        cost.times.extend(times);
    }
    Ok((cost, sources))
}
