//! One process that plays viewers: a single thread that reads their sockets, does what is due, and listens to orders.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{CustomerId, Position};

use super::feed_watch::FeedWatch;
use super::life::{Act, Lives};
use super::orders::{Order, Outcome, Plan, Progress, Telling, instant};
use super::steps::Cutter;
use crate::bench::cpu;
use crate::bench::crowd::{Crowd, Join, Published, TakenUp};
use crate::bench::edge::raise_file_limit;
use crate::client::sign_token;
use crate::map_difference::difference;
use crate::times::Times;

/// Plays until it is told the ledger's map, or standard input ends.
///
/// # Errors
/// When a gateway writes what makes no sense.
pub fn run() -> anyhow::Result<()> {
    raise_file_limit()?;
    let (sender, orders) = sync_channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Ok(order) = serde_json::from_str::<Order>(&line) else { return };
            if sender.send(order).is_err() {
                return;
            }
        }
    });
    let Ok(Order::Begin(plan)) = orders.recv() else { return Ok(()) };
    let mut worker = Worker::new(*plan)?;
    tell(&Telling::Ready)?;
    worker.play(&orders)
}

struct Worker {
    plan: Plan,
    crowd: Crowd,
    lives: Lives,
    tokens: Vec<String>,
    feed: FeedWatch,
    /// Since when each viewer has been there without a break, with the frames that it had then.
    since: Vec<Option<(Instant, u64)>>,
    /// Who has ever had the map.
    been: Vec<bool>,
    /// The gateway that each was at last, when that one sent it away, died or refused it: the next is another.
    avoids: Vec<Option<usize>>,
    at: Vec<usize>,
    /// Who came back, until it is live.
    returning: Vec<usize>,
    behind: Histogram<u64>,
    outcome: Outcome,
    began: Instant,
    told: Instant,
    cutter: Cutter,
}

impl Worker {
    fn new(plan: Plan) -> anyhow::Result<Self> {
        let mut crowd = Crowd::new()?;
        let published = Arc::new(Published::with_room(1 << 16));
        crowd.set_published(plan.show, &published);
        let feed = FeedWatch::new(plan.show, published);
        feed.listen(&plan.redis);
        let mut tokens = Vec::with_capacity(plan.viewers);
        for viewer in 0..plan.viewers {
            let name = CustomerId::new(&format!("viewer-{}-{viewer}", plan.number))?;
            tokens.push(sign_token(&plan.jwt, &name, Duration::from_secs(24 * 3_600))?);
        }
        let began = instant(plan.come_at_ms);
        let lives = Lives::planned(&plan, began);
        let (since, been) = (vec![None; plan.viewers], vec![false; plan.viewers]);
        let (avoids, at) = (vec![None; plan.viewers], vec![0; plan.viewers]);
        let behind = Histogram::new_with_bounds(1, 600_000_000, 3)?;
        let outcome = Outcome { viewers: plan.viewers as u64, ..Outcome::default() };
        let (returning, told) = (Vec::new(), Instant::now());
        let cutter = Cutter::new(began)?;
        let mut worker = Self {
            plan,
            crowd,
            lives,
            tokens,
            feed,
            since,
            been,
            avoids,
            at,
            returning,
            behind,
            outcome,
            began,
            told,
            cutter,
        };
        for viewer in 0..worker.plan.viewers {
            let join = worker.join(viewer, began)?;
            let number = worker.crowd.expect(&join);
            if !worker.lives.stays(viewer) {
                worker.crowd.leave_sample(number);
            }
        }
        Ok(worker)
    }

