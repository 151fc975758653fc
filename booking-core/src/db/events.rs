//! Domain events: rows that triggers write in the transaction of what they tell of, and the marks of their two
//! consumers, the bus and mail. Each consumer takes rows for a while (a lease), works without a transaction, and marks.

use std::fmt;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::BookingId;
use time::OffsetDateTime;
use uuid::Uuid;

use super::queue::{FAILURES_MAX, parked, shortened};
use super::sql::{Sql, sql};
use super::{Conn, Db, DbError, TryError, signed, unsigned};

/// Who works on events; each has marks of its own in every row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumer {
    /// Export to other systems.
    Bus,
    /// Mail to customers.
    Mail,
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bus => "bus",
            Self::Mail => "mail",
        })
    }
}

impl Consumer {
    /// No event is put off for longer than this. One that seems to be was so before the server's clock was set back, and
    /// is due; so is one that happened in the future and is put off for longer than a lease.
    const fn longest_pause_ms(self) -> u64 {
        match self {
            Self::Bus => 120_000,
            Self::Mail => 1_200_000,
        }
    }

    /// Each failure makes the next pause longer by this factor; a mail server that restarts takes its time.
    const fn patience(self) -> i32 {
        match self {
            Self::Bus => 2,
            Self::Mail => 4,
        }
    }

    /// A statement about this consumer's columns: `@` stands for its name.
    fn sql<'a>(self, text: &str) -> Sql<'a> {
        sql(text.replace('@', &self.to_string()))
    }
}

/// An event as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub(crate) id: Uuid,
    pub(crate) booking: BookingId,
    /// 1, 2, 3 … within the booking.
    pub(crate) version: i32,
    pub(crate) kind: String,
    pub(crate) occurred_at: OffsetDateTime,
    pub(crate) facts: serde_json::Value,
}

/// Takes events whose turn it is for `lease_ms`, the oldest first.
pub(crate) async fn take_due(db: &Db, consumer: Consumer, limit: i64, lease_ms: u64) -> Result<Vec<EventRow>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = SqlUuid)]
        booking_id: Uuid,
        #[diesel(sql_type = Integer)]
        version: i32,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Timestamptz)]
        occurred_at: OffsetDateTime,
        #[diesel(sql_type = Jsonb)]
        facts: serde_json::Value,
    }
    db.read("take_events", move |conn| {
        Box::pin(async move {
            let taking = consumer.sql(
                "UPDATE booking_events SET @_next_try_at = clock_timestamp() + $2 * interval '1 millisecond'
                WHERE id IN (SELECT id FROM booking_events WHERE @_next_try_at <= clock_timestamp()
                        OR @_next_try_at > clock_timestamp() + $3 * interval '1 millisecond'
                        OR (@_next_try_at > clock_timestamp() + interval '3 minutes' AND occurred_at > clock_timestamp())
                    ORDER BY @_next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED)
                RETURNING id, booking_id, version, kind, occurred_at, facts",
            );
            let taking = taking.bind::<BigInt, _>(limit).bind::<BigInt, _>(signed(lease_ms));
            let mut rows: Vec<Row> = taking.bind::<BigInt, _>(signed(consumer.longest_pause_ms())).load(conn).await?;
            rows.sort_by_key(|row| (row.occurred_at, row.version));
            let event = |row: Row| EventRow {
                id: row.id,
                booking: BookingId(*row.booking_id.as_bytes()),
                version: row.version,
                kind: row.kind,
                occurred_at: row.occurred_at,
                facts: row.facts,
            };
            Ok(rows.into_iter().map(event).collect())
        })
    })
    .await
}

