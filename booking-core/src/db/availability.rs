//! How many seats of each show are left, for lists of shows.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use diesel_async::RunQueryDsl;
use seatwire_protocol::ShowId;
use seatwire_protocol::command::{Availability, ListShows};

use super::shows::{SHOWS_MAX, show_id};
use super::sql::sql;
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
            let rows: Vec<Row> = sql("SELECT w.id, w.seats, (SELECT count(*) FROM show_seats s
                        WHERE s.show_id = w.id AND s.status = 'available') AS available
                FROM shows w JOIN movies m ON m.id = w.movie_id JOIN screens r ON r.id = w.screen_id
                JOIN theaters h ON h.id = r.theater_id JOIN cities c ON c.id = h.city_id
                WHERE ($1::bigint IS NULL OR w.id = $1) AND ($2::text IS NULL OR c.name = $2)
                    AND ($3::text IS NULL OR to_char(w.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') = $3)
                    AND ($4::text IS NULL OR m.title = $4)
                ORDER BY w.starts_at, w.id LIMIT $5")
            .bind::<Nullable<BigInt>, _>(filter.show.map(ShowId::as_i64))
            .bind::<Nullable<Text>, _>(filter.city)
            .bind::<Nullable<Text>, _>(filter.date)
            .bind::<Nullable<Text>, _>(filter.movie)
            .bind::<BigInt, _>(SHOWS_MAX)
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
