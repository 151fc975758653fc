//! Ten thousand shows watched at one gateway, whose connection to Redis is cut: until everything is subscribed again,
//! and until every map is current again.

use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::task::block_in_place;

use crate::bench::crowd::Crowd;
use crate::bench::edge::Edge;
use crate::bench::report::{Figure, Report, count};
use crate::bench::{progress, shows};

const SHOWS: u32 = 10_000;
const SEATS: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(edge: &Edge, report: &mut Report) -> anyhow::Result<()> {
    progress("ten thousand shows");
    let shows = shows::add(&edge.rig.addresses.postgres, SEATS, SHOWS).await?;
    let began = Instant::now();
    let mut crowd = block_in_place(|| edge.watch_all(&shows))?;
    progress(&format!("{} shows opened in {:.1?}", shows.len(), began.elapsed()));
    let mut redis = edge.rig.redis.clone();
    let before = subscriptions(&mut redis).await?;
    if before < u64::from(SHOWS) {
        bail!("only {before} channels are subscribed");
    }
    crowd.clear_stats()?;
    let began = Instant::now();
    let _: i64 = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").query_async(&mut redis).await?;
    while subscriptions(&mut redis).await? < before {
        if began.elapsed() > PATIENCE {
            bail!("the shows were not subscribed again");
        }
        block_in_place(|| crowd.run_for(Duration::from_millis(5)))?;
    }
    let subscribed = began.elapsed();
    // A room that is right again before its viewers were told that it was not tells them nothing.
    let most = u64::from(SHOWS) * 9 / 10;
    let is_current = |crowd: &Crowd| crowd.stats.stale >= most && crowd.stats.current >= crowd.stats.stale;
    let current = block_in_place(|| crowd.run_until(PATIENCE, is_current))?;
    let figure = Figure::new("10,000 shows subscribed again", "s", subscribed.as_secs_f64());
    report.add(figure.goal("<= 1", subscribed <= Duration::from_secs(1)));
    let seconds = began.elapsed().as_secs_f64();
    let figure = Figure::new("10,000 shows: every viewer told that its map is current", "s", seconds);
    report.add(figure.goal("all of them", current));
    report.add(Figure::new("10,000 shows: viewers told before that it is not", "", count(crowd.stats.stale)));
    Ok(())
}

/// Most channels of any connection: the gateway's with everything that is watched there.
async fn subscriptions(redis: &mut redis::aio::MultiplexedConnection) -> anyhow::Result<u64> {
    let list: String = redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("pubsub").query_async(redis).await?;
    let of = |line: &str| line.split(' ').find_map(|item| item.strip_prefix("sub=")?.parse::<u64>().ok());
    Ok(list.lines().filter_map(of).max().unwrap_or(0))
}
