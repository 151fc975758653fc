//! Waits until a stack is at rest: no work left that goes on by itself.

use std::time::{Duration, Instant};

use super::{AuditOptions, Sources, event_checks, provider_checks};

/// Returns when the stack is at rest or the time is over; the checks then tell what is left.
pub(super) async fn wait(sources: &Sources, options: &AuditOptions) -> anyhow::Result<()> {
    let deadline = Instant::now() + options.wait;
    loop {
        let left = work_left(sources, options).await;
        let over = Instant::now() >= deadline;
        match left {
            Ok(None) => return Ok(()),
            Ok(Some(left)) if over => {
                eprintln!("audit: not at rest after {} s: {left}", options.wait.as_secs());
                return Ok(());
            }
            // A server may just be starting again.
            Err(error) if over => return Err(error),
            Ok(Some(_)) | Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// What keeps the stack from rest.
async fn work_left(sources: &Sources, options: &AuditOptions) -> anyhow::Result<Option<String>> {
    // The provider first: what it has delivered is in the inbox already when that is looked at.
    let books = provider_checks::read(sources).await?;
    let mut database = sources.connect_postgres().await?;
    let ledger = database.build_transaction().read_only(true).start().await?;
    let row = ledger.query_one(OPEN, &[]).await?;
    let mut left =
        vec![("inbox", row.try_get::<_, i64>(0)?), ("outbox", row.try_get(1)?), ("refunds", row.try_get(2)?)];
    left.push(("events for the bus", row.try_get(4)?));
    left.push(("mails", row.try_get(5)?));
    if !options.allow_pending {
        left.push(("pending bookings", row.try_get(3)?));
    }
    if let Some(books) = books {
        let unknown = provider_checks::unknown_captures(&ledger, &books).await?;
        left.push(("webhooks to deliver", i64::try_from(books.webhooks_pending)?));
        left.push(("late captures and refunds", i64::try_from(books.late_pending)?));
        left.push(("captures that are not known here", i64::try_from(unknown)?));
    }
    if left.iter().all(|(_, count)| *count == 0)
        && let Some(bus) = event_checks::on_the_bus(&ledger, sources).await?
    {
        // The core has not noticed yet that its bus lost them.
        left.push(("events that the bus lost", i64::try_from(bus.violations)?));
    }
    let left: Vec<String> =
        left.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")).collect();
    Ok((!left.is_empty()).then(|| left.join(", ")))
}

/// Parked work waits for an operator: no use to wait for it.
const OPEN: &str = "SELECT
    (SELECT count(*) FROM payment_events WHERE processed_at IS NULL AND parked_at IS NULL),
    (SELECT count(*) FROM outbox WHERE applied_at IS NULL AND parked_at IS NULL),
    (SELECT count(*) FROM refunds WHERE state IN ('DUE', 'REQUESTED') AND parked_at IS NULL),
    (SELECT count(*) FROM bookings WHERE state = 'PENDING'),
    (SELECT count(*) FROM booking_events WHERE bus_next_try_at IS NOT NULL),
    (SELECT count(*) FROM booking_events WHERE mail_next_try_at IS NOT NULL)";
const LOOK_EVERY: Duration = Duration::from_millis(150);
