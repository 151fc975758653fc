//! Bookings: the row that each transaction locks first, and its changes.

mod view;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::command::BookingState;
use seatwire_protocol::{BookingId, CustomerId, HoldId, SeatIndex, ShowId};
use uuid::Uuid;

use super::seats::{indexes, seat_index};
use super::sql::{Sql, sql};
use super::{Conn, Db, DbError, TryError, signed, unsigned};
pub(crate) use view::get_all;
pub use view::{get, list, pending_of};

/// A booking under lock.
#[derive(Debug, Clone)]
pub(crate) struct Booking {
    pub(crate) id: BookingId,
    pub(crate) show: ShowId,
    pub(crate) customer: CustomerId,
    pub(crate) state: BookingState,
    pub(crate) ever_confirmed: bool,
    pub(crate) ended_by_operator: bool,
    pub(crate) hold: HoldId,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    /// The time to pay is over, by the database's clock.
    pub(crate) overdue: bool,
}

#[derive(QueryableByName)]
struct BookingRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = BigInt)]
    show_id: i64,
    #[diesel(sql_type = Text)]
    customer_id: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Bool)]
    ever_confirmed: bool,
    #[diesel(sql_type = Bool)]
    ended_by_operator: bool,
    #[diesel(sql_type = Binary)]
    hold_id: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    amount: i64,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Bool)]
    overdue: bool,
}

impl BookingRow {
    fn parse(self) -> Result<Booking, TryError> {
        Ok(Booking {
            id: BookingId(*self.id.as_bytes()),
            show: super::shows::show_id(self.show_id)?,
            customer: CustomerId::new(&self.customer_id).map_err(|e| DbError::Fault(e.to_string()))?,
            state: state_of(&self.state)?,
            ever_confirmed: self.ever_confirmed,
            ended_by_operator: self.ended_by_operator,
            hold: HoldId::from_slice(&self.hold_id).map_err(|e| DbError::Fault(e.to_string()))?,
            amount: unsigned(self.amount)?,
            currency: self.currency,
            overdue: self.overdue,
        })
    }
}

macro_rules! booking_query {
    ($rest:literal) => {
        concat!(
            "SELECT id, show_id, customer_id, state, ever_confirmed, hold_id, amount, currency,
                coalesce(ended_by = 'operator', false) AS ended_by_operator,
                expires_at <= clock_timestamp() AS overdue
            FROM bookings WHERE id = ANY($1) ",
            $rest
        )
    };
}

/// Locks a booking; the first lock of every transaction that has one.
pub(crate) async fn lock(conn: &mut Conn, booking: BookingId) -> Result<Option<Booking>, TryError> {
    Ok(lock_all(conn, &[booking]).await?.pop())
}

/// Locks bookings by id, so that two transactions never wait for each other.
pub(crate) async fn lock_all(conn: &mut Conn, bookings: &[BookingId]) -> Result<Vec<Booking>, TryError> {
    load(conn, sql(booking_query!("ORDER BY id FOR UPDATE")), bookings).await
}

/// A booking as it is, without a lock: to decide what to prepare, never what to write.
pub(crate) async fn peek(db: &Db, booking: BookingId) -> Result<Option<Booking>, DbError> {
    db.read("peek_booking", move |conn| {
        Box::pin(async move { Ok(load(conn, sql(booking_query!("")), &[booking]).await?.pop()) })
    })
    .await
}

async fn load(conn: &mut Conn, query: Sql<'static>, bookings: &[BookingId]) -> Result<Vec<Booking>, TryError> {
    let rows: Vec<BookingRow> = query.bind::<Array<SqlUuid>, _>(uuids(bookings)).load(conn).await?;
    rows.into_iter().map(BookingRow::parse).collect()
}

fn uuids(bookings: &[BookingId]) -> Vec<Uuid> {
    bookings.iter().copied().map(uuid).collect()
}

/// The unique index that allows one pending booking a customer and show.
pub(crate) const PENDING_TAKEN: &str = "bookings_customer_id_show_id_pending_key";

/// A pending booking to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewBooking {
    pub(crate) id: BookingId,
    pub(crate) show: ShowId,
    pub(crate) customer: CustomerId,
    pub(crate) hold: HoldId,
    pub(crate) seats: u32,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) email: String,
    pub(crate) claim_ms: u64,
}

