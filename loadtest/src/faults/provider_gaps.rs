//! Faults between the provider and the ledger: a refund that was made and not recorded, webhooks that are late, captures
//! that are. Each leaves a statement that counts what it met and is not done yet.

use std::time::{Duration, Instant};

use super::commit_gap::cores;
use super::inject::Injected;
use super::ledger_admin::{connect, list};
use super::switches::{self, Switch};
use crate::launcher::Stack;

/// Kills the cores while the provider holds the answer to a refund that it made.
pub(super) async fn kill_in_refund(stack: &mut Stack) -> anyhow::Result<Injected> {
    switches::turn(stack, Switch::HoldRefundAnswers).await?;
    let mut met = some_met(stack).await?;
    let at = Instant::now();
    if !met.is_empty() {
        for core in cores(stack) {
            stack.kill(core);
        }
        met.extend(switches::heard(stack).await?.met);
    }
    switches::calm(stack).await?;
    anyhow::ensure!(!met.is_empty(), "no refund was asked for");
    let left = unrecorded(&met);
    Ok(Injected { left: vec![left], ..Injected::at(at, format!("{} refunds made and not recorded", met.len())) })
}

/// With nobody left who asks for a refund, the half minute for which dead workers have theirs is over at once.
pub(super) async fn restart(stack: &mut Stack) -> anyhow::Result<()> {
    let over = "UPDATE refunds SET next_try_at = clock_timestamp() WHERE state = 'REQUESTED' AND parked_at IS NULL";
    connect(stack).await?.execute(over, &[]).await?;
    for core in cores(stack) {
        stack.restart(core).await?;
    }
    Ok(())
}

/// Whoever waited for a payment when its webhook was held back is helped without it.
pub(super) async fn withheld(stack: &Stack, injected: &mut Injected) -> anyhow::Result<()> {
    let pending = "SELECT coalesce(array_agg(id::text), '{}') FROM bookings WHERE state = 'PENDING'";
    let pending: Vec<String> = connect(stack).await?.query_one(pending, &[]).await?.try_get(0)?;
    let webhooks = switches::put_off(stack).await?;
    switches::calm(stack).await?;
    injected.note = format!("{webhooks} webhooks late, {} bookings waited", pending.len());
    let of_them = list(pending);
    injected.left.push(format!("SELECT count(*) FROM bookings WHERE id IN ({of_them}) AND state = 'PENDING'"));
    Ok(())
}

pub(super) async fn captures_put_off(stack: &Stack, injected: &mut Injected) -> anyhow::Result<()> {
    let met = all_met(stack).await?;
    anyhow::ensure!(!met.is_empty(), "no payment was made");
    injected.note = format!("{} payments captured late", met.len());
    let (count, of_them) = (met.len(), list(&met));
    // Settled: booked, or its refund is decided.
    injected.left.push(format!(
        "SELECT {count} - count(*) FROM payments WHERE id IN ({of_them}) AND status = 'captured' AND outcome IS NOT NULL"
    ));
    Ok(())
}

pub(super) async fn answers_lost(stack: &Stack, injected: &mut Injected) -> anyhow::Result<()> {
    let met = all_met(stack).await?;
    anyhow::ensure!(!met.is_empty(), "no refund was asked for");
    injected.note = format!("{} answers lost", met.len());
    injected.left.push(unrecorded(&met));
    Ok(())
}

/// Everything that the fault met, once it is taken back; which is not before it met something, or in vain for too long.
async fn all_met(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let mut met = some_met(stack).await?;
    switches::calm(stack).await?;
    met.extend(switches::heard(stack).await?.met);
    Ok(met)
}

/// After another fault it may be seconds until somebody pays, or gets money back.
async fn some_met(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let (mut met, end) = (Vec::new(), Instant::now() + PATIENCE);
    while met.is_empty() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
        met = switches::heard(stack).await?.met;
    }
    Ok(met)
}

/// Refunds of these payments that the ledger does not know the end of.
fn unrecorded(payments: &[String]) -> String {
    let of_them = list(payments);
    format!("SELECT count(*) FROM refunds WHERE payment_id IN ({of_them}) AND state IN ('DUE', 'REQUESTED')")
}

const PATIENCE: Duration = Duration::from_secs(20);
