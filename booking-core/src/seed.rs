//! Demo data: two houses, some shows, a few seats off sale. Idempotent: what is there stays, and shows are added only
//! when none is still to come.
//!
//! No seat is seeded as booked: a booking needs a payment that the provider knows, or the audit would rightly call it
//! wrong. Bookings of the demo are made by buying.

mod plans;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use serde_json::{Value, json};

use crate::db::sql::{Sql, sql};
use crate::db::{Conn, Db, DbError, End, TryError, signed};
use plans::{Plan, arena, cinema};

/// Two seeds at once: the second waits, and finds the work done. Any number will do, as long as it stays the same.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(7328946102)";

/// When a demo show's sale opens.
#[derive(Debug, Clone, Copy)]
enum Opening {
    Open,
    /// Milliseconds after the seed.
    In(u64),
}

struct DemoShow {
    movie: &'static str,
    minutes: i32,
    /// Whole hours from the next one.
    starts_in_hours: i32,
    opening: Opening,
    /// Name and price of each tier, minor units.
    tiers: &'static [(&'static str, i64)],
    /// Every so many seats one is blocked, as house seats and broken chairs are.
    blocked_every: i32,
    /// Whether holds may not leave a single seat alone.
    no_orphan: bool,
}

struct DemoScreen {
    city: &'static str,
    theater: &'static str,
    screen: &'static str,
    plan: fn() -> Plan,
    shows: Vec<DemoShow>,
}

const CINEMA: &[(&str, i64)] = &[("Front", 18_000), ("Standard", 25_000), ("Premium", 42_000)];
const ARENA: &[(&str, i64)] =
    &[("Golden circle", 950_000), ("Floor", 600_000), ("Lower bowl", 380_000), ("Upper bowl", 150_000)];

fn demo(opening_in_ms: u64) -> Vec<DemoScreen> {
    let cinema_show = |movie, minutes, starts_in_hours, opening, blocked_every, no_orphan| DemoShow {
        movie,
        minutes,
        starts_in_hours,
        opening,
        tiers: CINEMA,
        blocked_every,
        no_orphan,
    };
    vec![
        DemoScreen {
            city: "Mumbai",
            theater: "Regent Cinema",
            screen: "Screen 1",
            plan: cinema,
            shows: vec![
                cinema_show("The Long Take", 128, 3, Opening::Open, 17, false),
                cinema_show("Premiere: Night Ferry", 112, 6, Opening::In(opening_in_ms), 0, false),
                cinema_show("The Long Take", 128, 27, Opening::Open, 5, true),
            ],
        },
        DemoScreen {
            city: "Bengaluru",
            theater: "Harbour Arena",
            screen: "Main Hall",
            plan: arena,
            shows: vec![DemoShow {
                movie: "The Tin Whistles: Farewell Tour",
                minutes: 150,
                starts_in_hours: 24 * 14,
                opening: Opening::Open,
                tiers: ARENA,
                blocked_every: 97,
                no_orphan: false,
            }],
        },
    ]
}

/// Adds what is missing; answers the number of shows added. One show's sale opens `opening_in_ms` from now.
///
/// # Errors
/// [`DbError`].
pub async fn run(db: &Db, opening_in_ms: u64) -> Result<usize, DbError> {
    let mut added = 0;
    for (at, screen) in demo(opening_in_ms).into_iter().enumerate() {
        let screen = std::sync::Arc::new(screen);
        // One transaction a screen: a seed that is killed leaves a screen with all its shows, or none.
        added += db
            .write("seed", move |conn| {
                let screen = std::sync::Arc::clone(&screen);
                Box::pin(async move {
                    conn.batch_execute(ONE_AT_A_TIME).await?;
                    Ok(End::Commit(add_screen(conn, &screen).await?))
                })
            })
            .await?;
        tracing::debug!(screen = at, added, "seeded");
    }
    Ok(added)
}

async fn add_screen(conn: &mut Conn, demo: &DemoScreen) -> Result<usize, TryError> {
    let city = id_of(conn, sql("SELECT id FROM cities WHERE name = $1").bind::<Text, _>(demo.city)).await?;
    let city = match city {
        Some(city) => city,
        None => {
            new_id(conn, sql("INSERT INTO cities (name) VALUES ($1) RETURNING id").bind::<Text, _>(demo.city)).await?
        }
    };
    let theater = sql("SELECT id FROM theaters WHERE city_id = $1 AND name = $2")
        .bind::<BigInt, _>(city)
        .bind::<Text, _>(demo.theater);
    let theater = match id_of(conn, theater).await? {
        Some(theater) => theater,
        None => {
            let insert = sql("INSERT INTO theaters (city_id, name) VALUES ($1, $2) RETURNING id")
                .bind::<BigInt, _>(city)
                .bind::<Text, _>(demo.theater);
            new_id(conn, insert).await?
        }
    };
    let screen = sql("SELECT id FROM screens WHERE theater_id = $1 AND name = $2")
        .bind::<BigInt, _>(theater)
        .bind::<Text, _>(demo.screen);
    let screen = match id_of(conn, screen).await? {
        Some(screen) => screen,
        None => add_plan(conn, theater, demo).await?,
    };
    let to_come = sql("SELECT id FROM shows WHERE screen_id = $1 AND starts_at > clock_timestamp() LIMIT 1")
        .bind::<BigInt, _>(screen);
    if id_of(conn, to_come).await?.is_some() {
        return Ok(0);
    }
    for show in &demo.shows {
        add_show(conn, screen, show).await?;
    }
    Ok(demo.shows.len())
}

