//! How many seats of each show are left, for lists of shows.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use diesel_async::RunQueryDsl;
use seatwire_protocol::ShowId;
use seatwire_protocol::command::{Availability, ListShows};

use super::shows::{listed, show_id};
use super::{Db, DbError, unsigned};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Integer)]
    seats: i32,
    #[diesel(sql_type = BigInt)]
    available: i64,
}

/// The shows that [`super::shows::list`] lists, in its order.
///
/// # Errors
/// [`DbError`].
pub async fn list(db: &Db, filter: &ListShows) -> Result<Vec<Availability>, DbError> {
    let filter = filter.clone();
    db.read("list_availability", move |conn| {
        let filter = filter.clone();
        Box::pin(async move {
            let rows: Vec<Row> = listed!(
                "w.id, w.seats, (SELECT count(*) FROM show_seats s
                    WHERE s.show_id = w.id AND s.status = 'available') AS available",
                filter
            )
            .load(conn)
            .await?;
            let availability = |row: Row| {
                let available = u32::try_from(unsigned(row.available)?).unwrap_or(u32::MAX);
                Ok(Availability { show: show_id(row.id)?, seats: super::seats::seat_index(row.seats)?.0, available })
            };
            rows.into_iter().map(availability).collect()
        })
    })
    .await
}
