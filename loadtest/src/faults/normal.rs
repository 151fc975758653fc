//! What "all is right again" means: at each gateway a newcomer joins, holds a seat and gives it back; every viewer sees
//! that; and every change that was committed until then is in Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use redis::Value;
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{Position, ShowId};
use tokio_postgres::NoTls;

use super::newcomer;
use crate::client::{State, ViewerClient};
use crate::launcher::Addresses;
use crate::map_difference::difference;

/// Looks at a stack while its customers go on.
#[derive(Debug)]
pub struct Normal {
    gateways: Vec<String>,
    jwt: String,
    postgres: String,
    show: ShowId,
    /// Kept for newcomers.
    seats: Vec<u32>,
    viewers: Vec<Arc<ViewerClient>>,
}

/// All was right.
#[derive(Debug)]
pub struct Right {
    pub at: Instant,
    /// What it was waited for in the end: newcomers, viewers, the outbox, or what the fault met.
    pub last_step: &'static str,
    /// Why the look before failed, if there was one.
    pub last_failure: Option<String>,
}

impl Normal {
    /// `seats` must be wanted by nobody else; `viewers` watch the show.
    pub fn new(at: &Addresses, show: ShowId, seats: Vec<u32>, viewers: Vec<Arc<ViewerClient>>) -> Self {
        let (gateways, jwt, postgres) = (at.gateways.clone(), at.secrets.jwt.clone(), at.postgres.clone());
        Self { gateways, jwt, postgres, show, seats, viewers }
    }

    pub fn viewers(&self) -> &[Arc<ViewerClient>] {
        &self.viewers
    }

    /// Returns when all is right, with the moment.
    ///
    /// # Errors
    /// With the last reason why not, long after any bound.
    pub async fn wait(&self) -> anyhow::Result<Right> {
        self.wait_at(None).await
    }

