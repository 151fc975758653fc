//! How each fault is done, and undone.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::descriptors::{self, Mark};
use super::switches::{self, Switch};
use super::{Fault, commit_gap, disks, ledger_admin, poison, provider_gaps, redis_admin, webhook_gap};
use crate::launcher::{FaultProxy, Link, Process, Stack};

/// The moment, and what there is to tell of it.
#[derive(Debug)]
pub(super) struct Injected {
    pub(super) at: Instant,
    pub(super) note: String,
    /// Statements that count what this fault met and is not done yet.
    pub(super) left: Vec<String>,
    pub(super) mark: Option<Mark>,
}

impl Injected {
    pub(super) fn at(at: Instant, note: String) -> Self {
        Self { at, note, left: Vec::new(), mark: None }
    }
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
        let (at, mut mark) = (Instant::now(), None);
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
                to_cores(stack)?.into_iter().for_each(FaultProxy::reset);
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
            Self::KillCoreAfterWebhook => return webhook_gap::inject(stack).await,
            Self::KillCoresInRefund => return provider_gaps::kill_in_refund(stack).await,
            Self::PoisonInbox => note = poison::inbox(stack).await?,
            Self::PoisonOutbox => note = poison::outbox(stack).await?,
            Self::FillLedgerDisk => mark = Some(disks::fill_data(stack)?),
            Self::FillWalDisk => disks::fill_wal(stack).await?,
            Self::ExhaustDescriptors => mark = Some(descriptors::exhaust(stack)?),
            Self::RepeatWebhooks | Self::WithholdWebhooks => switches::turn(stack, Switch::HoldWebhooks).await?,
            Self::DelayCaptures => switches::turn(stack, Switch::DelayCaptures).await?,
            Self::FailProvider => switches::turn(stack, Switch::Fail("500")).await?,
            Self::ThrottleProvider => switches::turn(stack, Switch::Fail("429")).await?,
            Self::HangProvider => switches::turn(stack, Switch::Fail("hang")).await?,
            Self::LoseRefundAnswers => switches::turn(stack, Switch::LoseRefundAnswers).await?,
            // Whoever leads the viewers does it.
            Self::ScatterViewers | Self::StallViewers => {}
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
            Self::RepeatFeed => feed(stack)?.repeat_published(),
            Self::RepeatCommands => to_cores(stack)?.into_iter().for_each(FaultProxy::repeat_commands),
            Self::ClockAhead(clock) => stack.step_clock(clock, STEP_S)?,
            Self::ClockBehind(clock) => stack.step_clock(clock, -STEP_S)?,
        }
        Ok(Injected { mark, ..Injected::at(at, note) })
    }

    pub(super) async fn undo(self, stack: &mut Stack, injected: &mut Injected) -> anyhow::Result<()> {
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
            Self::KillCoreInClaim | Self::KillCoreInSettle | Self::KillCoreAfterWebhook => stack.restart(FIRST).await?,
            Self::KillCoresInRefund => provider_gaps::restart(stack).await?,
            Self::PoisonInbox => injected.left.push(poison::mend_inbox(stack).await?),
            Self::PoisonOutbox => injected.left.push(poison::mend_outbox(stack).await?),
            Self::FillLedgerDisk => disks::free_data(stack, injected)?,
            Self::FillWalDisk => disks::free_wal(stack).await?,
            Self::ExhaustDescriptors => descriptors::restore(stack, injected)?,
            Self::RepeatWebhooks => {
                injected.note = format!("{} webhooks three times", switches::thrice_in_reverse(stack).await?);
                switches::calm(stack).await?;
            }
            Self::WithholdWebhooks => provider_gaps::withheld(stack, injected).await?,
            Self::DelayCaptures => provider_gaps::captures_put_off(stack, injected).await?,
            Self::LoseRefundAnswers => provider_gaps::answers_lost(stack, injected).await?,
            Self::FailProvider | Self::ThrottleProvider | Self::HangProvider => switches::calm(stack).await?,
            Self::RepeatCommands => to_cores(stack)?.into_iter().for_each(FaultProxy::restore),
            Self::StopCore => stack.cont(FIRST),
            Self::KillCoresBeforeApply => commit_gap::undo(stack).await?,
            Self::StopRedis => stack.cont(Process::Redis),
            Self::FillMemory => redis_admin::set(stack.redis(), "maxmemory", "0").await?,
            Self::FillDisk => stack.redis().free_disk()?,
            Self::SlowFeed | Self::HalfOpenFeed | Self::DeafFeed | Self::RepeatFeed => feed(stack)?.restore(),
            Self::ClockAhead(clock) | Self::ClockBehind(clock) => stack.step_clock(clock, 0)?,
            Self::EmptyRedis | Self::KillRedis | Self::FailOver | Self::FlushScripts | Self::DropFeed => {}
            Self::DrainGateway | Self::DrainCore | Self::KillProvider | Self::KillPostgres => {}
            Self::KillBackends | Self::CutCores | Self::ScatterViewers | Self::StallViewers => {}
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
    let client = ledger_admin::connect(stack).await?;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND usename <> current_user";
    Ok(client.query_one(end, &[]).await?.try_get(0)?)
}

fn to_cores(stack: &Stack) -> anyhow::Result<Vec<&FaultProxy>> {
    let links = stack.proxies().iter().filter(|(link, _)| matches!(link, Link::GatewayCore(_)));
    let links: Vec<_> = links.map(|(_, proxy)| proxy).collect();
    anyhow::ensure!(!links.is_empty(), "gateways do not reach cores through proxies");
    Ok(links)
}

fn feed(stack: &Stack) -> anyhow::Result<&FaultProxy> {
    stack.proxy(Link::GatewayRedis).context("gateways do not reach Redis through a proxy")
}

const FIRST: Process = Process::Core(0);
/// Below what the gateway takes for silence.
const LATE: Duration = Duration::from_millis(300);
const STEP_S: i64 = 15 * 60;
const BETWEEN_LINKS: Duration = Duration::from_millis(150);
