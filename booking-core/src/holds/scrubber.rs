//! Compares the map in Redis with the ledger, show by show, and repairs what differs.
//!
//! Redis is read first, then the ledger: the other order would take a fresh claim for Redis running ahead. Redis behind is
//! repaired by apply. Redis ahead, or another status under the same version, can't come from any order of our own
//! writes: a new generation is loaded and an alarm raised. Redis below the ledger's generation is a dead timeline.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use seatwire_protocol::ShowId;

use crate::metrics as names;

use super::HoldError;
use super::ledger::{LedgerMap, SeatRow};
use super::reply;
use super::store::HoldStore;

/// Each watched show is looked at once in this time, if this core can.
const ROTA: Duration = Duration::from_secs(25);
/// A show counts as watched for so long after a gateway asked for its position.
const WATCHED_FOR: Duration = Duration::from_secs(30);
/// Shows that one tick looks at; bounds the load on the ledger.
const PER_TICK: usize = 10;
const TICK: Duration = Duration::from_millis(500);
/// Shows remembered as watched.
pub(super) const WATCHED_MAX: usize = 20_000;

/// What a look at one show came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrubbed {
    /// Redis and the ledger agree.
    Clean,
    /// The show is not in Redis; the next reader loads it.
    NotLoaded,
    /// So many seats were behind and are right now.
    Repaired(usize),
    /// They could not both be right: loaded again under a new generation.
    Reloaded,
}

/// The shows that gateways ask for: when last, and when last scrubbed.
#[derive(Default)]
pub(super) struct Watched(HashMap<ShowId, (Instant, Option<Instant>)>);

impl Watched {
    pub(super) fn note(&mut self, shows: &[ShowId], now: Instant) {
        for show in shows {
            if self.0.len() < WATCHED_MAX || self.0.contains_key(show) {
                self.0.entry(*show).or_insert((now, None)).0 = now;
            }
        }
    }

    /// The next shows to look at.
    fn take(&mut self, now: Instant) -> Vec<ShowId> {
        self.0.retain(|_, (asked, _)| now.duration_since(*asked) < WATCHED_FOR);
        let due = |last: &Option<Instant>| last.is_none_or(|at| now.duration_since(at) >= ROTA);
        let picked = self.0.iter_mut().filter(|(_, (_, last))| due(last)).take(PER_TICK);
        picked
            .map(|(show, (_, last))| {
                *last = Some(now);
                *show
            })
            .collect()
    }
}

/// Scrubs watched shows on a rota.
pub(super) async fn run(store: HoldStore, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let shows = store.watched().take(Instant::now());
        for show in shows {
            if let Err(error) = store.scrub_once(show).await {
                tracing::debug!(show.id = %show, %error, "not scrubbed");
            }
        }
    }
}

impl HoldStore {
    /// Compares one show's map with the ledger and repairs it.
    ///
    /// # Errors
    /// When Redis or the ledger is out of reach.
    pub async fn scrub_once(&self, show: ShowId) -> Result<Scrubbed, HoldError> {
        let reply = self.call(&self.scripts().versions, show, self.loader().floor(show), &|_| {}).await?;
        if reply.code() != "OK" {
            return Ok(Scrubbed::NotLoaded);
        }
        let (generation, sale_version) = (reply.number(0)?, reply.number(1)?);
        let known = read_entries(reply::list(reply.field(2)?)?)?;
        let unreachable = |error: super::ledger::LedgerError| HoldError::Unavailable(error.to_string());
        let Some(map) = self.ledger().read_map(show).await.map_err(unreachable)? else {
            return Ok(Scrubbed::NotLoaded);
        };
        if generation < map.generation {
            // Somebody took a generation: either the load is under way, or it was lost.
            self.start_loading(show, map.generation);
            return Ok(Scrubbed::NotLoaded);
        }
        let impossible = generation > map.generation || sale_version > map.sale.version || contradicts(&known, &map);
        if impossible {
            tracing::error!(show.id = %show, generation, "the seat map is ahead of the ledger: loading it again");
            metrics::counter!(names::MAP_DRIFT, "action" => "reloaded").increment(1);
            let deadline = Instant::now() + Duration::from_millis(self.config().load_wait_ms);
            self.loader().renew(show, deadline).await;
            return Ok(Scrubbed::Reloaded);
        }
        let is_behind = |row: &&SeatRow| known.get(&row.seat.0).is_none_or(|(version, _)| *version < row.version);
        let behind: Vec<SeatRow> = map.seats.iter().filter(is_behind).cloned().collect();
        if behind.is_empty() && sale_version == map.sale.version {
            return Ok(Scrubbed::Clean);
        }
        metrics::counter!(names::MAP_DRIFT, "action" => "repaired").increment(1);
        self.loader().repair(show, generation, &map.sale, &behind).await?;
        Ok(Scrubbed::Repaired(behind.len()))
    }
}

/// Seat → version and status.
fn read_entries(values: &[redis::Value]) -> Result<HashMap<u32, (u64, u8)>, HoldError> {
    let malformed = || reply::malformed("entry of a seat");
    let mut out = HashMap::with_capacity(values.len() / 2);
    for pair in values.chunks_exact(2) {
        let [seat, entry] = pair else { return Err(malformed()) };
        let (status, rest) = reply::text(entry)?.split_at_checked(1).ok_or_else(malformed)?;
        let (version, _customer) = rest.split_once(':').ok_or_else(malformed)?;
        let seat = reply::text(seat)?.parse().map_err(|_| malformed())?;
        let entry = (version.parse().map_err(|_| malformed())?, status.parse().map_err(|_| malformed())?);
        out.insert(seat, entry);
    }
    Ok(out)
}

/// A newer version than the ledger's, or another status under the same.
fn contradicts(known: &HashMap<u32, (u64, u8)>, map: &LedgerMap) -> bool {
    map.seats.iter().any(|row| {
        known.get(&row.seat.0).is_some_and(|(version, status)| {
            *version > row.version || (*version == row.version && *status != row.status as u8)
        })
    })
}