    fn play(&mut self, orders: &Receiver<Order>) -> anyhow::Result<()> {
        loop {
            match orders.try_recv() {
                Ok(Order::Listen { redis }) => self.feed.listen(&redis),
                Ok(Order::Scatter { within_ms }) => self.scatter(Duration::from_millis(within_ms)),
                Ok(Order::Count { from_ms }) => self.cutter.count_from(instant(from_ms)),
                Ok(Order::Read { reading }) => self.read_or_not(reading)?,
                Ok(Order::Settle) => self.settle(),
                Ok(Order::Compare { position, statuses }) => return self.compare(position, &statuses),
                Ok(Order::Begin(_)) | Err(TryRecvError::Empty) => {}
                // Nobody leads any more.
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
            self.turn()?;
            if self.told.elapsed() >= TELL_EVERY {
                self.told = Instant::now();
                tell(&Telling::Progress(self.progress()))?;
            }
            if self.cutter.is_due() {
                let Progress { live, frames, .. } = self.progress();
                tell(&Telling::Step(self.cutter.cut(frames, live, &self.crowd.stats.latency)?))?;
            }
        }
    }

    /// Does what is due, and reads what came.
    fn turn(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        while let Some((meant, viewer, act)) = self.lives.next(now) {
            let late = u64::try_from(meant.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.behind.saturating_record(late);
            self.act(meant, viewer, act)?;
        }
        self.crowd.step(STEP)?;
        for close in std::mem::take(&mut self.crowd.stats.closes) {
            self.outcome.reconnects += 1;
            self.interrupted(close.viewer);
            self.avoid(close.viewer);
            self.lives.comes_back(close.viewer, close.at + close.return_after);
        }
        self.take_returned();
        Ok(())
    }

    fn act(&mut self, meant: Instant, viewer: usize, act: Act) -> anyhow::Result<()> {
        match act {
            Act::Come => {
                // It may have come back by itself meanwhile.
                if self.crowd.viewers().get(viewer).is_some_and(|viewer| !viewer.is_connected()) {
                    let join = self.join(viewer, meant)?;
                    match self.crowd.rejoin(viewer, &join) {
                        Ok(()) => self.returning.push(viewer),
                        Err(_) => {
                            self.avoid(viewer);
                            self.lives.comes_back(viewer, Instant::now());
                        }
                    }
                }
            }
            Act::Drop => self.drop_connection(viewer),
            Act::Stall | Act::Read => {
                self.outcome.stalls += u64::from(act == Act::Stall);
                self.crowd.set_reading(viewer, act == Act::Read)?;
            }
            Act::Hide | Act::Look => {
                self.outcome.hides += u64::from(act == Act::Hide);
                self.crowd.hide(viewer, act == Act::Hide);
            }
        }
        Ok(())
    }

    /// At any gateway but one to avoid, as a balancer would send it, from where the viewer's map is.
    fn join(&mut self, viewer: usize, meant: Instant) -> anyhow::Result<Join> {
        let known = self.plan.gateways.len();
        let avoids = self.avoids.get_mut(viewer).and_then(Option::take).filter(|_| known > 1);
        let choice = self.lives.choose(known - usize::from(avoids.is_some()));
        let choice = choice + usize::from(avoids.is_some_and(|avoids| choice >= avoids));
        if let Some(at) = self.at.get_mut(viewer) {
            *at = choice;
        }
        let gateway: SocketAddr = *self.plan.gateways.get(choice).context("there is no gateway")?;
        let token = self.tokens.get(viewer).context("a viewer without a token")?.clone();
        let map = self.crowd.viewers().get(viewer).and_then(|viewer| viewer.maps.first());
        let shows = vec![(self.plan.show, map.and_then(|map| map.position))];
        Ok(Join { gateway, token, shows, receive_buffer: None, meant: Some(meant) })
    }

    /// Who has become live since the last look, and how.
    fn take_returned(&mut self) {
        let Self { returning, crowd, since, been, outcome, .. } = self;
        returning.retain(|number| {
            let Some(viewer) = crowd.viewers().get(*number) else { return false };
            let Some(map) = viewer.maps.first().filter(|_| viewer.is_live()) else { return viewer.is_connected() };
            let (Some(since), Some(been)) = (since.get_mut(*number), been.get_mut(*number)) else { return false };
            // The first time is no resume.
            match (std::mem::replace(been, true), map.taken_up) {
                (true, Some(TakenUp::Snapshot)) => outcome.resumed_by_snapshot += 1,
                (true, Some(_)) => outcome.resumed_by_catch_up += 1,
                _ => {}
            }
            *since = Some((Instant::now(), map.frames));
            false
        });
    }

    fn drop_connection(&mut self, viewer: usize) {
        if self.crowd.viewers().get(viewer).is_some_and(|viewer| viewer.is_connected()) {
            self.outcome.reconnects += 1;
        }
        self.crowd.drop_connection(viewer);
        self.interrupted(viewer);
    }

    fn avoid(&mut self, viewer: usize) {
        if let (Some(avoids), Some(at)) = (self.avoids.get_mut(viewer), self.at.get(viewer)) {
            *avoids = Some(*at);
        }
    }

    fn interrupted(&mut self, viewer: usize) {
        if let Some(since) = self.since.get_mut(viewer) {
            *since = None;
        }
    }

    fn scatter(&mut self, within: Duration) {
        for viewer in 0..self.plan.viewers {
            self.drop_connection(viewer);
            self.lives.comes_back_within(viewer, within);
        }
    }

    /// Half of the viewers; who comes back meanwhile reads.
    fn read_or_not(&mut self, reading: bool) -> anyhow::Result<()> {
        for viewer in (0..self.plan.viewers).step_by(2) {
            self.outcome.stalls += u64::from(!reading);
            self.crowd.set_reading(viewer, reading)?;
        }
        Ok(())
    }

    fn settle(&mut self) {
        self.lives.settle();
        self.outcome.seconds = self.began.elapsed().as_secs_f64();
        self.outcome.frames_per_s_least = self.least();
    }

    /// Frames a second of the viewer with the fewest, of those who were there without a break.
    fn least(&self) -> Option<f64> {
        let all =
            self.since.iter().zip(self.crowd.viewers()).enumerate().filter(|(number, _)| self.lives.stays(*number));
        let rates = all.filter_map(|(_, (since, viewer))| {
            let ((since, frames), map) = ((*since)?, viewer.maps.first()?);
            let seconds = since.elapsed().as_secs_f64();
            (seconds >= 1.0).then(|| crate::bench::report::count(map.frames.saturating_sub(frames)) / seconds)
        });
        rates.reduce(f64::min)
    }

    fn progress(&self) -> Progress {
        let live = self.crowd.viewers().iter().filter(|viewer| viewer.is_live()).count() as u64;
        let stats = &self.crowd.stats;
        Progress { live, frames: stats.frames(), violations: stats.violations_total }
    }

    /// Waits until every viewer is where Redis is, and compares the maps with the ledger's.
    fn compare(&mut self, position: Position, statuses: &str) -> anyhow::Result<()> {
        let bytes = hex::decode(statuses)?;
        let is_there = |crowd: &Crowd| {
            let mut maps = crowd.viewers().iter().map(|viewer| viewer.is_live().then(|| viewer.maps.first()).flatten());
            maps.all(|map| map.is_some_and(|map| map.position == Some(position)))
        };
        let end = Instant::now() + COMPARE_WITHIN;
        while !is_there(&self.crowd) && Instant::now() < end {
            self.turn()?;
        }
        let outcome = &mut self.outcome;
        for (number, viewer) in self.crowd.viewers().iter().enumerate() {
            let Some(map) = viewer.maps.first() else { continue };
            outcome.connected += u64::from(viewer.is_live());
            let right = PackedStatuses::from_bytes(map.statuses.len(), &bytes);
            let right = right.unwrap_or_else(|| PackedStatuses::new(0));
            let differ = difference(&map.statuses, &right);
            if viewer.is_live() && map.position == Some(position) && differ.is_none() {
                continue;
            }
            outcome.diverged_total += 1;
            if outcome.diverged.len() < DIVERGED_SHOWN {
                let differ = differ.unwrap_or_else(|| "the same seats".to_owned());
                let at = map.position.map_or_else(|| "nowhere".to_owned(), |at| at.to_string());
                let away = if viewer.is_live() { "" } else { "away, " };
                let (show, process, last) = (self.plan.show, self.plan.number, map.last_frames());
                outcome.diverged.push(format!(
                    "viewer {number} of process {process}, show {show}: {away}at {at} where {position} is right; {differ}; \
                     its last frames {last}"
                ));
            }
        }
        let stats = &self.crowd.stats;
        outcome.violations.clone_from(&stats.violations);
        outcome.violations_total = stats.violations_total;
        outcome.errors.clone_from(&stats.errors);
        (outcome.deltas, outcome.catch_ups, outcome.beats) = (stats.deltas, stats.catch_ups, stats.beats);
        (outcome.snapshots, outcome.changes) = (stats.snapshots, stats.entries);
        outcome.lag = Times::pairs(&stats.latency);
        outcome.joins = Times::pairs(&stats.joins);
        outcome.behind = Times::pairs(&self.behind);
        outcome.cpu_s = Duration::from_nanos(cpu::of_process(std::process::id())).as_secs_f64();
        tell(&Telling::Outcome(Box::new(std::mem::take(outcome))))
    }
}

fn tell(telling: &Telling) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, telling)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

const STEP: Duration = Duration::from_millis(2);
const TELL_EVERY: Duration = Duration::from_secs(1);
const COMPARE_WITHIN: Duration = Duration::from_secs(30);
const DIVERGED_SHOWN: usize = 10;
