//! Seats of shows: the rows that decide who owns a seat. `lock_seats` is the only place that locks them, always in
//! (show, seat) order, so that two transactions never wait for each other; `change_seats` is the only one that
//! changes them, under that lock.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::error::{SeatConflict, SeatConflictReason};
use seatwire_protocol::{BookingId, CustomerId, HoldId, SeatIndex, ShowId};
use uuid::Uuid;

use super::edges::is_edge;
use super::schema::show_seats;
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, unsigned};
use crate::holds::ledger::{LedgerMap, LedgerStatus, SeatRow};

/// A seat under lock.
#[derive(Debug, Clone)]
pub(crate) struct LockedSeat {
    pub(crate) seat: SeatIndex,
    pub(crate) status: LedgerStatus,
    pub(crate) booking: Option<Uuid>,
    pub(crate) price: u64,
    pub(crate) label: String,
}

/// A seat with its new status and version.
pub(crate) type ChangedSeat = (SeatIndex, LedgerStatus, u64);

/// The query that locks; a test asserts its text.
#[diesel::dsl::auto_type]
fn locking(show: i64, seats: Vec<i32>) -> _ {
    show_seats::table
        .filter(show_seats::show_id.eq(show))
        .filter(show_seats::seat.eq_any(seats))
        .order(show_seats::seat.asc())
        .for_update()
}

/// Locks seats in order and answers them as they are now. The caller compares the number of rows with its wish.
pub(crate) async fn lock_seats(
    conn: &mut Conn,
    show: ShowId,
    seats: &[SeatIndex],
) -> Result<Vec<LockedSeat>, TryError> {
    type Columns = (i32, String, Option<Uuid>, i64, String);
    let rows: Vec<Columns> = locking(show.as_i64(), indexes(seats)?)
        .select((show_seats::seat, show_seats::status, show_seats::booking_id, show_seats::price, show_seats::label))
        .load(conn)
        .await?;
    rows.into_iter()
        .map(|(seat, status, booking, price, label)| {
            Ok(LockedSeat {
                seat: seat_index(seat)?,
                status: status_of(&status)?,
                booking,
                price: unsigned(price)?,
                label,
            })
        })
        .collect()
}

/// What [`change_seats`] does to seats that its caller has locked and looked at.
pub(crate) struct SeatChange<'a> {
    pub(crate) show: ShowId,
    pub(crate) seats: &'a [SeatIndex],
    /// What the caller saw under lock.
    pub(crate) from: LedgerStatus,
    pub(crate) to: LedgerStatus,
    /// The booking concerned, whichever of the two statuses is its own.
    pub(crate) booking: Option<BookingId>,
    pub(crate) actor: &'a str,
    pub(crate) reason: &'static str,
}

/// Changes locked seats, bumps their versions and writes their history, in one statement.
pub(crate) async fn change_seats(conn: &mut Conn, change: &SeatChange<'_>) -> Result<Vec<ChangedSeat>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        seat: i32,
        #[diesel(sql_type = BigInt)]
        version: i64,
    }
    let (from, to) = (status_text(change.from), status_text(change.to));
    if !is_edge("seat", from, to) {
        return Err(DbError::Fault(format!("{}: seats don't go from {from} to {to}", change.reason)).into());
    }
    let booking = change.booking.map(|id| Uuid::from_bytes(id.0));
    let owner = booking.filter(|_| matches!(change.to, LedgerStatus::Claimed | LedgerStatus::Booked));
    let mut rows: Vec<Row> = sql("WITH changed AS (
            UPDATE show_seats SET status = $4, booking_id = $5, version = version + 1
            WHERE show_id = $1 AND seat = ANY($2) AND status = $3
            RETURNING seat, version)
        INSERT INTO seat_history (show_id, seat, version, from_status, to_status, booking_id, actor, reason)
        SELECT $1, seat, version, $3, $4, $6, $7, $8 FROM changed
        RETURNING seat, version")
    .bind::<BigInt, _>(change.show.as_i64())
    .bind::<Array<Integer>, _>(indexes(change.seats)?)
    .bind::<Text, _>(from)
    .bind::<Text, _>(to)
    .bind::<Nullable<SqlUuid>, _>(owner)
    .bind::<Nullable<SqlUuid>, _>(booking)
    .bind::<Text, _>(change.actor.to_owned())
    .bind::<Text, _>(change.reason)
    .load(conn)
    .await?;
    if rows.len() != change.seats.len() {
        let text = format!("{}: {} of {} seats changed", change.reason, rows.len(), change.seats.len());
        return Err(DbError::Fault(text).into());
    }
    rows.sort_by_key(|row| row.seat);
    rows.into_iter().map(|row| Ok((seat_index(row.seat)?, change.to, unsigned(row.version)?))).collect()
}