    /// The same, and until each of these statements counts nothing.
    ///
    /// # Errors
    /// With the last reason why not, or the statement, long after any bound.
    pub async fn wait_and(&self, left: &[String]) -> anyhow::Result<Right> {
        let right = self.wait().await?;
        if left.is_empty() {
            return Ok(right);
        }
        let (database, connection) = tokio_postgres::connect(&self.postgres, NoTls).await?;
        tokio::spawn(connection);
        let end = Instant::now() + LEFT_WITHIN;
        let mut last_step = right.last_step;
        for statement in left {
            loop {
                let count: i64 = database.query_one(statement, &[]).await?.try_get(0)?;
                if count == 0 {
                    break;
                }
                last_step = "what it met";
                anyhow::ensure!(Instant::now() < end, "{count} never done: {statement}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(Right { at: Instant::now(), last_step, last_failure: right.last_failure })
    }

    /// Right for everybody but newcomers at one gateway: who is connected there sees what happens elsewhere.
    ///
    /// # Errors
    /// With the last reason why not, long after any bound.
    pub async fn wait_without(&self, gateway: usize) -> anyhow::Result<Right> {
        self.wait_at(Some(gateway)).await
    }

    async fn wait_at(&self, without: Option<usize>) -> anyhow::Result<Right> {
        let end = Instant::now() + LIVENESS;
        let mut last_failure = None;
        loop {
            let failure = match tokio::time::timeout(ROUND, self.is_right(without)).await {
                Ok(Ok(last_step)) => return Ok(Right { at: Instant::now(), last_step, last_failure }),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "no answers".to_owned(),
            };
            anyhow::ensure!(Instant::now() < end, "never right again: {failure}");
            last_failure = Some(failure);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Answers what took longest.
    async fn is_right(&self, without: Option<usize>) -> anyhow::Result<&'static str> {
        let each = self.seats.len() / self.gateways.len().max(1);
        let seats = self.seats.chunks(each.max(1));
        let visits = self.gateways.iter().zip(seats).enumerate().filter(|(number, _)| without != Some(*number));
        let visits = visits.map(|(_, (gateway, seats))| newcomer::visit(gateway, &self.jwt, self.show, seats));
        // Who comes back may come to the gateway that takes nobody.
        let there = |viewer: &&Arc<ViewerClient>| without.is_none() || viewer.closed().is_none();
        let viewers = self.viewers.iter().filter(there);
        let applied = async {
            self.committed_is_applied().await?;
            anyhow::Ok(Instant::now())
        };
        let seen = async {
            let latest = try_join_all(visits).await?.into_iter().max().unwrap_or_default();
            let visited = Instant::now();
            try_join_all(viewers.map(|viewer| self.sees(viewer, latest))).await?;
            anyhow::Ok((visited, Instant::now()))
        };
        let (applied, (visited, seen)) = tokio::try_join!(applied, seen)?;
        let slow_viewer = seen.saturating_duration_since(visited) > Duration::from_millis(200);
        Ok(if applied > seen {
            "outbox"
        } else if slow_viewer {
            "viewers"
        } else {
            "newcomers"
        })
    }

    /// A viewer whose connection was closed comes back, as a page does.
    async fn sees(&self, viewer: &ViewerClient, position: Position) -> anyhow::Result<()> {
        if viewer.closed().is_some() {
            viewer.reconnect().await?;
        }
        let there = |state: &State| {
            let show = state.viewer(self.show);
            show.is_some_and(|show| show.is_live() && show.map().position() >= Some(position))
        };
        Ok(viewer.wait_for_state("the newcomer's change", ROUND, there).await?)
    }

    async fn committed_is_applied(&self) -> anyhow::Result<()> {
        let (database, connection) = tokio_postgres::connect(&self.postgres, NoTls).await?;
        tokio::spawn(connection);
        let latest: i64 = database.query_one("SELECT coalesce(max(id), 0) FROM outbox", &[]).await?.try_get(0)?;
        let left = "SELECT count(*) FROM outbox WHERE id <= $1 AND applied_at IS NULL AND parked_at IS NULL";
        while database.query_one(left, &[&latest]).await?.try_get::<_, i64>(0)? > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// With all customers gone: waits until every viewer is where Redis is, and compares the maps seat by seat.
    ///
    /// # Errors
    /// When a viewer never gets there, or its map differs.
    pub async fn maps_are_equal(&self, redis_url: &str) -> anyhow::Result<()> {
        let client = redis::Client::open(redis_url)?;
        let mut redis = client.get_multiplexed_async_connection().await?;
        let key = |what: &str| format!("{what}:{{{}}}:{}", self.show.bucket(), self.show);
        let end = Instant::now() + LIVENESS;
        loop {
            let mut read = redis::pipe();
            read.atomic().hmget(key("show"), &["generation", "sequence"]).get(key("seat_status"));
            let answers: Vec<Value> = read.query_async(&mut redis).await?;
            let (position, statuses) = server_map(answers)?;
            let behind = self.viewers.iter().find(|viewer| self.map_of(viewer).0 != Some(position));
            if let Some(behind) = behind {
                let at = self.map_of(behind).0;
                anyhow::ensure!(Instant::now() < end, "a viewer stands at {at:?}, Redis at {position}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            for viewer in &self.viewers {
                let (_, map, live) = self.map_of(viewer);
                let name = viewer.customer().map_or_else(|| "a viewer".to_owned(), |customer| customer.to_string());
                anyhow::ensure!(live, "{name} at {position} believes to be out of touch");
                let map = map.unwrap_or_default();
                let right = PackedStatuses::from_bytes(map.len(), &statuses).unwrap_or_default();
                let differ = difference(&map, &right);
                let text = differ.unwrap_or_default();
                anyhow::ensure!(text.is_empty(), "{name}'s map of show {} at {position}: {text}", self.show);
            }
            return Ok(());
        }
    }

    fn map_of(&self, viewer: &ViewerClient) -> (Option<Position>, Option<PackedStatuses>, bool) {
        let look = |show: &seatwire_protocol::viewer::ShowViewer| {
            let map = show.map();
            (map.position(), map.statuses().cloned(), show.is_live())
        };
        viewer.viewer(self.show, look).unwrap_or_default()
    }
}

fn server_map(answers: Vec<Value>) -> anyhow::Result<(Position, Vec<u8>)> {
    let [position, statuses] =
        <[Value; 2]>::try_from(answers).map_err(|_| anyhow::anyhow!("an answer of Redis is missing"))?;
    let (generation, sequence): (u64, u64) = redis::from_redis_value(position)?;
    Ok((Position { generation, sequence }, redis::from_redis_value(statuses)?))
}

/// One look; longer than a healthy stack ever takes.
const ROUND: Duration = Duration::from_secs(5);
/// Generous on purpose: times are reported, not judged.
const LIVENESS: Duration = Duration::from_secs(60);
/// A refund whose worker was killed is taken up again after half a minute.
const LEFT_WITHIN: Duration = Duration::from_secs(120);
