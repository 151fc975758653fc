//! Shows of a benchmark's or a scenario's own: one screen of so many seats in rows of 25, and as many shows on it as are wanted.

use std::time::SystemTime;

use anyhow::Context as _;
use seatwire_protocol::catalogue::{Row, Section};
use seatwire_protocol::{SeatIndex, ShowId};
use serde_json::json;
use tokio_postgres::NoTls;

const ROW: u32 = 25;

/// Adds them, on sale, and answers their ids.
pub(crate) async fn add(postgres: &str, seats: u32, shows: u32) -> anyhow::Result<Vec<ShowId>> {
    insert(postgres, seats, shows, None).await
}

/// Adds one whose sale opens at a moment.
pub(crate) async fn add_opening(postgres: &str, seats: u32, opens_at: SystemTime) -> anyhow::Result<ShowId> {
    let shows = insert(postgres, seats, 1, Some(opens_at)).await?;
    shows.into_iter().next().context("no show was added")
}

async fn insert(postgres: &str, seats: u32, shows: u32, opens_at: Option<SystemTime>) -> anyhow::Result<Vec<ShowId>> {
    let (client, connection) = tokio_postgres::connect(postgres, NoTls).await?;
    // Ends with the client, which sees what went wrong.
    tokio::spawn(connection);
    let layout = json!({ "focus": "stage", "sections": [section(seats)] });
    // A stack that goes on running may have one of as many seats.
    let name = format!("Bench hall of {seats} {}", uuid::Uuid::new_v4().simple());
    let screen: i64 = client.query_one(SCREEN, &[&name, &i32::try_from(seats)?, &layout]).await?.get(0);
    client.execute(SEATS, &[&screen, &i32::try_from(seats)?]).await?;
    let rows = client.query(SHOWS, &[&screen, &i32::try_from(shows)?, &opens_at]).await.context("shows")?;
    let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    client.execute(SHOW_SEATS, &[&ids]).await?;
    client.execute(STREAMS, &[&ids]).await?;
    ids.into_iter().map(|id| Ok(ShowId::new(u64::try_from(id)?)?)).collect()
}

fn section(seats: u32) -> Section {
    let rows = (0..seats.div_ceil(ROW)).map(|at| {
        let first = at * ROW;
        let numbers: Vec<u32> = (1..=ROW.min(seats - first)).collect();
        Row {
            name: format!("R{at}"),
            prefix: format!("R{at}-"),
            rank: at,
            y: 60 + at.cast_signed() * 10,
            first: SeatIndex(first),
            x: numbers.iter().map(|number| number.cast_signed() * 10).collect(),
            tiers: vec![1; numbers.len()],
            numbers,
        }
    });
    Section { name: String::new(), rows: rows.collect() }
}

const SCREEN: &str = "INSERT INTO screens (theater_id, name, seats, layout)
    SELECT min(id), $1, $2, $3 FROM theaters RETURNING id";
const SEATS: &str = "INSERT INTO seats (screen_id, seat, label, section, tier)
    SELECT $1, seat, format('R%s-%s', seat / 25, seat % 25 + 1), '', 1 FROM generate_series(0, $2 - 1) seat";
const SHOWS: &str = "INSERT INTO shows
        (screen_id, movie_id, starts_at, sale, opens_at, seats, currency, tiers, price_min, price_max)
    SELECT c.id, (SELECT min(id) FROM movies), clock_timestamp() + n * interval '1 hour',
        CASE WHEN $3::timestamptz IS NULL THEN 'open' ELSE 'before' END, $3, c.seats, 'INR',
        '[{\"id\": 1, \"name\": \"Standard\", \"price\": 25000}]', 25000, 25000
    FROM screens c, generate_series(1, $2) n WHERE c.id = $1 RETURNING id";
const SHOW_SEATS: &str = "INSERT INTO show_seats (show_id, seat, label, tier, price)
    SELECT s.id, t.seat, t.label, t.tier, 25000 FROM shows s JOIN seats t USING (screen_id) WHERE s.id = ANY($1)
    ORDER BY s.id, t.seat";
const STREAMS: &str = "INSERT INTO show_streams (show_id) SELECT unnest($1::bigint[])";
