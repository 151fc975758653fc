//! What the tables have in common whose rows drive workers: a row that fails by itself is tried again ever later and then
//! parked, one that fails through no fault of its own is put off, and an operator gives a parked one a fresh start.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::serialize::ToSql;
use diesel::sql_types::{Array, BigInt, Bool, HasSqlType, Integer, Text};
use diesel_async::RunQueryDsl;

use super::sql::{Sql, sql};
use super::{Conn, Db, DbError, TryError, signed, unsigned};

/// Failures of its own after which a row waits for an operator.
pub(super) const FAILURES_MAX: i32 = 5;

/// A table of rows for a worker, with `failures`, `last_error`, `next_try_at` and `parked_at`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queue {
    pub(super) table: &'static str,
    /// Not done: the worker takes it unless it is parked.
    pub(super) open: &'static str,
    /// Which of the parked rows wait for an operator.
    pub(super) parked: &'static str,
}

impl Queue {
    /// A row failed by itself: tried again later, parked after [`FAILURES_MAX`]. Answers whether it was parked.
    pub(super) async fn failed(self, db: &Db, row: i64, error: &str) -> Result<bool, DbError> {
        let error = shortened(error);
        let Self { table, open, .. } = self;
        db.read("fail_row", move |conn| {
            let failing = sql(format!(
                "UPDATE {table} SET failures = failures + 1, last_error = $2,
                    next_try_at = clock_timestamp() + power(2, failures) * interval '1 second',
                    parked_at = CASE WHEN failures + 1 >= $3 THEN clock_timestamp() END
                WHERE id = $1 AND {open} RETURNING parked_at IS NOT NULL AS parked"
            ));
            let failing = failing.bind::<BigInt, _>(row).bind::<Text, _>(error.clone());
            Box::pin(parked(conn, failing.bind::<Integer, _>(FAILURES_MAX)))
        })
        .await
    }

    /// Rows can't be worked on now, through no fault of their own.
    pub(super) async fn put_off(self, db: &Db, rows: Vec<i64>, wait_ms: u64) -> Result<(), DbError> {
        let Self { table, open, .. } = self;
        db.read("put_off_rows", move |conn| {
            let rows = rows.clone();
            Box::pin(async move {
                sql(format!(
                    "UPDATE {table} SET next_try_at = clock_timestamp() + $2 * interval '1 millisecond'
                    WHERE id = ANY($1) AND {open}"
                ))
                .bind::<Array<BigInt>, _>(rows)
                .bind::<BigInt, _>(signed(wait_ms))
                .execute(conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Gives a parked row a fresh start.
    pub(super) async fn requeue<T, V>(self, conn: &mut Conn, row: V) -> Result<bool, TryError>
    where
        Pg: HasSqlType<T>,
        V: ToSql<T, Pg> + Send,
        T: Send,
    {
        let Self { table, open, .. } = self;
        let rows = sql(format!(
            "UPDATE {table} SET parked_at = NULL, failures = 0, next_try_at = clock_timestamp()
            WHERE id = $1 AND {open} AND parked_at IS NOT NULL"
        ))
        .bind::<T, _>(row)
        .execute(conn)
        .await?;
        Ok(rows == 1)
    }

    /// Rows that wait, and rows that wait for an operator.
    pub(super) async fn backlog(self, conn: &mut Conn) -> Result<(u64, u64), TryError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            open: i64,
            #[diesel(sql_type = BigInt)]
            parked: i64,
        }
        let Self { table, open, parked } = self;
        let row: Row = sql(format!(
            "SELECT (SELECT count(*) FROM {table} WHERE {open} AND parked_at IS NULL) AS open,
                (SELECT count(*) FROM {table} WHERE {parked} AND parked_at IS NOT NULL) AS parked"
        ))
        .get_result(conn)
        .await?;
        Ok((unsigned(row.open)?, unsigned(row.parked)?))
    }
}

/// What is kept of an error.
pub(super) fn shortened(error: &str) -> String {
    error.chars().take(500).collect()
}

/// Runs a statement that answers at most one row, with whether it is parked.
pub(super) async fn parked(conn: &mut Conn, statement: Sql<'static>) -> Result<bool, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        parked: bool,
    }
    let row: Option<Row> = statement.get_result(conn).await.optional()?;
    Ok(row.is_some_and(|row| row.parked))
}
