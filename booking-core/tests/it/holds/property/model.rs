//! The plain model: what the scripts have to do, said without Redis. Kept are only the holds, the ledger's entries and the
//! numbers of a show; locks, statuses, counters and the due-set are derived from them, so that the comparison with Redis
//! finds any of those that went its own way. `customers` and `ledger` have the operations.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;
use seatwire_protocol::feed::{FeedMessage, FeedReason};
use seatwire_protocol::{HoldId, Position, SaleState, SeatIndex, SeatStatus};

pub(super) type Id = [u8; 16];

/// Honoured beyond the told end; how long an ended hold is kept; how long a lapse counts.
pub(super) const GRACE: i64 = 20;
pub(super) const KEPT: i64 = 4_000;
pub(super) const WINDOW: i64 = 5_000;

pub(super) const AVAILABLE: u8 = 0;
pub(super) const BEFORE: u8 = 0;
pub(super) const OPEN: u8 = 1;
pub(super) const CLOSED: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Browse = 1,
    Paying = 2,
    Ended = 3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    None = 0,
    Expired = 1,
    Released = 2,
    Booked = 3,
    SeatsLost = 4,
    Operator = 5,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) customer: String,
    pub(super) seats: Vec<u32>,
    pub(super) phase: Phase,
    pub(super) created: i64,
    pub(super) ends: i64,
    pub(super) body: Vec<u8>,
    pub(super) extended: Vec<Vec<u8>>,
    pub(super) position: (i64, i64),
    pub(super) booking: Vec<u8>,
    pub(super) book_key: Vec<u8>,
    pub(super) attempts: Vec<Vec<u8>>,
    pub(super) first_end: i64,
    pub(super) reason: Reason,
}

/// A seat as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) status: u8,
    pub(super) version: i64,
    pub(super) customer: String,
}

/// What a load starts anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) run_id: String,
    pub(super) generation: i64,
    pub(super) sequence: i64,
    pub(super) complete: bool,
    pub(super) sale: u8,
    pub(super) opens_at: i64,
    pub(super) sale_version: i64,
    pub(super) seats: u32,
    pub(super) layout: i64,
    pub(super) touched_at: i64,
    pub(super) rows: Vec<u8>,
    pub(super) entries: BTreeMap<u32, Entry>,
}

/// One customer's live holds in the order of their beginning, and when which holds of his lapsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) holds: Vec<Id>,
    pub(super) lapses: Vec<(i64, Vec<u32>)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Show {
    pub(super) map: Option<Map>,
    pub(super) holds: BTreeMap<Id, Hold>,
    pub(super) holders: BTreeMap<String, Holder>,
}

/// The bucket's logical clock as stored: the server's time when it was last written, and how far ahead it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) stored: Option<(i64, i64)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) clock: Clock,
    pub(super) shows: [Show; 2],
    /// The shows' names.
    pub(super) names: [u64; 2],
    /// Due entries of other shows of the bucket.
    pub(super) crowd: BTreeSet<(i64, Vec<u8>)>,
    pub(super) published: Vec<(usize, FeedMessage)>,
}

/// Who calls: a connection with its server's run id and time, and what it knows of the show's generation.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) show: usize,
    pub(super) run_id: String,
    pub(super) generation: i64,
    pub(super) server_ms: i64,
}

pub(super) type Refused = Value;

pub(super) fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

pub(super) fn bytes(bytes: &[u8]) -> Value {
    Value::BulkString(bytes.to_vec())
}

pub(super) fn list<const N: usize>(values: [Value; N]) -> Value {
    Value::Array(values.into())
}

pub(super) fn refusal(code: &str) -> Value {
    list([text(code)])
}

pub(super) use Value::Int;

impl Clock {
    fn ahead(&self, server_ms: i64) -> i64 {
        let (last, ahead) = self.stored.unwrap_or((server_ms, 0));
        let passed = server_ms - last;
        if passed < 0 {
            ahead - passed
        } else if ahead > 0 && passed > 5_000 {
            (ahead - passed + 5_000).max(0)
        } else {
            ahead
        }
    }

    pub(super) fn read(&self, server_ms: i64) -> i64 {
        server_ms + self.ahead(server_ms)
    }

    fn tick(&mut self, server_ms: i64) -> i64 {
        let ahead = self.ahead(server_ms);
        self.stored = Some((server_ms, ahead));
        server_ms + ahead
    }
}

impl Hold {
    pub(super) fn live(&self) -> bool {
        self.phase != Phase::Ended
    }

    /// When the due-set has it: the end that is honoured, then the time to forget it.
    pub(super) fn due(&self) -> i64 {
        self.ends + if self.live() { GRACE } else { KEPT }
    }

