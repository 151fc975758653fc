//! Compares the map in Redis with the ledger, show by show, and repairs what differs.
//!
//! Redis is read first, then the ledger: the other order would take a fresh claim for Redis running ahead. What Redis can
//! judge by itself (statuses, locks, holds, holders, due entries, counters) is looked at and repaired in small atomic
//! steps, so that nothing under way is taken for drift. Redis behind the ledger, still so when the relay has had its
//! time, is repaired by apply. Redis ahead, or something else under the same version, can't come from any order of our
//! own writes: a new generation is loaded and an alarm raised. Redis below the ledger's generation is a dead timeline.

mod drift;
mod look;
mod rota;

use std::time::{Duration, Instant};

use seatwire_protocol::{SaleState, SeatIndex, ShowId};

use crate::metrics as names;

use super::HoldError;
use super::ledger::{LedgerError, LedgerMap, SeatRow};
use super::rows;
use super::store::HoldStore;

pub use drift::{Drift, Finding};
use look::Look;
pub(super) use rota::{Watched, run};

/// What was committed shortly before may still be on its way to Redis: the core that committed applies it at once, else
/// the relay half a second later.
const UNDER_WAY: Duration = Duration::from_millis(1_500);

/// What a look at one show came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrubbed {
    /// Redis and the ledger agree.
    Clean,
    /// The show is not in Redis, or is being loaded; the next reader loads it.
    NotLoaded,
    /// So many seats and entries were wrong and are right now.
    Repaired(usize),
    /// They could not both be right: loaded again under a new generation.
    Reloaded,
}

/// A look at one show with everything that it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scrub {
    /// What it came to.
    pub result: Scrubbed,
    /// What was wrong.
    pub found: Vec<Finding>,
}

impl HoldStore {
    /// Compares one show's map with the ledger and repairs it.
    ///
    /// # Errors
    /// When Redis or the ledger is out of reach.
    pub async fn scrub_once(&self, show: ShowId) -> Result<Scrubbed, HoldError> {
        self.scrub(show).await.map(|scrub| scrub.result)
    }

    /// As [`Self::scrub_once`], and tells what was wrong.
    ///
    /// # Errors
    /// When Redis or the ledger is out of reach.
    pub async fn scrub(&self, show: ShowId) -> Result<Scrub, HoldError> {
        let mut found = Vec::new();
        let result = self.compare(show, &mut found).await;
        let action = if matches!(result, Ok(Scrubbed::Reloaded)) { "reloaded" } else { "repaired" };
        for finding in &found {
            finding.report(show, action);
            self.vitals().drifted(finding.count);
        }
        let result = result?;
        let name = match result {
            Scrubbed::Clean => "clean",
            Scrubbed::NotLoaded => "not_loaded",
            Scrubbed::Repaired(_) => "repaired",
            Scrubbed::Reloaded => "reloaded",
        };
        metrics::counter!(names::SCRUBS, "result" => name).increment(1);
        Ok(Scrub { result, found })
    }

    async fn compare(&self, show: ShowId, found: &mut Vec<Finding>) -> Result<Scrubbed, HoldError> {
        // Holds first: a hold that lost a lock gets it back before its seat would be shown as free.
        let Some(generation) = self.look_at_holds(show, found).await? else { return Ok(Scrubbed::NotLoaded) };
        let Some(look) = self.look(show, found).await?.filter(|look| look.generation == generation) else {
            return Ok(Scrubbed::NotLoaded);
        };
        if !self.look_at_counters(show, &look, found).await? {
            return Ok(Scrubbed::NotLoaded);
        }
        let Some(map) = self.ledger().read_map(show).await.map_err(unreachable)? else {
            return Ok(Scrubbed::NotLoaded);
        };
        if look.generation < map.generation {
            // Somebody took a generation: either the load is under way, or it was lost.
            self.start_loading(show, map.generation);
            return Ok(Scrubbed::NotLoaded);
        }
        let before = found.len();
        found.extend(contradictions(&look, &map));
        if self.is_another_layout(show, &look).await? {
            found.push(Finding::entries(Drift::Layout, 1));
        }
        if found.len() > before {
            tracing::error!(show.id = %show, generation, "the seat map contradicts the ledger: loading it again");
            let deadline = Instant::now() + Duration::from_millis(self.config().load_wait_ms);
            self.loader().renew(show, deadline).await;
            return Ok(Scrubbed::Reloaded);
        }
        self.catch_up(show, &look, &map, found).await?;
        Ok(match found.iter().map(|finding| finding.count).sum() {
            0 => Scrubbed::Clean,
            count => Scrubbed::Repaired(count),
        })
    }

