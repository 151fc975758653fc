//! Refunds: one row per attempt, at most one that has not definitely failed per payment.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::BookingId;
use uuid::Uuid;

use super::bookings::uuid;
use super::payments::Settled;
use super::queue::Queue;
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, signed, unsigned};

const OPEN: &str = "state IN ('DUE', 'REQUESTED')";
/// Definite failures of one refund after which it waits for an operator: some three minutes of [`pause_ms`], so that a
/// provider's bad moment parks none.
const FAILURES_MAX: i32 = 8;
/// The longest pause after a definite failure; below the two minutes from which [`take_due`] takes a time for a clock's step.
const PAUSE_MAX_MS: u64 = 60_000;
/// What failed definitely ends its row, so that failures are counted from row to row: see [`failed`].
const QUEUE: Queue = Queue { table: "refunds", open: OPEN, parked: OPEN };

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
    insert_attempt(conn, paid, reason, &Attempt { number: 1, failures: 0, wait_ms: 0 }).await
}

struct Attempt {
    number: i32,
    /// Definite failures before it.
    failures: i32,
    wait_ms: u64,
}

impl Attempt {
    const fn is_parked(&self) -> bool {
        self.failures >= FAILURES_MAX
    }
}

async fn insert_attempt(conn: &mut Conn, paid: &Settled, reason: &str, attempt: &Attempt) -> Result<(), TryError> {
    sql("INSERT INTO refunds (id, payment_id, booking_id, attempt, amount, reason, idempotency_key,
            next_try_at, parked_at, failures)
        VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8 * interval '1 millisecond',
            CASE WHEN $9 THEN clock_timestamp() END, $10)")
    .bind::<SqlUuid, _>(Uuid::new_v4())
    .bind::<Text, _>(paid.payment.clone())
    .bind::<Nullable<SqlUuid>, _>(paid.booking.map(uuid))
    .bind::<Integer, _>(attempt.number)
    .bind::<BigInt, _>(signed(paid.amount))
    .bind::<Text, _>(reason.to_owned())
    .bind::<Text, _>(format!("rf_{}_{}", key_part(&paid.payment), attempt.number))
    .bind::<BigInt, _>(signed(attempt.wait_ms))
    .bind::<diesel::sql_types::Bool, _>(attempt.is_parked())
    .bind::<Integer, _>(attempt.failures)
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
    /// The provider failed, and repeats that under this key: no reason to give up. The next key is tried after so long.
    Providers { wait_ms: u64 },
}

/// Milliseconds until the next attempt, after so many definite failures before this one.
fn pause_ms(failures: i32) -> u64 {
    let doublings = u32::try_from(failures).unwrap_or(0).min(5);
    (2_000 * 2_u64.pow(doublings)).min(PAUSE_MAX_MS)
}

/// An attempt came to nothing. The same transaction starts the next one under a new key; after [`FAILURES_MAX`] faults of
/// its own it waits for an operator. Answers whether it was parked; `None` when the row was finished before.
pub(crate) async fn failed(conn: &mut Conn, refund: Uuid, error: &str, fault: Fault) -> Result<Option<bool>, TryError> {
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
        #[diesel(sql_type = Integer)]
        failures: i32,
    }
    let rows: Vec<Row> = sql("UPDATE refunds SET state = 'FAILED', last_error = $2, ended_at = clock_timestamp()
        WHERE id = $1 AND state IN ('DUE', 'REQUESTED')
        RETURNING payment_id, booking_id, amount, reason, attempt, failures")
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
    let (failures, wait_ms) = match fault {
        Fault::Own => (row.failures + 1, pause_ms(row.failures)),
        Fault::Providers { wait_ms } => (row.failures, wait_ms),
    };
    let next = Attempt { number: row.attempt + 1, failures, wait_ms };
    insert_attempt(conn, &paid, &row.reason, &next).await?;
    Ok(Some(next.is_parked()))
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
    QUEUE.requeue::<SqlUuid, _>(conn, refund).await
}

/// Refunds that wait, and refunds that wait for an operator.
pub(crate) async fn backlog(conn: &mut Conn) -> Result<(u64, u64), TryError> {
    QUEUE.backlog(conn).await
}