/// Marks events that the bus has; answers how many were not marked before.
pub(crate) async fn exported(db: &Db, events: Vec<Uuid>, stream: &str) -> Result<usize, DbError> {
    let stream = stream.to_owned();
    db.read("mark_exported", move |conn| {
        let (events, stream) = (events.clone(), stream.clone());
        Box::pin(async move {
            Ok(sql("UPDATE booking_events SET bus_done_at = clock_timestamp(), bus_stream = $2,
                    bus_next_try_at = NULL
                WHERE id = ANY($1) AND bus_next_try_at IS NOT NULL")
            .bind::<Array<SqlUuid>, _>(events)
            .bind::<Text, _>(stream)
            .execute(conn)
            .await?)
        })
    })
    .await
}

/// Marks events that were mailed.
pub(crate) async fn mailed(db: &Db, events: Vec<Uuid>) -> Result<usize, DbError> {
    db.read("mark_mailed", move |conn| {
        let events = events.clone();
        Box::pin(async move {
            Ok(sql("UPDATE booking_events SET mail_done_at = clock_timestamp(), mail_next_try_at = NULL
                WHERE id = ANY($1) AND mail_next_try_at IS NOT NULL")
            .bind::<Array<SqlUuid>, _>(events)
            .execute(conn)
            .await?)
        })
    })
    .await
}

/// An event failed by itself: tried again later, parked after some failures. Answers whether it was parked.
pub(crate) async fn failed(db: &Db, consumer: Consumer, event: Uuid, error: &str) -> Result<bool, DbError> {
    let error = shortened(error);
    db.read("fail_event", move |conn| {
        let error = error.clone();
        Box::pin(async move {
            let failing = consumer.sql(
                "UPDATE booking_events SET @_failures = @_failures + 1, last_error = '@: ' || $2,
                    @_next_try_at = CASE WHEN @_failures + 1 < $3
                        THEN clock_timestamp() + power($4, @_failures) * interval '1 second' END,
                    @_parked_at = CASE WHEN @_failures + 1 >= $3 THEN clock_timestamp() END
                WHERE id = $1 AND @_next_try_at IS NOT NULL RETURNING @_parked_at IS NOT NULL AS parked",
            );
            let failing = failing.bind::<SqlUuid, _>(event).bind::<Text, _>(error).bind::<Integer, _>(FAILURES_MAX);
            let failing = failing.bind::<Integer, _>(consumer.patience());
            parked(conn, failing).await
        })
    })
    .await
}

/// The other side put this event off: tried again after as long as it has waited already, a quarter of an hour at
/// most; parked after `give_up_ms`. Answers whether it was parked.
pub(crate) async fn deferred(
    db: &Db,
    consumer: Consumer,
    event: Uuid,
    error: &str,
    give_up_ms: u64,
) -> Result<bool, DbError> {
    let error = shortened(error);
    db.read("defer_event", move |conn| {
        let error = error.clone();
        Box::pin(async move {
            let deferring = consumer.sql(
                "UPDATE booking_events SET last_error = '@: ' || $2,
                    @_next_try_at = CASE WHEN occurred_at >= clock_timestamp() - $3 * interval '1 millisecond'
                        THEN clock_timestamp() + least(interval '15 minutes',
                            greatest(interval '1 second', clock_timestamp() - occurred_at)) END,
                    @_parked_at = CASE WHEN occurred_at < clock_timestamp() - $3 * interval '1 millisecond'
                        THEN clock_timestamp() END
                WHERE id = $1 AND @_next_try_at IS NOT NULL RETURNING @_parked_at IS NOT NULL AS parked",
            );
            let deferring =
                deferring.bind::<SqlUuid, _>(event).bind::<Text, _>(error).bind::<BigInt, _>(signed(give_up_ms));
            parked(conn, deferring).await
        })
    })
    .await
}

/// Gives taken events back after an outage of the other side: it counts for nothing.
pub(crate) async fn put_off(db: &Db, consumer: Consumer, events: Vec<Uuid>, wait_ms: u64) -> Result<(), DbError> {
    db.read("put_off_events", move |conn| {
        let events = events.clone();
        Box::pin(async move {
            consumer
                .sql(
                    "UPDATE booking_events SET @_next_try_at = clock_timestamp() + $2 * interval '1 millisecond'
                    WHERE id = ANY($1) AND @_next_try_at IS NOT NULL",
                )
                .bind::<Array<SqlUuid>, _>(events)
                .bind::<BigInt, _>(signed(wait_ms))
                .execute(conn)
                .await?;
            Ok(())
        })
    })
    .await
}

/// Gives a parked event a fresh start with one consumer.
pub(crate) async fn requeue(conn: &mut Conn, consumer: Consumer, event: Uuid) -> Result<bool, TryError> {
    let rows = consumer
        .sql(
            "UPDATE booking_events SET @_parked_at = NULL, @_failures = 0, @_next_try_at = clock_timestamp()
            WHERE id = $1 AND @_parked_at IS NOT NULL",
        )
        .bind::<SqlUuid, _>(event)
        .execute(conn)
        .await?;
    Ok(rows == 1)
}

/// What one consumer has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventBacklog {
    pub(crate) open: u64,
    pub(crate) parked: u64,
    /// Age of the oldest open event; 0 without one.
    pub(crate) oldest_ms: u64,
}

/// What waits, and what waits for an operator.
pub(crate) async fn backlog(conn: &mut Conn, consumer: Consumer) -> Result<EventBacklog, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        open: i64,
        #[diesel(sql_type = BigInt)]
        parked: i64,
        #[diesel(sql_type = BigInt)]
        oldest_ms: i64,
    }
    let row: Row = consumer
        .sql(
            "SELECT count(@_next_try_at) AS open, count(@_parked_at) AS parked, coalesce(extract(epoch FROM
                clock_timestamp() - min(occurred_at) FILTER (WHERE @_next_try_at IS NOT NULL)) * 1000, 0)::bigint
                AS oldest_ms
            FROM booking_events WHERE @_next_try_at IS NOT NULL OR @_parked_at IS NOT NULL",
        )
        .get_result(conn)
        .await?;
    let oldest_ms = u64::try_from(row.oldest_ms).unwrap_or(0);
    Ok(EventBacklog { open: unsigned(row.open)?, parked: unsigned(row.parked)?, oldest_ms })
}

