//! The outbox: one row a transaction and show, for the seat map in Redis. The core that committed applies the change
//! at once and marks the row; the relay takes what is left.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::{BookingId, CustomerId, HoldId, SaleState, SeatIndex, ShowId};
use serde::{Deserialize, Serialize};

use super::bookings::uuid;
use super::queue::Queue;
use super::seats::{status_of, status_text};
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, signed};
use crate::holds::ledger::{LedgerChange, Sale};

const QUEUE: Queue = Queue { table: "outbox", open: "applied_at IS NULL", parked: "applied_at IS NULL" };

/// A change as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    seats: Vec<(u32, String, u64)>,
    hold: Option<HoldId>,
    booking: Option<BookingId>,
    customer: Option<CustomerId>,
    sale: Option<StoredSale>,
    #[serde(default)]
    operator: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredSale {
    state: SaleState,
    opens_at_ms: Option<i64>,
    #[serde(default)]
    no_orphan: bool,
    version: u64,
}

/// A committed change and its row.
#[derive(Debug, Clone)]
pub(crate) struct OutboxRow {
    pub(crate) id: i64,
    pub(crate) change: LedgerChange,
}

/// Stores a change in the transaction that makes it; answers the row's id.
pub(crate) async fn insert(conn: &mut Conn, change: &LedgerChange) -> Result<i64, TryError> {
    let ids = insert_all(conn, std::slice::from_ref(change)).await?;
    ids.into_iter().next().ok_or_else(|| DbError::Fault("no outbox row".to_owned()).into())
}

/// Stores changes, one row each; answers their ids in the same order.
pub(crate) async fn insert_all(conn: &mut Conn, changes: &[LedgerChange]) -> Result<Vec<i64>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    let bodies = changes.iter().map(body_of).collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<Row> = sql("INSERT INTO outbox (show_id, booking_id, change)
        SELECT show_id, booking_id, change
        FROM unnest($1::bigint[], $2::uuid[], $3::jsonb[]) WITH ORDINALITY AS c (show_id, booking_id, change, nth)
        ORDER BY nth RETURNING id")
    .bind::<Array<BigInt>, _>(changes.iter().map(|change| change.show.as_i64()).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(changes.iter().map(|change| change.booking.map(uuid)).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(bodies)
    .load(conn)
    .await?;
    // Ids are given out in the order of the rows.
    rows.sort_by_key(|row| row.id);
    Ok(rows.into_iter().map(|row| row.id).collect())
}

fn body_of(change: &LedgerChange) -> Result<serde_json::Value, DbError> {
    let stored = Stored {
        seats: change.seats.iter().map(|(seat, status, v)| (seat.0, status_text(*status).to_owned(), *v)).collect(),
        hold: change.hold,
        booking: change.booking,
        customer: change.customer.clone(),
        sale: change.sale.map(|sale| StoredSale {
            state: sale.state,
            opens_at_ms: sale.opens_at_ms,
            no_orphan: sale.no_orphan,
            version: sale.version,
        }),
        operator: change.operator,
    };
    serde_json::to_value(stored).map_err(|e| DbError::Fault(e.to_string()))
}

/// What the relay took: rows that can be applied, and rows that can't even be read.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) rows: Vec<OutboxRow>,
    pub(crate) unreadable: Vec<(i64, String)>,
}

/// Takes rows older than `age_ms` for `lease_ms`, each with its show's generation of now. No row is put off for longer
/// than half a minute, and none was made in the future: one that seems so is of a time before the server's clock was set
/// back, and is due.
pub(crate) async fn take_due(db: &Db, limit: i64, age_ms: u64, lease_ms: u64) -> Result<Taken, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = BigInt)]
        show_id: i64,
        #[diesel(sql_type = BigInt)]
        generation: i64,
        #[diesel(sql_type = Jsonb)]
        change: serde_json::Value,
    }
    db.read("take_outbox", move |conn| {
        Box::pin(async move {
            let mut rows: Vec<Row> = sql("UPDATE outbox o
                SET next_try_at = clock_timestamp() + $3 * interval '1 millisecond'
                WHERE id IN (SELECT id FROM outbox WHERE applied_at IS NULL AND parked_at IS NULL
                    AND (next_try_at <= clock_timestamp() OR next_try_at > clock_timestamp() + interval '2 minutes')
                    AND (created_at <= clock_timestamp() - $2 * interval '1 millisecond'
                        OR created_at > clock_timestamp())
                    ORDER BY next_try_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
                RETURNING id, show_id, change,
                    coalesce((SELECT generation FROM show_streams t WHERE t.show_id = o.show_id), 0) AS generation")
            .bind::<BigInt, _>(limit)
            .bind::<BigInt, _>(signed(age_ms))
            .bind::<BigInt, _>(signed(lease_ms))
            .load(conn)
            .await?;
            rows.sort_by_key(|row| row.id);
            let mut taken = Taken::default();
            for row in rows {
                match read_change(row.show_id, row.generation, row.change) {
                    Ok(change) => taken.rows.push(OutboxRow { id: row.id, change }),
                    Err(error) => taken.unreadable.push((row.id, error)),
                }
            }
            Ok(taken)
        })
    })
    .await
}

fn read_change(show: i64, generation: i64, body: serde_json::Value) -> Result<LedgerChange, String> {
    let stored: Stored = serde_json::from_value(body).map_err(|e| e.to_string())?;
    let show = u64::try_from(show).map_err(|e| e.to_string())?;
    let seats = stored
        .seats
        .into_iter()
        .map(|(seat, status, version)| {
            let status = status_of(&status).map_err(|_| format!("seat status {status}"))?;
            Ok((SeatIndex(seat), status, version))
        })
        .collect::<Result<_, String>>()?;
    Ok(LedgerChange {
        show: ShowId::new(show).map_err(|e| e.to_string())?,
        generation: u64::try_from(generation).map_err(|e| e.to_string())?,
        seats,
        hold: stored.hold,
        booking: stored.booking,
        customer: stored.customer,
        sale: stored.sale.map(|sale| Sale {
            state: sale.state,
            opens_at_ms: sale.opens_at_ms,
            no_orphan: sale.no_orphan,
            version: sale.version,
        }),
        operator: stored.operator,
    })
}

/// A row that was applied under a generation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppliedRow {
    pub(crate) id: i64,
    pub(crate) show: ShowId,
    pub(crate) generation: u64,
}