    /// `hold_info` of show.lua.
    pub(super) fn info(&self, id: &Id, t: i64) -> Value {
        let remaining = if self.live() { (self.ends - t).max(0) } else { 0 };
        list([
            bytes(id),
            Int(self.phase as i64),
            Int(remaining),
            Int(self.extended.len() as i64),
            Int(self.position.0),
            Int(self.position.1),
            bytes(&self.booking),
            self.seat_list(),
        ])
    }

    pub(super) fn seat_list(&self) -> Value {
        Value::Array(self.seats.iter().map(|seat| Int(i64::from(*seat))).collect())
    }
}

impl Show {
    /// The live hold on a seat.
    pub(super) fn lock(&self, seat: u32) -> Option<(&Id, &Hold)> {
        self.holds.iter().find(|(_, hold)| hold.live() && hold.seats.contains(&seat))
    }

    /// What viewers see: the ledger's status, overlaid by holds; unknown shows as held.
    pub(super) fn effective(&self, seat: u32) -> u8 {
        match self.map.as_ref().and_then(|map| map.entries.get(&seat)) {
            None => 1,
            Some(entry) if entry.status == AVAILABLE => u8::from(self.lock(seat).is_some()),
            Some(entry) => entry.status,
        }
    }

    /// Seats that a customer has in pending (1) or booked (2) bookings.
    pub(super) fn owned(&self, customer: &str, status: u8) -> i64 {
        let entries = self.map.iter().flat_map(|map| map.entries.values());
        entries.filter(|entry| entry.status == status && entry.customer == customer).count() as i64
    }

    pub(super) fn held_seats(&self, customer: &str) -> i64 {
        let held = self.holds.values().filter(|hold| hold.live() && hold.customer == customer);
        held.map(|hold| hold.seats.len() as i64).sum()
    }
}

impl Model {
    pub(super) fn show(&mut self, c: &Caller) -> &mut Show {
        &mut self.shows[c.show]
    }

    /// The map of a show that is known to be loaded.
    pub(super) fn map(&mut self, c: &Caller) -> &mut Map {
        self.shows[c.show].map.as_mut().unwrap()
    }

    /// What every script of a show asks first.
    pub(super) fn guard(&self, c: &Caller) -> Result<(), Refused> {
        match &self.shows[c.show].map {
            Some(map) if map.run_id == c.run_id && map.generation >= c.generation => Ok(()),
            Some(map) if map.run_id == c.run_id => Err(list([text("BEHIND"), Int(map.generation)])),
            other => Err(list([text("NOT_LOADED"), Int(other.as_ref().map_or(0, |map| map.generation))])),
        }
    }

    /// As [`Self::guard`], for scripts that act under one generation only.
    pub(super) fn guard_exact(&self, c: &Caller) -> Result<(), Refused> {
        self.guard(c)?;
        let generation = self.shows[c.show].map.as_ref().unwrap().generation;
        if generation == c.generation { Ok(()) } else { Err(list([text("STALE"), Int(generation)])) }
    }

    pub(super) fn guard_complete(&self, c: &Caller, t: i64) -> Result<(), Refused> {
        let map = self.shows[c.show].map.as_ref().unwrap();
        if map.complete {
            return Ok(());
        }
        Err(list([text("NOT_READY"), Int(map.generation), Int((t - map.touched_at).max(0))]))
    }

    pub(super) fn now(&mut self, c: &Caller) -> i64 {
        self.clock.tick(c.server_ms)
    }

    pub(super) fn member(&self, show: usize, id: &[u8]) -> Vec<u8> {
        [format!("{}:", self.names[show]).as_bytes(), id].concat()
    }

    /// The bucket's due-set in the order that Redis keeps it.
    pub(super) fn due(&self) -> BTreeSet<(i64, Vec<u8>)> {
        let mut out = self.crowd.clone();
        for (at, show) in self.shows.iter().enumerate() {
            out.extend(show.holds.iter().map(|(id, hold)| (hold.due(), self.member(at, id))));
            if let Some(map) = &show.map
                && map.sale == BEFORE
                && map.opens_at > 0
            {
                out.insert((map.opens_at, self.member(at, &[])));
            }
        }
        out
    }

    /// The next sequence, with one batch.
    pub(super) fn emit(&mut self, c: &Caller, reason: FeedReason, changes: Vec<(SeatIndex, SeatStatus)>, holds: &[Id]) {
        let map = self.map(c);
        if !map.complete {
            return;
        }
        map.sequence += 1;
        let message = FeedMessage::Batch {
            position: Position::new(map.generation as u64, map.sequence as u64),
            sale: SaleState::from_code(map.sale).unwrap(),
            reason: Some(reason),
            seats: changes,
            holds: holds.iter().take(255).map(|id| HoldId(*id)).collect(),
        };
        self.published.push((c.show, message));
    }