/// How far back events are exported again when the bus may have lost some.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replay {
    /// Another store: all its data may be gone.
    pub(crate) store_ms: u64,
    /// The same store after a restart or a failover: what was written last may be gone.
    pub(crate) run_ms: u64,
}

/// A core that was cut off may go on with the stream before: its marks are looked for so long after a new one was met.
const LATE_MARKS: &str = "1 hour";
/// Events put back by one statement.
const REPLAY_BATCH: i64 = 2_000;

/// Meets a stream of the bus. Unknown until now, it says that an earlier one may have lost events: those that were
/// exported last are to be exported again. Answers how many; the same stream again has none.
pub(crate) async fn meet_stream(db: &Db, store: &str, run: &str, replay: Replay) -> Result<usize, DbError> {
    let (store, stream) = (store.to_owned(), stream_name(store, run));
    let met = stream.clone();
    db.read("meet_stream", move |conn| {
        let (store, met) = (store.clone(), met.clone());
        Box::pin(async move {
            sql("INSERT INTO event_streams (stream, replay_from)
                SELECT $1, coalesce((SELECT max(bus_done_at) FROM booking_events WHERE bus_done_at IS NOT NULL)
                    - CASE WHEN EXISTS (SELECT FROM event_streams WHERE starts_with(stream, $2 || '/')) THEN $4 ELSE $3 END
                    * interval '1 millisecond', clock_timestamp())
                ON CONFLICT (stream) DO NOTHING")
            .bind::<Text, _>(met)
            .bind::<Text, _>(store)
            .bind::<BigInt, _>(signed(replay.store_ms))
            .bind::<BigInt, _>(signed(replay.run_ms))
            .execute(conn)
            .await?;
            Ok(())
        })
    })
    .await?;
    let mut all = 0;
    loop {
        let stream = stream.clone();
        let rows = db
            .read("replay_events", move |conn| {
                let stream = stream.clone();
                Box::pin(async move {
                    Ok(sql(format!(
                        "UPDATE booking_events SET bus_done_at = NULL, bus_next_try_at = clock_timestamp()
                        WHERE id IN (SELECT e.id FROM event_streams s
                            JOIN booking_events e ON e.bus_done_at BETWEEN s.replay_from AND s.seen_at + interval '{LATE_MARKS}'
                            WHERE s.stream = $1 AND e.bus_stream <> $1 LIMIT $2 FOR UPDATE OF e SKIP LOCKED)"
                    ))
                    .bind::<Text, _>(stream)
                    .bind::<BigInt, _>(REPLAY_BATCH)
                    .execute(conn)
                    .await?)
                })
            })
            .await?;
        all += rows;
        if rows == 0 {
            return Ok(all);
        }
    }
}

/// As it is stored in each row that it has.
pub(crate) fn stream_name(store: &str, run: &str) -> String {
    format!("{store}/{run}")
}
