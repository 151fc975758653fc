//! Bookings as their owners see them.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::command::{BookingInfo, BookingState, RefundInfo, RefundState};
use seatwire_protocol::limits::BOOKINGS_PER_REPLY_MAX;
use seatwire_protocol::{BookingId, CustomerId, ShowId};
use uuid::Uuid;

use super::{state_of, uuid};
use crate::db::seats::seat_index;
use crate::db::shows;
use crate::db::sql::sql;
use crate::db::{Db, DbError, TryError, signed, unsigned};

/// A booking as its owner sees it; the checkout address is the caller's to add.
#[derive(QueryableByName)]
struct InfoRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = BigInt)]
    show_id: i64,
    #[diesel(sql_type = Text)]
    customer_id: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = BigInt)]
    amount: i64,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    remaining_ms: i64,
    #[diesel(sql_type = BigInt)]
    created_at_ms: i64,
    #[diesel(sql_type = Array<Integer>)]
    seats: Vec<i32>,
    #[diesel(sql_type = Array<Text>)]
    labels: Vec<String>,
    #[diesel(sql_type = Nullable<Text>)]
    order_id: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    refund_states: Vec<String>,
    #[diesel(sql_type = Array<BigInt>)]
    refund_amounts: Vec<i64>,
}

macro_rules! info_query {
    ($filter:literal) => {
        concat!(
            "SELECT b.id, b.show_id, b.customer_id, b.state, b.version, b.amount, b.currency,
                greatest(0, extract(epoch FROM b.expires_at - clock_timestamp()) * 1000)::bigint AS remaining_ms,
                (extract(epoch FROM b.created_at) * 1000)::bigint AS created_at_ms,
                ARRAY(SELECT s.seat FROM booking_seats s WHERE s.booking_id = b.id ORDER BY s.seat) AS seats,
                ARRAY(SELECT w.label FROM booking_seats s JOIN show_seats w ON w.show_id = s.show_id AND w.seat = s.seat
                    WHERE s.booking_id = b.id ORDER BY s.seat) AS labels,
                (SELECT o.id FROM orders o WHERE o.booking_id = b.id ORDER BY o.created_at LIMIT 1) AS order_id,
                ARRAY(SELECT r.state FROM refunds r WHERE r.booking_id = b.id AND r.state <> 'FAILED'
                    ORDER BY r.created_at, r.id) AS refund_states,
                ARRAY(SELECT r.amount FROM refunds r WHERE r.booking_id = b.id AND r.state <> 'FAILED'
                    ORDER BY r.created_at, r.id) AS refund_amounts
            FROM bookings b ",
            $filter
        )
    };
}

impl InfoRow {
    fn parse(self) -> Result<(CustomerId, BookingInfo), TryError> {
        let customer = CustomerId::new(&self.customer_id).map_err(|e| DbError::Fault(e.to_string()))?;
        let state = state_of(&self.state)?;
        let refunds = self
            .refund_states
            .iter()
            .zip(self.refund_amounts)
            .map(|(state, amount)| Ok(RefundInfo { state: refund_state_of(state)?, amount: unsigned(amount)? }))
            .collect::<Result<_, TryError>>()?;
        let info = BookingInfo {
            booking: BookingId(*self.id.as_bytes()),
            show: shows::show_id(self.show_id)?,
            seats: self.seats.into_iter().map(seat_index).collect::<Result<_, _>>()?,
            labels: self.labels,
            state,
            version: unsigned(self.version)?,
            amount: unsigned(self.amount)?,
            currency: self.currency,
            remaining_ms: if state == BookingState::Pending { unsigned(self.remaining_ms)? } else { 0 },
            order: self.order_id,
            checkout_url: None,
            refunds,
            created_at_ms: unsigned(self.created_at_ms)?,
        };
        Ok((customer, info))
    }
}

/// A booking with its owner.
///
/// # Errors
/// [`DbError`].
pub async fn get(db: &Db, booking: BookingId) -> Result<Option<(CustomerId, BookingInfo)>, DbError> {
    db.read("get_booking", move |conn| {
        Box::pin(async move {
            let rows: Vec<InfoRow> =
                sql(info_query!("WHERE b.id = $1")).bind::<SqlUuid, _>(uuid(booking)).load(conn).await?;
            rows.into_iter().next().map(InfoRow::parse).transpose()
        })
    })
    .await
}

/// Bookings with their owners, in one statement.
pub(crate) async fn get_all(db: &Db, bookings: Vec<BookingId>) -> Result<Vec<(CustomerId, BookingInfo)>, DbError> {
    let bookings: Vec<Uuid> = bookings.into_iter().map(uuid).collect();
    db.read("get_bookings", move |conn| {
        let bookings = bookings.clone();
        Box::pin(async move {
            let rows: Vec<InfoRow> =
                sql(info_query!("WHERE b.id = ANY($1)")).bind::<Array<SqlUuid>, _>(bookings).load(conn).await?;
            rows.into_iter().map(InfoRow::parse).collect()
        })
    })
    .await
}

/// A customer's bookings, newest first, and whether there are older ones.
///
/// # Errors
/// [`DbError`].
pub async fn list(db: &Db, customer: &CustomerId, before_ms: Option<u64>) -> Result<(Vec<BookingInfo>, bool), DbError> {
    let customer = customer.as_str().to_owned();
    let mut bookings: Vec<BookingInfo> = db
        .read("list_bookings", move |conn| {
            let customer = customer.clone();
            Box::pin(async move {
                let rows: Vec<InfoRow> = sql(info_query!(
                    "WHERE b.customer_id = $1
                        AND ($2::bigint IS NULL OR b.created_at < to_timestamp($2::double precision / 1000))
                    ORDER BY b.created_at DESC LIMIT $3"
                ))
                .bind::<Text, _>(customer)
                .bind::<Nullable<BigInt>, _>(before_ms.map(signed))
                .bind::<BigInt, _>(i64::try_from(BOOKINGS_PER_REPLY_MAX + 1).unwrap_or(i64::MAX))
                .load(conn)
                .await?;
                rows.into_iter().map(|row| Ok(row.parse()?.1)).collect()
            })
        })
        .await?;
    let more = bookings.len() > BOOKINGS_PER_REPLY_MAX;
    bookings.truncate(BOOKINGS_PER_REPLY_MAX);
    Ok((bookings, more))
}

/// Pending bookings of some customers at one show, in one statement.
///
/// # Errors
/// [`DbError`].
pub async fn pending_of(
    db: &Db,
    show: ShowId,
    customers: &[CustomerId],
) -> Result<Vec<(CustomerId, BookingInfo)>, DbError> {
    let customers: Vec<String> = customers.iter().map(|id| id.as_str().to_owned()).collect();
    db.read("pending_of", move |conn| {
        let customers = customers.clone();
        Box::pin(async move {
            let rows: Vec<InfoRow> =
                sql(info_query!("WHERE b.show_id = $1 AND b.customer_id = ANY($2) AND b.state = 'PENDING'"))
                    .bind::<BigInt, _>(show.as_i64())
                    .bind::<Array<Text>, _>(customers)
                    .load(conn)
                    .await?;
            rows.into_iter().map(InfoRow::parse).collect()
        })
    })
    .await
}

fn refund_state_of(text: &str) -> Result<RefundState, TryError> {
    match text {
        "DUE" => Ok(RefundState::Due),
        "REQUESTED" => Ok(RefundState::Requested),
        "PROCESSED" => Ok(RefundState::Processed),
        "FAILED" => Ok(RefundState::Failed),
        other => Err(DbError::Fault(format!("refund state {other}")).into()),
    }
}
