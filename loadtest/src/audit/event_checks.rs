//! Checks of the events for other systems and for mail: each change of a booking and of its money is told by one row,
//! each row has reached the bus, and the bus still has it.

use std::collections::HashSet;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, streams::StreamRangeReply};
use tokio_postgres::Transaction;

use super::Sources;
use super::report::{Check, SqlCheck};

pub(super) const CHECKS: &[SqlCheck] = &[
    // A booking changes state with all its seats: the history of its first seat is its own.
    SqlCheck {
        name: "events_tell_every_change",
        invariants: "11 13",
        examined: "booking_events",
        violations: "WITH changes AS (
                SELECT b.id AS booking, CASE WHEN h.to_status = 'claimed' THEN 'BookingPending'
                    WHEN h.to_status = 'booked' THEN 'BookingConfirmed'
                    WHEN h.reason = 'expire' THEN 'BookingExpired' ELSE 'BookingCancelled' END AS kind
                FROM bookings b JOIN seat_history h ON h.show_id = b.show_id AND h.booking_id = b.id
                    AND h.seat = (SELECT min(s.seat) FROM booking_seats s WHERE s.booking_id = b.id)
                UNION ALL
                SELECT booking_id, 'PaymentCompleted' FROM payments WHERE status = 'captured' AND booking_id IS NOT NULL
                UNION ALL
                SELECT booking_id, 'BookingFailed_InitiateRefund' FROM payments
                WHERE outcome = 'REFUND' AND booking_id IS NOT NULL
                UNION ALL
                SELECT booking_id, 'Refunded' FROM refunds WHERE state = 'PROCESSED' AND booking_id IS NOT NULL),
            happened AS (SELECT booking, kind, count(*) AS times FROM changes GROUP BY 1, 2),
            told AS (SELECT e.booking_id AS booking, e.kind, count(*) AS events FROM booking_events e
                JOIN bookings b ON b.id = e.booking_id GROUP BY 1, 2)
            SELECT booking, kind, times, events FROM happened FULL JOIN told USING (booking, kind)
            WHERE times IS DISTINCT FROM events",
    },
    SqlCheck {
        name: "events_are_numbered",
        invariants: "13",
        examined: "booking_events",
        violations: "SELECT booking_id, count(*) AS events, min(version) AS first, max(version) AS last
            FROM booking_events GROUP BY booking_id HAVING min(version) <> 1 OR max(version) <> count(*)",
    },
    SqlCheck {
        name: "events_are_exported",
        invariants: "13 29",
        examined: "booking_events",
        violations: "SELECT id, booking_id, kind, bus_failures, last_error, bus_parked_at
            FROM booking_events WHERE bus_done_at IS NULL",
    },
    SqlCheck {
        name: "mails_are_sent",
        invariants: "13 29",
        examined: "booking_events WHERE mail_done_at IS NOT NULL",
        violations: "SELECT id, booking_id, kind, mail_failures, last_error, mail_parked_at
            FROM booking_events WHERE mail_next_try_at IS NOT NULL OR mail_parked_at IS NOT NULL",
    },
];

/// Events that the bus was given are on it, as far back as it goes.
pub(super) async fn on_the_bus(ledger: &Transaction<'_>, sources: &Sources) -> anyhow::Result<Option<Check>> {
    let Some(mut redis) = sources.connect_bus().await? else { return Ok(None) };
    let mut check = Check::new("the_bus_has_the_events", "13");
    let epoch: Option<String> = redis.get(format!("{STREAM}.epoch")).await?;
    let (seen, oldest_ms) = read_stream(&mut redis).await?;
    // A stream that is gone has no epoch: then every event that was given to one is missing.
    let pattern = epoch.map_or_else(|| "%".to_owned(), |epoch| format!("{epoch}/%"));
    let query = "SELECT id::text, kind FROM booking_events WHERE bus_done_at IS NOT NULL
        AND bus_stream LIKE $1 AND bus_stream NOT LIKE 'kafka/%'
        AND bus_done_at > to_timestamp($2::bigint / 1000.0) + interval '1 second' ORDER BY bus_done_at";
    for row in ledger.query(query, &[&pattern, &oldest_ms]).await? {
        let (id, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        check.examined(1);
        check.expect(seen.contains(&id), || format!("{kind} {id}"));
    }
    // What is older than a second beyond the stream's oldest entry may have been trimmed; the entries themselves count.
    check.examined(seen.len());
    Ok(Some(check))
}

/// Ids of the events in the stream, and the time of the oldest entry, milliseconds; 0 when there is none.
async fn read_stream(redis: &mut MultiplexedConnection) -> anyhow::Result<(HashSet<String>, i64)> {
    let (mut seen, mut oldest, mut from) = (HashSet::new(), None, "-".to_owned());
    loop {
        let page: StreamRangeReply = redis.xrange_count(STREAM, &from, "+", PAGE).await?;
        let Some(last) = page.ids.last() else { return Ok((seen, oldest.unwrap_or(0))) };
        from = format!("({}", last.id);
        for entry in &page.ids {
            let time = entry.id.split('-').next().and_then(|ms| ms.parse().ok());
            oldest = oldest.or(time);
            seen.extend(entry.get::<String>("id"));
        }
    }
}

/// As `seatwire-core serve` names it by itself.
const STREAM: &str = "seatwire.events";
const PAGE: usize = 1_000;
