//! `bench joins`: herds. What a join costs and takes when viewers come as fast as they can, beside a bare server that
//! answers the same bytes; ten thousand who come back within two seconds to a gateway that has just started; who resumes
//! by a delta; a drain and a rolling restart under load; and ten thousand shows subscribed anew.

mod bare;
mod herd;
mod restart;
mod resubscribe;

use std::time::{Duration, Instant};

use seatwire_protocol::ShowId;
use tokio::task::block_in_place;
use tokio_postgres::NoTls;

use self::herd::Herd;
use super::crowd::{Crowd, Join, percentile_ms};
use super::edge::Edge;
use super::publisher::Publisher;
use super::report::{Figure, Report, count, median, median_ratio};
use super::{BenchArgs, cpu, progress, shows};
use crate::launcher::{Process, Service, StackOptions};

const HALL_SEATS: u32 = 500;
const HALLS: u32 = 10;
/// Joins of one storm.
const STORM: usize = 4_000;
/// Of them at a time under way.
const IN_FLIGHT: usize = 128;
const HERD: usize = 10_000;
const HERD_WITHIN: Duration = Duration::from_secs(2);
/// Who reconnects while seats change.
const RETURNING: usize = 2_000;
const RETURN_WITHIN: Duration = Duration::from_secs(10);
const BATCHES_PER_SECOND: u32 = 20;
/// What a join still causes after its snapshot: own holds are asked for in batches.
const AFTERMATH: Duration = Duration::from_millis(200);

/// Runs it.
///
/// # Errors
/// When the stack does not start, or a viewer's map ends up wrong.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    // A drain as long as the gateway's own default, not the launcher's short one.
    let options = StackOptions::new().gateways(2).env(Service::Gateway, "SEATWIRE_DRAIN_MS", 10_000);
    let mut edge = Edge::start(options).await?;
    let mut report = Report::begin("joins", edge.rig.redis_version().await?, args.seconds, args.rounds);
    let halls = shows::add(&edge.rig.addresses.postgres, HALL_SEATS, HALLS).await?;
    storms(&edge, &halls, args, &mut report).await?;
    cold_herd(&mut edge, &halls, &mut report).await?;
    resume(&edge, &mut report).await?;
    restart::run(&mut edge, &mut report).await?;
    resubscribe::run(&edge, &mut report).await?;
    edge.shutdown().await;
    report.end(args.json.as_deref())
}

/// As fast as they can, a bounded number at a time.
fn storm(crowd: &mut Crowd, joins: &[Join]) -> anyhow::Result<Duration> {
    let began = Instant::now();
    for join in joins {
        while crowd.stats.joins.len() + (IN_FLIGHT as u64) < crowd.viewers().len() as u64 {
            crowd.step(Duration::from_millis(5))?;
        }
        crowd.join(join)?;
    }
    crowd.settle()?;
    Ok(began.elapsed())
}

async fn storms(edge: &Edge, halls: &[ShowId], args: &BenchArgs, report: &mut Report) -> anyhow::Result<()> {
    progress("joins as fast as they can, and a bare server's");
    let show = *halls.first().unwrap_or(&edge.rig.show);
    let joins = (0..STORM).map(|number| edge.join(0, number, show)).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut us, mut raw_us, mut rates, mut p99s) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        raw_us.push(block_in_place(|| bare::storm(&joins, show, HALL_SEATS))?);
        let mut crowd = Crowd::new()?;
        let before = edge.used(0);
        let took = block_in_place(|| storm(&mut crowd, &joins))?;
        block_in_place(|| crowd.run_for(AFTERMATH))?;
        us.push(cpu::micros_each(edge.used(0).since(before).nanos, STORM as u64));
        rates.push(count(STORM as u64) / took.as_secs_f64());
        p99s.push(percentile_ms(&crowd.stats.joins, 99.0));
        drop(crowd);
        edge.emptied(0).await?;
    }
    let ratio = median_ratio(&us, &raw_us);
    let mut figure = Figure::new("CPU of a join", "us", median(us)).beside(median(raw_us));
    figure.ratio = Some(ratio);
    let met = figure.measured <= 125.0;
    report.add(figure.goal("<= 125", met));
    let p99 = median(p99s);
    report.add(Figure::new("joins, 128 under way", "/s", median(rates)));
    report.add(Figure::new("a join in the storm, p99", "ms", p99).goal("<= 250", p99 <= 250.0));
    Ok(())
}

/// Transactions that PostgreSQL has seen.
async fn transactions(edge: &Edge) -> anyhow::Result<i64> {
    let (client, connection) = tokio_postgres::connect(&edge.rig.addresses.postgres, NoTls).await?;
    tokio::spawn(connection);
    let sum = "SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database";
    Ok(client.query_one(sum, &[]).await?.get(0))
}

