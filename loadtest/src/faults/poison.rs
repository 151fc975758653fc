//! Rows that no worker can do anything with. They are tried five times and parked; the pauses between the tries, seconds
//! by the product's schedule, are made short here. In the end an operator does what the runbook says.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::process::Command;
use tokio_postgres::Client;

use super::ledger_admin::connect;
use crate::launcher::{Stack, binary};

/// One that is no event: tried again and again; one that can't be read: parked at once.
pub(super) async fn inbox(stack: &Stack) -> anyhow::Result<String> {
    let ledger = connect(stack).await?;
    for body in ["{}", r#"{"type": "unreadable", "why": "poison"}"#] {
        let insert = "INSERT INTO payment_events (provider, body_hash, source, kind, body)
            SELECT 'razorpay', sha256(gen_random_uuid()::text::bytea), 'webhook', 'poison', $1::text::jsonb";
        ledger.execute(insert, &[&body]).await?;
    }
    parked(&ledger, "payment_events", "kind = 'poison'", 2).await
}

/// A change that was applied long ago is made unreadable, to be applied again.
pub(super) async fn outbox(stack: &Stack) -> anyhow::Result<String> {
    let ledger = connect(stack).await?;
    let poison = "UPDATE outbox SET applied_at = NULL, failures = 0, next_try_at = clock_timestamp(),
            change = jsonb_build_object('poison', change)
        WHERE id = (SELECT max(id) FROM outbox WHERE applied_at IS NOT NULL)";
    anyhow::ensure!(ledger.execute(poison, &[]).await? == 1, "no change was ever applied");
    parked(&ledger, "outbox", POISONED_CHANGE, 1).await
}

/// Waits until so many are parked; tells after how many failures.
async fn parked(ledger: &Client, table: &str, poisoned: &str, wanted: i64) -> anyhow::Result<String> {
    let sooner = format!(
        "UPDATE {table} SET next_try_at = clock_timestamp()
            WHERE {poisoned} AND parked_at IS NULL AND next_try_at > clock_timestamp()"
    );
    let count =
        format!("SELECT count(*), coalesce(max(failures), 0) FROM {table} WHERE {poisoned} AND parked_at IS NOT NULL");
    let end = Instant::now() + PATIENCE;
    loop {
        let row = ledger.query_one(&count, &[]).await?;
        let (parked, failures): (i64, i32) = (row.try_get(0)?, row.try_get(1)?);
        if parked == wanted {
            anyhow::ensure!(failures >= TRIES, "parked after {failures} failures");
            return Ok(format!("parked after {failures} failures"));
        }
        anyhow::ensure!(Instant::now() < end, "{parked} of {wanted} poisoned rows of {table} were parked");
        ledger.execute(&sooner, &[]).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Answers a statement that counts what is still parked, or not done.
pub(super) async fn mend_inbox(stack: &Stack) -> anyhow::Result<String> {
    let ledger = connect(stack).await?;
    // What nobody could make sense of turns out to be none of our business.
    let mend = r#"UPDATE payment_events SET body = '{"type": "other"}' WHERE kind = 'poison' AND body = '{}'"#;
    ledger.execute(mend, &[]).await?;
    let parked = "SELECT id, processed_at IS NULL FROM payment_events WHERE kind = 'poison' AND parked_at IS NOT NULL";
    for row in ledger.query(parked, &[]).await? {
        let (id, open): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
        admin(stack, if open { "requeue" } else { "dismiss" }, &format!("inbox-{id}")).await?;
    }
    let left = "SELECT count(*) FROM payment_events
        WHERE kind = 'poison' AND (parked_at IS NOT NULL OR processed_at IS NULL)";
    Ok(left.to_owned())
}

pub(super) async fn mend_outbox(stack: &Stack) -> anyhow::Result<String> {
    let ledger = connect(stack).await?;
    let mend = format!("UPDATE outbox SET change = change -> 'poison' WHERE {POISONED_CHANGE} RETURNING id");
    let id: i64 = ledger.query_one(&mend, &[]).await?.try_get(0)?;
    admin(stack, "requeue", &format!("outbox-{id}")).await?;
    Ok(format!("SELECT count(*) FROM outbox WHERE id = {id} AND applied_at IS NULL"))
}

/// `seatwire-core admin`, as an operator types it.
async fn admin(stack: &Stack, act: &str, row: &str) -> anyhow::Result<()> {
    let at = stack.addresses();
    let mut command = Command::new(binary("seatwire-core")?);
    command.args(["admin", "--url", &at.core_http, act, row]).env("SEATWIRE_ADMIN_TOKEN", &at.secrets.admin);
    let done = command.output().await.context("running seatwire-core admin")?;
    let said = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(done.status.success(), "seatwire-core admin {act} {row}: {}", said.trim());
    Ok(())
}

const POISONED_CHANGE: &str = "change ? 'poison' AND applied_at IS NULL";
/// As the product counts.
const TRIES: i32 = 5;
const PATIENCE: Duration = Duration::from_secs(30);
