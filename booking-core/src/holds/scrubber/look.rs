//! Reads the map in small atomic steps, so that a large show blocks Redis for about a millisecond at a time; each step
//! repairs what it alone shows to be wrong.

use std::collections::{HashMap, HashSet};

use redis::{Cmd, Value};

use seatwire_protocol::{SeatIndex, ShowId};

use super::{Drift, Finding};
use crate::holds::HoldError;
use crate::holds::reply::{self, Reply};
use crate::holds::store::HoldStore;

/// Seats in one step; a multiple of 4.
const SEATS_PER_STEP: u32 = 500;
/// Holds, holders or entries in one step, about.
const ENTRIES_PER_STEP: u32 = 50;

/// What the map knows of the ledger.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) generation: u64,
    pub(super) sale: Sale,
    pub(super) layout_version: u64,
    pub(super) seats: u32,
    /// As `load` stored them.
    pub(super) rows: Vec<u8>,
    pub(super) entries: Vec<Option<Entry>>,
}

#[derive(Debug, Default)]
pub(super) struct Sale {
    pub(super) state: u8,
    /// 0 for none.
    pub(super) opens_at: u64,
    pub(super) version: u64,
    pub(super) no_orphan: bool,
}

/// What the map knows of one seat.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) version: u64,
    pub(super) status: u8,
    customer: Box<str>,
}

impl Look {
    pub(super) fn entry(&self, seat: SeatIndex) -> Option<&Entry> {
        self.entries.get(seat.0 as usize)?.as_ref()
    }

    /// Claimed and booked seats of each customer, under the names that the counters have.
    fn count_owners(&self) -> HashMap<String, u64> {
        let mut counts = HashMap::new();
        for entry in self.entries.iter().flatten().filter(|entry| !entry.customer.is_empty()) {
            let kind = match entry.status {
                1 => 'p',
                2 => 'b',
                _ => continue,
            };
            *counts.entry(format!("{kind}{}", entry.customer)).or_insert(0) += 1;
        }
        counts
    }
}

/// A counter, what it says, and what the seats say.
type Suspect = (String, u64, u64);

impl HoldStore {
    /// Reads all seats and repairs their statuses and locks. `None` when the show is not loaded, or is loaded anew
    /// meanwhile.
    pub(super) async fn look(&self, show: ShowId, found: &mut Vec<Finding>) -> Result<Option<Look>, HoldError> {
        let mut look = Look::default();
        let (mut wrong, mut stray) = (Vec::new(), Vec::new());
        let mut first = 0;
        let whole = loop {
            let arguments = |cmd: &mut Cmd| {
                cmd.arg(first).arg(SEATS_PER_STEP);
            };
            let reply = self.call(&self.scripts().scrub_seats, show, self.loader().floor(show), &arguments).await?;
            if reply.code() != "OK" || (first > 0 && reply.number(0)? != look.generation) {
                break false;
            }
            read_head(&mut look, &reply)?;
            for value in reply::list(reply.field(2)?)? {
                look.entries.push(read_entry(value)?);
            }
            wrong.extend(reply::seats(reply.field(3)?)?);
            stray.extend(reply::seats(reply.field(4)?)?);
            if first == 0 {
                look.rows = reply::bytes(reply.field(5)?)?.to_vec();
            }
            first += SEATS_PER_STEP;
            if first >= look.seats {
                break true;
            }
        };
        for (kind, seats) in [(Drift::Status, wrong), (Drift::Lock, stray)] {
            if !seats.is_empty() {
                found.push(Finding::seats(kind, seats));
            }
        }
        Ok(whole.then_some(look))
    }

    /// Looks at holds, holders and due entries; answers the generation. `None` when the show is not loaded, or is loaded
    /// anew meanwhile.
    pub(super) async fn look_at_holds(&self, show: ShowId, found: &mut Vec<Finding>) -> Result<Option<u64>, HoldError> {
        let state = self.call(&self.scripts().state, show, self.loader().floor(show), &|_| {}).await?;
        if state.code() != "OK" {
            return Ok(None);
        }
        let generation = state.number(0)?;
        let kinds = [Drift::Hold, Drift::HeldBy, Drift::Due];
        let (mut seats, mut counts) = ([const { Vec::new() }; 3], [0_usize; 3]);
        let mut whole = true;
        for which in ["hold", "held_by", "due"] {
            let steps = self.steps(show, generation, which, |reply| {
                let of_counts = reply::list(reply.field(7)?)?;
                for (index, (seats, count)) in seats.iter_mut().zip(&mut counts).enumerate() {
                    seats.extend(reply::seats(reply.field(2 + index)?)?);
                    let more = of_counts.get(index).map_or(Ok(0), reply::number)?;
                    *count = count.saturating_add(usize::try_from(more).unwrap_or(usize::MAX));
                }
                self.tell_ended(show, &reply.ended(5)?);
                Ok(())
            });
            whole = whole && steps.await?;
        }
        for ((kind, seats), count) in kinds.into_iter().zip(seats).zip(counts) {
            if count > 0 {
                found.push(Finding { kind, seats, count });
            }
        }
        Ok(whole.then_some(generation))
    }

