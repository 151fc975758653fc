//! `bench slow`: a thousand viewers whose sockets take nothing, while seats change. What they add to the gateway's memory
//! and keep in the kernel, whether one catch-up makes them right again, and what a tenth of such viewers costs the
//! others, in pairs of runs with and without them; the spread of the runs without is the noise.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::task::block_in_place;

use super::crowd::{Crowd, percentile_ms};
use super::edge::Edge;
use super::publisher::Publisher;
use super::report::{Figure, Report, count, median};
use super::{BenchArgs, cpu, memory, progress};
use crate::launcher::StackOptions;

const STALLED: usize = 1_000;
/// Beside them, who reads.
const READERS: usize = 1_000;
const BATCHES_PER_SECOND: u32 = 1_000;
const STALL: Duration = Duration::from_secs(30);
/// As little as a phone far away: what is unread fills the gateway's own socket soon.
const RECEIVE_BUFFER: usize = 4 << 10;
/// Viewers of the pairs.
const PAIR_VIEWERS: usize = 5_000;
const PAIR_BATCHES_PER_SECOND: u32 = 333;

/// Runs it.
///
/// # Errors
/// When the stack does not start, or a viewer's map ends up wrong.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let edge = Edge::start(StackOptions::new()).await?;
    let mut report = Report::begin("slow", edge.rig.redis_version().await?, args.seconds, args.rounds);
    stalled(&edge, &mut report).await?;
    edge.emptied(0).await?;
    pairs(&edge, args, &mut report).await?;
    edge.shutdown().await;
    report.end(args.json.as_deref())
}

async fn stalled(edge: &Edge, report: &mut Report) -> anyhow::Result<()> {
    let show = edge.rig.show;
    let pid = edge.pid(0).unwrap_or(0);
    let batches = (STALL.as_secs() + 10) * u64::from(BATCHES_PER_SECOND);
    let mut publisher = Publisher::new(&edge.rig, &[show], batches).await?;
    let mut crowd = Crowd::new()?;
    for number in 0..STALLED + READERS {
        let mut join = edge.join(0, number, show)?;
        join.receive_buffer = (number < STALLED).then_some(RECEIVE_BUFFER);
        crowd.join(&join)?;
    }
    block_in_place(|| crowd.settle())?;
    progress("changes without stalled viewers");
    block_in_place(|| busy(&mut crowd, &mut publisher, BATCHES_PER_SECOND, Duration::from_secs(5)))?;
    let rss_before = memory::rss_kib(pid);
    progress("a thousand viewers stop reading");
    (0..STALLED).try_for_each(|number| crowd.set_reading(number, false))?;
    block_in_place(|| busy(&mut crowd, &mut publisher, BATCHES_PER_SECOND, STALL))?;
    let rss = memory::rss_kib(pid).saturating_sub(rss_before);
    report
        .add(Figure::new("RSS that 1,000 stalled viewers add", "KiB", count(rss)).goal("<= 1024 in all", rss <= 1_024));
    if let Some(mut sockets) = memory::send_memory(edge.address(0)?) {
        sockets.sort_unstable();
        let most = count(*sockets.last().unwrap_or(&0)) / 1_024.0;
        let full: Vec<f64> = sockets.iter().rev().take(STALLED).map(|bytes| count(*bytes) / 1_024.0).collect();
        report.add(Figure::new("kernel send memory of a stalled viewer, median", "KiB", median(full)));
        let figure = Figure::new("kernel send memory of a stalled viewer, most", "KiB", most);
        report.add(figure.goal("<= 100", most <= 100.0));
    }
    let closed = crowd.stats.closes.len() as u64;
    report.add(Figure::new("closed in 30 s of stall", "", count(closed)).goal("0", closed == 0));

    // Nothing changes any more: what comes after what the kernel kept is the catch-up.
    let positions = publisher.positions();
    let Some(end) = positions.first().map(|(_, position)| *position) else { return Err(anyhow!("no show")) };
    crowd.clear_stats()?;
    let began = Instant::now();
    (0..STALLED).try_for_each(|number| crowd.set_reading(number, true))?;
    let right = block_in_place(|| {
        crowd.run_until(Duration::from_secs(10), |crowd| {
            let mut maps = crowd.viewers().iter().take(STALLED).flat_map(|viewer| &viewer.maps);
            maps.all(|map| map.position == Some(end))
        })
    })?;
    let took = began.elapsed().as_secs_f64() * 1_000.0;
    let figure = Figure::new("all 1,000 right again after the stall", "ms", took);
    report.add(figure.goal("without another word from them", right));
    report.add(Figure::new(
        "frames to the stalled until then",
        "",
        count(crowd.stats.frames()) / count(STALLED as u64),
    ));
    let maps = crowd.viewers().iter().take(STALLED).flat_map(|viewer| &viewer.maps);
    let catch_ups = maps.filter(|map| map.last_leap > LEAP).count() as u64;
    let figure = Figure::new("viewers whose last frame was the one catch-up", "", count(catch_ups));
    report.add(figure.goal("1000", catch_ups == STALLED as u64));
    edge.verify(&mut crowd, &positions).await?;
    publisher.release_all()
}

