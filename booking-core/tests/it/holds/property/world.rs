//! Turns random commands into calls of the scripts, and runs the model beside them.

use std::collections::BTreeMap;

use redis::{Cmd, Value};
use seatwire_protocol::ShowId;

use super::calls::Ledger;
use super::keys::{self, Keys};
use super::ledger::{News, Sale};
use super::model::{CLOSED, Caller, Entry, GRACE, Hold, Id, Int, KEPT, Model, OPEN, WINDOW};
use super::ops::{Act, Limits, Op, SEATS, Target};
use super::scripts::Scripts;

/// How far the look at a due-set sees ahead.
const AHEAD_MS: i64 = 400;

pub(super) const CUSTOMERS: [&str; 3] = ["ann", "bob", "c-3"];
pub(super) const COOL_DOWN: i64 = 1_500;
/// Where scripts read the server's time, which the test sets.
pub(super) const TIME: &str = "test_time";

/// What Redis is told, and what has to come back.
pub(super) struct Step {
    pub(super) told: String,
    pub(super) script: &'static str,
    pub(super) commands: Vec<Cmd>,
    pub(super) reply: Option<Value>,
    pub(super) keys: Keys,
    /// Messages published so far.
    pub(super) published: usize,
    /// Redis has another past now.
    pub(super) breaks: bool,
}

/// The scripts of the product with the test's time, by name; with their digests.
pub(super) struct Texts(pub(super) BTreeMap<&'static str, (String, String)>);

pub(super) struct World<'a> {
    pub(super) texts: &'a Texts,
    pub(super) shows: [ShowId; 2],
    pub(super) model: Model,
    pub(super) ledgers: [Ledger; 2],
    saved: Option<Model>,
    pub(super) server_ms: i64,
    pub(super) run: u64,
    /// Generations handed out.
    pub(super) generation: [i64; 2],
    /// Grows while a show is not whole; then it is loaded.
    unready: [usize; 2],
    pub(super) tokens: Option<(f64, i64)>,
    pub(super) steps: Vec<Step>,
}

impl Texts {
    pub(super) fn new() -> Self {
        let scripts = Scripts::new();
        let mut out = BTreeMap::new();
        for script in scripts.all() {
            let mine = format!(
                "(function() local t = redis.call('GET', '{TIME}') \
                return {{ math.floor(t / 1000), t % 1000 * 1000 }} end)()"
            );
            let text = script.text.replace("redis.call('TIME')", &mine).replace("call('TIME')", &mine);
            assert!(!text.contains("'TIME'"));
            let digest = redis::Script::new(&text).get_hash().to_owned();
            out.insert(script.name, (text, digest));
        }
        let read = format!("#!lua\n{}", keys::READ);
        let digest = redis::Script::new(&read).get_hash().to_owned();
        out.insert("read", (read, digest));
        Self(out)
    }
}

fn key_of(what: &str, show: ShowId) -> String {
    format!("{what}:{{{}}}:{show}", show.bucket())
}

/// Keys of a show in the scripts' order.
pub(super) fn script_keys(show: ShowId) -> Vec<String> {
    let bucket = show.bucket();
    let mut out: Vec<String> = ["show", "seat_version", "seat_status", "seat_lock", "hold", "held_by", "owned_by"]
        .map(|k| key_of(k, show))
        .into();
    out.push(format!("hold_expiry:{{{bucket}}}"));
    out.push(format!("clock:{{{bucket}}}"));
    out.push(key_of("rows", show));
    out.push(key_of("feed", show));
    out
}

/// Hold ids with bytes that text functions may trip over.
fn id_of(kind: u8, who: usize, key: u8) -> Id {
    let mut id = *b"\0:%d\xff-\n {}ab\x7f\0\0\0";
    (id[13], id[14], id[15]) = (kind, who as u8, key);
    id
}

impl<'a> World<'a> {
    pub(super) fn new(texts: &'a Texts, shows: [ShowId; 2]) -> Self {
        let ledger = |seats: u32| {
            let seat = (Entry { status: 0, version: 1, customer: String::new() }, None);
            let sale = Sale { state: OPEN, opens_at: 0, version: 1 };
            Ledger { seats: vec![seat; seats as usize], sale, news: Vec::new() }
        };
        let mut world = Self {
            texts,
            shows,
            model: Model { names: shows.map(ShowId::get), ..Model::default() },
            ledgers: [ledger(SEATS), ledger(5)],
            saved: None,
            server_ms: 1_790_000_000_000,
            run: 1,
            generation: [0, 0],
            unready: [0, 0],
            tokens: None,
            steps: Vec::new(),
        };
        world.load_whole(0);
        world.load_whole(1);
        world
    }

