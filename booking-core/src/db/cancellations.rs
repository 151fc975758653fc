//! Shows that an operator cancelled, and what of them is left to do. Once the sale is closed and every available seat
//! blocked, in one commit, no booking of the show can become active any more: the work only shrinks.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::{BookingId, SeatIndex, ShowId};
use uuid::Uuid;

use super::seats::seat_index;
use super::shows::{SaleColumns, show_id};
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, unsigned};
use crate::holds::ledger::Sale;

/// How far a cancelled show is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// Bookings that are still pending or confirmed.
    pub bookings_left: u64,
    /// Whether none is left, and none was found left by the worker.
    pub done: bool,
}

/// All seats of a show, and whether it was cancelled before; `None` when there is no such show.
pub(crate) async fn seats_of(conn: &mut Conn, show: ShowId) -> Result<Option<(Vec<SeatIndex>, bool)>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        seats: i32,
        #[diesel(sql_type = Bool)]
        cancelled: bool,
    }
    let row: Option<Row> = sql("SELECT seats, cancelled_at IS NOT NULL AS cancelled FROM shows WHERE id = $1")
        .bind::<BigInt, _>(show.as_i64())
        .get_result(conn)
        .await
        .optional()?;
    row.map(|row| Ok(((0..seat_index(row.seats)?.0).map(SeatIndex).collect(), row.cancelled))).transpose()
}

/// Closes the sale of a show for good. `None` when another operator was first.
pub(crate) async fn cancel(conn: &mut Conn, show: ShowId) -> Result<Option<Sale>, TryError> {
    let rows: Vec<SaleColumns> = sql("UPDATE shows
        SET sale = 'closed', opens_at = NULL, sale_version = sale_version + 1, cancelled_at = clock_timestamp()
        WHERE id = $1 AND cancelled_at IS NULL
        RETURNING sale, sale_version, no_orphan, (extract(epoch FROM opens_at) * 1000)::bigint AS opens_at_ms")
    .bind::<BigInt, _>(show.as_i64())
    .load(conn)
    .await?;
    rows.into_iter().next().map(|row| row.parse()).transpose()
}

/// Cancelled shows that are not done.
pub(crate) async fn open(db: &Db, limit: i64) -> Result<Vec<ShowId>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    db.read("open_cancellations", move |conn| {
        Box::pin(async move {
            let rows: Vec<Row> = sql("SELECT id FROM shows WHERE cancelled_at IS NOT NULL AND cancel_done_at IS NULL
                ORDER BY cancelled_at LIMIT $1")
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await?;
            rows.into_iter().map(|row| show_id(row.id)).collect()
        })
    })
    .await
}

/// Bookings of a show that are still active, in any order: one that can't be ended must not keep the others waiting.
pub(crate) async fn active_bookings(db: &Db, show: ShowId, limit: i64) -> Result<Vec<BookingId>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        booking_id: Uuid,
    }
    db.read("active_bookings", move |conn| {
        Box::pin(async move {
            let rows: Vec<Row> = sql("SELECT booking_id FROM booking_seats WHERE show_id = $1 AND active
                GROUP BY booking_id ORDER BY random() LIMIT $2")
            .bind::<BigInt, _>(show.as_i64())
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await?;
            Ok(rows.into_iter().map(|row| BookingId(*row.booking_id.as_bytes())).collect())
        })
    })
    .await
}

/// A show is done when no booking of it is active; `false` when there is one.
pub(crate) async fn finish(db: &Db, show: ShowId) -> Result<bool, DbError> {
    db.read("finish_cancellation", move |conn| {
        Box::pin(async move {
            let rows = sql("UPDATE shows SET cancel_done_at = clock_timestamp()
                WHERE id = $1 AND cancelled_at IS NOT NULL AND cancel_done_at IS NULL
                    AND NOT EXISTS (SELECT FROM booking_seats WHERE show_id = $1 AND active)")
            .bind::<BigInt, _>(show.as_i64())
            .execute(conn)
            .await?;
            Ok(rows == 1)
        })
    })
    .await
}

/// How far a cancelled show is; `None` when it was not cancelled.
///
/// # Errors
/// [`DbError`].
pub async fn progress(db: &Db, show: ShowId) -> Result<Option<Progress>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        bookings_left: i64,
        #[diesel(sql_type = Bool)]
        done: bool,
    }
    db.read("cancellation_progress", move |conn| {
        Box::pin(async move {
            let row: Option<Row> = sql("SELECT cancel_done_at IS NOT NULL AS done,
                    (SELECT count(DISTINCT booking_id) FROM booking_seats s WHERE s.show_id = w.id AND active)
                        AS bookings_left
                FROM shows w WHERE id = $1 AND cancelled_at IS NOT NULL")
            .bind::<BigInt, _>(show.as_i64())
            .get_result(conn)
            .await
            .optional()?;
            row.map(|row| Ok(Progress { bookings_left: unsigned(row.bookings_left)?, done: row.done })).transpose()
        })
    })
    .await
}
