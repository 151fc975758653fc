//! Shows, their sale state and generation, and the catalogue that viewers browse.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text};
use diesel_async::RunQueryDsl;
use seatwire_protocol::catalogue::{Layout, Row, Section, ShowInfo, Tier};
use seatwire_protocol::command::ListShows;
use seatwire_protocol::{SaleState, SeatIndex, ShowId};
use serde::Deserialize;

use super::sql::sql;
use super::{Conn, Db, DbError, TryError, signed, unsigned};
use crate::holds::ledger::{Sale, SeatRun, ShowRow};

/// Shows in one list.
pub(super) const SHOWS_MAX: i64 = 500;

/// The columns that make a [`Sale`].
#[derive(Debug, QueryableByName)]
pub(crate) struct SaleColumns {
    #[diesel(sql_type = Text)]
    sale: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    opens_at_ms: Option<i64>,
    #[diesel(sql_type = Bool)]
    no_orphan: bool,
    #[diesel(sql_type = BigInt)]
    sale_version: i64,
}

impl SaleColumns {
    pub(crate) fn parse(&self) -> Result<Sale, TryError> {
        let state = sale_of(&self.sale)?;
        let version = unsigned(self.sale_version)?;
        Ok(Sale { state, opens_at_ms: self.opens_at_ms, no_orphan: self.no_orphan, version })
    }
}

/// Whether a show sells right now, by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selling {
    Open,
    Before { opens_in_ms: u64 },
    Closed,
}

/// The sale state and generation of a show; asked after its seats are locked.
pub(crate) async fn selling(conn: &mut Conn, show: ShowId) -> Result<(Selling, u64), TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        sale: String,
        #[diesel(sql_type = BigInt)]
        opens_in_ms: i64,
        #[diesel(sql_type = BigInt)]
        generation: i64,
    }
    let row: Row = sql("SELECT w.sale, coalesce(t.generation, 0) AS generation,
            coalesce(ceil(extract(epoch FROM w.opens_at - clock_timestamp()) * 1000), 0)::bigint AS opens_in_ms
        FROM shows w LEFT JOIN show_streams t ON t.show_id = w.id WHERE w.id = $1")
    .bind::<BigInt, _>(show.as_i64())
    .get_result(conn)
    .await?;
    let selling = match sale_of(&row.sale)? {
        SaleState::Open => Selling::Open,
        SaleState::Closed => Selling::Closed,
        SaleState::Before => match u64::try_from(row.opens_in_ms) {
            Ok(opens_in_ms) if opens_in_ms > 0 => Selling::Before { opens_in_ms },
            _ => Selling::Open,
        },
    };
    Ok((selling, unsigned(row.generation)?))
}