/// A locked booking was rescued under this hold: who loads the seat map has to know it for the booking's own.
pub(crate) async fn note_payer_hold(conn: &mut Conn, booking: BookingId, hold: HoldId) -> Result<(), TryError> {
    sql("UPDATE bookings SET payer_hold_id = $2 WHERE id = $1")
        .bind::<SqlUuid, _>(Uuid::from_bytes(booking.0))
        .bind::<Binary, _>(hold.0.to_vec())
        .execute(conn)
        .await?;
    Ok(())
}

/// Books seats that their bookings have claimed, as [`change_seats`] does for one booking: the caller has locked them and
/// seen each claimed by its own. Answers each with its booking, ascending.
pub(crate) async fn book_claimed(
    conn: &mut Conn,
    show: ShowId,
    seats: &[SeatIndex],
) -> Result<Vec<(ChangedSeat, BookingId)>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        seat: i32,
        #[diesel(sql_type = BigInt)]
        version: i64,
        #[diesel(sql_type = SqlUuid)]
        booking_id: Uuid,
    }
    let mut rows: Vec<Row> = sql("WITH changed AS (
            UPDATE show_seats SET status = 'booked', version = version + 1
            WHERE show_id = $1 AND seat = ANY($2) AND status = 'claimed'
            RETURNING seat, version, booking_id)
        INSERT INTO seat_history (show_id, seat, version, from_status, to_status, booking_id, actor, reason)
        SELECT $1, c.seat, c.version, 'claimed', 'booked', c.booking_id, b.customer_id, 'settle'
        FROM changed c JOIN bookings b ON b.id = c.booking_id
        RETURNING seat, version, booking_id")
    .bind::<BigInt, _>(show.as_i64())
    .bind::<Array<Integer>, _>(indexes(seats)?)
    .load(conn)
    .await?;
    if rows.len() != seats.len() {
        return Err(DbError::Fault(format!("settle: {} of {} seats changed", rows.len(), seats.len())).into());
    }
    rows.sort_by_key(|row| row.seat);
    let parse = |row: Row| {
        let changed = (seat_index(row.seat)?, LedgerStatus::Booked, unsigned(row.version)?);
        Ok((changed, BookingId(*row.booking_id.as_bytes())))
    };
    rows.into_iter().map(parse).collect()
}

/// Why each seat that is not `wanted` is not; empty when all are.
pub(crate) fn conflicts(seats: &[SeatIndex], locked: &[LockedSeat]) -> Vec<SeatConflict> {
    seats
        .iter()
        .filter_map(|seat| {
            let Some(row) = locked.iter().find(|row| row.seat == *seat) else {
                return Some(SeatConflict { seat: *seat, reason: SeatConflictReason::NoSuchSeat, label: None });
            };
            let reason = match row.status {
                LedgerStatus::Available => return None,
                LedgerStatus::Claimed => SeatConflictReason::Held,
                LedgerStatus::Booked => SeatConflictReason::Booked,
                LedgerStatus::Blocked => SeatConflictReason::Blocked,
            };
            Some(SeatConflict { seat: *seat, reason, label: Some(row.label.clone()) })
        })
        .collect()
}

/// Sum of the prices of seats and the show's currency, before anything is locked; `None` when a seat is missing.
///
/// # Errors
/// [`DbError`].
pub(crate) async fn quote(db: &Db, show: ShowId, seats: &[SeatIndex]) -> Result<Option<(u64, String)>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        found: i64,
        #[diesel(sql_type = BigInt)]
        amount: i64,
        #[diesel(sql_type = Text)]
        currency: String,
    }
    let wanted = indexes(seats).map_err(|_| DbError::Fault("seat index".to_owned()))?;
    let row: Option<Row> = db
        .read("quote", move |conn| {
            let wanted = wanted.clone();
            Box::pin(async move {
                let rows = sql("SELECT count(*) AS found, sum(s.price)::bigint AS amount, w.currency
                    FROM show_seats s JOIN shows w ON w.id = s.show_id
                    WHERE s.show_id = $1 AND s.seat = ANY($2) GROUP BY w.currency")
                .bind::<BigInt, _>(show.as_i64())
                .bind::<Array<Integer>, _>(wanted)
                .load(conn)
                .await?;
                Ok(rows.into_iter().next())
            })
        })
        .await?;
    let whole = row.filter(|row| usize::try_from(row.found).is_ok_and(|found| found == seats.len()));
    Ok(whole.map(|row| (u64::try_from(row.amount).unwrap_or(0), row.currency)))
}

