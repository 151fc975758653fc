//! A drain with its viewers coming back to the other gateway, and then the other gateway's turn: a rolling restart of
//! two, while seats change. Whoever comes in between is sent to the fresh gateway, as a balancer would.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::task::block_in_place;

use super::herd::Herd;
use super::{BATCHES_PER_SECOND, storm};
use crate::bench::crowd::{Close, Crowd, Join};
use crate::bench::edge::Edge;
use crate::bench::progress;
use crate::bench::publisher::Publisher;
use crate::bench::report::{Figure, Report, count};
use crate::launcher::Process;

/// Viewers of each gateway.
const VIEWERS: usize = 2_000;
/// Who joins the fresh gateway before the other one is drained.
const NEWCOMERS: usize = 50;

pub(super) async fn run(edge: &mut Edge, report: &mut Report) -> anyhow::Result<()> {
    progress("rolling restart of two gateways under load");
    let show = edge.rig.show;
    let mut publisher = Publisher::new(&edge.rig, &[show], 1).await?;
    let joins = |gateway: usize, from: usize, count: usize| -> anyhow::Result<Vec<Join>> {
        (from..from + count).map(|number| edge.join(gateway, number, show)).collect()
    };
    let all = 2 * VIEWERS + NEWCOMERS;
    let to = [joins(0, 0, all)?, joins(1, 0, all)?];
    let [first, second] = &to;
    let mut crowd = Crowd::new()?;
    block_in_place(|| storm(&mut crowd, first.get(..VIEWERS).unwrap_or_default()))?;
    block_in_place(|| storm(&mut crowd, second.get(VIEWERS..2 * VIEWERS).unwrap_or_default()))?;
    let newcomers = first.get(2 * VIEWERS..).unwrap_or_default().to_vec();

    let stop = publisher.stop();
    let changing = std::thread::spawn(move || {
        let sent = publisher.run(BATCHES_PER_SECOND, Duration::from_secs(300));
        (publisher, sent)
    });
    let mut totals = (0, 0);
    for (gateway, expected) in [(0, VIEWERS), (1, all)] {
        let other = to.get(1 - gateway).cloned().unwrap_or_default();
        let (mut herd, mut moved) = (Herd::new(other), std::mem::replace(&mut crowd, Crowd::new()?));
        moved.clear_stats()?;
        let leaving = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let result = herd.run(&mut moved, expected - if gateway == 1 { NEWCOMERS } else { 0 });
            (herd, moved, result, began.elapsed())
        });
        let (restarted, left) = tokio::join!(edge.rig.stack.restart(Process::Gateway(gateway)), leaving);
        restarted?;
        let (herd, moved, result, took) = left?;
        result?;
        crowd = moved;
        edge.rig.stack.wait_ready().await?;
        edge.pin();
        progress(&format!("gateway {gateway}: {} resumed, {} snapshots, {took:.1?}", herd.resumed, herd.snapshots));
        totals = (totals.0 + herd.resumed, totals.1 + herd.snapshots);
        if gateway == 0 {
            let (peak, mean) = per_second(&herd.closes);
            let figure = Figure::new("drain of 2,000: peak second", "closes", peak).beside(mean);
            let met = peak <= 1.5 * mean;
            report.add(figure.goal("ratio to mean <= 1.5", met));
            for join in &newcomers {
                crowd.join(join)?;
            }
            block_in_place(|| crowd.settle())?;
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let (mut publisher, sent) = changing.join().map_err(|_| anyhow!("the publisher fell"))?;
    sent?;
    let (resumed, snapshots) = totals;
    let share = 100.0 * count(resumed) / count((resumed + snapshots).max(1));
    report.add(Figure::new("rolling restart: resumed by delta", "%", share).goal(">= 95", share >= 95.0));
    report.add(Figure::new("rolling restart: snapshots to viewers", "", count(snapshots)));
    let fetched = edge.metric(0, SNAPSHOTS).await? + edge.metric(1, SNAPSHOTS).await?;
    report.add(Figure::new("rolling restart: snapshots read from the core", "", fetched));
    // No frame ever failed to fit, and every map is the core's: each history leads to the ledger.
    edge.verify(&mut crowd, &publisher.positions()).await?;
    publisher.release_all()?;
    drop(crowd);
    edge.emptied(0).await?;
    edge.emptied(1).await
}

const SNAPSHOTS: &str = "seatwire_gateway_snapshots_fetched_total";

/// Most closes within any second, and the mean.
fn per_second(closes: &[Close]) -> (f64, f64) {
    let mut at: Vec<Instant> = closes.iter().map(|close| close.at).collect();
    at.sort_unstable();
    let (Some(first), Some(last)) = (at.first(), at.last()) else { return (f64::NAN, f64::NAN) };
    let within = |from: &Instant| at.iter().filter(|at| (0..1_000).contains(&since_ms(*from, **at))).count();
    let peak = at.iter().map(within).max().unwrap_or(0);
    (count(peak as u64), count(at.len() as u64) / last.duration_since(*first).as_secs_f64().max(1.0))
}

/// Whole milliseconds; -1 where it was before.
fn since_ms(from: Instant, at: Instant) -> i64 {
    at.checked_duration_since(from).and_then(|after| i64::try_from(after.as_millis()).ok()).unwrap_or(-1)
}