    /// Brings in what Redis missed.
    async fn catch_up(
        &self,
        show: ShowId,
        look: &Look,
        map: &LedgerMap,
        found: &mut Vec<Finding>,
    ) -> Result<(), HoldError> {
        if behind(look, map).is_empty() && look.sale.version >= map.sale.version {
            return Ok(());
        }
        tokio::time::sleep(UNDER_WAY).await;
        let Some(again) = self.look(show, found).await?.filter(|again| again.generation == look.generation) else {
            return Ok(());
        };
        let seats = behind(&again, map);
        if !seats.is_empty() {
            found.push(Finding::seats(Drift::Behind, seats.iter().map(|row| row.seat).collect()));
        }
        if again.sale.version < map.sale.version {
            found.push(Finding::entries(Drift::Sale, 1));
        } else if seats.is_empty() {
            return Ok(());
        }
        self.loader().repair(show, again.generation, &map.sale, &seats).await.map(drop)
    }

    /// Layouts do not change under their version, so this one need not be of the same moment.
    async fn is_another_layout(&self, show: ShowId, look: &Look) -> Result<bool, HoldError> {
        let row = self.ledger().load_show(show).await.map_err(unreachable)?;
        Ok(row.is_some_and(|row| {
            row.layout_version != look.layout_version
                || row.seats != look.seats
                || rows::pack(&row.rows, row.seats) != look.rows
        }))
    }
}

fn unreachable(error: LedgerError) -> HoldError {
    HoldError::Unavailable(error.to_string())
}

/// Seats that the ledger knows more of.
fn behind(look: &Look, map: &LedgerMap) -> Vec<SeatRow> {
    let is_behind = |row: &&SeatRow| look.entry(row.seat).is_none_or(|entry| entry.version < row.version);
    map.seats.iter().filter(is_behind).cloned().collect()
}

/// What no order of our own writes explains: a newer version than the ledger's, or something else under the same.
fn contradictions(look: &Look, map: &LedgerMap) -> Vec<Finding> {
    let contradicts = |row: &&SeatRow| {
        look.entry(row.seat).is_some_and(|entry| {
            entry.version > row.version || (entry.version == row.version && entry.status != row.status as u8)
        })
    };
    let seats: Vec<SeatIndex> = map.seats.iter().filter(contradicts).map(|row| row.seat).collect();
    let mut found = Vec::new();
    if !seats.is_empty() || look.generation > map.generation {
        found.push(Finding::seats(Drift::Ahead, seats));
    }
    let (sale, ours) = (&look.sale, &map.sale);
    let opens_at = ours.opens_at_ms.map_or(0, |at| at.max(0).unsigned_abs());
    // A sale that was to open opens in Redis first, under the same version.
    let opened = sale.state == SaleState::Open.code() && ours.state == SaleState::Before && opens_at > 0;
    let same =
        sale.opens_at == opens_at && sale.no_orphan == ours.no_orphan && (sale.state == ours.state.code() || opened);
    if sale.version > ours.version || (sale.version == ours.version && !same) {
        found.push(Finding::entries(Drift::Sale, 1));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::look::Sale;
    use super::*;
    use crate::holds::ledger;

    fn look(state: SaleState, opens_at: u64, version: u64) -> Look {
        Look {
            generation: 1,
            sale: Sale { state: state.code(), opens_at, version, no_orphan: false },
            ..Look::default()
        }
    }

    #[test]
    fn a_sale_may_open_before_the_ledger_says_so_and_nothing_else_may_differ() {
        let sale = ledger::Sale { state: SaleState::Before, opens_at_ms: Some(7), no_orphan: false, version: 2 };
        let map = LedgerMap { generation: 1, sale, seats: Vec::new() };
        let wrong = |look| !contradictions(&look, &map).is_empty();
        assert!(!wrong(look(SaleState::Before, 7, 2)));
        assert!(!wrong(look(SaleState::Open, 7, 2)));
        assert!(!wrong(look(SaleState::Open, 0, 1)));
        assert!(wrong(look(SaleState::Open, 8, 2)));
        assert!(wrong(look(SaleState::Closed, 7, 2)));
        assert!(wrong(look(SaleState::Before, 7, 3)));
        let mut other_rule = look(SaleState::Before, 7, 2);
        other_rule.sale.no_orphan = true;
        assert!(wrong(other_rule));
    }
}