    fn caller(&self, op: &Op) -> Caller {
        let known = self.model.shows[op.show].map.as_ref().map_or(0, |map| map.generation);
        let run = if op.other_run { self.run + 1 } else { self.run };
        Caller {
            show: op.show,
            run_id: format!("run{run}"),
            generation: known + op.generation,
            server_ms: self.server_ms,
        }
    }

    pub(super) fn call(&self, script: &'static str, c: &Caller, arguments: &[&[u8]]) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA");
        let keys = script_keys(self.shows[c.show]);
        cmd.arg(&self.texts.0[script].1).arg(keys.len()).arg(&keys);
        cmd.arg(&c.run_id).arg(c.generation).arg(KEPT).arg(WINDOW);
        for argument in arguments {
            cmd.arg(*argument);
        }
        cmd
    }

    /// Notes what was sent, and what is there after it.
    pub(super) fn done(
        &mut self,
        op: &dyn std::fmt::Debug,
        script: &'static str,
        commands: Vec<Cmd>,
        reply: Option<Value>,
    ) {
        let others = 1 + i64::from(self.tokens.is_some());
        let mut all = vec![redis::cmd("SET").arg(TIME).arg(self.server_ms).to_owned()];
        all.extend(commands);
        all.push(self.read_keys());
        self.steps.push(Step {
            told: format!("{op:?} at {}", self.server_ms),
            script,
            commands: all,
            reply,
            keys: Keys::of(&self.model, others),
            published: self.model.published.len(),
            breaks: false,
        });
        self.check();
    }

    /// The model's own invariant: no seat is in two live holds.
    fn check(&self) {
        for show in &self.model.shows {
            let mut seats: Vec<u32> =
                show.holds.values().filter(|hold| hold.live()).flat_map(|hold| hold.seats.clone()).collect();
            let count = seats.len();
            seats.sort_unstable();
            seats.dedup();
            assert_eq!(seats.len(), count, "the model holds a seat twice");
        }
    }

    fn read_keys(&self) -> Cmd {
        let bucket = self.shows[0].bucket();
        let mut keys = vec![format!("clock:{{{bucket}}}"), format!("hold_expiry:{{{bucket}}}")];
        for show in self.shows {
            keys.extend(keys::OF_SHOW.iter().map(|what| key_of(what, show)));
        }
        redis::cmd("EVALSHA").arg(&self.texts.0["read"].1).arg(keys.len()).arg(&keys).to_owned()
    }

    fn bucket_keys(&self) -> Vec<String> {
        let mut keys = script_keys(self.shows[0]);
        keys.extend(script_keys(self.shows[1]));
        keys
    }

    fn target(&self, op: &Op, target: Target) -> (Id, String, Option<Hold>) {
        let holds = &self.model.shows[op.show].holds;
        let live: Vec<_> = holds.iter().filter(|(_, hold)| hold.live()).collect();
        let found = match target.nth {
            nth @ 4.. if !live.is_empty() => live.get(nth % live.len()).copied(),
            nth => holds.iter().nth(nth % holds.len().max(1)),
        };
        let (id, owner, hold) = match found {
            Some((id, hold)) => (*id, hold.customer.clone(), Some(hold.clone())),
            None => (id_of(0, 0, 0), CUSTOMERS[0].to_owned(), None),
        };
        (id, target.stranger.map_or(owner, |who| CUSTOMERS[who].to_owned()), hold)
    }

