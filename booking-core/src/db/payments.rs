//! Payments: one row per payment at the provider, one outcome per captured payment.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::BookingId;
use uuid::Uuid;

use super::bookings::uuid;
use super::schema::payments;
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, signed, unsigned};
use crate::payments::{Payment, PaymentStatus};

/// A captured payment under lock.
#[derive(Debug, Clone)]
pub(crate) struct LockedPayment {
    pub(crate) amount: u64,
    pub(crate) currency: String,
    /// The order that it was first stored with; another one now is not to be believed.
    pub(crate) order: String,
    /// Whether its outcome is written.
    pub(crate) settled: bool,
}

/// Stores what the provider says of a payment, and locks its row. A failed payment may become captured; nothing else
/// changes.
pub(crate) async fn upsert_and_lock(
    conn: &mut Conn,
    provider: &'static str,
    payment: &Payment,
    booking: Option<BookingId>,
) -> Result<LockedPayment, TryError> {
    let mut rows = upsert_and_lock_all(conn, &[(provider, payment, booking)]).await?;
    rows.pop().map(|(_, row)| row).ok_or_else(|| DbError::Fault("a payment was not stored".to_owned()).into())
}

/// As [`upsert_and_lock`] for several, by payment id; answers id and row.
pub(crate) async fn upsert_and_lock_all(
    conn: &mut Conn,
    payments: &[(&'static str, &Payment, Option<BookingId>)],
) -> Result<Vec<(String, LockedPayment)>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = BigInt)]
        amount: i64,
        #[diesel(sql_type = Text)]
        currency: String,
        #[diesel(sql_type = Text)]
        order_id: String,
        #[diesel(sql_type = Nullable<Text>)]
        outcome: Option<String>,
    }
    let texts = |of: fn(&Payment) -> &str| payments.iter().map(|(_, p, _)| of(p).to_owned()).collect::<Vec<_>>();
    let status = |payment: &Payment| if payment.status == PaymentStatus::Captured { "captured" } else { "failed" };
    // ON CONFLICT DO UPDATE locks the rows even where it changes nothing.
    let rows: Vec<Row> = sql("INSERT INTO payments AS p (id, provider, order_id, booking_id, amount, currency, status)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::text[])
        ORDER BY 1
        ON CONFLICT (id) DO UPDATE SET
            status = CASE WHEN excluded.status = 'captured' THEN 'captured' ELSE p.status END,
            amount = CASE WHEN excluded.status = 'captured' AND p.status = 'failed' THEN excluded.amount
                ELSE p.amount END,
            currency = CASE WHEN excluded.status = 'captured' AND p.status = 'failed' THEN excluded.currency
                ELSE p.currency END
        RETURNING id, amount, currency, order_id, outcome")
    .bind::<Array<Text>, _>(texts(|payment| &payment.id))
    .bind::<Array<Text>, _>(payments.iter().map(|(provider, _, _)| *provider).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(texts(|payment| &payment.order))
    .bind::<Array<Nullable<SqlUuid>>, _>(payments.iter().map(|(_, _, booking)| booking.map(uuid)).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(payments.iter().map(|(_, payment, _)| signed(payment.amount)).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(texts(|payment| &payment.currency))
    .bind::<Array<Text>, _>(payments.iter().map(|(_, payment, _)| status(payment)).collect::<Vec<_>>())
    .load(conn)
    .await?;
    let parse = |row: Row| {
        let settled = row.outcome.is_some();
        let amount = unsigned(row.amount)?;
        Ok((row.id, LockedPayment { amount, currency: row.currency, order: row.order_id, settled }))
    };
    rows.into_iter().map(parse).collect()
}

/// What becomes of a captured payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PaymentOutcome {
    Booking,
    Refund(&'static str),
}

/// Writes the outcome, once.
pub(crate) async fn set_outcome(conn: &mut Conn, payment: &str, outcome: PaymentOutcome) -> Result<(), TryError> {
    let (outcome, reason) = match outcome {
        PaymentOutcome::Booking => ("BOOKING", None),
        PaymentOutcome::Refund(reason) => ("REFUND", Some(reason)),
    };
    let rows = sql("UPDATE payments SET outcome = $2, outcome_reason = $3, settled_at = clock_timestamp()
        WHERE id = $1 AND outcome IS NULL")
    .bind::<Text, _>(payment.to_owned())
    .bind::<Text, _>(outcome)
    .bind::<Nullable<Text>, _>(reason)
    .execute(conn)
    .await?;
    if rows == 1 { Ok(()) } else { Err(DbError::Fault("outcome written twice".to_owned()).into()) }
}

/// Writes the outcome BOOKING of several, once.
pub(crate) async fn book_all(conn: &mut Conn, payments: Vec<String>) -> Result<(), TryError> {
    let count = payments.len();
    let rows = sql("UPDATE payments SET outcome = 'BOOKING', settled_at = clock_timestamp()
        WHERE id = ANY($1) AND outcome IS NULL")
    .bind::<Array<Text>, _>(payments)
    .execute(conn)
    .await?;
    if rows == count { Ok(()) } else { Err(DbError::Fault(format!("{rows} of {count} outcomes written")).into()) }
}

/// A payment's booking and amount.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) payment: String,
    pub(crate) booking: Option<BookingId>,
    pub(crate) amount: u64,
}

/// Locks the payment that settled a booking.
pub(crate) async fn lock_settling(conn: &mut Conn, booking: BookingId) -> Result<Option<Settled>, TryError> {
    let row: Option<(String, i64)> = payments::table
        .filter(payments::booking_id.eq(uuid(booking)))
        .filter(payments::outcome.eq("BOOKING"))
        .select((payments::id, payments::amount))
        .for_update()
        .first(conn)
        .await
        .optional()?;
    row.map(|(payment, amount)| Ok(Settled { payment, booking: Some(booking), amount: unsigned(amount)? })).transpose()
}

/// The booking of a payment, whatever its outcome.
pub(crate) async fn booking_of(conn: &mut Conn, payment: &str) -> Result<Option<Option<BookingId>>, TryError> {
    let row: Option<Option<Uuid>> =
        payments::table.find(payment).select(payments::booking_id).first(conn).await.optional()?;
    Ok(row.map(|booking| booking.map(|id| BookingId(*id.as_bytes()))))
}

/// Whether a payment has its outcome already.
pub(crate) async fn is_settled(db: &Db, payment: &str) -> Result<bool, DbError> {
    let payment = payment.to_owned();
    db.read("is_settled", move |conn| {
        let payment = payment.clone();
        Box::pin(async move {
            let outcome: Option<Option<String>> =
                payments::table.find(payment).select(payments::outcome).first(conn).await.optional()?;
            Ok(outcome.flatten().is_some())
        })
    })
    .await
}
