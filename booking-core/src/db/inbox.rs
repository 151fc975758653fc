//! The inbox: what the provider told us, or answered when asked. Workers take rows one by one.

use std::collections::HashSet;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Jsonb, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::queue::Queue;
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, signed};

/// An operator may have to look at an event that is done, too.
const QUEUE: Queue = Queue { table: "payment_events", open: "processed_at IS NULL", parked: "true" };

/// An event to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    pub(crate) provider: &'static str,
    pub(crate) body_hash: [u8; 32],
    pub(crate) event_id: Option<String>,
    /// By webhook, or fetched by us.
    pub(crate) fetched: bool,
    pub(crate) kind: String,
    pub(crate) order: Option<String>,
    pub(crate) payment: Option<String>,
    pub(crate) body: serde_json::Value,
}

/// Stores an event durably; `false` when it was there before.
pub(crate) async fn store(db: &Db, event: NewEvent) -> Result<bool, DbError> {
    Ok(store_all(db, vec![event]).await?.pop().unwrap_or(false))
}

/// Stores events durably, all in one commit; for each `false` when it was there before.
pub(crate) async fn store_all(db: &Db, events: Vec<NewEvent>) -> Result<Vec<bool>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        provider: String,
        #[diesel(sql_type = Binary)]
        body_hash: Vec<u8>,
    }
    let key = |event: &NewEvent| (event.provider, event.body_hash);
    let keys: Vec<_> = events.iter().map(key).collect();
    let mut sorted = events;
    // Two commits that share events wait for each other's index entries: in one order, so that neither waits in a ring.
    sorted.sort_by_key(key);
    let sorted = Arc::new(sorted);
    // One statement is one transaction: when it returns, the rows are committed.
    let new: Vec<Row> = db
        .read("store_events", move |conn| {
            let events = Arc::clone(&sorted);
            Box::pin(async move {
                let texts = |of: fn(&NewEvent) -> &str| events.iter().map(|e| of(e).to_owned()).collect::<Vec<_>>();
                let options = |of: fn(&NewEvent) -> &Option<String>| events.iter().map(|e| of(e).clone()).collect();
                let event_ids: Vec<Option<String>> = options(|event| &event.event_id);
                let orders: Vec<Option<String>> = options(|event| &event.order);
                let payments: Vec<Option<String>> = options(|event| &event.payment);
                sql("INSERT INTO payment_events
                        (provider, body_hash, event_id, source, kind, order_id, payment_id, body)
                    SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[],
                        $7::text[], $8::jsonb[])
                    ON CONFLICT (provider, body_hash) DO NOTHING
                    RETURNING provider, body_hash")
                .bind::<Array<Text>, _>(texts(|event| event.provider))
                .bind::<Array<Binary>, _>(events.iter().map(|e| e.body_hash.to_vec()).collect::<Vec<_>>())
                .bind::<Array<Nullable<Text>>, _>(event_ids)
                .bind::<Array<Text>, _>(texts(|event| if event.fetched { "fetch" } else { "webhook" }))
                .bind::<Array<Text>, _>(texts(|event| &event.kind))
                .bind::<Array<Nullable<Text>>, _>(orders)
                .bind::<Array<Nullable<Text>>, _>(payments)
                .bind::<Array<Jsonb>, _>(events.iter().map(|e| e.body.clone()).collect::<Vec<_>>())
                .load(conn)
                .await
                .map_err(TryError::from)
            })
        })
        .await?;
    let mut new: HashSet<(String, Vec<u8>)> = new.into_iter().map(|row| (row.provider, row.body_hash)).collect();
    Ok(keys.into_iter().map(|(provider, hash)| new.remove(&(provider.to_owned(), hash.to_vec()))).collect())
}

/// An event to be processed.
#[derive(Debug, Clone)]
pub(crate) struct OpenEvent {
    pub(crate) id: i64,
    pub(crate) provider: String,
    pub(crate) body: serde_json::Value,
}

/// Open events whose turn it is, oldest first, about orders that we know or all others; not locked. No event is put off
/// for longer than half a minute: one that seems to be was so before the server's clock was set back, and is due.
pub(crate) async fn open_events(db: &Db, known: bool, limit: i64) -> Result<Vec<OpenEvent>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Text)]
        provider: String,
        #[diesel(sql_type = Jsonb)]
        body: serde_json::Value,
    }
    db.read("open_events", move |conn| {
        Box::pin(async move {
            let rows: Vec<Row> = sql("SELECT id, provider, body FROM payment_events e
                WHERE processed_at IS NULL AND parked_at IS NULL
                    AND (next_try_at <= clock_timestamp() OR next_try_at > clock_timestamp() + interval '2 minutes')
                    AND EXISTS (SELECT FROM orders o WHERE o.id = e.order_id AND o.provider = e.provider) = $2
                ORDER BY next_try_at, id LIMIT $1")
            .bind::<BigInt, _>(limit)
            .bind::<Bool, _>(known)
            .load(conn)
            .await?;
            Ok(rows.into_iter().map(|row| OpenEvent { id: row.id, provider: row.provider, body: row.body }).collect())
        })
    })
    .await
}

