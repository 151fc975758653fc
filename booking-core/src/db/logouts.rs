//! Customers who logged out: whose tokens of before are void.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::RunQueryDsl;
use seatwire_protocol::CustomerId;
use seatwire_protocol::command::Logout;

use super::sql::sql;
use super::{Db, DbError, TryError, signed, unsigned};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    customer_id: String,
    #[diesel(sql_type = BigInt)]
    before_ms: i64,
}

impl Row {
    fn logout(self) -> Result<Logout, TryError> {
        let Self { customer_id, before_ms } = self;
        let customer = CustomerId::new(&customer_id).map_err(|e| DbError::Fault(format!("customer: {e}")))?;
        Ok(Logout { customer, before_ms: unsigned(before_ms)? })
    }
}

/// Makes the customer's tokens of until now void, a token that was issued at `issued_at_ms` in any case. Doing it again
/// is harmless. Answers before when.
///
/// # Errors
/// [`DbError`].
pub async fn log_out(db: &Db, customer: &CustomerId, issued_at_ms: u64, keep_ms: u64) -> Result<Logout, DbError> {
    let customer = customer.clone();
    db.read("log_out", move |conn| {
        let customer = customer.clone();
        Box::pin(async move {
            // A token tells its time in whole seconds, so one second later is the first that is surely another.
            let row: Row = sql("INSERT INTO logouts AS o (customer_id, before_at, ends_at, changed_at)
                VALUES ($1, greatest(clock_timestamp(), to_timestamp(($2 + 1000) / 1000.0)),
                    clock_timestamp() + $3 * interval '1 millisecond', clock_timestamp())
                ON CONFLICT (customer_id) DO UPDATE SET before_at = greatest(o.before_at, excluded.before_at),
                    ends_at = greatest(o.ends_at, excluded.ends_at), changed_at = excluded.changed_at
                RETURNING customer_id, ceil(extract(epoch FROM before_at) * 1000)::bigint AS before_ms")
            .bind::<Text, _>(customer.as_str())
            .bind::<BigInt, _>(signed(issued_at_ms))
            .bind::<BigInt, _>(signed(keep_ms))
            .get_result(conn)
            .await?;
            row.logout()
        })
    })
    .await
}

/// Logouts that still matter, by customer, from `after` on; with `within_ms` only those of the last milliseconds.
///
/// # Errors
/// [`DbError`].
pub async fn list(
    db: &Db,
    after: Option<CustomerId>,
    within_ms: Option<u64>,
    limit: usize,
) -> Result<Vec<Logout>, DbError> {
    db.read("list_logouts", move |conn| {
        let after = after.as_ref().map_or_else(String::new, |customer| customer.as_str().to_owned());
        Box::pin(async move {
            let rows: Vec<Row> =
                sql("SELECT customer_id, ceil(extract(epoch FROM before_at) * 1000)::bigint AS before_ms
                FROM logouts WHERE customer_id > $1 AND ends_at > clock_timestamp()
                    AND ($2 IS NULL OR changed_at > clock_timestamp() - $2 * interval '1 millisecond')
                ORDER BY customer_id LIMIT $3")
                .bind::<Text, _>(after)
                .bind::<Nullable<BigInt>, _>(within_ms.map(signed))
                .bind::<BigInt, _>(signed(limit as u64))
                .load(conn)
                .await?;
            rows.into_iter().map(Row::logout).collect()
        })
    })
    .await
}