/// All seats of a show, its sale state and its generation, in one statement and so of one moment.
///
/// # Errors
/// [`DbError`].
pub async fn read_map(db: &Db, show: ShowId) -> Result<Option<LedgerMap>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        generation: i64,
        #[diesel(embed)]
        sale: super::shows::SaleColumns,
        #[diesel(sql_type = Integer)]
        seat: i32,
        #[diesel(sql_type = Text)]
        status: String,
        #[diesel(sql_type = BigInt)]
        version: i64,
        #[diesel(sql_type = Nullable<Binary>)]
        hold_id: Option<Vec<u8>>,
        #[diesel(sql_type = Nullable<Text>)]
        customer_id: Option<String>,
    }
    db.read("read_map", move |conn| {
        Box::pin(async move {
            let rows: Vec<Row> =
                sql("SELECT coalesce(t.generation, 0) AS generation, w.sale, w.sale_version, w.no_orphan,
                    (extract(epoch FROM w.opens_at) * 1000)::bigint AS opens_at_ms,
                    s.seat, s.status, s.version, b.customer_id,
                    coalesce(b.payer_hold_id, b.hold_id) AS hold_id
                FROM shows w JOIN show_seats s ON s.show_id = w.id
                LEFT JOIN show_streams t ON t.show_id = w.id
                LEFT JOIN bookings b ON b.id = s.booking_id
                WHERE w.id = $1 ORDER BY s.seat")
                .bind::<BigInt, _>(show.as_i64())
                .load(conn)
                .await?;
            let Some((generation, sale)) = rows.iter().map(|row| (row.generation, row.sale.parse())).next() else {
                return Ok(None);
            };
            let (generation, sale) = (unsigned(generation)?, sale?);
            let seats = rows
                .into_iter()
                .map(|row| {
                    Ok(SeatRow {
                        seat: seat_index(row.seat)?,
                        status: status_of(&row.status)?,
                        version: unsigned(row.version)?,
                        hold: row.hold_id.and_then(|bytes| HoldId::from_slice(&bytes).ok()),
                        customer: row.customer_id.and_then(|id| CustomerId::new(&id).ok()),
                    })
                })
                .collect::<Result<_, TryError>>()?;
            Ok(Some(LedgerMap { generation, sale, seats }))
        })
    })
    .await
}

/// Seat indexes as PostgreSQL's integers.
pub(crate) fn indexes(seats: &[SeatIndex]) -> Result<Vec<i32>, TryError> {
    seats
        .iter()
        .map(|seat| i32::try_from(seat.0).map_err(|_| DbError::Fault("seat index out of range".to_owned()).into()))
        .collect()
}

/// A seat index out of the database.
pub(crate) fn seat_index(seat: i32) -> Result<SeatIndex, TryError> {
    u32::try_from(seat).map(SeatIndex).map_err(|_| DbError::Fault(format!("seat index {seat}")).into())
}

/// The status as it is stored.
pub(crate) const fn status_text(status: LedgerStatus) -> &'static str {
    match status {
        LedgerStatus::Available => "available",
        LedgerStatus::Claimed => "claimed",
        LedgerStatus::Booked => "booked",
        LedgerStatus::Blocked => "blocked",
    }
}

/// The status of a stored text.
pub(crate) fn status_of(text: &str) -> Result<LedgerStatus, TryError> {
    match text {
        "available" => Ok(LedgerStatus::Available),
        "claimed" => Ok(LedgerStatus::Claimed),
        "booked" => Ok(LedgerStatus::Booked),
        "blocked" => Ok(LedgerStatus::Blocked),
        other => Err(DbError::Fault(format!("seat status {other}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_seats_locks_in_seat_order() {
        let text =
            diesel::debug_query::<diesel::pg::Pg, _>(&locking(7, vec![3, 1]).select(show_seats::seat)).to_string();
        let text = text.split(" -- ").next().unwrap();
        assert!(text.contains(r#"("show_seats"."seat" = ANY($2))"#), "{text}");
        assert!(text.ends_with(r#"ORDER BY "show_seats"."seat" ASC FOR UPDATE"#), "{text}");
    }
}
