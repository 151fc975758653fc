//! The model's operations of loader, relay and sweeper: load, apply, complete, expire, open, unload, and what they read.

use std::collections::BTreeMap;

use redis::Value;
use seatwire_protocol::feed::{FeedMessage, FeedReason};

use super::model::{
    AVAILABLE, BEFORE, Caller, Entry, Id, Int, Map, Model, OPEN, Phase, Reason, Refused, Show, bytes, list, text,
};

/// The state of a show's sale in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sale {
    pub(super) state: u8,
    pub(super) opens_at: i64,
    pub(super) version: i64,
}

/// What `apply` is given.
#[derive(Debug, Clone, Default)]
pub(super) struct News {
    pub(super) by_loader: bool,
    pub(super) by_operator: bool,
    pub(super) seats: Vec<(u32, Entry)>,
    pub(super) sale: Option<Sale>,
    /// The booking that changed; empty for the loader's rows.
    pub(super) booking: Vec<u8>,
    /// Bookings' own holds, with their customers.
    pub(super) own: Vec<(Id, String)>,
}

/// What `load` is given.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seats: u32,
    pub(super) layout: i64,
    pub(super) sale: Sale,
    pub(super) rows: Vec<u8>,
}

impl Model {
    pub(super) fn load(&mut self, c: &Caller, plan: &Plan) -> Result<Value, Refused> {
        let found = self.show(c).map.as_ref().map_or(0, |map| map.generation);
        if c.generation <= found {
            return Err(list([text("STALE"), Int(found)]));
        }
        let t = self.now(c);
        let due = plan.sale.state == BEFORE && plan.sale.opens_at > 0 && plan.sale.opens_at <= t;
        self.show(c).map = Some(Map {
            run_id: c.run_id.clone(),
            generation: c.generation,
            sequence: 0,
            complete: false,
            sale: if due { OPEN } else { plan.sale.state },
            opens_at: plan.sale.opens_at,
            sale_version: plan.sale.version,
            seats: plan.seats,
            layout: plan.layout,
            touched_at: t,
            rows: plan.rows.clone(),
            entries: BTreeMap::new(),
        });
        self.published.push((c.show, FeedMessage::Reset { generation: c.generation as u64 }));
        Ok(list([text("OK"), Int(c.generation)]))
    }

    pub(super) fn apply(&mut self, c: &Caller, news: &News) -> Result<Value, Refused> {
        self.guard_exact(c)?;
        let t = self.now(c);
        let show = self.show(c);
        let map = show.map.as_ref().unwrap();
        if let Some((seat, _)) = news.seats.iter().find(|(seat, entry)| *seat >= map.seats || entry.status > 3) {
            return Err(list([text("BAD_SEAT"), Int(i64::from(*seat))]));
        }
        // The higher version wins.
        let known = |seat: &u32| map.entries.get(seat).map_or(-1, |entry| entry.version);
        let newer: Vec<(u32, Entry)> =
            news.seats.iter().filter(|(seat, entry)| entry.version > known(seat)).cloned().collect();
        // What was begun for a booking ends whatever the versions say, and so does a payer's hold; another of the same id
        // only when it loses a seat.
        let mut ended: Vec<(Id, Reason)> = Vec::new();
        for (id, customer) in &news.own {
            let own = show.holds.get(id).is_some_and(|hold| {
                let begun = hold.phase == Phase::Paying && (hold.booking.is_empty() || hold.booking == news.booking);
                let loses = newer.iter().any(|(seat, _)| hold.seats.contains(seat));
                hold.live() && hold.customer == *customer && (begun || loses)
            });
            if own && !ended.contains(&(*id, Reason::Booked)) {
                ended.push((*id, Reason::Booked));
            }
        }
        // They end any other hold on a seat that is not available.
        let own = ended.len();
        for (seat, _) in newer.iter().filter(|(_, entry)| entry.status != AVAILABLE) {
            if let Some((id, _)) = show.lock(*seat)
                && !ended.iter().any(|(other, _)| other == id)
            {
                ended.push((*id, Reason::SeatsLost));
            }
        }

        let (mut sale_news, lost) = (false, ended.len() > own);
        let map = self.map(c);
        if let Some(sale) = news.sale.filter(|sale| sale.version > map.sale_version) {
            let due = sale.state == BEFORE && sale.opens_at > 0 && sale.opens_at <= t;
            let state = if due { OPEN } else { sale.state };
            sale_news = state != map.sale || (state == BEFORE && sale.opens_at != map.opens_at);
            (map.sale, map.opens_at, map.sale_version) = (state, sale.opens_at, sale.version);
        }
        let loud = sale_news || lost;
        let mut told = Vec::new();
        if loud || !newer.is_empty() || !ended.is_empty() {
            let reason = match news.by_operator {
                _ if newer.is_empty() && ended.is_empty() => FeedReason::Sale,
                true => FeedReason::Operator,
                false => FeedReason::Ledger,
            };
            told = self.settle(c, t, reason, &ended, &newer, loud);
        }
        let map = self.map(c);
        if news.by_loader {
            map.touched_at = t;
        }
        let owners = told.split_off(own);
        Ok(list([text("OK"), Int(map.generation), Int(map.sequence), Value::Array(owners)]))
    }