    pub(super) fn open_if_due(&mut self, c: &Caller, t: i64) -> bool {
        let map = self.map(c);
        let opens = map.sale == BEFORE && map.opens_at != 0 && map.opens_at <= t;
        if opens {
            map.sale = OPEN;
            self.emit(c, FeedReason::Sale, Vec::new(), &[]);
        }
        opens
    }

    /// Ends holds and takes in news of the ledger, in one batch. Answers what the owners are told.
    pub(super) fn settle(
        &mut self,
        c: &Caller,
        t: i64,
        feed: FeedReason,
        ended: &[(Id, Reason)],
        news: &[(u32, Entry)],
        loud: bool,
    ) -> Vec<Value> {
        let show = self.show(c);
        let mut seats: Vec<u32> = Vec::new();
        for seat in ended.iter().flat_map(|(id, _)| &show.holds[id].seats).chain(news.iter().map(|(seat, _)| seat)) {
            if !seats.contains(seat) {
                seats.push(*seat);
            }
        }
        let before: Vec<u8> = seats.iter().map(|seat| show.effective(*seat)).collect();
        let mut late = Vec::new();
        for (id, reason) in ended {
            let hold = show.holds.get_mut(id).unwrap();
            let holder = show.holders.get_mut(&hold.customer).unwrap();
            holder.holds.retain(|other| other != id);
            holder.lapses.drain(..holder.lapses.len().saturating_sub(15));
            holder.lapses.retain(|(at, _)| *at > t - WINDOW);
            if *reason == Reason::Expired && hold.phase == Phase::Browse {
                holder.lapses.push((t, hold.seats.clone()));
            }
            if holder.holds.is_empty() && holder.lapses.is_empty() {
                show.holders.remove(&hold.customer);
            }
            late.push(t - hold.ends);
            (hold.phase, hold.reason, hold.ends) = (Phase::Ended, *reason, t);
        }
        let entries = &mut show.map.as_mut().unwrap().entries;
        entries.extend(news.iter().cloned());
        let touched = seats.iter().zip(&before).filter(|(seat, before)| loud || show.effective(**seat) != **before);
        let changes: Vec<_> =
            touched.map(|(seat, _)| (SeatIndex(*seat), SeatStatus::from_bits(show.effective(*seat)))).collect();
        if loud || !changes.is_empty() {
            let ids: Vec<Id> = ended.iter().map(|(id, _)| *id).collect();
            self.emit(c, feed, changes, &ids);
        }
        let map = self.map(c);
        let position = (map.generation, map.sequence);
        let tell = |((id, reason), late): (&(Id, Reason), i64)| {
            let hold = self.shows[c.show].holds.get_mut(id).unwrap();
            hold.position = position;
            let numbers = [*reason as i64, late, position.0, position.1].map(Int);
            let mut info = vec![text(&hold.customer), bytes(id)];
            info.extend(numbers);
            info.push(hold.seat_list());
            Value::Array(info)
        };
        ended.iter().zip(late).map(tell).collect()
    }

    /// Looks at `limit` due entries of the bucket. Answers the ended holds and whether to look again.
    pub(super) fn sweep(&mut self, c: &Caller, t: i64, limit: usize) -> (Vec<Value>, bool) {
        let members: Vec<_> = self.due().into_iter().filter(|(at, _)| *at <= t).take(limit).collect();
        let prefix = self.member(c.show, &[]);
        let own: Vec<&[u8]> = members.iter().filter_map(|(_, member)| member.strip_prefix(&prefix[..])).collect();
        let mut ended = Vec::new();
        for id in &own {
            let Ok(id) = Id::try_from(*id) else {
                self.open_if_due(c, t);
                continue;
            };
            if self.shows[c.show].holds[&id].live() {
                ended.push((id, Reason::Expired));
            } else {
                self.forget(c, &id, t);
            }
        }
        let more = !own.is_empty() && members.len() == limit;
        if ended.is_empty() {
            return (Vec::new(), more);
        }
        (self.settle(c, t, FeedReason::Expired, &ended, &[], true), more)
    }

    fn forget(&mut self, c: &Caller, id: &Id, t: i64) {
        let show = self.show(c);
        let customer = show.holds.remove(id).unwrap().customer;
        let over =
            |holder: &Holder| holder.holds.is_empty() && holder.lapses.last().is_none_or(|(at, _)| *at <= t - WINDOW);
        if show.holders.get(&customer).is_some_and(over) {
            show.holders.remove(&customer);
        }
    }
}