/// Locks an event; `false` when it is done, or another worker has it.
pub(crate) async fn lock(conn: &mut Conn, event: i64) -> Result<bool, TryError> {
    Ok(!lock_all(conn, vec![event]).await?.is_empty())
}

/// Locks events in order; answers those that are open and that no other worker has.
pub(crate) async fn lock_all(conn: &mut Conn, events: Vec<i64>) -> Result<Vec<i64>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    let rows: Vec<Row> = sql("SELECT id FROM payment_events WHERE id = ANY($1) AND processed_at IS NULL
        ORDER BY id FOR UPDATE SKIP LOCKED")
    .bind::<Array<BigInt>, _>(events)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Locked events are done.
pub(crate) async fn done_all(conn: &mut Conn, events: Vec<i64>, result: &'static str) -> Result<(), TryError> {
    let count = events.len() as u64;
    sql("UPDATE payment_events SET processed_at = clock_timestamp(), result = $2 WHERE id = ANY($1)")
        .bind::<Array<BigInt>, _>(events)
        .bind::<Text, _>(result)
        .execute(conn)
        .await?;
    metrics::counter!(crate::metrics::EVENTS_SETTLED, "result" => result).increment(count);
    Ok(())
}

/// Ends events that tell once more of a payment whose outcome is written, all in one commit; answers those. An outcome is
/// final, and so is a payment's order, so neither has to be locked.
pub(crate) async fn end_told_again(db: &Db, events: Vec<i64>) -> Result<Vec<i64>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    let rows: Vec<Row> = db
        .read("end_told_again", move |conn| {
            let events = events.clone();
            Box::pin(async move {
                sql("WITH told AS (
                    SELECT e.id FROM payment_events e
                    JOIN payments p ON p.id = e.payment_id AND p.provider = e.provider AND p.order_id = e.order_id
                    WHERE e.id = ANY($1) AND e.processed_at IS NULL AND p.outcome IS NOT NULL
                    ORDER BY e.id FOR UPDATE OF e SKIP LOCKED)
                UPDATE payment_events e SET processed_at = clock_timestamp(), result = 'duplicate'
                FROM told WHERE e.id = told.id RETURNING e.id")
                .bind::<Array<BigInt>, _>(events)
                .load(conn)
                .await
                .map_err(TryError::from)
            })
        })
        .await?;
    metrics::counter!(crate::metrics::EVENTS_SETTLED, "result" => "duplicate").increment(rows.len() as u64);
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// A locked event is done; `parked` when an operator has to look at it all the same.
pub(crate) async fn done(conn: &mut Conn, event: i64, result: &str, parked: bool) -> Result<(), TryError> {
    sql("UPDATE payment_events SET processed_at = clock_timestamp(), result = $2,
            parked_at = CASE WHEN $3 THEN clock_timestamp() END
        WHERE id = $1")
    .bind::<BigInt, _>(event)
    .bind::<Text, _>(result.to_owned())
    .bind::<Bool, _>(parked)
    .execute(conn)
    .await?;
    // Counted before the commit: a retry counts again, which a counter of work done may do.
    metrics::counter!(crate::metrics::EVENTS_SETTLED, "result" => result.to_owned()).increment(1);
    Ok(())
}

/// An event failed by itself: tried again later, parked after some failures. Answers whether it was parked.
pub(crate) async fn failed(db: &Db, event: i64, error: &str) -> Result<bool, DbError> {
    QUEUE.failed(db, event, error).await
}

/// An event can't be processed now through no fault of its own.
pub(crate) async fn put_off(db: &Db, event: i64, wait_ms: u64) -> Result<(), DbError> {
    QUEUE.put_off(db, vec![event], wait_ms).await
}

/// Whether an event came less than so long ago.
pub(crate) async fn is_younger(db: &Db, event: i64, age_ms: u64) -> Result<bool, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        younger: bool,
    }
    db.read("event_age", move |conn| {
        Box::pin(async move {
            let row: Option<Row> =
                sql("SELECT received_at > clock_timestamp() - $2 * interval '1 millisecond' AS younger
                FROM payment_events WHERE id = $1")
                .bind::<BigInt, _>(event)
                .bind::<BigInt, _>(signed(age_ms))
                .get_result(conn)
                .await
                .optional()?;
            Ok(row.is_some_and(|row| row.younger))
        })
    })
    .await
}

/// Gives a parked, unprocessed event a fresh start.
pub(crate) async fn requeue(conn: &mut Conn, event: i64) -> Result<bool, TryError> {
    QUEUE.requeue::<BigInt, _>(conn, event).await
}

/// Events that wait, and events that wait for an operator.
pub(crate) async fn backlog(conn: &mut Conn) -> Result<(u64, u64), TryError> {
    QUEUE.backlog(conn).await
}
