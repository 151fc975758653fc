//! How each fault is done, and undone.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{Fault, commit_gap, redis_admin};
use crate::launcher::{FaultProxy, Link, Process, Stack};

/// The moment, and what there is to tell of it.
pub(super) struct Injected {
    pub(super) at: Instant,
    pub(super) note: String,
}

impl Fault {
    /// What has to be there before the fault; for most nothing.
    ///
    /// # Errors
    /// When the stack can't have this fault.
    pub async fn prepare(self, stack: &mut Stack) -> anyhow::Result<()> {
        if self == Self::FailOver {
            stack.start_replica().await?;
            stack.cut_replica();
        }
        Ok(())
    }

    pub(super) async fn inject(self, stack: &mut Stack) -> anyhow::Result<Injected> {
        let at = Instant::now();
        let mut note = String::new();
        match self {
            Self::KillGateway => stack.kill(Process::Gateway(0)),
            Self::StopGateway => stack.stop(Process::Gateway(0)),
            Self::DrainGateway => stack.restart(last_gateway(stack)).await?,
            Self::DrainCore => stack.restart(last_core(stack)).await?,
            Self::KillProvider | Self::KillPostgres => {
                stack.kill(self.server());
                stack.restart(self.server()).await?;
            }
            Self::StopProvider | Self::StopPostgres => stack.stop(self.server()),
            Self::KillBackends => note = format!("{} connections ended", end_backends(stack).await?),
            Self::CutCores => {
                let links = stack.proxies().iter().filter(|(link, _)| matches!(link, Link::GatewayCore(_)));
                let cut = links.map(|(_, proxy)| proxy.reset()).count();
                anyhow::ensure!(cut > 0, "gateways do not reach cores through proxies");
            }
            Self::Clog => {
                for proxy in stack.proxies().values() {
                    proxy.blackhole();
                    tokio::time::sleep(BETWEEN_LINKS).await;
                }
            }
            Self::KillCoreInClaim | Self::KillCoreInSettle => stack.kill(FIRST),
            Self::StopCore => stack.stop(FIRST),
            Self::KillCoresBeforeApply => return commit_gap::inject(stack).await,
            Self::EmptyRedis => {
                stack.kill(Process::Redis);
                let file = stack.redis().folder().join("appendonlydir");
                if file.exists() {
                    fs::remove_dir_all(file).context("removing the append-only file")?;
                }
                stack.restart(Process::Redis).await?;
            }
            Self::KillRedis => {
                stack.kill(Process::Redis);
                stack.restart(Process::Redis).await?;
            }
            Self::FailOver => {
                let lost = stack.fail_over().await?;
                anyhow::ensure!(lost > 0, "the replica had heard of everything: nothing was lost");
                note = format!("{lost} bytes of changes lost");
            }
            Self::StopRedis => stack.stop(Process::Redis),
            Self::FillMemory => redis_admin::set(stack.redis(), "maxmemory", "1").await?,
            Self::FillDisk => stack.redis().fill_disk()?,
            Self::FlushScripts => redis_admin::run(stack.redis(), redis::cmd("SCRIPT").arg("FLUSH")).await?,
            Self::DropFeed => {
                let mut kill = redis::cmd("CLIENT");
                redis_admin::run(stack.redis(), kill.arg("KILL").arg("TYPE").arg("pubsub")).await?;
            }
            Self::SlowFeed => feed(stack)?.latency(LATE),
            Self::HalfOpenFeed => feed(stack)?.half_open(),
            Self::DeafFeed => feed(stack)?.deaf(),
            Self::ClockAhead(clock) => stack.step_clock(clock, STEP_S)?,
            Self::ClockBehind(clock) => stack.step_clock(clock, -STEP_S)?,
        }
        Ok(Injected { at, note })
    }

    pub(super) async fn undo(self, stack: &mut Stack) -> anyhow::Result<()> {
        match self {
            Self::KillGateway => stack.restart(Process::Gateway(0)).await?,
            Self::StopGateway => stack.cont(Process::Gateway(0)),
            Self::StopProvider | Self::StopPostgres => stack.cont(self.server()),
            Self::Clog => {
                // Not in the order in which they stopped.
                for proxy in stack.proxies().values().rev() {
                    proxy.restore();
                    tokio::time::sleep(BETWEEN_LINKS).await;
                }
            }
            Self::KillCoreInClaim | Self::KillCoreInSettle => stack.restart(FIRST).await?,
            Self::StopCore => stack.cont(FIRST),
            Self::KillCoresBeforeApply => commit_gap::undo(stack).await?,
            Self::StopRedis => stack.cont(Process::Redis),
            Self::FillMemory => redis_admin::set(stack.redis(), "maxmemory", "0").await?,
            Self::FillDisk => stack.redis().free_disk()?,
            Self::SlowFeed | Self::HalfOpenFeed | Self::DeafFeed => feed(stack)?.restore(),
            Self::ClockAhead(clock) | Self::ClockBehind(clock) => stack.step_clock(clock, 0)?,
            Self::EmptyRedis | Self::KillRedis | Self::FailOver | Self::FlushScripts | Self::DropFeed => {}
            Self::DrainGateway | Self::DrainCore | Self::KillProvider | Self::KillPostgres => {}
            Self::KillBackends | Self::CutCores => {}
        }
        Ok(())
    }
}

impl Fault {
    /// Of the faults of one server.
    fn server(self) -> Process {
        if matches!(self, Self::KillProvider | Self::StopProvider) { Process::Provider } else { Process::Postgres }
    }
}

fn last_gateway(stack: &Stack) -> Process {
    let of = |process: &Process| matches!(process, Process::Gateway(_));
    stack.all().into_iter().rfind(of).unwrap_or(Process::Gateway(0))
}

fn last_core(stack: &Stack) -> Process {
    stack.all().into_iter().rfind(|process| matches!(process, Process::Core(_))).unwrap_or(FIRST)
}

/// As an administrator would; answers how many there were.
async fn end_backends(stack: &Stack) -> anyhow::Result<i64> {
    let (client, connection) = tokio_postgres::connect(&stack.addresses().postgres, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND usename <> current_user";
    Ok(client.query_one(end, &[]).await?.try_get(0)?)
}

fn feed(stack: &Stack) -> anyhow::Result<&FaultProxy> {
    stack.proxy(Link::GatewayRedis).context("gateways do not reach Redis through a proxy")
}

const FIRST: Process = Process::Core(0);
/// Below what the gateway takes for silence.
const LATE: Duration = Duration::from_millis(300);
const STEP_S: i64 = 15 * 60;
const BETWEEN_LINKS: Duration = Duration::from_millis(150);