/// The show as the loader needs it.
///
/// # Errors
/// [`DbError`].
pub async fn load_show(db: &Db, show: ShowId) -> Result<Option<ShowRow>, DbError> {
    #[derive(QueryableByName)]
    struct Columns {
        #[diesel(sql_type = Integer)]
        seats: i32,
        #[diesel(embed)]
        sale: SaleColumns,
        #[diesel(sql_type = BigInt)]
        layout_version: i64,
        #[diesel(sql_type = BigInt)]
        generation: i64,
        #[diesel(sql_type = Text)]
        run_id: String,
        #[diesel(sql_type = Jsonb)]
        layout: serde_json::Value,
    }
    db.read("load_show", move |conn| {
        Box::pin(async move {
            let rows: Vec<Columns> =
                sql("SELECT w.seats, w.sale, w.sale_version, w.no_orphan, w.layout_version, c.layout,
                    (extract(epoch FROM w.opens_at) * 1000)::bigint AS opens_at_ms,
                    coalesce(t.generation, 0) AS generation, coalesce(t.run_id, '') AS run_id
                FROM shows w JOIN screens c ON c.id = w.screen_id
                LEFT JOIN show_streams t ON t.show_id = w.id WHERE w.id = $1")
                .bind::<BigInt, _>(show.as_i64())
                .load(conn)
                .await?;
            let Some(row) = rows.into_iter().next() else { return Ok(None) };
            Ok(Some(ShowRow {
                show,
                seats: super::seats::seat_index(row.seats)?.0,
                sale: row.sale.parse()?,
                layout_version: unsigned(row.layout_version)?,
                generation: unsigned(row.generation)?,
                run_id: row.run_id,
                rows: runs(&parse_plan(row.layout)?.sections),
            }))
        })
    })
    .await
}

/// Takes a new generation by compare-and-set; `None` when another core was faster.
///
/// # Errors
/// [`DbError`].
pub async fn bump_generation(
    db: &Db,
    show: ShowId,
    expected: u64,
    seen: u64,
    run_id: &str,
) -> Result<Option<u64>, DbError> {
    #[derive(QueryableByName)]
    struct Taken {
        #[diesel(sql_type = BigInt)]
        generation: i64,
    }
    let run_id = run_id.to_owned();
    db.read("bump_generation", move |conn| {
        let run_id = run_id.clone();
        Box::pin(async move {
            // A show without a row is at generation 0. A repeated try that finds its own first one done answers
            // None: the caller reads again and takes a still higher one.
            let rows: Vec<Taken> = sql("INSERT INTO show_streams AS t (show_id, generation, run_id)
                SELECT $1, greatest(0, $3) + 1, $4 WHERE $2 = 0 OR EXISTS (SELECT FROM show_streams WHERE show_id = $1)
                ON CONFLICT (show_id) DO UPDATE
                SET generation = greatest(t.generation, $3) + 1, run_id = $4 WHERE t.generation = $2
                RETURNING generation")
            .bind::<BigInt, _>(show.as_i64())
            .bind::<BigInt, _>(signed(expected))
            .bind::<BigInt, _>(signed(seen))
            .bind::<Text, _>(run_id)
            .load(conn)
            .await?;
            rows.into_iter().next().map(|row| unsigned(row.generation)).transpose()
        })
    })
    .await
}

/// Shows that are over and may still be in Redis, with the generation that they were loaded under: six hours past their
/// start with the sale closed, or two days past it.
///
/// # Errors
/// [`DbError`].
pub async fn ended(db: &Db) -> Result<Vec<(ShowId, u64)>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = BigInt)]
        generation: i64,
    }
    db.read("ended_shows", |conn| {
        Box::pin(async move {
            let rows: Vec<Row> = sql("SELECT w.id, t.generation FROM shows w JOIN show_streams t ON t.show_id = w.id
                WHERE t.run_id <> '' AND (w.starts_at < now() - interval '2 days'
                    OR w.sale = 'closed' AND w.starts_at < now() - interval '6 hours')
                ORDER BY w.starts_at LIMIT 500")
            .load(conn)
            .await?;
            rows.into_iter().map(|row| Ok((show_id(row.id)?, unsigned(row.generation)?))).collect()
        })
    })
    .await
}

/// The show is in no Redis any more. `false` when somebody loaded it again meanwhile.
///
/// # Errors
/// [`DbError`].
pub async fn mark_unloaded(db: &Db, show: ShowId, generation: u64) -> Result<bool, DbError> {
    db.read("mark_unloaded", move |conn| {
        Box::pin(async move {
            let marked = sql("UPDATE show_streams SET run_id = '' WHERE show_id = $1 AND generation = $2")
                .bind::<BigInt, _>(show.as_i64())
                .bind::<BigInt, _>(signed(generation))
                .execute(conn)
                .await?;
            Ok(marked == 1)
        })
    })
    .await
}

