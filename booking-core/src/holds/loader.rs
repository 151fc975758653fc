//! Fills the map of a show once for everybody: take a generation by compare-and-set, load, read the ledger in one
//! statement, apply, complete. A partial map is never served.
//!
//! Single flight per show in this process; the callers wait for it up to their deadline. Between processes the
//! compare-and-set decides: losers wait for the winner's map. A map that stays partial for a second without a sign of its
//! loader is taken over under a new generation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use redis::Cmd;
use tokio::sync::{Semaphore, watch};

use seatwire_protocol::ShowId;

use crate::metrics as names;

use super::HoldError;
use super::apply::{self, Entry};
use super::keys::{Kept, ShowKeys};
use super::ledger::{LedgerReader, ShowRow};
use super::link::{Connected, Link};
use super::reply::Reply;
use super::scripts::Script;

/// Without a sign of its loader for so long, a partial map is taken over.
const ABANDONED_AFTER: Duration = Duration::from_millis(1_000);
/// One flight gives up after so long; the next caller starts another.
const FLIGHT_MAX: Duration = Duration::from_secs(10);
/// Flights at a time; each may hold a connection of the ledger's pool.
const FLIGHTS_MAX: usize = 8;
const POLL: Duration = Duration::from_millis(25);
/// Seats in one apply.
const CHUNK: usize = 1_000;

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
    /// The highest generation seen of each show: what is below is a dead timeline. One small entry a show that is or was
    /// loaded, dropped by unload.
    floors: DashMap<ShowId, u64>,
    kept: Kept,
}

impl Loader {
    pub(super) fn new(link: Arc<Link>, ledger: Arc<dyn LedgerReader>, config: &super::HoldConfig) -> Self {
        Self {
            link,
            ledger,
            flights: Mutex::default(),
            permits: Semaphore::new(FLIGHTS_MAX),
            floors: DashMap::new(),
            kept: config.kept(),
        }
    }

    /// The lowest generation of a show that this process may act under.
    pub(super) fn floor(&self, show: ShowId) -> u64 {
        self.floors.get(&show).map_or(0, |floor| *floor)
    }

    pub(super) fn raise_floor(&self, show: ShowId, generation: u64) {
        if generation > self.floor(show) {
            let mut floor = self.floors.entry(show).or_insert(0);
            *floor = generation.max(*floor);
        }
    }

    pub(super) fn forget(&self, show: ShowId) {
        self.floors.remove(&show);
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
        loop {
            let connected = self.link.get().await?;
            let seen = match self.state(&connected, &keys, show).await? {
                State::Ready(_) if !renew => return Ok(Landed::Ready),
                State::Ready(seen) | State::Missing(seen) => seen,
                State::Partial { age, .. } if age < ABANDONED_AFTER => {
                    tokio::time::sleep(POLL).await;
                    continue;
                }
                State::Partial { generation, .. } => generation,
            };
            let Some(row) = self.ledger.load_show(show).await.map_err(ledger_failed)? else {
                return Ok(Landed::NoSuchShow);
            };
            let seen = seen.max(self.floor(show));
            let taken = self.ledger.bump_generation(show, row.generation, seen, &connected.run_id).await;
            let Some(generation) = taken.map_err(ledger_failed)? else {
                // Somebody else has it: wait for that map, after a time that differs between the losers.
                tokio::time::sleep(POLL.mul_f64(rand::random_range(0.5..2.0))).await;
                continue;
            };
            renew = false;
            match self.load(&connected, &keys, &row, generation).await {
                Ok(true) => {
                    self.raise_floor(show, generation);
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

    /// One generation, from load to complete. `false`: somebody has a higher one.
    async fn load(
        &self,
        connected: &Arc<Connected>,
        keys: &ShowKeys,
        row: &ShowRow,
        generation: u64,
    ) -> Result<bool, HoldError> {
        let rows: Vec<u8> =
            row.rows.iter().flat_map(|run| [run.first.0, run.count, run.tier]).flat_map(u32::to_be_bytes).collect();
        let load = |cmd: &mut Cmd| {
            cmd.arg(row.seats).arg(row.layout_version).arg(row.sale.state.code());
            cmd.arg(row.sale.opens_at_ms.unwrap_or(0)).arg(row.sale.version).arg(&rows);
        };
        let reply = self.call(connected, &self.link.scripts.load, keys, generation, &load).await?;
        if reply.code() != "OK" {
            return Ok(false);
        }
        let map = self.ledger.read_map(row.show).await.map_err(ledger_failed)?;
        let Some(map) = map.filter(|map| map.generation == generation) else { return Ok(false) };
        let mut sale = Some(map.sale);
        for chunk in map.seats.chunks(CHUNK) {
            let entries = apply::pack(chunk.iter().map(Entry::of_row));
            let own: Vec<_> = chunk.iter().filter_map(|seat| seat.hold.zip(seat.customer.as_ref())).collect();
            let sale = apply::pack_sale(sale.take().as_ref());
            let arguments = |cmd: &mut Cmd| {
                cmd.arg("load").arg(&entries).arg(&sale).arg("");
                for (hold, customer) in &own {
                    cmd.arg(&hold.0).arg(customer.as_str());
                }
            };
            let reply = self.call(connected, &self.link.scripts.apply, keys, generation, &arguments).await?;
            if reply.code() != "OK" {
                return accepted(&reply);
            }
        }
        let reply = self.call(connected, &self.link.scripts.complete, keys, generation, &|_| {}).await?;
        accepted(&reply)
    }

    async fn state(&self, connected: &Arc<Connected>, keys: &ShowKeys, show: ShowId) -> Result<State, HoldError> {
        let reply = self.call(connected, &self.link.scripts.state, keys, self.floor(show), &|_| {}).await?;
        let generation = reply.number(0)?;
        Ok(match reply.code() {
            "OK" => State::Ready(generation),
            "NOT_READY" => State::Partial { generation, age: Duration::from_millis(reply.number(1)?) },
            _ => State::Missing(generation),
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

/// What Redis knows of a show.
enum State {
    Ready(u64),
    Partial { generation: u64, age: Duration },
    Missing(u64),
}

fn ledger_failed(error: super::ledger::LedgerError) -> HoldError {
    HoldError::Unavailable(error.to_string())
}

/// OK, or a generation that is no longer ours; anything else is a fault.
fn accepted(reply: &Reply) -> Result<bool, HoldError> {
    match reply.code() {
        "OK" => Ok(true),
        "STALE" | "NOT_LOADED" => Ok(false),
        other => Err(HoldError::Internal(format!("loading: the script answered {other}"))),
    }
}