    pub(super) fn complete(&mut self, c: &Caller) -> Result<Value, Refused> {
        self.guard_exact(c)?;
        let map = self.map(c);
        let known = map.entries.len();
        if known != map.seats as usize {
            return Err(list([text("INCOMPLETE"), Int(known as i64)]));
        }
        map.complete = true;
        Ok(list([text("OK"), Int(map.generation)]))
    }

    pub(super) fn expire(&mut self, c: &Caller, limit: usize) -> Result<Value, Refused> {
        self.guard(c)?;
        let t = self.now(c);
        let (ended, more) = self.sweep(c, t, limit);
        let map = self.map(c);
        let numbers = [map.generation, map.sequence].map(Int);
        let [generation, sequence] = numbers;
        Ok(list([text("OK"), generation, sequence, Value::Array(ended), Int(i64::from(more))]))
    }

    /// Shows of the bucket with something due within `ahead`, and how long each has to go, in the order of the due-set.
    pub(super) fn due_shows(&mut self, c: &Caller, limit: usize, ahead: i64) -> Value {
        let t = self.now(c);
        let mut pairs: Vec<(Vec<u8>, i64)> = Vec::new();
        for (at, member) in self.due().into_iter().filter(|(at, _)| *at <= t + ahead).take(limit) {
            let pair = (member.into_iter().take_while(u8::is_ascii_digit).collect(), (at - t).max(0));
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        Value::Array(pairs.into_iter().flat_map(|(show, wait)| [bytes(&show), Int(wait)]).collect())
    }

    pub(super) fn unload(&mut self, c: &Caller) -> Result<Value, Refused> {
        self.guard_exact(c)?;
        let generation = self.map(c).generation;
        *self.show(c) = Show::default();
        Ok(list([text("OK"), Int(generation)]))
    }

    pub(super) fn snapshot(&mut self, c: &Caller) -> Result<Value, Refused> {
        self.guard(c)?;
        let t = self.clock.read(c.server_ms);
        self.guard_complete(c, t)?;
        let show = &self.shows[c.show];
        let map = show.map.as_ref().unwrap();
        let opens_in = if map.sale == BEFORE { (map.opens_at - t).max(0) } else { 0 };
        Ok(list([
            text("OK"),
            Int(map.generation),
            Int(map.sequence),
            Int(i64::from(map.sale)),
            Int(opens_in),
            Int(map.layout),
            Int(i64::from(map.seats)),
            bytes(&show.packed()),
        ]))
    }

    pub(super) fn state(&mut self, c: &Caller) -> Result<Value, Refused> {
        self.guard(c)?;
        self.guard_complete(c, self.clock.read(c.server_ms))?;
        let map = self.map(c);
        Ok(list([text("OK"), Int(map.generation), Int(map.sequence)]))
    }

    /// The seats as the ledger has them, and nothing wrong with them.
    pub(super) fn scrub_seats(&mut self, c: &Caller) -> Result<Value, Refused> {
        self.guard(c)?;
        self.guard_complete(c, self.clock.read(c.server_ms))?;
        let map = self.map(c);
        let head = [i64::from(map.sale), map.opens_at, map.sale_version, map.layout, i64::from(map.seats), 0].map(Int);
        let entries = map.entries.values().map(|entry| text(&entry.stored())).collect();
        let none = || list([]);
        Ok(list([text("OK"), Int(map.generation), list(head), Value::Array(entries), none(), none(), bytes(&map.rows)]))
    }

    /// Holds, holders and due entries, and nothing wrong with them.
    pub(super) fn scrub_holds(&mut self, c: &Caller) -> Result<Value, Refused> {
        self.guard(c)?;
        let t = self.now(c);
        self.guard_complete(c, t)?;
        let generation = self.map(c).generation;
        let none = || list([]);
        let counts = list([Int(0), Int(0), Int(0)]);
        Ok(list([text("OK"), Int(generation), text("0"), none(), none(), none(), none(), none(), counts]))
    }

    pub(super) fn recount(&mut self, c: &Caller) -> Result<Value, Refused> {
        self.guard(c)?;
        self.guard_complete(c, self.clock.read(c.server_ms))?;
        Ok(list([text("OK"), Int(self.map(c).generation), Int(0)]))
    }
}

impl Entry {
    /// As the script keeps it.
    pub(super) fn stored(&self) -> String {
        format!("{}{}:{}", self.status, self.version, self.customer)
    }
}

impl Show {
    /// Two bits a seat, from the high end of each byte.
    pub(super) fn packed(&self) -> Vec<u8> {
        let seats = self.map.as_ref().map_or(0, |map| map.seats);
        let mut out = vec![0; seats.div_ceil(4) as usize];
        for seat in 0..seats {
            out[seat as usize / 4] |= self.effective(seat) << (6 - 2 * (seat % 4));
        }
        out
    }
}