    /// Compares the counters of claimed and booked seats. Counters and seats are read one after the other, so only what
    /// two looks find wrong in the same way is counted anew, in one step. `false` when the show is loaded anew meanwhile.
    pub(super) async fn look_at_counters(
        &self,
        show: ShowId,
        look: &Look,
        found: &mut Vec<Finding>,
    ) -> Result<bool, HoldError> {
        let Some(suspects) = self.suspects(show, look).await? else { return Ok(false) };
        if suspects.is_empty() {
            return Ok(true);
        }
        let Some(again) = self.look(show, found).await? else { return Ok(false) };
        let Some(still) = self.suspects(show, &again).await? else { return Ok(false) };
        if suspects.is_disjoint(&still) {
            return Ok(true);
        }
        let reply = self.call(&self.scripts().recount, show, look.generation, &|_| {}).await?;
        if reply.code() != "OK" {
            return Ok(false);
        }
        let count = usize::try_from(reply.number(1)?).unwrap_or(usize::MAX);
        if count > 0 {
            found.push(Finding::entries(Drift::OwnedBy, count));
        }
        Ok(true)
    }

    async fn suspects(&self, show: ShowId, look: &Look) -> Result<Option<HashSet<Suspect>>, HoldError> {
        let mut stored = HashMap::new();
        let whole = self
            .steps(show, look.generation, "owned_by", |reply| {
                for pair in reply::list(reply.field(6)?)?.chunks_exact(2) {
                    let [field, count] = pair else { continue };
                    // What is no number is as wrong as can be.
                    let count = reply::text(count)?.parse().unwrap_or(u64::MAX);
                    stored.insert(reply::text(field)?.to_owned(), count);
                }
                Ok(())
            })
            .await?;
        let mut suspects = HashSet::new();
        for (field, count) in look.count_owners() {
            let said = stored.remove(&field).unwrap_or(0);
            if said != count {
                suspects.insert((field, said, count));
            }
        }
        suspects.extend(stored.into_iter().map(|(field, said)| (field, said, 0)));
        Ok(whole.then_some(suspects))
    }

    /// Goes once through the holds, holders, due entries or counters of a show.
    async fn steps(
        &self,
        show: ShowId,
        generation: u64,
        which: &'static str,
        mut each: impl FnMut(&Reply) -> Result<(), HoldError> + Send,
    ) -> Result<bool, HoldError> {
        let mut cursor = "0".to_owned();
        loop {
            let grace = self.config().grace_ms;
            let arguments = |cmd: &mut Cmd| {
                cmd.arg(which).arg(&cursor).arg(ENTRIES_PER_STEP).arg(grace);
            };
            let reply = self.call(&self.scripts().scrub_holds, show, generation, &arguments).await?;
            if reply.code() != "OK" || reply.number(0)? != generation {
                return Ok(false);
            }
            each(&reply)?;
            reply::text(reply.field(1)?)?.clone_into(&mut cursor);
            if cursor == "0" {
                return Ok(true);
            }
        }
    }
}

fn read_head(look: &mut Look, reply: &Reply) -> Result<(), HoldError> {
    let malformed = || reply::malformed("head of a show");
    let [sale, opens_at, version, layout, seats, no_orphan] = reply::list(reply.field(1)?)? else {
        return Err(malformed());
    };
    look.generation = reply.number(0)?;
    look.sale = Sale {
        state: u8::try_from(reply::number(sale)?).map_err(|_| malformed())?,
        opens_at: reply::number(opens_at)?,
        version: reply::number(version)?,
        no_orphan: reply::number(no_orphan)? == 1,
    };
    look.layout_version = reply::number(layout)?;
    look.seats = u32::try_from(reply::number(seats)?).map_err(|_| malformed())?;
    Ok(())
}

/// An entry of seat_version: status, version, customer.
fn read_entry(value: &Value) -> Result<Option<Entry>, HoldError> {
    if matches!(value, Value::Nil) {
        return Ok(None);
    }
    let malformed = || reply::malformed("entry of a seat");
    let (status, rest) = reply::text(value)?.split_at_checked(1).ok_or_else(malformed)?;
    let (version, customer) = rest.split_once(':').ok_or_else(malformed)?;
    Ok(Some(Entry {
        version: version.parse().map_err(|_| malformed())?,
        status: status.parse().map_err(|_| malformed())?,
        customer: customer.into(),
    }))
}