async fn cold_herd(edge: &mut Edge, halls: &[ShowId], report: &mut Report) -> anyhow::Result<()> {
    progress("ten thousand come back to a gateway that has just started");
    let joins = (0..HERD).zip(halls.iter().cycle()).map(|(number, show)| edge.join(0, number, *show));
    let joins = joins.collect::<anyhow::Result<Vec<_>>>()?;
    let mut publisher = Publisher::new(&edge.rig, halls, 1).await?;
    let mut crowd = Crowd::new()?;
    block_in_place(|| storm(&mut crowd, &joins))?;
    edge.rig.stack.kill(Process::Gateway(0));
    block_in_place(|| crowd.run_until(Duration::from_secs(10), |crowd| crowd.stats.closes.len() == HERD))?;
    // Everybody lacks something when the gateway is back.
    block_in_place(|| publisher.run(2 * HALLS, Duration::from_secs(1)))?;
    edge.rig.stack.restart(Process::Gateway(0)).await?;
    edge.rig.stack.wait_ready().await?;
    edge.pin();
    // Statistics of PostgreSQL are a second late.
    let settle = Duration::from_secs(3);
    block_in_place(|| crowd.run_for(settle))?;
    let (idle_from, idle_began) = (transactions(edge).await?, Instant::now());
    block_in_place(|| crowd.run_for(settle + HERD_WITHIN))?;
    let idle = transactions(edge).await? - idle_from;
    let idle_length = idle_began.elapsed();
    crowd.clear_stats()?;
    let (from, began, before) = (transactions(edge).await?, Instant::now(), edge.used(0));
    let mut herd = Herd::new(joins);
    (0..HERD).for_each(|number| herd.comes_back(number, began + HERD_WITHIN.mul_f64(rand::random_range(0.0..1.0))));
    block_in_place(|| herd.run(&mut crowd, HERD))?;
    let took = began.elapsed();
    let us = cpu::micros_each(edge.used(0).since(before).nanos, HERD as u64);
    block_in_place(|| crowd.run_for((settle + HERD_WITHIN).saturating_sub(took)))?;
    let transactions = transactions(edge).await? - from;
    let usual = f64::from(i32::try_from(idle)?) * began.elapsed().as_secs_f64() / idle_length.as_secs_f64();
    report.add(Figure::new("10,000 back within 2 s: until all were live", "s", took.as_secs_f64()));
    report.add(Figure::new("10,000 back: CPU of each", "us", us));
    let p99 = percentile_ms(&crowd.stats.joins, 99.0);
    report.add(Figure::new("10,000 back: a join, p99", "ms", p99).goal("<= 250", p99 <= 250.0));
    let snapshots = edge.metric(0, "seatwire_gateway_snapshots_fetched_total").await?;
    let figure = Figure::new("10,000 back: snapshots read, 10 shows", "", snapshots);
    report.add(figure.goal("<= 1 a show", snapshots <= f64::from(HALLS)));
    let transactions = f64::from(i32::try_from(transactions)?);
    let figure = Figure::new("10,000 back: transactions, beside an idle time as long", "", transactions).beside(usual);
    // A handful more or less is the workers' polling.
    report.add(figure.goal("no more than idle", transactions <= usual + 20.0));
    edge.verify(&mut crowd, &publisher.positions()).await?;
    publisher.release_all()?;
    drop(crowd);
    edge.emptied(0).await
}

/// Connections that break, and come back within ten seconds to another gateway, while seats change.
async fn resume(edge: &Edge, report: &mut Report) -> anyhow::Result<()> {
    progress("two thousand reconnect while seats change");
    let show = edge.rig.show;
    let mut publisher = Publisher::new(&edge.rig, &[show], 1).await?;
    let mut crowd = Crowd::new()?;
    let here = (0..RETURNING).map(|number| edge.join(0, number, show)).collect::<anyhow::Result<Vec<_>>>()?;
    let there = (0..RETURNING).map(|number| edge.join(1, number, show)).collect::<anyhow::Result<Vec<_>>>()?;
    block_in_place(|| storm(&mut crowd, &here))?;
    // The other gateway has the show open.
    crowd.join(&edge.join(1, RETURNING, show)?)?;
    block_in_place(|| crowd.settle())?;
    let mut herd = Herd::new(there);
    block_in_place(|| {
        herd::while_changing(&mut publisher, BATCHES_PER_SECOND, || {
            crowd.run_for(Duration::from_secs(1))?;
            let now = Instant::now();
            for number in 0..RETURNING {
                crowd.drop_connection(number);
                herd.comes_back(number, now + RETURN_WITHIN.mul_f64(rand::random_range(0.0..1.0)));
            }
            herd.run(&mut crowd, RETURNING)
        })
    })?;
    let figure = Figure::new("reconnects resumed by delta", "%", herd.resumed_percent());
    report.add(figure.goal(">= 95", herd.resumed_percent() >= 95.0));
    edge.verify(&mut crowd, &publisher.positions()).await?;
    publisher.release_all()?;
    drop(crowd);
    edge.emptied(0).await?;
    edge.emptied(1).await
}
