//! A failover of Redis: a second server follows the first one over a link that can be cut, and takes its place. Cores and
//! gateways must reach Redis through fault proxies; those then lead to the new server.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use super::Stack;
use crate::launcher::{FaultProxy, Link, Redis, RedisOptions, StartError};

/// A server that follows the stack's own.
#[derive(Debug)]
pub(super) struct Replica {
    redis: Redis,
    /// Between the two.
    link: FaultProxy,
}

impl Stack {
    /// Starts a replica and returns when it has everything.
    pub async fn start_replica(&mut self) -> Result<(), StartError> {
        self.replicas_started += 1;
        let name = format!("redis-{}", self.replicas_started);
        let redis = Redis::start_with(RedisOptions {
            folder: Some(self.folder.path.join(&name)),
            log: Some(self.folder.logs().join(format!("{name}.log"))),
            append_only: self.redis.is_append_only(),
            disk_mib: self.redis.disk_mib(),
            ..RedisOptions::default()
        });
        let redis = redis.await?;
        let link = FaultProxy::start(self.redis.address()).await.map_err(StartError::io(NAME, "starting its link"))?;
        let mut master = connect(&self.redis).await?;
        run(&mut master, redis::cmd("CONFIG").arg("SET").arg("repl-diskless-sync-delay").arg(0)).await?;
        let mut replica = connect(&redis).await?;
        let follow = (link.address().ip().to_string(), link.address().port());
        run(&mut replica, redis::cmd("REPLICAOF").arg(follow.0).arg(follow.1)).await?;
        let end = Instant::now() + SYNC_PATIENCE;
        while info(&mut replica, "replication", "master_link_status").await?.is_none_or(|status| status != "up") {
            if Instant::now() > end {
                return Err(failed("following the master", "not in sync in time"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.replica = Some(Replica { redis, link });
        Ok(())
    }

    /// From now on the replica hears nothing; what Redis acknowledges is lost in a failover.
    pub fn cut_replica(&self) {
        if let Some(replica) = &self.replica {
            replica.link.refuse();
        }
    }

    /// Kills the master, promotes the replica, and leads cores and gateways to it. Returns how many bytes of changes the
    /// replica had not heard of.
    pub async fn fail_over(&mut self) -> Result<u64, StartError> {
        let replica = self.replica.take().ok_or_else(|| failed("a failover", "no replica was started"))?;
        let mut master = connect(&self.redis).await?;
        let mut promoted = connect(&replica.redis).await?;
        let links = [Link::CoreRedis, Link::GatewayRedis].map(|link| self.proxies.get(&link));
        let [Some(cores), Some(gateways)] = links else {
            return Err(failed("a failover", "cores and gateways do not reach Redis through proxies"));
        };
        let written = offset(&mut master, "master_repl_offset").await?;
        let heard = offset(&mut promoted, "slave_repl_offset").await?;
        self.redis.kill();
        run(&mut promoted, redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await?;
        cores.lead_to(replica.redis.address());
        gateways.lead_to(replica.redis.address());
        self.redis = replica.redis;
        Ok(written.saturating_sub(heard))
    }
}

async fn connect(server: &Redis) -> Result<MultiplexedConnection, StartError> {
    let client = redis::Client::open(server.url()).map_err(|error| failed("its address", &error.to_string()))?;
    client.get_multiplexed_async_connection().await.map_err(|error| failed("connecting", &error.to_string()))
}

async fn run(connection: &mut MultiplexedConnection, command: &redis::Cmd) -> Result<(), StartError> {
    command.query_async::<()>(connection).await.map_err(|error| failed("a command", &error.to_string()))
}

async fn offset(connection: &mut MultiplexedConnection, field: &str) -> Result<u64, StartError> {
    let text = info(connection, "replication", field).await?;
    text.and_then(|text| text.parse().ok()).ok_or_else(|| failed("reading an offset", field))
}

/// One field of INFO.
async fn info(
    connection: &mut MultiplexedConnection,
    section: &str,
    field: &str,
) -> Result<Option<String>, StartError> {
    let text = redis::cmd("INFO").arg(section).query_async::<String>(connection).await;
    let text = text.map_err(|error| failed("asking for INFO", &error.to_string()))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.map(|value| value.trim().to_owned()))
}

fn failed(step: &str, why: &str) -> StartError {
    StartError::Io { server: NAME.to_owned(), step: step.to_owned(), cause: std::io::Error::other(why.to_owned()) }
}

const NAME: &str = "redis replica";
const SYNC_PATIENCE: Duration = Duration::from_secs(20);
