//! Kills the core that takes webhooks when the provider has its answer and nothing of the event is settled. That moment
//! is short, so it is made: a table lock holds settlements back, which the inbox does not need.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::inject::Injected;
use super::ledger_admin::{connect, list};
use super::switches;
use crate::launcher::{Process, Stack};

pub(super) async fn inject(stack: &mut Stack) -> anyhow::Result<Injected> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(injected) = attempt(stack).await? {
            return Ok(injected);
        }
    }
    anyhow::bail!("no webhook was caught between its answer and its settlement")
}

/// `None` when none came by.
async fn attempt(stack: &mut Stack) -> anyhow::Result<Option<Injected>> {
    let (locker, watcher) = (connect(stack).await?, connect(stack).await?);
    let latest: i64 = watcher.query_one("SELECT coalesce(max(id), 0) FROM payment_events", &[]).await?.try_get(0)?;
    locker.batch_execute("BEGIN; LOCK TABLE outbox IN SHARE MODE").await?;
    // Below the cores' lock timeout.
    let end = Instant::now() + Duration::from_millis(1_200);
    let mut caught = Vec::new();
    while caught.is_empty() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let accepted = switches::heard(stack).await?.accepted;
        caught = unsettled(&watcher, latest, &accepted).await?;
    }
    let at = Instant::now();
    if !caught.is_empty() {
        stack.kill(Process::Core(0));
        let of_them = list(&caught);
        let left = format!("SELECT count(*) FROM payment_events WHERE id IN ({of_them}) AND processed_at IS NULL");
        let still: i64 = watcher.query_one(&left, &[]).await?.try_get(0)?;
        locker.batch_execute("COMMIT").await?;
        if still > 0 {
            let note = format!("{still} webhooks answered and not settled");
            return Ok(Some(Injected { left: vec![left], ..Injected::at(at, note) }));
        }
        stack.restart(Process::Core(0)).await?;
        return Ok(None);
    }
    locker.batch_execute("COMMIT").await?;
    Ok(None)
}

/// Events that came after `latest`, were answered with success, and change a booking.
async fn unsettled(watcher: &Client, latest: i64, accepted: &[String]) -> anyhow::Result<Vec<i64>> {
    let query =
        "SELECT e.id FROM payment_events e JOIN orders o ON o.id = e.order_id JOIN bookings b ON b.id = o.booking_id
        WHERE e.id > $1 AND encode(e.body_hash, 'hex') = ANY($2) AND e.processed_at IS NULL AND b.state = 'PENDING'";
    let rows = watcher.query(query, &[&latest, &accepted]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

const PATIENCE: Duration = Duration::from_secs(20);
