//! Leads the processes that play viewers: starts them, passes orders on, adds up what they saw.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use seatwire_protocol::Position;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::orders::{Order, Outcome, Plan, Progress, Telling, unix_ms};
use super::steps::Steps;
use crate::audit::Check;
use crate::launcher::binary;
use crate::run::report::{Viewers, Watched};
use crate::times::{Spread, Times};

/// All viewers of a run.
#[derive(Debug)]
pub struct Herd {
    processes: Vec<Player>,
    progress: Arc<Mutex<Vec<Progress>>>,
    steps: Arc<Mutex<Steps>>,
    /// Of changes so far.
    lag: Times,
}

/// What the processes say meanwhile is put there.
type Shared<'a> = (&'a Arc<Mutex<Vec<Progress>>>, &'a Arc<Mutex<Steps>>, &'a Times);

#[derive(Debug)]
struct Player {
    /// Killed when this is dropped.
    _child: Child,
    orders: ChildStdin,
    ready: watch::Receiver<bool>,
    /// `None` when the process ended without one.
    outcome: JoinHandle<Option<Outcome>>,
}

/// What all of them saw.
#[derive(Debug)]
pub struct Seen {
    pub viewers: Viewers,
    pub lag: Times,
    pub joins: Times,
    /// By seconds since the doors opened.
    pub watched: BTreeMap<u64, Watched>,
    pub cpu: Duration,
    /// Every viewer's map is the ledger's; no viewer's history breaks the delta rule.
    pub checks: Vec<Check>,
    /// The first errors that viewers were told.
    pub errors: Vec<String>,
}

impl Herd {
    /// Starts the processes and waits until they are ready to begin.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start(plan: Plan, processes: usize) -> anyhow::Result<Self> {
        let parts = plan.split(processes);
        let progress = Arc::new(Mutex::new(vec![Progress::default(); parts.len()]));
        let mut herd = Self { processes: Vec::new(), progress, steps: Arc::default(), lag: Times::new()? };
        for part in parts {
            let player = Player::start(part, (&herd.progress, &herd.steps, &herd.lag)).await?;
            herd.processes.push(player);
        }
        for player in &mut herd.processes {
            let ready = tokio::time::timeout(READY_WITHIN, player.ready.wait_for(|ready| *ready)).await;
            ready.context("a process of viewers is not ready")?.context("a process of viewers ended")?;
        }
        Ok(herd)
    }

    /// Of all processes, as they last said.
    pub fn progress(&self) -> Progress {
        self.looker().look()
    }

    /// For whoever does not lead them.
    pub fn looker(&self) -> Looker {
        Looker(Arc::clone(&self.progress))
    }
}

/// Sees how far the viewers are.
#[derive(Debug, Clone)]
pub struct Looker(Arc<Mutex<Vec<Progress>>>);

impl Looker {
    pub fn look(&self) -> Progress {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().fold(Progress::default(), |sum, one| Progress {
            live: sum.live + one.live,
            frames: sum.frames + one.frames,
            violations: sum.violations + one.violations,
        })
    }
}

impl Herd {
    /// Times of changes so far.
    pub fn lag(&self) -> Option<Spread> {
        self.lag.spread()
    }

    /// The times of changes come from this server from now on.
    ///
    /// # Errors
    /// When a process is gone.
    pub async fn listen(&mut self, redis: &str) -> anyhow::Result<()> {
        self.order(&Order::Listen { redis: redis.to_owned() }).await
    }

    /// Seconds are counted from this moment on.
    ///
    /// # Errors
    /// When a process is gone.
    pub async fn count_from(&mut self, from: SystemTime) -> anyhow::Result<()> {
        self.order(&Order::Count { from_ms: unix_ms(from) }).await
    }

    /// All drop their connections at once, and come back within this time.
    ///
    /// # Errors
    /// When a process is gone.
    pub async fn scatter(&mut self, within: Duration) -> anyhow::Result<()> {
        self.order(&Order::Scatter { within_ms: u64::try_from(within.as_millis())? }).await
    }

    /// Every second viewer stops reading, or reads again.
    ///
    /// # Errors
    /// When a process is gone.
    pub async fn read(&mut self, reading: bool) -> anyhow::Result<()> {
        self.order(&Order::Read { reading }).await
    }

