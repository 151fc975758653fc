//! `bench stream`: how soon a change is found whose message was lost, with nothing after it to tell of the hole; and how
//! large the frames of whole maps are. The reference is a change whose message arrives.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::task::block_in_place;

use super::edge::Edge;
use super::publisher::Publisher;
use super::report::{Figure, Report, Times, count};
use super::{BenchArgs, progress, shows};
use crate::launcher::{Link, StackOptions};

const HALL_SEATS: u32 = 500;
/// Losses of one round.
const LOSSES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it.
///
/// # Errors
/// When the stack does not start, or a change is never found.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let edge = Edge::start(StackOptions::new().proxy(Link::GatewayRedis)).await?;
    let mut report = Report::begin("stream", edge.rig.redis_version().await?, args.seconds, args.rounds);
    let hall = shows::add(&edge.rig.addresses.postgres, HALL_SEATS, 1).await?;
    for (show, name, most) in [(Some(edge.rig.show), "20,000", 5_100.0), (hall.first().copied(), "500", 160.0)] {
        let show = show.context("no show")?;
        let crowd = block_in_place(|| edge.crowd(1, &[show], &[]))?;
        let bytes = count(crowd.stats.snapshot_bytes);
        let figure = Figure::new(format!("snapshot of {name} seats"), "bytes", bytes);
        report.add(figure.goal(if most > 160.0 { "<= 5,100" } else { "<= 160" }, bytes <= most));
    }
    let show = edge.rig.show;
    let mut publisher = Publisher::new(&edge.rig, &[show], 10_000).await?;
    let mut crowd = block_in_place(|| edge.crowd(1, &[show], &[]))?;
    let proxy = edge.rig.stack.proxy(Link::GatewayRedis).context("no proxy")?;
    let (mut lost, mut heard) = (Vec::new(), Vec::new());
    progress("changes that are lost, and changes that are not");
    for round in 0..args.rounds * LOSSES * 2 {
        let deaf = round % 2 == 1;
        if deaf {
            // Cuts the connection too: the change comes when the room is live on the new one.
            proxy.deaf();
        }
        // Not in step with the gateway's own clock.
        block_in_place(|| crowd.run_for(Duration::from_millis(rand::random_range(700..1_700))))?;
        let began = Instant::now();
        block_in_place(|| publisher.run(1, Duration::from_millis(1)))?;
        let position = publisher.positions().first().map(|(_, position)| *position);
        let found = block_in_place(|| {
            crowd.run_until(PATIENCE, |crowd| {
                crowd.viewers().iter().flat_map(|viewer| &viewer.maps).all(|map| map.position == position)
            })
        })?;
        if !found {
            bail!("a change was never found");
        }
        if deaf { &mut lost } else { &mut heard }.push(began.elapsed());
        proxy.restore();
    }
    edge.verify(&mut crowd, &publisher.positions()).await?;
    let (lost, heard) = (Times::new(lost), Times::new(heard));
    for percent in [50, 100] {
        let name = if percent == 100 { "most" } else { "p50" };
        let figure =
            Figure::new(format!("a lost last message is made up for, {name}"), "ms", lost.percentile_ms(percent));
        let met = figure.measured <= 1_500.0;
        let figure = figure.beside(heard.percentile_ms(percent));
        report.add(if percent == 100 { figure.goal("<= 1,500", met) } else { figure });
    }
    edge.shutdown().await;
    report.end(args.json.as_deref())
}
