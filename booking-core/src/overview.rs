//! What the operator's page shows of everything at once. Read at most once a second whoever asks, and never in a way that
//! a sale could feel: live counts come from the maps in Redis, sales by minute are read once and then only the latest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seatwire_protocol::catalogue::ShowInfo;
use seatwire_protocol::command::ListShows;
use seatwire_protocol::{ErrorBody, ShowId};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::app::App;
use crate::commands::db_error;
use crate::db::sales::{self, OpenRefunds, SoldInMinute};
use crate::holds::presence::read_viewers;
use crate::holds::{HoldError, SeatCounts, VitalSigns};
use crate::saga::operator::Backlog;
use crate::{db, holds};

/// What was read a moment ago is good enough for the next who asks.
const FRESH: Duration = Duration::from_secs(1);
/// Counts from the ledger, of shows whose map is not in Redis: nothing happens there.
const RESTING: Duration = Duration::from_secs(30);
/// Sales are told for so many minutes.
const MINUTES: i64 = 60;
/// Minutes that are read again: a confirmation may commit a little after its time.
const MINUTES_UNSURE: i64 = 2;
/// Shows in one answer.
const SHOWS_MAX: usize = 100;

/// What is kept between two looks.
#[derive(Default)]
pub struct Overview(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    latest: Option<(Instant, Arc<Look>)>,
    /// The minute of the last look, and what was sold in each by show.
    sold_until: Option<i64>,
    sold: BTreeMap<i64, HashMap<ShowId, (u64, u64)>>,
    resting: HashMap<ShowId, (Instant, SeatCounts)>,
}

/// Everything but the counts of single shows.
struct Look {
    minute: i64,
    shows: Vec<ShowInfo>,
    sold: BTreeMap<i64, HashMap<ShowId, (u64, u64)>>,
    backlog: Backlog,
    refunds: Vec<OpenRefunds>,
    /// `None` while Redis is out of reach.
    there: Option<There>,
}

#[derive(Default)]
struct There {
    gateways: BTreeMap<String, u64>,
    cores: BTreeMap<String, VitalSigns>,
    viewers: HashMap<ShowId, u64>,
}

/// A show as the page lists it.
#[derive(Serialize)]
struct ShowLine<'a> {
    #[serde(flatten)]
    show: &'a ShowInfo,
    /// `None` while Redis is out of reach.
    viewers: Option<u64>,
    /// Seats confirmed in the last hour.
    sold: u64,
    counts: Option<SeatCounts>,
    /// Whether the counts are those that viewers see; else they are the ledger's, and no map is loaded.
    live: bool,
}

impl Overview {
    /// The answer; `search` is part of a movie, city, theater or screen, or a show's number.
    pub async fn tell(&self, app: &App, search: &str) -> Result<Value, ErrorBody> {
        let look = self.look(app).await?;
        let wanted = search.to_lowercase();
        let matches = |show: &&ShowInfo| {
            let texts = [&show.movie, &show.city, &show.theater, &show.screen];
            wanted.is_empty()
                || show.show.to_string() == wanted
                || texts.iter().any(|text| text.to_lowercase().contains(&wanted))
        };
        let viewers_of = |show: ShowId| look.there.as_ref().map(|t| t.viewers.get(&show).copied().unwrap_or(0));
        let mut shows: Vec<&ShowInfo> = look.shows.iter().filter(matches).collect();
        shows.sort_by_key(|show| (std::cmp::Reverse(viewers_of(show.show)), show.starts_at_ms, show.show));
        let more = shows.len() > SHOWS_MAX;
        shows.truncate(SHOWS_MAX);
        let counts = self.counts(app, &shows).await?;
        let lines: Vec<ShowLine<'_>> = shows
            .into_iter()
            .zip(counts)
            .map(|(show, (counts, live))| {
                let sold = look.sold.values().filter_map(|by_show| by_show.get(&show.show)).map(|(seats, _)| seats);
                ShowLine { show, viewers: viewers_of(show.show), sold: sold.sum(), counts, live }
            })
            .collect();
        let there = look.there.as_ref();
        let signs = |(core, signs): (&String, &VitalSigns)| json!({ "core": core, "signs": signs });
        let gateway = |(gateway, viewers): (&String, &u64)| json!({ "gateway": gateway, "viewers": viewers });
        Ok(json!({
            "viewers": there.map(|there| there.viewers.values().sum::<u64>()),
            "gateways": there.map(|there| there.gateways.iter().map(gateway).collect::<Vec<_>>()),
            "cores": there.map(|there| there.cores.iter().map(signs).collect::<Vec<_>>()),
            "backlog": look.backlog,
            "refunds": look.refunds,
            "sales": look.sales(|_| true),
            "shows": lines,
            "more": more,
        }))
    }

