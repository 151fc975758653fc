//! Fills the map of a show once for everybody: take a generation by compare-and-set, load, read the ledger in one
//! statement, apply, complete. A partial map is never served.
//!
//! Single flight per show in this process; the callers wait for it up to their deadline. Between processes the
//! compare-and-set decides: losers wait for the winner's map. A map that stays partial for a second without a sign of its
//! loader is taken over under a new generation.

mod fill;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use redis::Cmd;
use tokio::sync::{Semaphore, watch};

use seatwire_protocol::ShowId;

use crate::metrics as names;

use super::keys::{Kept, ShowKeys};
use super::ledger::{LedgerReader, ShowRow};
use super::link::{Connected, Link};
use super::push::Pusher;
use super::reply::Reply;
use super::scripts::Script;
use super::{HoldConfig, HoldError};

/// Without a sign of its loader for so long, a partial map is taken over.
const ABANDONED_AFTER: Duration = Duration::from_millis(1_000);
/// One flight gives up after so long; the next caller starts another.
const FLIGHT_MAX: Duration = Duration::from_secs(10);
/// Flights at a time; each may hold a connection of the ledger's pool.
const FLIGHTS_MAX: usize = 8;
const POLL: Duration = Duration::from_millis(25);

/// What a flight came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Landed {
    Ready,
    NoSuchShow,
    Failed(HoldError),
}

/// See the module's text.
pub(super) struct Loader {
    link: Arc<Link>,
    ledger: Arc<dyn LedgerReader>,
    flights: Mutex<HashMap<ShowId, watch::Receiver<Option<Landed>>>>,
    permits: Semaphore,
    /// One small entry a show that is or was loaded, dropped by unload.
    seen: DashMap<ShowId, Seen>,
    kept: Kept,
    pusher: Pusher,
}

impl Loader {
    pub(super) fn new(link: Arc<Link>, ledger: Arc<dyn LedgerReader>, pusher: Pusher, config: &HoldConfig) -> Self {
        Self {
            link,
            ledger,
            flights: Mutex::default(),
            permits: Semaphore::new(FLIGHTS_MAX),
            seen: DashMap::new(),
            kept: config.kept(),
            pusher,
        }
    }

    /// The lowest generation of a show that this process may act under.
    pub(super) fn floor(&self, show: ShowId) -> u64 {
        self.seen.get(&show).map_or(0, |seen| seen.floor)
    }

    pub(super) fn raise_floor(&self, show: ShowId, generation: u64) {
        if generation > self.floor(show) {
            let mut seen = self.seen.entry(show).or_default();
            seen.floor = generation.max(seen.floor);
        }
    }

    /// The map was seen whole under this generation.
    pub(super) fn note_whole(&self, show: ShowId, generation: u64) {
        if generation > self.whole(show) {
            let mut seen = self.seen.entry(show).or_default();
            seen.whole = generation.max(seen.whole);
            seen.floor = generation.max(seen.floor);
        }
    }

    fn whole(&self, show: ShowId) -> u64 {
        self.seen.get(&show).map_or(0, |seen| seen.whole)
    }

    pub(super) fn forget(&self, show: ShowId) {
        self.seen.remove(&show);
    }

    /// Waits until the show is loaded and whole, starting the work when nobody else does. `None` when the time is up.
    pub(super) async fn ensure(self: &Arc<Self>, show: ShowId, deadline: Instant) -> Option<Landed> {
        self.wait(self.join(show, false), deadline).await
    }

    /// As [`Self::ensure`], under a new generation in any case.
    pub(super) async fn renew(self: &Arc<Self>, show: ShowId, deadline: Instant) -> Option<Landed> {
        self.wait(self.join(show, true), deadline).await
    }

    async fn wait(&self, mut flight: watch::Receiver<Option<Landed>>, deadline: Instant) -> Option<Landed> {
        let landed = tokio::time::timeout_at(deadline.into(), flight.wait_for(Option::is_some)).await.ok()?;
        match landed {
            Ok(landed) => landed.clone(),
            Err(_) => Some(Landed::Failed(HoldError::Internal("a loader ended early".to_owned()))),
        }
    }

