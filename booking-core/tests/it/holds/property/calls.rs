//! The calls of [`World`] that need more than a line, and the ledger beside it: what it commits, what the loader reads.

use super::customers::Wanted;
use super::ledger::{News, Plan, Sale};
use super::model::{Caller, Entry, GRACE, Id, Int, WINDOW, list};
use super::ops::{Limits, Op};
use super::world::{COOL_DOWN, CUSTOMERS, World, decimal, flat, script_keys};

/// A show's truth.
pub(super) struct Ledger {
    pub(super) seats: Vec<(Entry, Option<Id>)>,
    pub(super) sale: Sale,
    /// What was committed, in order; it arrives in any.
    pub(super) news: Vec<News>,
}

impl World<'_> {
    /// All instants at which something changes by itself.
    pub(super) fn instants(&self) -> Vec<i64> {
        let mut out: Vec<i64> = self.model.due().into_iter().map(|(at, _)| at).filter(|at| *at > 100).collect();
        for show in &self.model.shows {
            out.extend(show.holds.values().filter(|hold| hold.live()).map(|hold| hold.ends));
            let lapses = show.holders.values().flat_map(|holder| &holder.lapses);
            out.extend(lapses.flat_map(|(at, _)| [at + COOL_DOWN, at + WINDOW]));
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    pub(super) fn wanted(
        &self,
        id: Id,
        who: usize,
        limits: Limits,
        seats: Vec<u32>,
        best: Option<(u32, i64)>,
    ) -> Wanted {
        Wanted {
            id,
            customer: CUSTOMERS[who].to_owned(),
            body: format!("{seats:?} {best:?}").into_bytes(),
            ms: limits.ms,
            seats_max: limits.seats,
            holds_max: limits.holds,
            lapses_max: limits.lapses,
            cool_down: COOL_DOWN,
            payer: false,
            best,
            seats,
        }
    }

    pub(super) fn hold(&mut self, op: &Op, c: &Caller, w: &Wanted) {
        let (count, tier) = w.best.map_or((0, -1), |(count, tier)| (i64::from(count), tier));
        let numbers = [w.ms, GRACE, w.seats_max, w.holds_max, w.lapses_max, w.cool_down].map(decimal);
        let mut arguments: Vec<&[u8]> = vec![&w.id, w.customer.as_bytes(), &w.body];
        arguments.extend(numbers.iter().map(Vec::as_slice));
        let (count, tier) = (decimal(count), decimal(tier));
        let seats: Vec<Vec<u8>> = w.seats.iter().map(|seat| decimal(i64::from(*seat))).collect();
        arguments.extend([if w.payer { &b"payer"[..] } else { b"" }, &count, &tier]);
        arguments.extend(seats.iter().map(Vec::as_slice));
        let cmd = self.call("hold", c, &arguments);
        let reply = self.model.hold(c, w);
        self.done(op, "hold", vec![cmd], Some(reply));
    }

    pub(super) fn release(&mut self, op: &Op, c: &Caller, id: &Id, customer: &str, payer: bool) {
        let mode: &[u8] = if payer { b"payer" } else { b"" };
        let cmd = self.call("release", c, &[id, customer.as_bytes(), &decimal(GRACE), mode]);
        let reply = flat(self.model.release(c, id, customer, payer));
        self.done(op, "release", vec![cmd], Some(reply));
    }

    /// The ledger commits a change; what it says waits to be applied.
    pub(super) fn change(&mut self, op: &Op, seats: &[u32], status: u8, customer: &str, hold: Option<Id>) {
        let owned = status == 1 || status == 2;
        let begun = hold.and_then(|id| self.model.shows[op.show].holds.get(&id)).map(|hold| hold.booking.clone());
        let ledger = &mut self.ledgers[op.show];
        let mut news = News { booking: begun.unwrap_or_default(), ..News::default() };
        for seat in seats {
            let (entry, of) = &mut ledger.seats[*seat as usize];
            entry.status = status;
            entry.version += 1;
            entry.customer = if owned { customer.to_owned() } else { String::new() };
            *of = hold.filter(|_| owned);
            news.seats.push((*seat, entry.clone()));
        }
        news.own = hold.map(|id| (id, customer.to_owned())).into_iter().collect();
        ledger.news.push(news);
    }

    pub(super) fn apply(&mut self, op: &dyn std::fmt::Debug, c: &Caller, news: &News) {
        let mut packed = Vec::new();
        for (seat, entry) in &news.seats {
            packed.extend(seat.to_be_bytes());
            packed.extend(entry.version.to_be_bytes());
            packed.extend([entry.status, entry.customer.len() as u8]);
            packed.extend(entry.customer.as_bytes());
        }
        let mut sale = Vec::new();
        if let Some(news) = news.sale {
            sale.push(news.state);
            sale.extend(news.opens_at.to_be_bytes());
            sale.extend(news.version.to_be_bytes());
            sale.push(0);
        }
        let (load, operator): (&[u8], &[u8]) =
            (if news.by_loader { b"load" } else { b"" }, if news.by_operator { b"operator" } else { b"" });
        let mut arguments: Vec<&[u8]> = vec![load, &packed, &sale, operator, &news.booking];
        for (id, customer) in &news.own {
            arguments.extend([&id[..], customer.as_bytes()]);
        }
        let cmd = self.call("apply", c, &arguments);
        let reply = flat(self.model.apply(c, news));
        self.done(op, "apply", vec![cmd], Some(reply));
    }

    pub(super) fn load(&mut self, op: &dyn std::fmt::Debug, show: usize, off: i64) {
        let found = self.model.shows[show].map.as_ref().map_or(0, |map| map.generation);
        let generation = (self.generation[show].max(found) + 1 + off).max(1);
        self.generation[show] = self.generation[show].max(generation);
        let c = Caller { show, run_id: format!("run{}", self.run), generation, server_ms: self.server_ms };
        // Runs of neighbours: first, count, then count and tier of each piece.
        let runs: &[(u32, u32, &[[u32; 2]])] = if show == 0 {
            &[(4, 4, &[[1, 2], [3, 1]]), (0, 4, &[[4, 2]]), (8, 2, &[[2, 1]])]
        } else {
            &[(0, 5, &[[5, 1]])]
        };
        let ledger = &self.ledgers[show];
        let plan = Plan {
            seats: ledger.seats.len() as u32,
            layout: 7,
            sale: ledger.sale,
            rows: super::customers::rows(ledger.seats.len(), runs),
        };
        let numbers = [i64::from(plan.seats), plan.layout, i64::from(plan.sale.state), plan.sale.opens_at];
        let mut arguments: Vec<Vec<u8>> = numbers.map(decimal).into();
        arguments.extend([decimal(plan.sale.version), plan.rows.clone(), decimal(0)]);
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let cmd = self.call("load", &c, &arguments);
        let reply = flat(self.model.load(&c, &plan));
        self.done(op, "load", vec![cmd], Some(reply));
    }

    /// What the loader read of these seats; `late`: before the latest change.
    pub(super) fn filling(&self, show: usize, seats: &[u32], late: bool) -> News {
        let ledger = &self.ledgers[show];
        let mut news = News { by_loader: true, sale: Some(ledger.sale), ..News::default() };
        for seat in seats {
            let (entry, hold) = ledger.seats[*seat as usize].clone();
            if late && entry.version > 1 {
                let entry = Entry { status: 0, version: entry.version - 1, customer: String::new() };
                news.seats.push((*seat, entry));
                continue;
            }
            if let Some(id) = hold
                && !news.own.iter().any(|(own, _)| *own == id)
            {
                news.own.push((id, entry.customer.clone()));
            }
            news.seats.push((*seat, entry));
        }
        news
    }

    pub(super) fn load_whole(&mut self, show: usize) {
        let generation = 0;
        self.load(&"load whole", show, generation);
        let map = self.model.shows[show].map.as_ref().unwrap();
        let (run_id, server_ms) = (format!("run{}", self.run), self.server_ms);
        let c = Caller { show, run_id, generation: map.generation, server_ms };
        let seats: Vec<u32> = (0..map.seats).collect();
        let news = self.filling(show, &seats, false);
        self.apply(&"load whole", &c, &news);
        let cmd = self.call("complete", &c, &[]);
        let reply = flat(self.model.complete(&c));
        self.done(&"load whole", "complete", vec![cmd], Some(reply));
    }

    pub(super) fn take_tokens(&mut self, op: &Op, cost: i64) {
        // So slow that the key does not vanish by real time.
        let (size, rate) = (4.0_f64, 0.05_f64 / 1000.0);
        let t = self.server_ms;
        let (tokens, at) = self.tokens.unwrap_or((size, t));
        let tokens = size.min(tokens + (t - at).max(0) as f64 * rate);
        let reply = if tokens < cost as f64 {
            list([Int(((cost as f64 - tokens) / rate).ceil() as i64), Int(1)])
        } else {
            self.tokens = Some((tokens - cost as f64, t));
            list([Int(0)])
        };
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(&self.texts.0["take_tokens"].1)
            .arg(1)
            .arg("tokens:{test}")
            .arg(4)
            .arg("0.05")
            .arg(cost)
            .arg("")
            .arg(0)
            .arg(0)
            .arg("");
        self.done(op, "take_tokens", vec![cmd], Some(reply));
    }

    pub(super) fn crowd(&mut self, op: &Op) {
        let due = &script_keys(self.shows[0])[7];
        let mut cmd = redis::cmd(if self.model.crowd.is_empty() { "ZADD" } else { "ZREM" });
        cmd.arg(due);
        if self.model.crowd.is_empty() {
            for n in 0..64 {
                let member = format!("9:{n:016}").into_bytes();
                cmd.arg(1).arg(&member);
                self.model.crowd.insert((1, member));
            }
        } else {
            for (_, member) in std::mem::take(&mut self.model.crowd) {
                cmd.arg(member);
            }
        }
        self.done(op, "crowd", vec![cmd], None);
    }
}