/// Columns of the shows that fit a filter, by start.
macro_rules! listed {
    ($columns:literal, $filter:expr) => {
        $crate::db::sql::sql(concat!(
            "SELECT ",
            $columns,
            " FROM shows w JOIN movies m ON m.id = w.movie_id JOIN screens r ON r.id = w.screen_id
            JOIN theaters h ON h.id = r.theater_id JOIN cities c ON c.id = h.city_id
            WHERE ($1::bigint IS NULL OR w.id = $1) AND ($2::text IS NULL OR c.name = $2)
                AND ($3::text IS NULL OR to_char(w.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') = $3)
                AND ($4::text IS NULL OR m.title = $4)
            ORDER BY w.starts_at, w.id LIMIT $5"
        ))
        .bind::<Nullable<BigInt>, _>($filter.show.map(ShowId::as_i64))
        .bind::<Nullable<Text>, _>($filter.city)
        .bind::<Nullable<Text>, _>($filter.date)
        .bind::<Nullable<Text>, _>($filter.movie)
        .bind::<BigInt, _>($crate::db::shows::SHOWS_MAX)
    };
}
pub(super) use listed;

/// Shows by start, filtered.
///
/// # Errors
/// [`DbError`].
pub async fn list(db: &Db, filter: &ListShows) -> Result<Vec<ShowInfo>, DbError> {
    #[derive(QueryableByName)]
    struct Columns {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Text)]
        movie: String,
        #[diesel(sql_type = Text)]
        city: String,
        #[diesel(sql_type = Text)]
        theater: String,
        #[diesel(sql_type = Text)]
        screen: String,
        #[diesel(sql_type = BigInt)]
        starts_at_ms: i64,
        #[diesel(sql_type = Text)]
        sale: String,
        #[diesel(sql_type = BigInt)]
        opens_in_ms: i64,
        #[diesel(sql_type = Integer)]
        seats: i32,
        #[diesel(sql_type = BigInt)]
        price_min: i64,
        #[diesel(sql_type = BigInt)]
        price_max: i64,
        #[diesel(sql_type = Text)]
        currency: String,
        #[diesel(sql_type = BigInt)]
        layout_version: i64,
    }
    let filter = filter.clone();
    db.read("list_shows", move |conn| {
        let filter = filter.clone();
        Box::pin(async move {
            let rows: Vec<Columns> = listed!(
                "w.id, m.title AS movie, c.name AS city, h.name AS theater,
                    r.name AS screen, (extract(epoch FROM w.starts_at) * 1000)::bigint AS starts_at_ms, w.sale,
                    greatest(0, coalesce(ceil(extract(epoch FROM w.opens_at - clock_timestamp()) * 1000), 0))::bigint
                        AS opens_in_ms,
                    w.seats, w.price_min, w.price_max, w.currency, w.layout_version",
                filter
            )
            .load(conn)
            .await?;
            rows.into_iter()
                .map(|row| {
                    let opens_in_ms = unsigned(row.opens_in_ms)?;
                    let sale = match sale_of(&row.sale)? {
                        SaleState::Before if opens_in_ms == 0 => SaleState::Open,
                        sale => sale,
                    };
                    Ok(ShowInfo {
                        show: show_id(row.id)?,
                        movie: row.movie,
                        city: row.city,
                        theater: row.theater,
                        screen: row.screen,
                        starts_at_ms: unsigned(row.starts_at_ms)?,
                        sale,
                        opens_in_ms: if sale == SaleState::Before { opens_in_ms } else { 0 },
                        seats: super::seats::seat_index(row.seats)?.0,
                        price_min: unsigned(row.price_min)?,
                        price_max: unsigned(row.price_max)?,
                        currency: row.currency,
                        layout_version: unsigned(row.layout_version)?,
                    })
                })
                .collect()
        })
    })
    .await
}