    /// Sales of one show by minute.
    pub async fn sales_of(&self, app: &App, show: ShowId) -> Result<Value, ErrorBody> {
        Ok(self.look(app).await?.sales(|of| of == show))
    }

    async fn look(&self, app: &App) -> Result<Arc<Look>, ErrorBody> {
        // One looks, the others wait for what it found.
        let mut kept = self.0.lock().await;
        if let Some((at, look)) = &kept.latest
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(look));
        }
        let from = kept.sold_until.map(|minute| minute + 1 - MINUTES_UNSURE);
        let every = ListShows::default();
        let (shows, sold, backlog, refunds, there) = tokio::join!(
            db::shows::list(&app.db, &every),
            sales::since(&app.db, from, MINUTES - 1),
            app.saga.backlog(),
            sales::open_refunds(&app.db),
            there(app),
        );
        let (minute, sold) = sold.map_err(db_error)?;
        kept.sold.retain(|at, _| *at > minute - MINUTES && from.is_none_or(|from| *at < from));
        for SoldInMinute { minute, show, seats, bookings } in sold {
            kept.sold.entry(minute).or_default().insert(show, (seats, bookings));
        }
        kept.sold_until = Some(minute);
        let look = Arc::new(Look {
            minute,
            shows: shows.map_err(db_error)?,
            sold: kept.sold.clone(),
            backlog: backlog.map_err(db_error)?,
            refunds: refunds.map_err(db_error)?,
            there: there.inspect_err(|error| tracing::debug!(%error, "nobody can be counted")).ok(),
        });
        kept.latest = Some((Instant::now(), Arc::clone(&look)));
        Ok(look)
    }

    /// Seats by status of each show, and whether viewers see them so.
    async fn counts(&self, app: &App, shows: &[&ShowInfo]) -> Result<Vec<(Option<SeatCounts>, bool)>, ErrorBody> {
        let seats: Vec<(ShowId, u32)> = shows.iter().map(|show| (show.show, show.seats)).collect();
        let live = app.holds.seat_counts(&seats).await.unwrap_or_else(|error: HoldError| {
            tracing::debug!(%error, "no live counts");
            vec![None; seats.len()]
        });
        let mut kept = self.0.lock().await;
        kept.resting.retain(|_, (at, _)| at.elapsed() < RESTING);
        let asleep = seats.iter().zip(&live).filter(|(_, counts)| counts.is_none()).map(|((show, _), _)| *show);
        let unknown: Vec<ShowId> = asleep.filter(|show| !kept.resting.contains_key(show)).collect();
        if !unknown.is_empty() {
            let now = Instant::now();
            let counts = sales::seat_counts(&app.db, &unknown).await.map_err(db_error)?;
            kept.resting.extend(counts.into_iter().map(|(show, counts)| (show, (now, counts))));
        }
        let one = |((show, _), live): (&(ShowId, u32), Option<SeatCounts>)| match live {
            Some(counts) => (Some(counts), true),
            None => (kept.resting.get(show).map(|(_, counts)| *counts), false),
        };
        Ok(seats.iter().zip(live).map(one).collect())
    }
}

impl Look {
    /// Each of the last minutes, the latest last.
    fn sales(&self, which: impl Fn(ShowId) -> bool) -> Value {
        let minutes = (self.minute - MINUTES + 1)..=self.minute;
        let one = |minute: i64| {
            let of = self.sold.get(&minute).into_iter().flatten().filter(|(show, _)| which(**show));
            let (seats, bookings) = of.fold((0, 0), |sum, (_, sold)| (sum.0 + sold.0, sum.1 + sold.1));
            json!({ "at_ms": minute * 60_000, "seats": seats, "bookings": bookings })
        };
        minutes.map(one).collect()
    }
}

/// What gateways and cores said of themselves within the last seconds.
async fn there(app: &App) -> Result<There, HoldError> {
    let mut there = There::default();
    for (name, note) in app.holds.notes().await? {
        match name.split('/').collect::<Vec<_>>()[..] {
            ["gateway", gateway, _] => {
                let viewers = there.gateways.entry(gateway.to_owned()).or_default();
                for (show, count) in read_viewers(&note) {
                    *viewers += count;
                    *there.viewers.entry(show).or_default() += count;
                }
            }
            ["core", core] => {
                if let Ok(signs) = serde_json::from_str(&note) {
                    there.cores.insert(core.to_owned(), signs);
                }
            }
            _ => {}
        }
    }
    Ok(there)
}

/// Tells the others how this core does; to be called every second.
pub async fn sign_in(holds: &holds::HoldStore, core: &str) {
    let note = json!(holds.vital_signs()).to_string();
    if let Err(error) = holds.leave_note(&format!("core/{}", core.replace('/', "-")), &note).await {
        tracing::debug!(%error, "not signed in");
    }
}