/// Batches in one frame that only a catch-up spans here.
const LEAP: u64 = 1_000;

/// Changes while the crowd reads.
fn busy(crowd: &mut Crowd, publisher: &mut Publisher, per_second: u32, length: Duration) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| publisher.run(per_second, length));
        while !sender.is_finished() {
            crowd.step(Duration::from_millis(5))?;
        }
        sender.join().map_err(|_| anyhow!("the publisher fell"))??;
        Ok(())
    })
}

/// What the readers of one run saw.
struct Run {
    p99_ms: f64,
    us_a_frame: f64,
}

async fn pairs(edge: &Edge, args: &BenchArgs, report: &mut Report) -> anyhow::Result<()> {
    progress("pairs of runs, without and with a tenth of the viewers stalled");
    let show = edge.rig.show;
    let length = Duration::from_secs(args.seconds);
    let batches = (args.seconds + 3) * 2 * (args.rounds as u64 + 1) * u64::from(PAIR_BATCHES_PER_SECOND);
    let mut publisher = Publisher::new(&edge.rig, &[show], batches).await?;
    let mut crowd = Crowd::new()?;
    for (show, published) in publisher.published() {
        crowd.set_published(show, published);
    }
    for number in 0..PAIR_VIEWERS {
        let mut join = edge.join(0, number, show)?;
        // Spread among the others, and none of the sample that tells the times.
        join.receive_buffer = may_stall(number).then_some(RECEIVE_BUFFER);
        crowd.join(&join)?;
        if number % 64 == 63 {
            block_in_place(|| crowd.settle())?;
        }
    }
    block_in_place(|| crowd.settle())?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        for stalls in [false, true] {
            for number in (0..PAIR_VIEWERS).filter(|number| may_stall(*number)) {
                crowd.set_reading(number, !stalls)?;
            }
            // Until those that stall are full.
            block_in_place(|| busy(&mut crowd, &mut publisher, PAIR_BATCHES_PER_SECOND, Duration::from_secs(2)))?;
            crowd.clear_stats()?;
            let before = edge.used(0);
            block_in_place(|| busy(&mut crowd, &mut publisher, PAIR_BATCHES_PER_SECOND, length))?;
            let used = edge.used(0).since(before).nanos;
            let run = Run {
                p99_ms: percentile_ms(&crowd.stats.latency, 99.0),
                us_a_frame: cpu::micros_each(used, crowd.stats.frames()),
            };
            if stalls { &mut with } else { &mut without }.push(run);
        }
    }
    for number in 0..PAIR_VIEWERS {
        crowd.set_reading(number, true)?;
    }
    edge.verify(&mut crowd, &publisher.positions()).await?;
    publisher.release_all()?;
    compare(report, "others' p99", "ms", &with, &without, |run| run.p99_ms);
    compare(report, "CPU of a frame to the others", "us", &with, &without, |run| run.us_a_frame);
    Ok(())
}

/// The middle run with stalled viewers must lie within those without.
fn compare(report: &mut Report, name: &str, unit: &'static str, with: &[Run], without: &[Run], of: fn(&Run) -> f64) {
    let (with, without): (Vec<f64>, Vec<f64>) = (with.iter().map(of).collect(), without.iter().map(of).collect());
    let (least, most) = without.iter().fold((f64::MAX, f64::MIN), |(a, b), value| (a.min(*value), b.max(*value)));
    let middle = median(with);
    report.add(Figure::new(format!("{name}, without stalled viewers, least"), unit, least));
    report.add(Figure::new(format!("{name}, without stalled viewers, most"), unit, most));
    let figure = Figure::new(format!("{name}, with a tenth stalled"), unit, middle).beside(median(without));
    report.add(figure.goal("within the runs without", middle <= most));
}

/// A tenth of them; odd numbers, because the sample that tells the times is of even ones.
fn may_stall(number: usize) -> bool {
    number % 10 == 1
}
