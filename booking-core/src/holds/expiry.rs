//! Ends holds whose time is over, as an event, and opens sales that are due.
//!
//! The core that granted a hold has its show in a timing wheel and looks when the hold is due. Every 400 ms every core
//! looks over the due-sets of all buckets, for what others left behind: what is due it ends, and what will be before
//! the next look it notes in its own wheel, a little later than the granting core, which is there first if it lives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use redis::Cmd;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use seatwire_protocol::ShowId;

use super::HoldError;
use super::keys::{BUCKETS, clock_key, due_key};
use super::link::Connected;
use super::reply;
use super::store::HoldStore;

const SWEEP_EVERY: Duration = Duration::from_millis(400);
/// How far a sweep sees ahead: to the next one, and some more for one that comes late.
const AHEAD_MS: u64 = 600;
/// What a sweep saw coming is looked at so long after its end.
const AFTER_GRANTER_MS: u64 = 60;
/// The wheel's step: ends of one show within it are looked at together.
const STEP_MS: u64 = 20;
/// Notes that wait for the wheel, and (step, show) pairs in it. What does not fit is found by the sweep.
const NOTES_MAX: usize = 16_384;
const WHEEL_MAX: usize = 1_000_000;
/// Holds that one script call ends; keeps the call short.
const PER_CALL: usize = 64;
/// Entries of a bucket's due-set looked at to find its shows.
const DUE_LOOK: usize = 512;
/// Looks of one sweep over all due-sets.
const ROUNDS_MAX: usize = 16;
/// Shows worked on at a time.
const SHOWS_AT_A_TIME: usize = 32;

/// A show to look at, and when.
pub(super) type Due = (Instant, ShowId);

/// Where ends of holds are noted.
#[derive(Clone)]
pub(super) struct Wheel(mpsc::Sender<Due>);

impl Wheel {
    pub(super) fn new() -> (Self, mpsc::Receiver<Due>) {
        let (sender, receiver) = mpsc::channel(NOTES_MAX);
        (Self(sender), receiver)
    }

    pub(super) fn note(&self, show: ShowId, due_in_ms: u64) {
        // Full: the sweep finds it.
        let _ = self.0.try_send((Instant::now() + Duration::from_millis(due_in_ms), show));
    }
}

/// Looks at shows when their noted time comes.
pub(super) async fn run_wheel(store: HoldStore, mut notes: mpsc::Receiver<Due>, shutdown: CancellationToken) {
    let start = Instant::now();
    // One step late, never early: a look before the end would find nothing.
    let ms_to = |at: Instant| u64::try_from(at.saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX);
    let step_of = |at: Instant| ms_to(at) / STEP_MS + 1;
    let mut wheel: BTreeMap<u64, BTreeSet<ShowId>> = BTreeMap::new();
    let mut size = 0_usize;
    loop {
        let next = wheel.keys().next().map(|step| start + Duration::from_millis(step * STEP_MS));
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            note = notes.recv() => match note {
                Some((at, show)) if size < WHEEL_MAX => {
                    size += usize::from(wheel.entry(step_of(at)).or_default().insert(show));
                }
                Some(_) => {}
                None => return,
            },
            () = sleep => {
                let mut due = BTreeSet::new();
                let now = step_of(Instant::now());
                while let Some(entry) = wheel.first_entry().filter(|entry| *entry.key() < now) {
                    let shows = entry.remove();
                    size -= shows.len();
                    due.extend(shows);
                }
                let looks = due.into_iter().map(|show| store.expire_show(show));
                let mut looks = stream::iter(looks).buffer_unordered(SHOWS_AT_A_TIME);
                while let Some(result) = looks.next().await {
                    if let Err(error) = result {
                        tracing::debug!(%error, "the sweep will end what is due");
                    }
                }
            }
        }
    }
}

/// Sweeps at a steady rate.
pub(super) async fn run_sweeps(store: HoldStore, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = store.sweep_once().await {
            tracing::debug!(%error, "no sweep");
        }
    }
}

impl HoldStore {
    /// Ends every hold that is due, on all shows, and opens every sale that is. Answers how many holds ended.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn sweep_once(&self) -> Result<usize, HoldError> {
        let mut ended = 0;
        // A bucket with many due entries shows only the first of them: look again while that helps.
        for _ in 0..ROUNDS_MAX {
            let shows = self.due_shows().await?;
            let looks = shows.into_iter().map(|show| self.expire_show(show)).collect::<Vec<_>>();
            let mut looks = stream::iter(looks).buffer_unordered(SHOWS_AT_A_TIME);
            let before = ended;
            while let Some(count) = looks.next().await {
                ended += count?;
            }
            if ended == before {
                break;
            }
        }
        Ok(ended)
    }

    /// The shows that have something due, over all buckets. Those that will soon are noted in the wheel.
    async fn due_shows(&self) -> Result<BTreeSet<ShowId>, HoldError> {
        let connected = self.link().get().await?;
        let mut sizes = redis::pipe();
        for bucket in 0..BUCKETS {
            sizes.cmd("ZCARD").arg(due_key(bucket));
        }
        let sizes = self.link().pipeline(&connected, &sizes).await?;
        let in_use = (0..BUCKETS).zip(&sizes).filter(|(_, size)| reply::number(size).is_ok_and(|n| n > 0));
        let looks = in_use.map(|(bucket, _)| async move {
            let fill = |cmd: &mut Cmd, _: &Connected| {
                cmd.arg(2).arg(due_key(bucket)).arg(clock_key(bucket)).arg(DUE_LOOK).arg(AHEAD_MS);
            };
            self.link().run(&self.scripts().due, &fill).await
        });
        let mut looks = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(BUCKETS.into());
        let mut shows = BTreeSet::new();
        while let Some(due) = looks.next().await {
            for pair in reply::list(&due?)?.chunks_exact(2) {
                let [show, wait] = pair else { continue };
                let Ok(show) = reply::text(show)?.parse::<ShowId>() else { continue };
                match reply::number(wait)? {
                    0 => drop(shows.insert(show)),
                    wait => self.wheel().note(show, wait + AFTER_GRANTER_MS),
                }
            }
        }
        Ok(shows)
    }

    /// Ends what is due of one show. A show of a dead timeline is loaded first: its holds stay, and end then.
    async fn expire_show(&self, show: ShowId) -> Result<usize, HoldError> {
        let mut count = 0;
        loop {
            let arguments = |cmd: &mut Cmd| {
                cmd.arg(PER_CALL);
            };
            let floor = self.loader().floor(show);
            let reply = self.call(&self.scripts().expire, show, floor, &arguments).await?;
            if reply.code() != "OK" {
                self.start_loading(show, floor);
                return Ok(count);
            }
            let ended = reply.ended(2)?;
            count += ended.len();
            self.tell_ended(show, &ended);
            if reply.number(3)? == 0 {
                return Ok(count);
            }
        }
    }
}