async fn add_plan(conn: &mut Conn, theater: i64, demo: &DemoScreen) -> Result<i64, TryError> {
    let plan = (demo.plan)();
    let seats = plan.seats();
    let count = i32::try_from(seats.len()).map_err(|e| DbError::Fault(e.to_string()))?;
    let layout = json!({ "focus": plan.focus, "sections": plan.sections });
    let insert = sql("INSERT INTO screens (theater_id, name, seats, layout) VALUES ($1, $2, $3, $4) RETURNING id")
        .bind::<BigInt, _>(theater)
        .bind::<Text, _>(demo.screen)
        .bind::<Integer, _>(count)
        .bind::<Jsonb, _>(layout);
    let screen = new_id(conn, insert).await?;
    let (mut indexes, mut labels, mut sections, mut tiers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, label, section, tier) in seats {
        indexes.push(index);
        labels.push(label);
        sections.push(section);
        tiers.push(tier);
    }
    sql("INSERT INTO seats (screen_id, seat, label, section, tier) SELECT $1, * FROM unnest($2, $3, $4, $5)")
        .bind::<BigInt, _>(screen)
        .bind::<Array<Integer>, _>(indexes)
        .bind::<Array<Text>, _>(labels)
        .bind::<Array<Text>, _>(sections)
        .bind::<Array<Integer>, _>(tiers)
        .execute(conn)
        .await?;
    Ok(screen)
}

async fn add_show(conn: &mut Conn, screen: i64, demo: &DemoShow) -> Result<(), TryError> {
    let movie = sql("SELECT id FROM movies WHERE title = $1").bind::<Text, _>(demo.movie);
    let movie = match id_of(conn, movie).await? {
        Some(movie) => movie,
        None => {
            let insert = sql("INSERT INTO movies (title, minutes) VALUES ($1, $2) RETURNING id")
                .bind::<Text, _>(demo.movie)
                .bind::<Integer, _>(demo.minutes);
            new_id(conn, insert).await?
        }
    };
    let opening = match demo.opening {
        Opening::Open => None,
        Opening::In(ms) => Some(signed(ms)),
    };
    let tiers: Vec<Value> =
        (1..).zip(demo.tiers).map(|(id, (name, price))| json!({"id": id, "name": name, "price": price})).collect();
    let prices: Vec<i64> = demo.tiers.iter().map(|(_, price)| *price).collect();
    let insert = sql("INSERT INTO shows (screen_id, movie_id, starts_at, sale, opens_at, seats, currency, tiers,
            price_min, price_max, no_orphan)
        SELECT c.id, $2, date_trunc('hour', clock_timestamp()) + $3 * interval '1 hour' + interval '1 hour',
            CASE WHEN $4 IS NULL THEN 'open' ELSE 'before' END, clock_timestamp() + $4 * interval '1 millisecond',
            c.seats, 'INR', $5, $6, $7, $8
        FROM screens c WHERE c.id = $1 RETURNING id")
    .bind::<BigInt, _>(screen)
    .bind::<BigInt, _>(movie)
    .bind::<Integer, _>(demo.starts_in_hours)
    .bind::<Nullable<BigInt>, _>(opening)
    .bind::<Jsonb, _>(Value::Array(tiers))
    .bind::<BigInt, _>(prices.iter().copied().min().unwrap_or(0))
    .bind::<BigInt, _>(prices.iter().copied().max().unwrap_or(0))
    .bind::<Bool, _>(demo.no_orphan);
    let show = new_id(conn, insert).await?;
    sql("INSERT INTO show_seats (show_id, seat, label, tier, price, status)
        SELECT $1, s.seat, s.label, s.tier, ($3)[s.tier],
            CASE WHEN $4 AND s.seat % $5 = $5 - 1 THEN 'blocked' ELSE 'available' END
        FROM seats s WHERE s.screen_id = $2 ORDER BY s.seat")
    .bind::<BigInt, _>(show)
    .bind::<BigInt, _>(screen)
    .bind::<Array<BigInt>, _>(prices)
    .bind::<Bool, _>(demo.blocked_every > 0)
    .bind::<Integer, _>(demo.blocked_every.max(1))
    .execute(conn)
    .await?;
    sql("INSERT INTO show_streams (show_id) VALUES ($1)").bind::<BigInt, _>(show).execute(conn).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

async fn id_of(conn: &mut Conn, query: Sql<'_>) -> Result<Option<i64>, TryError> {
    let rows: Vec<Id> = query.load(conn).await?;
    Ok(rows.into_iter().next().map(|row| row.id))
}

async fn new_id(conn: &mut Conn, insert: Sql<'_>) -> Result<i64, TryError> {
    let row: Id = insert.get_result(conn).await?;
    Ok(row.id)
}