    /// Nobody drops, stalls or hides any more.
    ///
    /// # Errors
    /// When a process is gone.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        self.order(&Order::Settle).await
    }

    /// At rest: compares every map with the ledger's, and ends the processes. `behind` gets how late they were.
    ///
    /// # Errors
    /// When a process is gone: it says why on standard error.
    pub async fn compare(mut self, position: Position, statuses: &[u8], behind: &Times) -> anyhow::Result<Seen> {
        let processes = self.processes.len() as u64;
        self.order(&Order::Compare { position, statuses: hex::encode(statuses) }).await?;
        let mut outcomes = Vec::new();
        for player in self.processes {
            let outcome = tokio::time::timeout(OUTCOME_WITHIN, player.outcome).await.context("a process is silent")?;
            outcomes.push(outcome?.context("a process of viewers ended early")?);
        }
        outcomes.iter().flat_map(|one| &one.behind).for_each(|(micros, count)| behind.note_many(*micros, *count));
        let watched = self.steps.lock().unwrap_or_else(PoisonError::into_inner).watched()?;
        sum(outcomes, processes, watched)
    }

    async fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        for player in &mut self.processes {
            player.order(order).await?;
        }
        Ok(())
    }
}

impl Player {
    async fn start(plan: Plan, (progress, steps, lag): Shared<'_>) -> anyhow::Result<Self> {
        let number = plan.number;
        let mut command = Command::new(binary("loadtest")?);
        command.arg("viewers").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C is for the leading process alone.
        command.process_group(0);
        let mut child = command.spawn().context("starting a process of viewers")?;
        let orders = child.stdin.take().context("standard input")?;
        let mut lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
        let (is_ready, ready) = watch::channel(false);
        let (progress, steps, lag) = (Arc::clone(progress), Arc::clone(steps), lag.clone());
        let outcome = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                match serde_json::from_str(&line) {
                    Ok(Telling::Ready) => drop(is_ready.send(true)),
                    Ok(Telling::Progress(now)) => {
                        let mut all = progress.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(before) = all.get_mut(number) {
                            *before = now;
                        }
                    }
                    Ok(Telling::Step(step)) => {
                        step.lag.iter().for_each(|(micros, count)| lag.note_many(*micros, *count));
                        steps.lock().unwrap_or_else(PoisonError::into_inner).add(step);
                    }
                    Ok(Telling::Outcome(outcome)) => return Some(*outcome),
                    Err(error) => {
                        eprintln!("what a process of viewers said is not understood: {error}");
                        return None;
                    }
                }
            }
            None
        });
        let mut player = Self { _child: child, orders, ready, outcome };
        player.order(&Order::Begin(Box::new(plan))).await?;
        Ok(player)
    }

    async fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await.context("a process of viewers is gone")
    }
}

fn sum(outcomes: Vec<Outcome>, processes: u64, watched: BTreeMap<u64, Watched>) -> anyhow::Result<Seen> {
    let mut viewers = Viewers { processes, frames_per_s_least: f64::NAN, ..Viewers::default() };
    let (lag, joins, mut cpu_s, mut errors) = (Times::new()?, Times::new()?, 0.0, Vec::new());
    let mut maps = Check::new("viewers_end_with_the_ledgers_map", "20 22");
    let mut histories = Check::new("viewers_histories_obey_the_delta_rule", "20 21");
    for one in outcomes {
        viewers.connected += one.connected;
        viewers.diverged += one.diverged_total.max(one.violations_total.min(one.viewers));
        viewers.resumed_by_catch_up += one.resumed_by_catch_up;
        viewers.resumed_by_snapshot += one.resumed_by_snapshot;
        viewers.reconnects += one.reconnects;
        viewers.stalls += one.stalls;
        viewers.hides += one.hides;
        viewers.deltas += one.deltas;
        viewers.catch_ups += one.catch_ups;
        viewers.snapshots += one.snapshots;
        viewers.beats += one.beats;
        viewers.changes += one.changes;
        viewers.frames_per_s += crate::bench::report::count(one.deltas + one.snapshots) / one.seconds;
        viewers.frames_per_s_least = viewers.frames_per_s_least.min(one.frames_per_s_least.unwrap_or(f64::NAN));
        cpu_s += one.cpu_s;
        one.lag.iter().for_each(|(micros, count)| lag.note_many(*micros, *count));
        one.joins.iter().for_each(|(micros, count)| joins.note_many(*micros, *count));
        maps.examined(usize::try_from(one.viewers)?);
        histories.examined(usize::try_from(one.deltas + one.snapshots + one.beats)?);
        maps.violated_by(one.diverged_total, one.diverged);
        histories.violated_by(one.violations_total, one.violations);
        errors.extend(one.errors);
    }
    let cpu = Duration::from_secs_f64(cpu_s);
    Ok(Seen { viewers, lag, joins, watched, cpu, checks: vec![maps, histories], errors })
}

const READY_WITHIN: Duration = Duration::from_secs(60);
const OUTCOME_WITHIN: Duration = Duration::from_secs(90);
