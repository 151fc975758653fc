//! The model's operations of customers: hold, extend, release, begin_book, end_book, and what they read.

use std::collections::BTreeMap;

use redis::Value;
use seatwire_protocol::feed::FeedReason;
use seatwire_protocol::{SeatIndex, SeatStatus};

use super::model::{
    AVAILABLE, BEFORE, CLOSED, Caller, Hold, Holder, Id, Int, Model, Phase, Reason, Refused, WINDOW, list, refusal,
    text,
};

/// What `hold` is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) id: Id,
    pub(super) customer: String,
    pub(super) body: Vec<u8>,
    pub(super) ms: i64,
    pub(super) seats_max: i64,
    pub(super) holds_max: i64,
    pub(super) lapses_max: i64,
    pub(super) cool_down: i64,
    pub(super) payer: bool,
    /// How many adjacent seats, and of which tier (-1: any).
    pub(super) best: Option<(u32, i64)>,
    pub(super) seats: Vec<u32>,
}

impl Model {
    pub(super) fn hold(&mut self, c: &Caller, w: &Wanted) -> Value {
        let mut swept = Vec::new();
        let answer = self.try_hold(c, w, &mut swept);
        match answer {
            Ok((code, detail)) => list([text(code), detail, Value::Array(swept)]),
            Err(refused) => refused,
        }
    }

