//! Kills the cores after a commit and before its change is in Redis. The moment is a millisecond long, so it is made: a
//! table lock holds claims back at their last statement, Redis is cut off, the lock is let go, and the cores die when
//! the ledger shows that a claim which waited is committed. Nothing of it can have reached Redis.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio_postgres::Client;

use super::inject::Injected;
use super::ledger_admin::{connect, waiting_for};
use crate::launcher::{FaultProxy, Link, Process, Stack};

pub(super) async fn inject(stack: &mut Stack) -> anyhow::Result<Injected> {
    for _ in 0..TRIES {
        if let Some(injected) = attempt(stack).await? {
            return Ok(injected);
        }
    }
    anyhow::bail!("no claim was caught between commit and apply")
}

/// `None` when no claim came by.
async fn attempt(stack: &mut Stack) -> anyhow::Result<Option<Injected>> {
    let (locker, watcher) = (connect(stack).await?, connect(stack).await?);
    locker.batch_execute("BEGIN; LOCK TABLE outbox IN SHARE MODE").await?;
    // Below the cores' lock timeout.
    let end = Instant::now() + Duration::from_millis(1_200);
    let mut waiting = Vec::new();
    while waiting.is_empty() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
        waiting = waiting_for(&watcher, "outbox").await?;
    }
    redis(stack)?.blackhole();
    // More may have come meanwhile; and what they had to say to Redis before has been said.
    waiting = waiting_for(&watcher, "outbox").await?;
    locker.batch_execute("COMMIT").await?;
    let mut caught = 0;
    while caught == 0 && !waiting.is_empty() && Instant::now() < end + Duration::from_millis(500) {
        caught = committed(&watcher, &waiting).await?;
    }
    let at = Instant::now();
    if caught == 0 {
        redis(stack)?.restore();
        return Ok(None);
    }
    for core in cores(stack) {
        stack.kill(core);
    }
    // What they had sent and Redis had not read dies with them.
    redis(stack)?.reset();
    let caught = committed(&watcher, &waiting).await?;
    anyhow::ensure!(caught > 0, "a change was marked as applied although Redis was cut off");
    Ok(Some(Injected::at(at, format!("{caught} commits not in Redis"))))
}

pub(super) async fn undo(stack: &mut Stack) -> anyhow::Result<()> {
    redis(stack)?.restore();
    for core in cores(stack) {
        stack.restart(core).await?;
    }
    Ok(())
}

/// How many of their rows are committed, and not marked as applied.
async fn committed(watcher: &Client, transactions: &[String]) -> anyhow::Result<i64> {
    let query = "SELECT count(*) FROM outbox WHERE xmin::text = ANY($1) AND applied_at IS NULL";
    Ok(watcher.query_one(query, &[&transactions]).await?.try_get(0)?)
}

pub(super) fn cores(stack: &Stack) -> Vec<Process> {
    stack.all().into_iter().filter(|process| matches!(process, Process::Core(_))).collect()
}

fn redis(stack: &Stack) -> anyhow::Result<&FaultProxy> {
    stack.proxy(Link::CoreRedis).context("cores do not reach Redis through a proxy")
}

const TRIES: usize = 10;