/// Marks rows, each only while the ledger's generation is still the one that it was applied under: another one means
/// a new timeline in Redis, which has to get the change as well.
pub(crate) async fn mark(db: &Db, applied: Vec<AppliedRow>) -> Result<usize, DbError> {
    let ids: Vec<i64> = applied.iter().map(|row| row.id).collect();
    let shows: Vec<i64> = applied.iter().map(|row| row.show.as_i64()).collect();
    let generations: Vec<i64> = applied.iter().map(|row| signed(row.generation)).collect();
    db.read("mark_outbox", move |conn| {
        let (ids, shows, generations) = (ids.clone(), shows.clone(), generations.clone());
        Box::pin(async move {
            Ok(sql("UPDATE outbox o SET applied_at = clock_timestamp()
                FROM unnest($1, $2, $3) AS a (id, show_id, generation)
                LEFT JOIN show_streams t ON t.show_id = a.show_id
                WHERE o.id = a.id AND o.applied_at IS NULL AND coalesce(t.generation, 0) = a.generation")
            .bind::<Array<BigInt>, _>(ids)
            .bind::<Array<BigInt>, _>(shows)
            .bind::<Array<BigInt>, _>(generations)
            .execute(conn)
            .await?)
        })
    })
    .await
}

/// Whether Redis may not know of a booking's latest change. Rows that wait for an operator do not count, nor do those
/// that a relay has had the time for and could not apply.
pub(crate) async fn has_open(db: &Db, booking: BookingId) -> Result<bool, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        open: bool,
    }
    let booking = uuid(booking);
    db.read("has_open_outbox", move |conn| {
        Box::pin(async move {
            let row: Row = sql("SELECT EXISTS (SELECT FROM outbox
                WHERE booking_id = $1 AND applied_at IS NULL AND parked_at IS NULL
                    AND created_at > clock_timestamp() - interval '5 seconds') AS open")
            .bind::<SqlUuid, _>(booking)
            .get_result(conn)
            .await?;
            Ok(row.open)
        })
    })
    .await
}

/// A row failed by itself: tried again later, parked after some failures. Answers whether it was parked.
pub(crate) async fn failed(db: &Db, row: i64, error: &str) -> Result<bool, DbError> {
    QUEUE.failed(db, row, error).await
}

/// Puts rows off: Redis is out of reach, or the generation moved.
pub(crate) async fn put_off(db: &Db, rows: Vec<i64>, wait_ms: u64) -> Result<(), DbError> {
    QUEUE.put_off(db, rows, wait_ms).await
}

/// Gives a parked row a fresh start.
pub(crate) async fn requeue(conn: &mut Conn, row: i64) -> Result<bool, TryError> {
    QUEUE.requeue::<BigInt, _>(conn, row).await
}

/// Rows that wait, and rows that wait for an operator.
pub(crate) async fn backlog(conn: &mut Conn) -> Result<(u64, u64), TryError> {
    QUEUE.backlog(conn).await
}