    fn try_hold(&mut self, c: &Caller, w: &Wanted, swept: &mut Vec<Value>) -> Result<(&'static str, Value), Refused> {
        self.guard(c)?;
        let t = self.now(c);
        self.guard_complete(c, t)?;
        let mut more;
        (*swept, more) = self.sweep(c, t, 64);

        if let Some(hold) = self.show(c).holds.get_mut(&w.id) {
            if hold.customer != w.customer || hold.body != w.body {
                return Ok(("KEY_REUSED", Int(0)));
            }
            if w.payer && hold.live() {
                hold.ends = t + w.ms;
            }
            if !w.payer || hold.live() {
                return Ok(("OK", hold.info(&w.id, t)));
            }
        }

        self.open_if_due(c, t);
        let map = self.map(c);
        match map.sale {
            BEFORE => {
                let opens_in = if map.opens_at == 0 { -1 } else { map.opens_at - t };
                return Ok(("NOT_ON_SALE", Int(opens_in)));
            }
            CLOSED => return Ok(("SALE_CLOSED", Int(0))),
            _ => {}
        }
        let cooling = self.cooling(c, w, t);
        let seats = match w.best {
            None => w.seats.clone(),
            Some((count, tier)) => {
                let mut found = self.best(c, count, tier, &cooling);
                for _ in 0..8 {
                    if found.is_some() || !more {
                        break;
                    }
                    let (others, again) = self.sweep(c, t, 64);
                    swept.extend(others);
                    more = again;
                    found = self.best(c, count, tier, &cooling);
                }
                match found.or_else(|| self.best(c, count, tier, &BTreeMap::new())) {
                    Some(seats) => seats,
                    None => return Ok(("NONE_LEFT", Int(0))),
                }
            }
        };
        let conflict = |seat: u32, why: u8| list([Int(i64::from(seat)), Int(i64::from(why))]);
        let last = self.map(c).seats;
        let unknown: Vec<Value> = seats.iter().filter(|seat| **seat >= last).map(|seat| conflict(*seat, 4)).collect();
        if !unknown.is_empty() {
            return Ok(("NO_SUCH_SEAT", Value::Array(unknown)));
        }
        let cool = seats.iter().filter(|seat| cooling.contains_key(seat));
        if let Some(wait) = cool.clone().map(|seat| cooling[seat]).max() {
            let cool = Value::Array(cool.map(|seat| conflict(*seat, 6)).collect());
            let swept = Value::Array(std::mem::take(swept));
            return Err(list([text("COOL_DOWN"), Int(wait), swept, cool]));
        }
        if !w.payer
            && let Some(refused) = self.over_limits(c, w, seats.len())
        {
            return Ok(refused);
        }

        let show = self.show(c);
        let (mut taken, mut lapsed, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
        for seat in &seats {
            let status = show.map.as_ref().unwrap().entries.get(seat).map_or(1, |entry| entry.status);
            if status != AVAILABLE {
                taken.push(conflict(*seat, status));
            } else if let Some((id, hold)) = show.lock(*seat) {
                if hold.due() <= t {
                    lapsed.push((*id, Reason::Expired));
                } else if w.payer && hold.phase == Phase::Browse && hold.customer == w.customer {
                    replaced.push((*id, Reason::SeatsLost));
                } else {
                    taken.push(conflict(*seat, 1));
                }
            }
        }
        dedup(&mut lapsed);
        dedup(&mut replaced);
        if !lapsed.is_empty() {
            swept.extend(self.settle(c, t, FeedReason::Expired, &lapsed, &[], true));
        }
        if !taken.is_empty() {
            return Ok(("TAKEN", Value::Array(taken)));
        }
        if !replaced.is_empty() {
            swept.extend(self.settle(c, t, FeedReason::Released, &replaced, &[], true));
        }

        let map = self.map(c);
        let hold = Hold {
            customer: w.customer.clone(),
            seats: seats.clone(),
            phase: if w.payer { Phase::Paying } else { Phase::Browse },
            created: t,
            ends: t + w.ms,
            body: w.body.clone(),
            extended: Vec::new(),
            position: (map.generation, map.sequence + 1),
            booking: Vec::new(),
            book_key: Vec::new(),
            attempts: Vec::new(),
            first_end: 0,
            reason: Reason::None,
        };
        let info = hold.info(&w.id, t);
        let show = self.show(c);
        show.holders.entry(w.customer.clone()).or_default().holds.push(w.id);
        show.holds.insert(w.id, hold);
        let changes = seats.iter().map(|seat| (SeatIndex(*seat), SeatStatus::Held)).collect();
        self.emit(c, FeedReason::Held, changes, &[w.id]);
        Ok(("OK", info))
    }

    fn over_limits(&mut self, c: &Caller, w: &Wanted, seats: usize) -> Option<(&'static str, Value)> {
        let show = self.show(c);
        let none = Holder::default();
        let holder = show.holders.get(&w.customer).unwrap_or(&none);
        if holder.holds.len() as i64 >= w.holds_max {
            return Some(("HOLDS_LIMIT", Int(0)));
        }
        let owned = show.owned(&w.customer, 1) + show.owned(&w.customer, 2);
        let all = show.held_seats(&w.customer) + owned + seats as i64;
        (all > w.seats_max).then_some(("SEATS_LIMIT", Int(0)))
    }

    /// Seats that this customer let lapse too often, with the milliseconds that he waits.
    fn cooling(&mut self, c: &Caller, w: &Wanted, t: i64) -> BTreeMap<u32, i64> {
        let (mut count, mut out) = (BTreeMap::new(), BTreeMap::new());
        let lapses = self.show(c).holders.get(&w.customer).map_or(&[][..], |holder| &holder.lapses);
        for (at, seats) in lapses.iter().filter(|(at, _)| !w.payer && *at > t - WINDOW) {
            for seat in seats {
                *count.entry(*seat).or_insert(0) += 1;
                let wait = at + w.cool_down - t;
                if count[seat] >= w.lapses_max && wait > 0 {
                    out.insert(*seat, wait);
                }
            }
        }
        out
    }

    /// The free window nearest to the middle of the first run that has one.
    fn best(&mut self, c: &Caller, count: u32, tier: i64, cooling: &BTreeMap<u32, i64>) -> Option<Vec<u32>> {
        let show = self.show(c);
        let map = show.map.as_ref().unwrap();
        let mut rest = &map.rows[map.seats.div_ceil(8) as usize..];
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
        while let Some((head, tail)) = rest.split_at_checked(10) {
            let (first, length) = (number(&head[..4]), number(&head[4..8]));
            let (pieces, tail) = tail.split_at(8 * number(&head[8..]) as usize);
            rest = tail;
            let tiers: Vec<i64> = pieces
                .chunks_exact(8)
                .flat_map(|piece| vec![i64::from(number(&piece[4..])); number(&piece[..4]) as usize])
                .collect();
            let end = first + length;
            let windows = (first..end).map(|from| from..from + count).filter(|window| window.end <= end);
            // Two pieces of one tier never touch here.
            let fits = |seat: u32| tier == -1 || tiers[(seat - first) as usize] == tier;
            let good = |seat: u32| show.effective(seat) == AVAILABLE && !cooling.contains_key(&seat) && fits(seat);
            let off = |from: u32| (i64::from(from - first) * 2 + i64::from(count) - i64::from(length)).abs();
            let chosen = windows.filter(|window| window.clone().all(good)).min_by_key(|window| off(window.start));
            if let Some(window) = chosen {
                return Some(window.collect());
            }
        }
        None
    }

    /// The live hold of this customer.
    fn own(&mut self, c: &Caller, id: &Id, customer: &str, t: i64) -> Result<&mut Hold, Refused> {
        match self.show(c).holds.get_mut(id) {
            Some(hold) if hold.customer != customer => Err(refusal("NOT_OWNER")),
            None => Err(refusal("NOT_OWNER")),
            Some(hold) if !hold.live() || hold.due() <= t => {
                let numbers = [hold.phase as i64, hold.reason as i64, hold.position.0, hold.position.1].map(Int);
                let [phase, reason, generation, sequence] = numbers;
                Err(list([text("GONE"), phase, reason, generation, sequence]))
            }
            Some(hold) => Ok(hold),
        }
    }

    pub(super) fn extend(
        &mut self,
        c: &Caller,
        id: &Id,
        customer: &str,
        key: &[u8],
        (ms, cap, lifetime): (i64, i64, i64),
    ) -> Result<Value, Refused> {
        self.guard(c)?;
        let t = self.now(c);
        let hold = self.own(c, id, customer, t)?;
        if !hold.extended.iter().any(|known| known == key) {
            let ends = (hold.ends + ms).min(hold.created + lifetime);
            if hold.phase == Phase::Paying {
                return Err(refusal("IN_PAYMENT"));
            }
            if hold.extended.len() as i64 >= cap {
                return Err(refusal("EXTENSIONS_LIMIT"));
            }
            if ends <= hold.ends {
                return Err(refusal("LIFETIME_LIMIT"));
            }
            hold.ends = ends;
            hold.extended.push(key.to_vec());
        }
        Ok(list([text("OK"), hold.info(id, t)]))
    }

    /// `customer` is '' for an operator.
    pub(super) fn release(&mut self, c: &Caller, id: &Id, customer: &str, payer: bool) -> Result<Value, Refused> {
        self.guard(c)?;
        let t = self.now(c);
        let operator = customer.is_empty();
        let owner = self.show(c).holds.get(id).map(|hold| hold.customer.clone());
        let customer = if operator { owner.unwrap_or_default() } else { customer.to_owned() };
        let hold = match self.own(c, id, &customer, t) {
            Ok(hold) => hold,
            Err(refused) => {
                let released = self.show(c).holds.get(id).filter(|hold| hold.customer == customer);
                return match released.filter(|hold| hold.reason == Reason::Released) {
                    Some(hold) => {
                        let (generation, sequence) = hold.position;
                        Ok(list([text("OK"), Int(generation), Int(sequence), list([])]))
                    }
                    None => Err(refused),
                };
            }
        };
        if hold.phase == Phase::Paying && !operator && !(payer && hold.book_key.is_empty()) {
            return Err(refusal("IN_PAYMENT"));
        }
        let (reason, feed) =
            if operator { (Reason::Operator, FeedReason::Operator) } else { (Reason::Released, FeedReason::Released) };
        let ended = self.settle(c, t, feed, &[(*id, reason)], &[], true);
        let map = self.map(c);
        Ok(list([text("OK"), Int(map.generation), Int(map.sequence), Value::Array(ended)]))
    }

    pub(super) fn begin_book(
        &mut self,
        c: &Caller,
        (id, customer): (&Id, &str),
        (key, booking, attempt): (&[u8], &[u8], &[u8]),
        (ms, latest): (i64, i64),
    ) -> Result<Value, Refused> {
        self.guard(c)?;
        let t = self.now(c);
        self.guard_complete(c, t)?;
        let generation = self.map(c).generation;
        let hold = self.own(c, id, customer, t)?;
        let again = hold.phase == Phase::Paying;
        if again && hold.book_key != key {
            return Err(refusal("IN_PAYMENT"));
        }
        if !again {
            if hold.first_end == 0 {
                hold.first_end = hold.ends;
            }
            if hold.book_key != key {
                (hold.book_key, hold.booking) = (key.to_vec(), booking.to_vec());
            }
            hold.phase = Phase::Paying;
            hold.ends = hold.ends.max((t + ms).min(hold.created + latest));
        }
        if !(again && hold.attempts.iter().any(|known| known == attempt)) {
            hold.attempts.push(attempt.to_vec());
        }
        Ok(list([text("OK"), hold.info(id, t), Int(generation)]))
    }

    pub(super) fn end_book(
        &mut self,
        c: &Caller,
        (id, customer): (&Id, &str),
        attempt: &[u8],
        (ms, latest): (i64, i64),
    ) -> Result<Value, Refused> {
        self.guard_exact(c)?;
        let t = self.now(c);
        let hold = self.own(c, id, customer, t)?;
        let open = hold.attempts.len();
        hold.attempts.retain(|known| known != attempt);
        let free = hold.attempts.len() < open && hold.attempts.is_empty() && hold.phase == Phase::Paying;
        if free {
            hold.phase = Phase::Browse;
            hold.ends = hold.first_end.max(t + ms).min(hold.created + latest);
        }
        Ok(list([text("OK"), hold.info(id, t), Int(i64::from(free))]))
    }

    pub(super) fn own_holds(&mut self, c: &Caller, customers: &[&str]) -> Result<Value, Refused> {
        self.guard(c)?;
        let t = self.clock.read(c.server_ms);
        self.guard_complete(c, t)?;
        let show = &self.shows[c.show];
        let one = |customer: &&str| {
            let mut out = vec![Int(show.owned(customer, 1))];
            for id in show.holders.get(*customer).map_or(&[][..], |holder| &holder.holds) {
                let hold = &show.holds[id];
                if hold.due() > t {
                    out.push(hold.info(id, t));
                }
            }
            Value::Array(out)
        };
        Ok(list([text("OK"), Value::Array(customers.iter().map(one).collect())]))
    }
}

fn dedup(ended: &mut Vec<(Id, Reason)>) {
    let all = std::mem::take(ended);
    for one in all {
        if !ended.contains(&one) {
            ended.push(one);
        }
    }
}

/// The rows key: who has a neighbour, then the runs.
pub(super) fn rows(seats: usize, runs: &[(u32, u32, &[[u32; 2]])]) -> Vec<u8> {
    let mut out = vec![0; seats.div_ceil(8)];
    for seat in runs.iter().flat_map(|(first, count, _)| *first..first + count - 1) {
        out[seat as usize / 8] |= 128 >> (seat % 8);
    }
    for (first, count, pieces) in runs {
        out.extend([first.to_be_bytes(), count.to_be_bytes()].concat());
        out.extend((pieces.len() as u16).to_be_bytes());
        out.extend(pieces.iter().flatten().flat_map(|number| number.to_be_bytes()));
    }
    out
}
