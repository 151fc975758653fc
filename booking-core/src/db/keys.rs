//! Idempotency keys of commands that took effect. They end after a day, or later: by a function of the database, because
//! the core itself may not delete.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use diesel_async::RunQueryDsl;
use seatwire_protocol::{BookingId, CustomerId, IdempotencyKey};
use uuid::Uuid;

use super::bookings::uuid;
use super::schema::idempotency_keys as keys;
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, unsigned};

/// Which command a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Book,
    Cancel,
}

impl Operation {
    const fn text(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Cancel => "cancel",
        }
    }
}

/// The primary key of the table: whoever violates it came second.
pub(crate) const KEY_TAKEN: &str = "idempotency_keys_customer_id_operation_key_pk";

/// What a key did: the booking, and the hash of the body that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub(crate) booking: BookingId,
    pub(crate) body_hash: [u8; 32],
}

/// Looks a key up.
pub(crate) async fn find(
    db: &Db,
    customer: &CustomerId,
    operation: Operation,
    key: &IdempotencyKey,
) -> Result<Option<KeyRow>, DbError> {
    let (customer, key) = (customer.clone(), key.clone());
    db.read("find_key", move |conn| {
        let (customer, key) = (customer.clone(), key.clone());
        Box::pin(async move { look(conn, &customer, operation, &key).await })
    })
    .await
}

/// Looks a key up inside a transaction.
pub(crate) async fn look(
    conn: &mut Conn,
    customer: &CustomerId,
    operation: Operation,
    key: &IdempotencyKey,
) -> Result<Option<KeyRow>, TryError> {
    let row: Option<(Uuid, Vec<u8>)> = keys::table
        .find((customer.as_str(), operation.text(), key.as_str()))
        .select((keys::booking_id, keys::body_hash))
        .first(conn)
        .await
        .optional()?;
    row.map(|(booking, hash)| {
        let body_hash = hash.try_into().map_err(|_| DbError::Fault("body hash of another length".to_owned()))?;
        Ok(KeyRow { booking: BookingId(*booking.as_bytes()), body_hash })
    })
    .transpose()
}

/// Stores a key with its effect.
pub(crate) async fn insert(
    conn: &mut Conn,
    customer: &CustomerId,
    operation: Operation,
    key: &IdempotencyKey,
    row: &KeyRow,
) -> Result<(), TryError> {
    diesel::insert_into(keys::table)
        .values((
            keys::customer_id.eq(customer.as_str()),
            keys::operation.eq(operation.text()),
            keys::key.eq(key.as_str()),
            keys::body_hash.eq(row.body_hash.to_vec()),
            keys::booking_id.eq(uuid(row.booking)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends at most `limit` keys that are older than so many hours and whose booking and money are settled. Keys that another
/// core is ending are passed over. Answers how many ended.
pub(crate) async fn end_old(db: &Db, hours: i32, limit: i32) -> Result<u64, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        ended: i64,
    }
    db.read("end_keys", move |conn| {
        Box::pin(async move {
            let row: Row = sql("SELECT end_idempotency_keys($1 * interval '1 hour', $2) AS ended")
                .bind::<Integer, _>(hours)
                .bind::<Integer, _>(limit)
                .get_result(conn)
                .await?;
            unsigned(row.ended)
        })
    })
    .await
}
