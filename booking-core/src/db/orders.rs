//! Orders at the payment provider.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Text};
use diesel_async::RunQueryDsl;
use seatwire_protocol::BookingId;
use uuid::Uuid;

use super::bookings::uuid;
use super::schema::orders;
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, signed, unsigned};

/// An order of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderRow {
    pub(crate) id: String,
    pub(crate) provider: &'static str,
    pub(crate) booking: Option<BookingId>,
    pub(crate) receipt: String,
    pub(crate) amount: u64,
    pub(crate) currency: String,
}

/// Stores an order; once is enough. The first question about it comes after `check_ms`.
pub(crate) async fn insert(conn: &mut Conn, order: &OrderRow, check_ms: u64) -> Result<(), TryError> {
    sql("INSERT INTO orders (id, provider, booking_id, receipt, amount, currency, next_check_at)
        VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 millisecond')
        ON CONFLICT (id) DO NOTHING")
    .bind::<Text, _>(order.id.clone())
    .bind::<Text, _>(order.provider)
    .bind::<diesel::sql_types::Nullable<diesel::sql_types::Uuid>, _>(order.booking.map(uuid))
    .bind::<Text, _>(order.receipt.clone())
    .bind::<BigInt, _>(signed(order.amount))
    .bind::<Text, _>(order.currency.clone())
    .bind::<BigInt, _>(signed(check_ms))
    .execute(conn)
    .await?;
    Ok(())
}

/// The booking and amount of an order of this provider: `None` when it is unknown.
pub(crate) async fn find(
    db: &Db,
    provider: &'static str,
    id: &str,
) -> Result<Option<(Option<BookingId>, u64, String)>, DbError> {
    let id = id.to_owned();
    db.read("find_order", move |conn| {
        let id = id.clone();
        Box::pin(async move { look(conn, provider, &id).await })
    })
    .await
}

/// Of these orders, those whose booking waits for its payment: (provider, order) and booking.
pub(crate) async fn pending(
    db: &Db,
    orders: Vec<(String, String)>,
) -> Result<Vec<((String, String), BookingId)>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        provider: String,
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        booking_id: Uuid,
    }
    let (providers, ids): (Vec<String>, Vec<String>) = orders.into_iter().unzip();
    db.read("pending_orders", move |conn| {
        let (providers, ids) = (providers.clone(), ids.clone());
        Box::pin(async move {
            let rows: Vec<Row> = sql("SELECT o.provider, o.id, o.booking_id
                FROM unnest($1::text[], $2::text[]) AS wanted (provider, id)
                JOIN orders o ON o.provider = wanted.provider AND o.id = wanted.id
                JOIN bookings b ON b.id = o.booking_id AND b.state = 'PENDING'")
            .bind::<diesel::sql_types::Array<Text>, _>(providers)
            .bind::<diesel::sql_types::Array<Text>, _>(ids)
            .load(conn)
            .await?;
            Ok(rows.into_iter().map(|row| ((row.provider, row.id), BookingId(*row.booking_id.as_bytes()))).collect())
        })
    })
    .await
}

/// As [`find`], inside a transaction.
pub(crate) async fn look(
    conn: &mut Conn,
    provider: &str,
    id: &str,
) -> Result<Option<(Option<BookingId>, u64, String)>, TryError> {
    let row: Option<(Option<Uuid>, i64, String)> = orders::table
        .find(id)
        .filter(orders::provider.eq(provider))
        .select((orders::booking_id, orders::amount, orders::currency))
        .first(conn)
        .await
        .optional()?;
    row.map(|(booking, amount, currency)| {
        Ok((booking.map(|id| BookingId(*id.as_bytes())), unsigned(amount)?, currency))
    })
    .transpose()
}

/// Orders of these providers whose turn it is to be asked for, with the provider's name; each is put off by a time
/// that doubles with every question, and closed when it is older than `days`.
pub(crate) async fn take_due(
    db: &Db,
    providers: Vec<String>,
    limit: i64,
    first_ms: u64,
    days: i32,
) -> Result<Vec<(String, String)>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        provider: String,
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = Bool)]
        closed: bool,
    }
    db.read("take_due_orders", move |conn| {
        let providers = providers.clone();
        Box::pin(async move {
            let rows: Vec<Row> = sql("UPDATE orders SET checks = checks + 1,
                    closed = created_at < clock_timestamp() - $3 * interval '1 day',
                    next_check_at = clock_timestamp() + $2 * power(2, least(checks, 9)) * interval '1 millisecond'
                WHERE id IN (SELECT id FROM orders WHERE NOT closed AND next_check_at <= clock_timestamp()
                    AND provider = ANY($4) ORDER BY next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
                RETURNING provider, id, closed")
            .bind::<BigInt, _>(limit)
            .bind::<BigInt, _>(signed(first_ms))
            .bind::<Integer, _>(days)
            .bind::<diesel::sql_types::Array<Text>, _>(providers)
            .load(conn)
            .await?;
            // One that is closed now is asked for a last time.
            rows.iter().filter(|row| row.closed).for_each(|row| tracing::debug!(order = row.id, "order closed"));
            Ok(rows.into_iter().map(|row| (row.provider, row.id)).collect())
        })
    })
    .await
}

/// Takes a question back that the provider did not answer.
pub(crate) async fn ask_again(db: &Db, orders: Vec<String>, wait_ms: u64) -> Result<(), DbError> {
    db.read("ask_again", move |conn| {
        let orders = orders.clone();
        Box::pin(async move {
            sql("UPDATE orders SET checks = greatest(checks - 1, 0), closed = false,
                    next_check_at = clock_timestamp() + $2 * interval '1 millisecond'
                WHERE id = ANY($1)")
            .bind::<diesel::sql_types::Array<Text>, _>(orders)
            .bind::<BigInt, _>(signed(wait_ms))
            .execute(conn)
            .await?;
            Ok(())
        })
    })
    .await
}