/// Stores a pending booking; answers when it was made, milliseconds since 1970, or `None` when one of this id is there
/// already.
pub(crate) async fn insert(conn: &mut Conn, new: &NewBooking) -> Result<Option<u64>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        created_at_ms: i64,
    }
    let row: Option<Row> =
        sql("INSERT INTO bookings (id, show_id, customer_id, hold_id, seats, amount, currency, email, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + $9 * interval '1 millisecond')
        ON CONFLICT (id) DO NOTHING
        RETURNING (extract(epoch FROM created_at) * 1000)::bigint AS created_at_ms")
        .bind::<SqlUuid, _>(uuid(new.id))
        .bind::<BigInt, _>(new.show.as_i64())
        .bind::<Text, _>(new.customer.as_str().to_owned())
        .bind::<Binary, _>(new.hold.0.to_vec())
        .bind::<Integer, _>(i32::try_from(new.seats).unwrap_or(i32::MAX))
        .bind::<BigInt, _>(signed(new.amount))
        .bind::<Text, _>(new.currency.clone())
        .bind::<Text, _>(new.email.clone())
        .bind::<BigInt, _>(signed(new.claim_ms))
        .get_result(conn)
        .await
        .optional()?;
    row.map(|row| unsigned(row.created_at_ms)).transpose()
}

/// Stores the seats of a booking with their prices.
pub(crate) async fn insert_seats(
    conn: &mut Conn,
    booking: BookingId,
    show: ShowId,
    seats: &[SeatIndex],
) -> Result<(), TryError> {
    sql("INSERT INTO booking_seats (booking_id, show_id, seat, price)
        SELECT $1, show_id, seat, price FROM show_seats WHERE show_id = $2 AND seat = ANY($3)")
    .bind::<SqlUuid, _>(uuid(booking))
    .bind::<BigInt, _>(show.as_i64())
    .bind::<Array<Integer>, _>(indexes(seats)?)
    .execute(conn)
    .await?;
    Ok(())
}

/// Seats of a booking, ascending.
pub(crate) async fn seats_of(conn: &mut Conn, booking: BookingId) -> Result<Vec<SeatIndex>, TryError> {
    Ok(seats_of_all(conn, &[booking]).await?.into_iter().map(|(_, seat, _)| seat).collect())
}

/// Seats of bookings, each with its booking, ascending by show and seat.
pub(crate) async fn seats_of_all(
    conn: &mut Conn,
    bookings: &[BookingId],
) -> Result<Vec<(ShowId, SeatIndex, BookingId)>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        show_id: i64,
        #[diesel(sql_type = Integer)]
        seat: i32,
        #[diesel(sql_type = SqlUuid)]
        booking_id: Uuid,
    }
    let rows: Vec<Row> = sql("SELECT show_id, seat, booking_id FROM booking_seats WHERE booking_id = ANY($1)
        ORDER BY show_id, seat")
    .bind::<Array<SqlUuid>, _>(uuids(bookings))
    .load(conn)
    .await?;
    let parse = |row: Row| {
        let show = super::shows::show_id(row.show_id)?;
        Ok((show, seat_index(row.seat)?, BookingId(*row.booking_id.as_bytes())))
    };
    rows.into_iter().map(parse).collect()
}

/// Who ends a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Time,
    Customer,
    Operator,
}

/// A locked booking is confirmed; its seats are active again where it was rescued.
pub(crate) async fn confirm(conn: &mut Conn, booking: BookingId) -> Result<(), TryError> {
    sql("WITH confirmed AS (
            UPDATE bookings SET state = 'CONFIRMED', ever_confirmed = true, version = version + 1,
                ended_by = NULL, ended_at = NULL
            WHERE id = $1 RETURNING id)
        UPDATE booking_seats s SET active = true FROM confirmed c WHERE s.booking_id = c.id AND NOT s.active")
    .bind::<SqlUuid, _>(uuid(booking))
    .execute(conn)
    .await?;
    Ok(())
}

/// Locked pending bookings are confirmed; their seats are active as they are.
pub(crate) async fn confirm_pending(conn: &mut Conn, bookings: &[BookingId]) -> Result<(), TryError> {
    let rows = sql("UPDATE bookings SET state = 'CONFIRMED', ever_confirmed = true, version = version + 1
        WHERE id = ANY($1) AND state = 'PENDING'")
    .bind::<Array<SqlUuid>, _>(uuids(bookings))
    .execute(conn)
    .await?;
    if rows == bookings.len() {
        Ok(())
    } else {
        Err(DbError::Fault(format!("{rows} of {} bookings confirmed", bookings.len())).into())
    }
}

/// A locked booking is over.
pub(crate) async fn end(conn: &mut Conn, booking: BookingId, by: EndedBy) -> Result<(), TryError> {
    let (state, ended_by) = match by {
        EndedBy::Time => ("EXPIRED", None),
        EndedBy::Customer => ("CANCELLED", Some("customer")),
        EndedBy::Operator => ("CANCELLED", Some("operator")),
    };
    sql("WITH ended AS (
            UPDATE bookings SET state = $2, version = version + 1, ended_by = $3, ended_at = clock_timestamp()
            WHERE id = $1 RETURNING id)
        UPDATE booking_seats s SET active = false FROM ended e WHERE s.booking_id = e.id")
    .bind::<SqlUuid, _>(uuid(booking))
    .bind::<Text, _>(state)
    .bind::<Nullable<Text>, _>(ended_by)
    .execute(conn)
    .await?;
    Ok(())
}

/// Something that the owner is shown beside the state changed: a refund.
pub(crate) async fn touch(conn: &mut Conn, booking: BookingId) -> Result<(), TryError> {
    sql("UPDATE bookings SET version = version + 1 WHERE id = $1")
        .bind::<SqlUuid, _>(uuid(booking))
        .execute(conn)
        .await?;
    Ok(())
}

/// What counts against a customer's caps at a show, this booking aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// Seats pending and booked.
    pub(crate) seats: u64,
    /// Claims that lapsed within the window.
    pub(crate) lapses: u64,
    /// Milliseconds since the last of them.
    pub(crate) since_lapse_ms: u64,
}