    fn join(self: &Arc<Self>, show: ShowId, renew: bool) -> watch::Receiver<Option<Landed>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&show) {
            return flight.clone();
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(show, receiver.clone());
        let loader = self.clone();
        tokio::spawn(async move {
            let flight = tokio::time::timeout(FLIGHT_MAX, loader.fly(show, renew)).await;
            let landed = flight.unwrap_or_else(|_| Err(HoldError::Unavailable("loading took too long".to_owned())));
            let landed = landed.unwrap_or_else(|error| {
                tracing::warn!(show.id = %show, %error, "could not load a show");
                Landed::Failed(error)
            });
            loader.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&show);
            // Nobody may be waiting any more.
            let _ = sender.send(Some(landed));
        });
        receiver
    }

    async fn fly(&self, show: ShowId, mut renew: bool) -> Result<Landed, HoldError> {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(HoldError::Internal("loader closed".to_owned()));
        };
        let keys = ShowKeys::new(show);
        let mut rival = None;
        loop {
            let connected = self.link.get().await?;
            let (row, generation) = match self.take_generation(&connected, &keys, show, renew, &mut rival).await? {
                Take::Landed(landed) => return Ok(landed),
                Take::Wait => {
                    // Differs between the processes that wait.
                    tokio::time::sleep(POLL.mul_f64(rand::random_range(0.5..1.5))).await;
                    continue;
                }
                Take::Taken(row, generation) => (row, generation),
            };
            renew = false;
            failpoint!("loader.generation_taken");
            match self.load(&connected, &keys, &row, generation).await {
                Ok(true) => {
                    self.note_whole(show, generation);
                    metrics::counter!(names::SHOWS_LOADED).increment(1);
                    tracing::info!(show.id = %show, generation, seats = row.seats, "loaded a show");
                    return Ok(Landed::Ready);
                }
                Ok(false) => tracing::info!(show.id = %show, generation, "generation lost while loading"),
                Err(HoldError::Unavailable(error)) => {
                    // Whether it was loaded is unknown, and this generation is never sent again.
                    tracing::warn!(show.id = %show, generation, error, "loading again");
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a generation, when the map needs one and nobody else is at it.
    async fn take_generation(
        &self,
        connected: &Arc<Connected>,
        keys: &ShowKeys,
        show: ShowId,
        renew: bool,
        rival: &mut Option<Rival>,
    ) -> Result<Take, HoldError> {
        if let Need::Answer(take) = self.need(connected, keys, show, renew).await? {
            return Ok(take);
        }
        let Some(row) = self.ledger.load_show(show).await.map_err(ledger_failed)? else {
            return Ok(Take::Landed(Landed::NoSuchShow));
        };
        // Looked at again after the row was read: who loads in between makes the compare-and-set fail.
        let seen = match self.need(connected, keys, show, renew).await? {
            Need::Answer(take) => return Ok(take),
            Need::Generation { seen } => seen,
        };
        // Taken for this very server and not loaded yet: somebody is about to. One that was loaded is lost with its data.
        if row.run_id == *connected.run_id && row.generation > seen.max(self.whole(show)) {
            if rival.as_ref().is_none_or(|rival| rival.generation != row.generation) {
                *rival = Some(Rival { generation: row.generation, since: Instant::now() });
            }
            if rival.as_ref().is_some_and(|rival| rival.since.elapsed() < ABANDONED_AFTER) {
                return Ok(Take::Wait);
            }
        }
        let seen = seen.max(self.floor(show));
        let taken = self.ledger.bump_generation(show, row.generation, seen, &connected.run_id).await;
        Ok(taken.map_err(ledger_failed)?.map_or(Take::Wait, |generation| Take::Taken(row, generation)))
    }

    /// What the map needs; `renew`: a new generation in any case.
    async fn need(
        &self,
        connected: &Arc<Connected>,
        keys: &ShowKeys,
        show: ShowId,
        renew: bool,
    ) -> Result<Need, HoldError> {
        let reply = self.call(connected, &self.link.scripts.state, keys, self.floor(show), &|_| {}).await?;
        let seen = reply.number(0)?;
        if reply.code() == "OK" {
            self.note_whole(show, seen);
        }
        Ok(match reply.code() {
            "OK" if !renew => Need::Answer(Take::Landed(Landed::Ready)),
            "NOT_READY" if Duration::from_millis(reply.number(1)?) < ABANDONED_AFTER => Need::Answer(Take::Wait),
            _ => Need::Generation { seen },
        })
    }

    async fn call(
        &self,
        connected: &Arc<Connected>,
        script: &Script,
        keys: &ShowKeys,
        generation: u64,
        arguments: &(dyn Fn(&mut Cmd) + Send + Sync),
    ) -> Result<Reply, HoldError> {
        let fill = |cmd: &mut Cmd, connected: &Connected| {
            keys.arguments(cmd, connected, generation, self.kept);
            arguments(cmd);
        };
        Reply::read(self.link.eval(connected, script, &fill).await?)
    }
}

/// Generations of a show that this process knows of.
#[derive(Default)]
struct Seen {
    /// The highest one: what is below is a dead timeline.
    floor: u64,
    /// The highest one whose map was whole.
    whole: u64,
}

/// What a map needs.
enum Need {
    /// No generation of ours, at least for now.
    Answer(Take),
    /// One above the one that Redis has.
    Generation { seen: u64 },
}

/// What came of an attempt to take a generation.
enum Take {
    Landed(Landed),
    /// Somebody else is loading, or was faster.
    Wait,
    Taken(ShowRow, u64),
}

/// A generation that somebody took for this server and has not loaded yet, and since when we know.
struct Rival {
    generation: u64,
    since: Instant,
}

fn ledger_failed(error: super::ledger::LedgerError) -> HoldError {
    HoldError::Unavailable(error.to_string())
}
