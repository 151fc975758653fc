//! Refunds: one row per attempt, at most one that has not definitely failed per payment.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::BookingId;
use uuid::Uuid;

use super::bookings::uuid;
use super::payments::Settled;
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, signed, unsigned};

/// Attempts that definitely failed before an operator has to look.
pub(crate) const ATTEMPTS_MAX: i32 = 5;

/// A refund that is to be asked for, or asked about.
#[derive(Debug, Clone)]
pub(crate) struct DueRefund {
    pub(crate) id: Uuid,
    /// The payment's provider.
    pub(crate) provider: String,
    pub(crate) payment: String,
    pub(crate) booking: Option<BookingId>,
    pub(crate) amount: u64,
    pub(crate) key: String,
    /// The provider's id, when it has accepted and not finished.
    pub(crate) provider_id: Option<String>,
    pub(crate) tries: i32,
}

/// Decides a full refund of a payment; the payment's row is locked.
pub(crate) async fn insert(conn: &mut Conn, paid: &Settled, reason: &str) -> Result<(), TryError> {
    insert_attempt(conn, paid, reason, 1, 0, false).await
}

async fn insert_attempt(
    conn: &mut Conn,
    paid: &Settled,
    reason: &str,
    attempt: i32,
    wait_ms: u64,
    parked: bool,
) -> Result<(), TryError> {
    sql("INSERT INTO refunds (id, payment_id, booking_id, attempt, amount, reason, idempotency_key,
            next_try_at, parked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8 * interval '1 millisecond',
            CASE WHEN $9 THEN clock_timestamp() END)")
    .bind::<SqlUuid, _>(Uuid::new_v4())
    .bind::<Text, _>(paid.payment.clone())
    .bind::<Nullable<SqlUuid>, _>(paid.booking.map(uuid))
    .bind::<Integer, _>(attempt)
    .bind::<BigInt, _>(signed(paid.amount))
    .bind::<Text, _>(reason.to_owned())
    .bind::<Text, _>(format!("rf_{}_{attempt}", key_part(&paid.payment)))
    .bind::<BigInt, _>(signed(wait_ms))
    .bind::<diesel::sql_types::Bool, _>(parked)
    .execute(conn)
    .await?;
    Ok(())
}

/// The provider allows letters, digits, `-` and `_`, ten at least.
fn key_part(payment: &str) -> String {
    let part: String = payment.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    format!("{part:_<10}")
}

/// Takes refunds of these providers whose turn it is: they are REQUESTED from here on, and put off for `lease_ms`, so
/// that another worker does not ask at the same time (if it did, the key makes it harmless). None is put off for longer
/// than half a minute: one that seems to be was so before the server's clock was set back, and is due.
pub(crate) async fn take_due(
    db: &Db,
    providers: Vec<String>,
    limit: i64,
    lease_ms: u64,
) -> Result<Vec<DueRefund>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Text)]
        provider: String,
        #[diesel(sql_type = Text)]
        payment_id: String,
        #[diesel(sql_type = Nullable<SqlUuid>)]
        booking_id: Option<Uuid>,
        #[diesel(sql_type = BigInt)]
        amount: i64,
        #[diesel(sql_type = Text)]
        idempotency_key: String,
        #[diesel(sql_type = Nullable<Text>)]
        provider_refund_id: Option<String>,
        #[diesel(sql_type = Integer)]
        tries: i32,
    }
    db.read("take_due_refunds", move |conn| {
        let providers = providers.clone();
        Box::pin(async move {
            let rows: Vec<Row> = sql("UPDATE refunds r SET state = 'REQUESTED', tries = r.tries + 1,
                    requested_at = coalesce(r.requested_at, clock_timestamp()),
                    next_try_at = clock_timestamp() + $2 * interval '1 millisecond'
                FROM payments p
                WHERE p.id = r.payment_id AND r.id IN (
                    SELECT due.id FROM refunds due JOIN payments paid ON paid.id = due.payment_id
                    WHERE due.state IN ('DUE', 'REQUESTED') AND due.parked_at IS NULL
                        AND (due.next_try_at <= clock_timestamp()
                            OR due.next_try_at > clock_timestamp() + interval '2 minutes')
                        AND paid.provider = ANY($3)
                    ORDER BY due.next_try_at LIMIT $1 FOR UPDATE OF due SKIP LOCKED)
                RETURNING r.id, p.provider, r.payment_id, r.booking_id, r.amount, r.idempotency_key,
                    r.provider_refund_id, r.tries")
            .bind::<BigInt, _>(limit)
            .bind::<BigInt, _>(signed(lease_ms))
            .bind::<diesel::sql_types::Array<Text>, _>(providers)
            .load(conn)
            .await?;
            rows.into_iter()
                .map(|row| {
                    Ok(DueRefund {
                        id: row.id,
                        provider: row.provider,
                        payment: row.payment_id,
                        booking: row.booking_id.map(|id| BookingId(*id.as_bytes())),
                        amount: unsigned(row.amount)?,
                        key: row.idempotency_key,
                        provider_id: row.provider_refund_id,
                        tries: row.tries,
                    })
                })
                .collect()
        })
    })
    .await
}

