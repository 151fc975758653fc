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
            Self::KillCoreInClaim | Self::KillCoreInSettle => stack.restart(FIRST).await?,
            Self::StopCore => stack.cont(FIRST),
            Self::KillCoresBeforeApply => commit_gap::undo(stack).await?,
            Self::StopRedis => stack.cont(Process::Redis),
            Self::FillMemory => redis_admin::set(stack.redis(), "maxmemory", "0").await?,
            Self::FillDisk => stack.redis().free_disk()?,
            Self::SlowFeed | Self::HalfOpenFeed | Self::DeafFeed => feed(stack)?.restore(),
            Self::ClockAhead(clock) | Self::ClockBehind(clock) => stack.step_clock(clock, 0)?,
            Self::EmptyRedis | Self::KillRedis | Self::FailOver | Self::FlushScripts | Self::DropFeed => {}
        }
        Ok(())
    }
}

fn feed(stack: &Stack) -> anyhow::Result<&FaultProxy> {
    stack.proxy(Link::GatewayRedis).context("gateways do not reach Redis through a proxy")
}

const FIRST: Process = Process::Core(0);
/// Below what the gateway takes for silence.
const LATE: Duration = Duration::from_millis(300);
const STEP_S: i64 = 15 * 60;
