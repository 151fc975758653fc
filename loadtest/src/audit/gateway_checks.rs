//! Compares what gateways show with the map in Redis, at the same position. Asking a gateway also makes a core load a
//! map that was lost, so that later checks have something to look at.

use std::time::{Duration, Instant};

use seatwire_protocol::seat_frame::{SeatFrame, Snapshot};
use seatwire_protocol::{Position, ShowId};

use super::Sources;
use super::map::{ShowMap, read_show};
use super::report::Check;
use crate::client::Http;

/// One check over all gateways and the shows that were ever looked at; none without Redis or gateways.
pub(super) async fn run(sources: &Sources) -> anyhow::Result<Vec<Check>> {
    let Some(mut redis) = sources.connect_redis().await?.filter(|_| !sources.gateways.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut check = Check::new("viewers_see_the_map", "20 22");
    let database = sources.connect_postgres().await?;
    for row in database.query("SELECT show_id FROM show_streams WHERE generation > 0 ORDER BY 1", &[]).await? {
        let show = ShowId::new(u64::try_from(row.try_get::<_, i64>(0)?)?)?;
        for gateway in &sources.gateways {
            check.examined(1);
            let deadline = Instant::now() + SAME_WITHIN;
            loop {
                let Err(difference) = compare(gateway, &mut redis, show).await else { break };
                // A room that was stale heals; holds may end while we look.
                if Instant::now() >= deadline {
                    check.violated(format!("show {show} at {gateway}: {difference:#}"));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(vec![check])
}

async fn compare(gateway: &str, redis: &mut redis::aio::MultiplexedConnection, show: ShowId) -> anyhow::Result<()> {
    let shown = snapshot(gateway, show).await?;
    let map = read_show(redis, show).await?.ok_or_else(|| anyhow::anyhow!("Redis does not have the map"))?;
    let position = position(&map)?;
    anyhow::ensure!(shown.position == position, "shown at {:?}, the map is at {position:?}", shown.position);
    let differ = shown.statuses.as_bytes() != map.statuses;
    anyhow::ensure!(!differ, "other statuses than the map's at the same position {position:?}");
    Ok(())
}

async fn snapshot(gateway: &str, show: ShowId) -> anyhow::Result<Snapshot> {
    let reply = Http::default().get(&format!("{gateway}/api/shows/{show}/seats"), &[]).await?;
    let text = String::from_utf8_lossy(&reply.body);
    anyhow::ensure!(reply.status == 200, "status {}: {}", reply.status, text.chars().take(200).collect::<String>());
    match SeatFrame::from_json(&text)? {
        SeatFrame::Snapshot(snapshot) => Ok(snapshot),
        SeatFrame::Delta(_) | SeatFrame::Beat(_) => anyhow::bail!("answered with no snapshot"),
    }
}

fn position(map: &ShowMap) -> anyhow::Result<Position> {
    let both = map.number("generation").zip(map.number("sequence"));
    let (generation, sequence) = both.ok_or_else(|| anyhow::anyhow!("the map has no position"))?;
    Ok(Position::new(generation, sequence))
}

/// Any single fault heals within this time.
const SAME_WITHIN: Duration = Duration::from_secs(10);