/// The outcome of a call stays unknown, or the provider has not finished: ask again later.
pub(crate) async fn put_off(
    conn: &mut Conn,
    refund: Uuid,
    provider_id: Option<&str>,
    wait_ms: u64,
    error: Option<&str>,
) -> Result<(), TryError> {
    sql("UPDATE refunds SET provider_refund_id = coalesce($2, provider_refund_id), last_error = $4,
            next_try_at = clock_timestamp() + $3 * interval '1 millisecond'
        WHERE id = $1 AND state IN ('DUE', 'REQUESTED')")
    .bind::<SqlUuid, _>(refund)
    .bind::<Nullable<Text>, _>(provider_id.map(str::to_owned))
    .bind::<BigInt, _>(signed(wait_ms))
    .bind::<Nullable<Text>, _>(error.map(str::to_owned))
    .execute(conn)
    .await?;
    Ok(())
}

/// The money went back. `false` when the row was finished before.
pub(crate) async fn processed(conn: &mut Conn, refund: Uuid, provider_id: &str) -> Result<bool, TryError> {
    let rows = sql("UPDATE refunds SET state = 'PROCESSED', provider_refund_id = $2, ended_at = clock_timestamp(),
            last_error = NULL, parked_at = NULL
        WHERE id = $1 AND state IN ('DUE', 'REQUESTED')")
    .bind::<SqlUuid, _>(refund)
    .bind::<Text, _>(provider_id.to_owned())
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// Why an attempt ended without a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The provider definitely refused, or the refund failed there.
    Own,
    /// The provider failed, and repeats that under this key: no reason to give up.
    Providers,
}

/// An attempt came to nothing. The same transaction starts the next one under a new key; after [`ATTEMPTS_MAX`] of them
/// a fault of its own makes it wait for an operator. Answers whether it was parked; `None` when the row was finished
/// before.
pub(crate) async fn failed(
    conn: &mut Conn,
    refund: Uuid,
    error: &str,
    wait_ms: u64,
    fault: Fault,
) -> Result<Option<bool>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        payment_id: String,
        #[diesel(sql_type = Nullable<SqlUuid>)]
        booking_id: Option<Uuid>,
        #[diesel(sql_type = BigInt)]
        amount: i64,
        #[diesel(sql_type = Text)]
        reason: String,
        #[diesel(sql_type = Integer)]
        attempt: i32,
    }
    let rows: Vec<Row> = sql("UPDATE refunds SET state = 'FAILED', last_error = $2, ended_at = clock_timestamp()
        WHERE id = $1 AND state IN ('DUE', 'REQUESTED')
        RETURNING payment_id, booking_id, amount, reason, attempt")
    .bind::<SqlUuid, _>(refund)
    .bind::<Text, _>(error.to_owned())
    .load(conn)
    .await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let paid = Settled {
        payment: row.payment_id,
        booking: row.booking_id.map(|id| BookingId(*id.as_bytes())),
        amount: unsigned(row.amount)?,
    };
    let parked = fault == Fault::Own && row.attempt >= ATTEMPTS_MAX;
    insert_attempt(conn, &paid, &row.reason, row.attempt + 1, wait_ms, parked).await?;
    Ok(Some(parked))
}

/// The refund that an event of the provider is about: the one with its id, else the live one of the payment that has
/// no id yet.
pub(crate) async fn lock_for_event(
    conn: &mut Conn,
    provider_id: &str,
    payment: &str,
    amount: u64,
) -> Result<Option<(Uuid, String)>, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Text)]
        state: String,
    }
    let rows: Vec<Row> = sql("SELECT id, state FROM refunds WHERE payment_id = $2 AND (provider_refund_id = $1
            OR (provider_refund_id IS NULL AND state IN ('DUE', 'REQUESTED') AND amount = $3))
        ORDER BY (provider_refund_id = $1) DESC NULLS LAST LIMIT 1 FOR UPDATE")
    .bind::<Text, _>(provider_id.to_owned())
    .bind::<Text, _>(payment.to_owned())
    .bind::<BigInt, _>(signed(amount))
    .load(conn)
    .await?;
    Ok(rows.into_iter().next().map(|row| (row.id, row.state)))
}

/// Gives a parked refund a fresh start.
pub(crate) async fn requeue(conn: &mut Conn, refund: Uuid) -> Result<bool, TryError> {
    let rows = sql("UPDATE refunds SET parked_at = NULL, next_try_at = clock_timestamp()
        WHERE id = $1 AND state IN ('DUE', 'REQUESTED') AND parked_at IS NOT NULL")
    .bind::<SqlUuid, _>(refund)
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// Refunds that wait, and refunds that wait for an operator.
pub(crate) async fn backlog(conn: &mut Conn) -> Result<(u64, u64), TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        open: i64,
        #[diesel(sql_type = BigInt)]
        parked: i64,
    }
    let row: Row = sql("SELECT count(*) FILTER (WHERE parked_at IS NULL) AS open,
            count(*) FILTER (WHERE parked_at IS NOT NULL) AS parked
        FROM refunds WHERE state IN ('DUE', 'REQUESTED')")
    .get_result(conn)
    .await?;
    Ok((unsigned(row.open)?, unsigned(row.parked)?))
}
