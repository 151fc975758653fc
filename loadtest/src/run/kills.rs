//! `kill -9` of servers at seeded moments of a run, each spread over its progress, each only while commands and payments
//! are in flight. A killed server is started again where it was, and the time is taken until purchases come through.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use super::report::FaultLine;
use super::say;
use crate::faults::{InFlight, Kind};
use crate::launcher::{Process, Stack};

/// What a plan of kills looks at.
pub trait Progress {
    /// Things done, of [`Progress::total`].
    fn done(&self) -> u64;
    fn total(&self) -> u64;
    /// No more than so many may be begun for now: the rest is for later kills.
    fn allow(&self, begun: u64);
    /// Purchases that came through.
    fn purchases(&self) -> usize;
    fn in_flight(&self) -> &InFlight;
}

/// Who is killed, in this order, evenly over the run.
#[derive(Debug)]
pub struct Kills {
    victims: VecDeque<Process>,
    count: u64,
    rng: StdRng,
}

impl Kills {
    /// Every process of the stack in turn, each round in another order.
    pub fn of(stack: &Stack, count: u32, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut victims = VecDeque::new();
        while victims.len() < usize::try_from(count).unwrap_or(usize::MAX) {
            let mut round = stack.all();
            round.shuffle(&mut rng);
            victims.extend(round);
        }
        victims.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        Self { victims, count: count.into(), rng }
    }

    /// Kills by plan until it is done or `stop`.
    ///
    /// # Errors
    /// When a server does not start again.
    pub async fn run(
        mut self,
        stack: &mut Stack,
        progress: &impl Progress,
        stop: &CancellationToken,
    ) -> anyhow::Result<Vec<FaultLine>> {
        let begin = Instant::now();
        let mut lines = Vec::new();
        while let Some(victim) = self.victims.pop_front() {
            let part = (progress.total() / (self.count + 1)).max(1);
            let from = part * lines.len() as u64;
            progress.allow(from + 2 * part);
            // The moment is random on purpose.
            let at = from + self.rng.random_range(part / 2..=part);
            let due = until(stop, FOREVER, || progress.done() >= at).await;
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..MOMENT_MS))).await;
            if !due || !until(stop, BUSY_WITHIN, || busy(progress.in_flight())).await {
                break;
            }
            let in_flight = progress.in_flight().count(Kind::Any);
            let fired = Instant::now();
            stack.kill(victim);
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..AWAY_MS))).await;
            stack.restart(victim).await?;
            let (away, before) = (fired.elapsed(), progress.purchases());
            let back = until(stop, BACK_WITHIN, || progress.purchases() >= before + PURCHASES).await;
            let line = FaultLine {
                name: format!("{victim} killed"),
                at_s: fired.saturating_duration_since(begin).as_secs_f64(),
                in_flight,
                back_to_normal_s: back.then(|| fired.elapsed().as_secs_f64()),
                bound_s: bound_s(victim),
                overlapping: false,
                hypothesis: "nothing that was told is lost, and purchases come through again".into(),
                note: String::new(),
            };
            let told = line.back_to_normal_s.map_or_else(|| "never".to_owned(), |s| format!("after {s:.1} s"));
            let (at, name) = (line.at_s, &line.name);
            say(&format!(
                "{at:.1} s {name}, {in_flight} in flight, away {:.1} s, purchases {told}",
                away.as_secs_f64()
            ));
            super::live::note(&line);
            lines.push(line);
        }
        progress.allow(u64::MAX);
        Ok(lines)
    }
}

/// A command and a payment: a kill that meets neither shows nothing.
fn busy(in_flight: &InFlight) -> bool {
    in_flight.count(Kind::Hold) + in_flight.count(Kind::Book) > 0 && in_flight.count(Kind::Pay) > 0
}

/// False when it did not come to that.
async fn until(stop: &CancellationToken, within: Duration, condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + within;
    while !condition() {
        if stop.is_cancelled() || Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}

/// From docs/FAULTS.md, and for the others what the product is built against; reported beside the time, not judged.
const fn bound_s(victim: Process) -> f64 {
    match victim {
        Process::Core(_) | Process::Gateway(_) => 2.0,
        Process::Redis => 5.0,
        Process::Postgres => 10.0,
        Process::Provider => 60.0,
    }
}

/// Purchases that show that all works again.
const PURCHASES: usize = 3;
const MOMENT_MS: u64 = 100;
const AWAY_MS: u64 = 600;
const FOREVER: Duration = Duration::from_secs(24 * 3_600);
const BUSY_WITHIN: Duration = Duration::from_secs(30);
const BACK_WITHIN: Duration = Duration::from_secs(90);