/// Reads a customer's standing at a show.
pub(crate) async fn standing(
    conn: &mut Conn,
    customer: &CustomerId,
    show: ShowId,
    except: BookingId,
    window_ms: u64,
) -> Result<Standing, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        seats: i64,
        #[diesel(sql_type = BigInt)]
        lapses: i64,
        #[diesel(sql_type = BigInt)]
        since_lapse_ms: i64,
    }
    let row: Row =
        sql("SELECT coalesce(sum(seats) FILTER (WHERE state IN ('PENDING', 'CONFIRMED')), 0)::bigint AS seats,
            count(*) FILTER (WHERE state = 'EXPIRED' AND ended_at > clock_timestamp() - $4 * interval '1 millisecond')
                AS lapses,
            coalesce(extract(epoch FROM clock_timestamp() - max(ended_at) FILTER (WHERE state = 'EXPIRED')) * 1000, 0)
                ::bigint AS since_lapse_ms
        FROM bookings WHERE customer_id = $1 AND show_id = $2 AND id <> $3")
        .bind::<Text, _>(customer.as_str().to_owned())
        .bind::<BigInt, _>(show.as_i64())
        .bind::<SqlUuid, _>(uuid(except))
        .bind::<BigInt, _>(signed(window_ms))
        .get_result(conn)
        .await?;
    Ok(Standing {
        seats: unsigned(row.seats)?,
        lapses: unsigned(row.lapses)?,
        since_lapse_ms: u64::try_from(row.since_lapse_ms).unwrap_or(0),
    })
}

/// A booking, the provider and id of its order, and since when its time to pay is over, milliseconds.
pub(crate) type Overdue = (BookingId, Option<(String, String)>, u64);

/// Pending bookings past their time that no unprocessed event is about, with the order to ask the provider for, and
/// for how long they are past it.
pub(crate) async fn overdue(db: &Db, limit: i64) -> Result<Vec<Overdue>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Nullable<Text>)]
        provider: Option<String>,
        #[diesel(sql_type = Nullable<Text>)]
        order_id: Option<String>,
        #[diesel(sql_type = BigInt)]
        overdue_ms: i64,
    }
    db.read("overdue", move |conn| {
        Box::pin(async move {
            let rows: Vec<Row> = sql("SELECT b.id, o.provider, o.id AS order_id,
                    (extract(epoch FROM clock_timestamp() - b.expires_at) * 1000)::bigint AS overdue_ms
                FROM bookings b
                LEFT JOIN LATERAL (SELECT id, provider FROM orders WHERE booking_id = b.id LIMIT 1) o ON true
                WHERE b.state = 'PENDING' AND b.expires_at <= clock_timestamp()
                    AND NOT EXISTS (SELECT FROM orders x JOIN payment_events e ON e.order_id = x.id
                        WHERE x.booking_id = b.id AND e.processed_at IS NULL AND e.parked_at IS NULL)
                ORDER BY b.expires_at LIMIT $1")
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await?;
            rows.into_iter()
                .map(|row| {
                    let order = row.provider.zip(row.order_id);
                    Ok((BookingId(*row.id.as_bytes()), order, unsigned(row.overdue_ms)?))
                })
                .collect()
        })
    })
    .await
}

/// Whether an event about the booking's orders waits to be processed.
pub(crate) async fn has_open_event(conn: &mut Conn, booking: BookingId) -> Result<bool, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let row: Row = sql("SELECT EXISTS (SELECT FROM orders o JOIN payment_events e ON e.order_id = o.id
        WHERE o.booking_id = $1 AND e.processed_at IS NULL AND e.parked_at IS NULL) AS found")
    .bind::<SqlUuid, _>(uuid(booking))
    .get_result(conn)
    .await?;
    Ok(row.found)
}

pub(crate) const fn uuid(booking: BookingId) -> Uuid {
    Uuid::from_bytes(booking.0)
}

fn state_of(text: &str) -> Result<BookingState, TryError> {
    match text {
        "PENDING" => Ok(BookingState::Pending),
        "CONFIRMED" => Ok(BookingState::Confirmed),
        "EXPIRED" => Ok(BookingState::Expired),
        "CANCELLED" => Ok(BookingState::Cancelled),
        other => Err(DbError::Fault(format!("booking state {other}")).into()),
    }
}
