//! What waits for an operator, in whichever table: listed with what it is and why, given another try, or dismissed.

use std::str::FromStr;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use uuid::Uuid;

use super::events::{self, Consumer};
use super::sql::sql;
use super::{Conn, Db, DbError, TryError, inbox, outbox, refunds};

/// A parked row by its name: `inbox-12`, `outbox-7`, `refund-<uuid>`, `bus-<uuid>` or `mail-<uuid>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParkedRow {
    Inbox(i64),
    Outbox(i64),
    Refund(Uuid),
    Event(Consumer, Uuid),
}

impl FromStr for ParkedRow {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let (table, row) = name.split_once('-').ok_or(())?;
        let number = || row.parse().map_err(drop);
        let id = || row.parse().map_err(drop);
        match table {
            "inbox" => number().map(Self::Inbox),
            "outbox" => number().map(Self::Outbox),
            "refund" => id().map(Self::Refund),
            "bus" => id().map(|event| Self::Event(Consumer::Bus, event)),
            "mail" => id().map(|event| Self::Event(Consumer::Mail, event)),
            _ => Err(()),
        }
    }
}

/// What is told of a parked row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Parked {
    /// Its name.
    #[diesel(sql_type = Text)]
    #[serde(rename = "row")]
    pub name: String,
    /// Since when, RFC 3339.
    #[diesel(sql_type = Text)]
    pub since: String,
    /// Failures of its own.
    #[diesel(sql_type = Integer)]
    pub failures: i32,
    /// What it is about.
    #[diesel(sql_type = Text)]
    pub what: String,
    /// What went wrong last.
    #[diesel(sql_type = Nullable<Text>)]
    pub why: Option<String>,
    /// What an operator may do: requeue, dismiss, or either.
    #[diesel(sql_type = Text)]
    pub may: String,
}

/// Parked rows, the oldest first.
pub(crate) async fn list(db: &Db, limit: i64) -> Result<Vec<Parked>, DbError> {
    db.read("list_parked", move |conn| {
        Box::pin(async move {
            let rows = sql("SELECT name, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS since,
                    failures, what, why, may
                FROM (
                    SELECT 'inbox-' || id AS name, parked_at AS at, failures,
                        concat_ws(' ', provider, kind, order_id, payment_id) AS what,
                        concat_ws(': ', result, last_error) AS why, CASE WHEN processed_at IS NULL THEN 'requeue' ELSE 'dismiss' END AS may
                    FROM payment_events WHERE parked_at IS NOT NULL
                    UNION ALL
                    SELECT 'outbox-' || id, parked_at, failures,
                        concat_ws(' ', 'show', show_id, 'booking ' || replace(booking_id::text, '-', '')), last_error, 'requeue'
                    FROM outbox WHERE parked_at IS NOT NULL AND applied_at IS NULL
                    UNION ALL
                    SELECT 'refund-' || r.id, r.parked_at, r.failures,
                        concat_ws(' ', p.provider, r.payment_id, r.amount, p.currency, r.reason),
                        (SELECT last_error FROM refunds f WHERE f.payment_id = r.payment_id AND f.attempt = r.attempt - 1),
                        'requeue'
                    FROM refunds r JOIN payments p ON p.id = r.payment_id
                    WHERE r.parked_at IS NOT NULL AND r.state IN ('DUE', 'REQUESTED')
                    UNION ALL
                    SELECT 'bus-' || id, bus_parked_at, bus_failures,
                        concat_ws(' ', kind, 'booking', replace(booking_id::text, '-', '')), last_error, 'requeue'
                    FROM booking_events WHERE bus_parked_at IS NOT NULL
                    UNION ALL
                    SELECT 'mail-' || id, mail_parked_at, mail_failures,
                        concat_ws(' ', kind, 'booking', replace(booking_id::text, '-', '')), last_error, 'requeue, dismiss'
                    FROM booking_events WHERE mail_parked_at IS NOT NULL
                ) parked ORDER BY at, name LIMIT $1");
            rows.bind::<BigInt, _>(limit).load(conn).await.map_err(TryError::from)
        })
    })
    .await
}

/// Gives a parked row a fresh start; `false` when there is no such parked row.
pub(crate) async fn requeue(conn: &mut Conn, row: ParkedRow) -> Result<bool, TryError> {
    match row {
        ParkedRow::Inbox(row) => inbox::requeue(conn, row).await,
        ParkedRow::Outbox(row) => outbox::requeue(conn, row).await,
        ParkedRow::Refund(row) => refunds::requeue(conn, row).await,
        ParkedRow::Event(consumer, event) => events::requeue(conn, consumer, event).await,
    }
}

/// An operator has looked: an event that is done, or a mail that can't be sent, waits no longer. Whatever else is parked
/// has money or seats behind it and can only be tried again.
pub(crate) async fn dismiss(conn: &mut Conn, row: ParkedRow) -> Result<bool, TryError> {
    let dismissing = match row {
        ParkedRow::Inbox(row) => sql("UPDATE payment_events SET parked_at = NULL
                WHERE id = $1 AND processed_at IS NOT NULL AND parked_at IS NOT NULL")
        .bind::<BigInt, _>(row),
        ParkedRow::Event(Consumer::Mail, event) => sql("UPDATE booking_events SET mail_parked_at = NULL
                WHERE id = $1 AND mail_parked_at IS NOT NULL")
        .bind::<SqlUuid, _>(event),
        _ => return Ok(false),
    };
    Ok(dismissing.execute(conn).await? == 1)
}
