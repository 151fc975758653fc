//! The history of a seat, for operators.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use seatwire_protocol::{SeatIndex, ShowId};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::schema::seat_history as history;
use super::seats::indexes;
use super::{Db, DbError};

/// Changes in one answer.
const CHANGES_MAX: i64 = 200;

/// One change of a seat.
#[derive(Debug, Clone, Serialize, Queryable)]
pub struct SeatChangeRow {
    /// The seat's version after it.
    pub version: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub changed_at: OffsetDateTime,
    /// Status before.
    pub from_status: String,
    /// Status after.
    pub to_status: String,
    /// The booking concerned.
    pub booking_id: Option<Uuid>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// The changes of a seat, newest first.
///
/// # Errors
/// [`DbError`].
pub async fn of_seat(db: &Db, show: ShowId, seat: SeatIndex) -> Result<Vec<SeatChangeRow>, DbError> {
    db.read("seat_history", move |conn| {
        Box::pin(async move {
            let seats = indexes(&[seat])?;
            Ok(history::table
                .filter(history::show_id.eq(show.as_i64()))
                .filter(history::seat.eq_any(seats))
                .order(history::version.desc())
                .limit(CHANGES_MAX)
                .select((
                    history::version,
                    history::changed_at,
                    history::from_status,
                    history::to_status,
                    history::booking_id,
                    history::actor,
                    history::reason,
                ))
                .load(conn)
                .await?)
        })
    })
    .await
}