    /// Seats that this show has, but for at most one.
    fn seats(&self, op: &Op, seats: &[u32]) -> Vec<u32> {
        let mut out: Vec<u32> = seats.iter().map(|seat| if op.show == 0 { *seat } else { seat % 6 }).collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    fn ledger_seats(&self, op: &Op, seats: &[u32]) -> Vec<u32> {
        let mut out = self.seats(op, seats);
        out.retain(|seat| (*seat as usize) < self.ledgers[op.show].seats.len());
        out
    }

    pub(super) fn run(&mut self, op: &Op) {
        self.act(op);
        let run_id = format!("run{}", self.run);
        for show in 0..2 {
            self.unready[show] = match self.model.shows[show].map.as_ref().filter(|map| map.run_id == run_id) {
                Some(map) if map.complete => 0,
                Some(_) => self.unready[show] + 1,
                None => self.unready[show] + 3,
            };
            if self.unready[show] > 6 {
                self.load_whole(show);
                self.unready[show] = 0;
            }
        }
    }

    fn act(&mut self, op: &Op) {
        let c = self.caller(op);
        match &op.act {
            Act::Hold { who, key, seats, limits } => {
                let wanted = self.wanted(id_of(0, *who, *key), *who, *limits, self.seats(op, seats), None);
                self.hold(op, &c, &wanted);
            }
            Act::Best { who, key, count, tier, limits } => {
                let wanted = self.wanted(id_of(0, *who, *key), *who, *limits, Vec::new(), Some((*count, *tier)));
                self.hold(op, &c, &wanted);
            }
            Act::Rescue { who, key, seats, ms } => {
                let limits = Limits { ms: *ms, seats: 0, holds: 0, lapses: 0 };
                let mut wanted = self.wanted(id_of(1, *who, *key), *who, limits, self.seats(op, seats), None);
                wanted.payer = true;
                self.hold(op, &c, &wanted);
            }
            Act::Repeat { target, other_body, ms } => {
                let (id, customer, Some(hold)) = self.target(op, *target) else { return };
                let limits = Limits { ms: *ms, seats: 8, holds: 2, lapses: 2 };
                let mut wanted = self.wanted(id, 0, limits, hold.seats, None);
                wanted.payer = id[13] == 1;
                wanted.customer = customer;
                wanted.body = if *other_body { b"other".to_vec() } else { hold.body };
                self.hold(op, &c, &wanted);
            }
            Act::Extend { target, key, ms, cap, lifetime } => {
                let (id, customer, _) = self.target(op, *target);
                let arguments = [*ms, GRACE, *cap, *lifetime].map(decimal);
                let [ms_, grace, cap_, lifetime_] = arguments.each_ref().map(Vec::as_slice);
                let cmd = self.call("extend", &c, &[&id, customer.as_bytes(), &[*key], ms_, grace, cap_, lifetime_]);
                let reply = flat(self.model.extend(&c, &id, &customer, &[*key], (*ms, *cap, *lifetime)));
                self.done(op, "extend", vec![cmd], Some(reply));
            }
            Act::Release { target, payer } => {
                let (id, customer, _) = self.target(op, *target);
                self.release(op, &c, &id, &customer, *payer);
            }
            Act::Operator { target } => {
                let (id, ..) = self.target(op, *target);
                self.release(op, &c, &id, "", false);
            }
            Act::Begin { target, key, attempt, ms, latest } => {
                let (id, customer, _) = self.target(op, *target);
                let (book_key, booking, attempt) = ([b'k', *key], [*attempt + 50; 16], [*attempt; 8]);
                let [ms_, latest_, grace] = [*ms, *latest, GRACE].map(decimal);
                let arguments: [&[u8]; 8] =
                    [&id, customer.as_bytes(), &book_key, &booking, &attempt, &ms_, &latest_, &grace];
                let cmd = self.call("begin_book", &c, &arguments);
                let keys = (&book_key[..], &booking[..], &attempt[..]);
                let reply = flat(self.model.begin_book(&c, (&id, &customer), keys, (*ms, *latest)));
                self.done(op, "begin_book", vec![cmd], Some(reply));
            }
            Act::End { target, attempt, ms, latest } => {
                let (id, customer, _) = self.target(op, *target);
                let attempt = [*attempt; 8];
                let [ms_, latest_, grace] = [*ms, *latest, GRACE].map(decimal);
                let cmd = self.call("end_book", &c, &[&id, customer.as_bytes(), &attempt, &ms_, &latest_, &grace]);
                let reply = flat(self.model.end_book(&c, (&id, &customer), &attempt, (*ms, *latest)));
                self.done(op, "end_book", vec![cmd], Some(reply));
            }
            Act::Claim { target } => {
                let (id, _, Some(hold)) = self.target(op, *target) else { return };
                let ledger = &self.ledgers[op.show];
                if hold.seats.iter().all(|seat| ledger.seats[*seat as usize].0.status == 0) {
                    self.change(op, &hold.seats, 1, &hold.customer, Some(id));
                }
            }
            Act::Change { seats, status, who } => {
                let seats = self.ledger_seats(op, seats);
                self.change(op, &seats, *status, CUSTOMERS[*who], None);
            }
            Act::Sale { state, opens_in } => {
                let ledger = &mut self.ledgers[op.show];
                let t = self.model.clock.read(self.server_ms);
                let opens_at = if *opens_in == 0 || *state == CLOSED { 0 } else { t + opens_in };
                ledger.sale = Sale { state: *state, opens_at, version: ledger.sale.version + 1 };
                ledger.news.push(News { sale: Some(ledger.sale), ..News::default() });
            }
            Act::Apply { back, with_hold, forged, operator } => {
                let news = &self.ledgers[op.show].news;
                let Some(news) = news.iter().rev().nth(back % news.len().max(1)) else { return };
                let mut news = News { by_operator: *operator, ..news.clone() };
                if !with_hold {
                    news.own.clear();
                }
                if *forged {
                    // As if a booking named a hold that is not its customer's.
                    let other = |customer: &str| *CUSTOMERS.iter().find(|other| **other != customer).unwrap();
                    news.own.iter_mut().for_each(|(_, customer)| *customer = other(customer).to_owned());
                }
                self.apply(op, &c, &news);
            }
            Act::ApplyNonsense { seat, status } => {
                let entry = |status| Entry { status, version: 1_000, customer: String::new() };
                // Only refused ones: a good seat before the bad one must not be written either.
                let seat = if *status > 3 { seat % 5 } else { SEATS };
                let seats = vec![((seat + 1) % 5, entry(0)), (seat, entry(*status))];
                self.apply(op, &c, &News { seats, ..News::default() });
            }
            Act::Fill { seats, late } => {
                let news = self.filling(op.show, &self.ledger_seats(op, seats), *late);
                self.apply(op, &c, &news);
            }
            Act::Expire { limit } => {
                let cmd = self.call("expire", &c, &[&decimal(*limit as i64)]);
                let reply = flat(self.model.expire(&c, *limit));
                self.done(op, "expire", vec![cmd], Some(reply));
            }
            Act::Due { limit } => {
                let keys = script_keys(self.shows[0]);
                let mut cmd = redis::cmd("EVALSHA");
                cmd.arg(&self.texts.0["due"].1).arg(2).arg(&keys[7]).arg(&keys[8]).arg(*limit).arg(AHEAD_MS);
                let reply = self.model.due_shows(&c, *limit, AHEAD_MS);
                self.done(op, "due", vec![cmd], Some(reply));
            }
            Act::Load { stale } => {
                self.load(op, op.show, -i64::from(*stale));
                let c = self.caller(op);
                self.plain(op, &c, "snapshot", Model::snapshot);
                self.plain(op, &c, "state", Model::state);
            }
            Act::LoadWhole => self.load_whole(op.show),
            Act::Complete => self.plain(op, &c, "complete", Model::complete),
            Act::Unload { stale } => {
                let c = Caller { generation: c.generation - i64::from(*stale), ..c };
                self.plain(op, &c, "unload", Model::unload);
                self.steps.last_mut().unwrap().breaks = self.model.shows[op.show].map.is_none();
            }
            Act::Snapshot => self.plain(op, &c, "snapshot", Model::snapshot),
            Act::State => self.plain(op, &c, "state", Model::state),
            Act::Scrub => self.scrub(op, &c),
            Act::OwnHolds => {
                let customers = CUSTOMERS.map(str::as_bytes);
                let grace = decimal(GRACE);
                let cmd = self.call("own_holds", &c, &[&grace, customers[0], customers[1], customers[2]]);
                let reply = flat(self.model.own_holds(&c, &CUSTOMERS));
                self.done(op, "own_holds", vec![cmd], Some(reply));
            }
            Act::Wipe => {
                self.model = Model {
                    names: self.model.names,
                    published: std::mem::take(&mut self.model.published),
                    ..Model::default()
                };
                self.tokens = None;
                self.elsewhere(op, vec![redis::cmd("FLUSHDB"), self.set_time()]);
            }
            Act::Failover => {
                self.run += 1;
                self.elsewhere(op, Vec::new());
            }
            Act::Save => {
                self.saved = Some(Model { published: Vec::new(), ..self.model.clone() });
                let copy = "redis.call('SELECT', 1) redis.call('FLUSHDB') redis.call('SELECT', 0) \
                    for _, key in ipairs(KEYS) do redis.call('COPY', key, key, 'DB', 1) end return 0";
                let keys = self.bucket_keys();
                let cmd = redis::cmd("EVAL").arg(copy).arg(keys.len()).arg(&keys).to_owned();
                self.done(op, "save", vec![cmd], None);
            }
            Act::RollBack => {
                let Some(saved) = &self.saved else { return };
                let published = std::mem::take(&mut self.model.published);
                self.model = Model { published, ..saved.clone() };
                self.run += 1;
                let copy = "for _, key in ipairs(KEYS) do redis.call('DEL', key) end redis.call('SELECT', 1) \
                    for _, key in ipairs(KEYS) do redis.call('COPY', key, key, 'DB', 0) end return 0";
                let keys = self.bucket_keys();
                self.elsewhere(op, vec![redis::cmd("EVAL").arg(copy).arg(keys.len()).arg(&keys).to_owned()]);
            }
            Act::Tokens { cost } => self.take_tokens(op, *cost),
            Act::Until { nth, off } => {
                let instants = self.instants();
                let now = self.model.clock.read(self.server_ms);
                let later: Vec<i64> = instants.into_iter().filter(|at| *at >= now).collect();
                if let Some(at) = later.get(nth % later.len().max(1)) {
                    self.server_ms += (at + off - now).max(0);
                }
            }
            Act::Pass { ms } => self.server_ms += ms,
            Act::ClockBack { ms } => self.server_ms -= ms,
            Act::Crowd => self.crowd(op),
        }
    }

    fn set_time(&self) -> Cmd {
        redis::cmd("SET").arg(TIME).arg(self.server_ms).to_owned()
    }

    /// Redis is another one now.
    fn elsewhere(&mut self, op: &Op, commands: Vec<Cmd>) {
        self.done(op, "server", commands, None);
        self.steps.last_mut().unwrap().breaks = true;
    }

    fn scrub(&mut self, op: &Op, c: &Caller) {
        let cmd = self.call("scrub_seats", c, &[b"0", b"100"]);
        let reply = flat(self.model.scrub_seats(c));
        self.done(op, "scrub_seats", vec![cmd], Some(reply));
        for which in ["hold", "held_by", "due"] {
            let cmd = self.call("scrub_holds", c, &[which.as_bytes(), b"0", b"1000", &decimal(GRACE)]);
            let reply = flat(self.model.scrub_holds(c));
            self.done(op, "scrub_holds", vec![cmd], Some(reply));
        }
        self.plain(op, c, "recount", Model::recount);
    }

    pub(super) fn plain(
        &mut self,
        op: &Op,
        c: &Caller,
        script: &'static str,
        run: impl FnOnce(&mut Model, &Caller) -> Result<Value, Value>,
    ) {
        let cmd = self.call(script, c, &[]);
        let reply = flat(run(&mut self.model, c));
        self.done(op, script, vec![cmd], Some(reply));
    }
}

pub(super) fn decimal(number: i64) -> Vec<u8> {
    number.to_string().into_bytes()
}

pub(super) fn flat(result: Result<Value, Value>) -> Value {
    result.unwrap_or_else(|refused| refused)
}

/// The code of a reply.
pub(super) fn code(reply: &Value) -> String {
    match reply {
        Value::Array(fields) => match fields.first() {
            Some(Value::BulkString(code)) => String::from_utf8_lossy(code).into_owned(),
            _ => "list".to_owned(),
        },
        Int(0) => "0".to_owned(),
        Int(_) => "number".to_owned(),
        _ => String::new(),
    }
}

/// For the list of commands of a failure.
pub(super) fn readable(reply: &Value) -> String {
    match reply {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).escape_debug().to_string(),
        Value::Array(values) => format!("[{}]", values.iter().map(readable).collect::<Vec<_>>().join(", ")),
        Int(n) => n.to_string(),
        other => format!("{other:?}"),
    }
}