/// The seat plan of a show.
///
/// # Errors
/// [`DbError`].
pub async fn layout(db: &Db, show: ShowId) -> Result<Option<Layout>, DbError> {
    #[derive(QueryableByName)]
    struct Columns {
        #[diesel(sql_type = BigInt)]
        layout_version: i64,
        #[diesel(sql_type = Integer)]
        seats: i32,
        #[diesel(sql_type = Text)]
        currency: String,
        #[diesel(sql_type = Jsonb)]
        tiers: serde_json::Value,
        #[diesel(sql_type = Jsonb)]
        layout: serde_json::Value,
    }
    db.read("layout", move |conn| {
        Box::pin(async move {
            let rows: Vec<Columns> = sql("SELECT w.layout_version, w.seats, w.currency, w.tiers, c.layout
                FROM shows w JOIN screens c ON c.id = w.screen_id WHERE w.id = $1")
            .bind::<BigInt, _>(show.as_i64())
            .load(conn)
            .await?;
            let Some(row) = rows.into_iter().next() else { return Ok(None) };
            let plan = parse_plan(row.layout)?;
            let tiers: Vec<Tier> = serde_json::from_value(row.tiers).map_err(|e| bad_json("tiers", &e))?;
            Ok(Some(Layout {
                show,
                version: unsigned(row.layout_version)?,
                seats: super::seats::seat_index(row.seats)?.0,
                focus: plan.focus,
                currency: row.currency,
                tiers,
                sections: plan.sections,
            }))
        })
    })
    .await
}

/// What screens store of a layout.
#[derive(Deserialize)]
struct Plan {
    focus: String,
    sections: Vec<Section>,
}

fn parse_plan(layout: serde_json::Value) -> Result<Plan, TryError> {
    serde_json::from_value(layout).map_err(|e| bad_json("layout", &e))
}

fn bad_json(what: &str, error: &serde_json::Error) -> TryError {
    DbError::Fault(format!("{what}: {error}")).into()
}

/// Adjacent seats with no aisle between, best row first, in pieces of one tier.
fn runs(sections: &[Section]) -> Vec<SeatRun> {
    let mut rows: Vec<&Row> = sections.iter().flat_map(|section| &section.rows).collect();
    rows.sort_by_key(|row| row.rank);
    let mut out: Vec<SeatRun> = Vec::new();
    for row in rows {
        let mut previous = None;
        for ((offset, x), tier) in (0_u32..).zip(&row.x).zip(&row.tiers) {
            let joined = previous.is_some_and(|last_x| x - last_x <= 10);
            previous = Some(*x);
            match out.last_mut() {
                Some(run) if joined && run.tier == *tier => run.count += 1,
                _ => out.push(SeatRun { first: SeatIndex(row.first.0 + offset), count: 1, tier: *tier, joined }),
            }
        }
    }
    out
}

/// Changes the sale state of a show; the caller writes the outbox row. `None` when there is no such show.
pub(crate) async fn set_sale(
    conn: &mut Conn,
    show: ShowId,
    state: SaleState,
    opens_at_ms: Option<i64>,
) -> Result<Option<Sale>, TryError> {
    let rows: Vec<SaleColumns> = sql("UPDATE shows
        SET sale = $2, opens_at = to_timestamp($3::double precision / 1000), sale_version = sale_version + 1
        WHERE id = $1
        RETURNING sale, sale_version, no_orphan, (extract(epoch FROM opens_at) * 1000)::bigint AS opens_at_ms")
    .bind::<BigInt, _>(show.as_i64())
    .bind::<Text, _>(sale_text(state))
    .bind::<Nullable<BigInt>, _>(opens_at_ms)
    .load(conn)
    .await?;
    rows.into_iter().next().map(|row| row.parse()).transpose()
}

/// Changes what the show's holds are judged by; the caller writes the outbox row. `None` when there is no such show.
pub(crate) async fn set_no_orphan(conn: &mut Conn, show: ShowId, no_orphan: bool) -> Result<Option<Sale>, TryError> {
    let rows: Vec<SaleColumns> = sql("UPDATE shows SET no_orphan = $2, sale_version = sale_version + 1 WHERE id = $1
        RETURNING sale, sale_version, no_orphan, (extract(epoch FROM opens_at) * 1000)::bigint AS opens_at_ms")
    .bind::<BigInt, _>(show.as_i64())
    .bind::<Bool, _>(no_orphan)
    .load(conn)
    .await?;
    rows.into_iter().next().map(|row| row.parse()).transpose()
}

/// Opens one sale whose time has come; `None` when there is none.
pub(crate) async fn open_due(conn: &mut Conn) -> Result<Option<(ShowId, Sale)>, TryError> {
    #[derive(QueryableByName)]
    struct Opened {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(embed)]
        sale: SaleColumns,
    }
    let rows: Vec<Opened> = sql("UPDATE shows SET sale = 'open', sale_version = sale_version + 1
        WHERE id = (SELECT id FROM shows WHERE sale = 'before' AND opens_at <= clock_timestamp()
                    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, sale, sale_version, no_orphan, (extract(epoch FROM opens_at) * 1000)::bigint AS opens_at_ms")
    .load(conn)
    .await?;
    rows.into_iter().next().map(|row| Ok((show_id(row.id)?, row.sale.parse()?))).transpose()
}

pub(crate) fn show_id(id: i64) -> Result<ShowId, TryError> {
    u64::try_from(id)
        .ok()
        .and_then(|id| ShowId::new(id).ok())
        .ok_or_else(|| DbError::Fault(format!("show id {id}")).into())
}

fn sale_of(text: &str) -> Result<SaleState, TryError> {
    match text {
        "before" => Ok(SaleState::Before),
        "open" => Ok(SaleState::Open),
        "closed" => Ok(SaleState::Closed),
        other => Err(DbError::Fault(format!("sale state {other}")).into()),
    }
}

const fn sale_text(state: SaleState) -> &'static str {
    match state {
        SaleState::Before => "before",
        SaleState::Open => "open",
        SaleState::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_at_aisles_and_come_in_pieces_of_one_tier() {
        let row = |rank, first, x: &[i32], tiers: &[u32]| Row {
            name: String::new(),
            prefix: String::new(),
            rank,
            y: 0,
            first: SeatIndex(first),
            numbers: Vec::new(),
            x: x.to_vec(),
            tiers: tiers.to_vec(),
        };
        let rows = vec![row(2, 0, &[0, 10], &[1, 1]), row(1, 2, &[0, 10, 30, 40, 50], &[1, 1, 1, 2, 2])];
        let found = runs(&[Section { name: String::new(), rows }]);
        let told: Vec<_> = found.iter().map(|run| (run.first.0, run.count, run.tier, run.joined)).collect();
        assert_eq!(told, [(2, 2, 1, false), (4, 1, 1, false), (5, 2, 2, true), (0, 2, 1, false)]);
    }
}
