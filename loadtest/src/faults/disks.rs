//! PostgreSQL's disks, full. Its log says whether anything failed for want of room.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::descriptors::Mark;
use super::inject::Injected;
use super::ledger_admin::connect;
use crate::launcher::{Disk, Process, Stack};

/// Tables and indexes can't grow any more.
pub(super) fn fill_data(stack: &Stack) -> anyhow::Result<Mark> {
    let mark = Mark { at: Instant::now(), cpu_ns: 0, failures: failures(stack)? };
    stack.postgres().fill_disk(Disk::Data)?;
    Ok(mark)
}

pub(super) fn free_data(stack: &Stack, injected: &mut Injected) -> anyhow::Result<()> {
    stack.postgres().free_disk(Disk::Data)?;
    let before = injected.mark.as_ref().map_or(0, |mark| mark.failures);
    let failed = failures(stack)?.saturating_sub(before);
    injected.note = format!("{failed} statements found no room");
    anyhow::ensure!(failed > 0, "nothing needed room");
    Ok(())
}

/// The server ends as soon as it needs a new file for its log: it is made to need one at once.
pub(super) async fn fill_wal(stack: &Stack) -> anyhow::Result<()> {
    let ledger = connect(stack).await?;
    stack.postgres().fill_disk(Disk::Wal)?;
    let end = Instant::now() + PATIENCE;
    while ledger.execute("SELECT pg_switch_wal(), pg_current_xact_id()", &[]).await.is_ok() {
        anyhow::ensure!(Instant::now() < end, "the server needs no room for its log");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub(super) async fn free_wal(stack: &mut Stack) -> anyhow::Result<()> {
    stack.postgres().free_disk(Disk::Wal)?;
    Ok(stack.restart(Process::Postgres).await?)
}

fn failures(stack: &Stack) -> anyhow::Result<usize> {
    let log = stack.logs().join(format!("{}.log", Process::Postgres));
    let text = fs::read(&log).with_context(|| format!("reading {}", log.display()))?;
    Ok(String::from_utf8_lossy(&text).matches("No space left on device").count())
}

const PATIENCE: Duration = Duration::from_secs(10);
