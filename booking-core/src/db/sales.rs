//! What operators see of sales and money: seats sold by minute, seats by status, and refunds on their way.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::RunQueryDsl;
use seatwire_protocol::ShowId;
use serde::Serialize;

use super::shows::show_id;
use super::sql::sql;
use super::{Db, DbError, unsigned};
use crate::holds::SeatCounts;

/// What was confirmed of one show in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoldInMinute {
    /// Minutes since 1970.
    pub minute: i64,
    pub show: ShowId,
    pub seats: u64,
    pub bookings: u64,
}

/// Confirmations since a minute, and the minute that it is now.
///
/// # Errors
/// [`DbError`].
pub async fn since(db: &Db, minute: Option<i64>, back: i64) -> Result<(i64, Vec<SoldInMinute>), DbError> {
    #[derive(QueryableByName)]
    struct Now {
        #[diesel(sql_type = BigInt)]
        minute: i64,
    }
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        minute: i64,
        #[diesel(sql_type = BigInt)]
        show_id: i64,
        #[diesel(sql_type = BigInt)]
        seats: i64,
        #[diesel(sql_type = BigInt)]
        bookings: i64,
    }
    db.read("sales_by_minute", move |conn| {
        Box::pin(async move {
            let now: Now = sql("SELECT floor(extract(epoch FROM clock_timestamp()) / 60)::bigint AS minute")
                .get_result(conn)
                .await?;
            let from = minute.unwrap_or(now.minute - back).max(now.minute - back);
            let rows: Vec<Row> =
                sql("SELECT floor(extract(epoch FROM e.occurred_at) / 60)::bigint AS minute, b.show_id,
                    sum(b.seats)::bigint AS seats, count(*) AS bookings
                FROM booking_events e JOIN bookings b ON b.id = e.booking_id
                WHERE e.kind = 'BookingConfirmed' AND e.occurred_at >= to_timestamp($1 * 60)
                GROUP BY 1, 2")
                .bind::<BigInt, _>(from)
                .load(conn)
                .await?;
            let sold = |row: Row| {
                let (seats, bookings) = (unsigned(row.seats)?, unsigned(row.bookings)?);
                Ok(SoldInMinute { minute: row.minute, show: show_id(row.show_id)?, seats, bookings })
            };
            Ok((now.minute, rows.into_iter().map(sold).collect::<Result<_, super::TryError>>()?))
        })
    })
    .await
}

/// Money on its way back in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenRefunds {
    pub currency: String,
    pub count: u64,
    /// Minor units.
    pub amount: u64,
}

/// Refunds that are decided and not done.
///
/// # Errors
/// [`DbError`].
pub async fn open_refunds(db: &Db) -> Result<Vec<OpenRefunds>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        currency: String,
        #[diesel(sql_type = BigInt)]
        count: i64,
        #[diesel(sql_type = BigInt)]
        amount: i64,
    }
    db.read("open_refunds", |conn| {
        Box::pin(async move {
            let rows: Vec<Row> = sql("SELECT p.currency, count(*) AS count, sum(r.amount)::bigint AS amount
                FROM refunds r JOIN payments p ON p.id = r.payment_id
                WHERE r.state IN ('DUE', 'REQUESTED') GROUP BY p.currency ORDER BY p.currency")
            .load(conn)
            .await?;
            let open = |row: Row| {
                Ok(OpenRefunds { currency: row.currency, count: unsigned(row.count)?, amount: unsigned(row.amount)? })
            };
            rows.into_iter().map(open).collect()
        })
    })
    .await
}

/// Seats of each of these shows by status.
///
/// # Errors
/// [`DbError`].
pub async fn seat_counts(db: &Db, shows: &[ShowId]) -> Result<Vec<(ShowId, SeatCounts)>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        show_id: i64,
        #[diesel(sql_type = BigInt)]
        available: i64,
        #[diesel(sql_type = BigInt)]
        claimed: i64,
        #[diesel(sql_type = BigInt)]
        booked: i64,
        #[diesel(sql_type = BigInt)]
        blocked: i64,
    }
    let shows: Vec<i64> = shows.iter().map(|show| show.as_i64()).collect();
    db.read("seat_counts", move |conn| {
        let shows = shows.clone();
        Box::pin(async move {
            let rows: Vec<Row> = sql("SELECT show_id, count(*) FILTER (WHERE status = 'available') AS available,
                    count(*) FILTER (WHERE status = 'claimed') AS claimed,
                    count(*) FILTER (WHERE status = 'booked') AS booked,
                    count(*) FILTER (WHERE status = 'blocked') AS blocked
                FROM show_seats WHERE show_id = ANY($1) GROUP BY show_id")
            .bind::<Array<BigInt>, _>(shows)
            .load(conn)
            .await?;
            let small = |n: i64| Ok::<_, super::TryError>(u32::try_from(unsigned(n)?).unwrap_or(u32::MAX));
            let counts = |row: Row| {
                let counts = SeatCounts {
                    available: small(row.available)?,
                    held: small(row.claimed)?,
                    booked: small(row.booked)?,
                    blocked: small(row.blocked)?,
                };
                Ok((show_id(row.show_id)?, counts))
            };
            rows.into_iter().map(counts).collect()
        })
    })
    .await
}
