//! `bench expiry`: ghost seats. How long after the end of a hold, as told and with the two seconds that the server
//! honours beyond, a viewer still sees its seats as held: alone, beside 200,000 other keys with a time to live, with
//! 1,000 ends within one second, and after the core that granted the holds was killed. The reference is what Redis itself
//! does with keys that expire: when its own event for each of 1,000 keys arrives, measured alone for the first case and
//! beside the other keys for the rest. Events that did not come in time have no lag: there is no ratio to them, only the
//! share that came.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::viewer::ShowViewer;
use seatwire_protocol::{SeatIndex, SeatStatus};

use super::report::{Figure, Report, Times, count};
use super::rig::Rig;
use super::{BenchArgs, progress};
use crate::client::{Event, ViewerClient};
use crate::launcher::{Process, Service, StackOptions};

const HOLD_MS: u64 = 3_000;
const GRACE: Duration = Duration::from_secs(2);
const OTHER_KEYS: usize = 200_000;
/// Holds, or keys, that end within one second.
const AT_ONCE: usize = 1_000;
/// Holds a second in the other cases.
const STEADY: usize = 250;
const PATIENCE: Duration = Duration::from_secs(20);
/// How long Redis' own events are waited for.
const OWN_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Alone,
    BesideKeys,
    AtOnce,
    Killed,
}

impl Case {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Alone, "alone"),
        (Self::BesideKeys, "beside 200,000 keys"),
        (Self::AtOnce, "1,000 ends in a second"),
        (Self::Killed, "granting core killed"),
    ];
}

/// One hold of three seats.
struct Granted {
    seat: u32,
    sent: Instant,
    /// By which its seats must be free.
    end: Instant,
}

/// Runs it.
///
/// # Errors
/// When the stack does not start, or a seat is never freed.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let options = StackOptions::new().cores(2).env(Service::Core, "SEATWIRE_HOLD_MS", HOLD_MS);
    let mut rig = Rig::start(options).await?;
    let mut report = Report::begin("expiry", rig.redis_version().await?, args.seconds, args.rounds);
    let viewer = ViewerClient::connect(&rig.addresses.gateway, &rig.token("bench-viewer")?, rig.show).await?;
    let mut results = Vec::new();
    progress("Redis' own events, alone");
    let mut own = own_events(&rig).await?;
    for (case, name) in Case::ALL {
        progress(name);
        if case == Case::BesideKeys {
            fill(&rig).await?;
            own = own_events(&rig).await?;
        }
        let mut lags = Vec::new();
        for _ in 0..args.rounds {
            lags.extend(round(&mut rig, &viewer, case, args.seconds).await?);
        }
        results.push((name, lags, own.clone()));
    }
    for (name, lags, own) in results {
        let (holds, lags) = (lags.len() as u64, Times::new(lags));
        let (p99, max) = (lags.percentile_ms(99), lags.max_ms());
        report.add(Figure::new(format!("holds that ended, {name}"), "", count(holds)));
        let came = 100.0 * count(own.len() as u64) / count(AT_ONCE as u64);
        report.add(Figure::new(format!("Redis' own events within 5 s, {name}"), "%", came));
        let figure = |what: &str, percent: usize, measured: f64| {
            let figure = Figure::new(format!("seats free after the end, {name}, {what}"), "ms", measured);
            // Missing events are the latest ones: this share of all has a lag only if so many came.
            match own.get((AT_ONCE * percent).div_ceil(100).saturating_sub(1)) {
                Some(lag) => figure.beside(lag.as_secs_f64() * 1_000.0),
                None => figure,
            }
        };
        report.add(figure("p50", 50, lags.percentile_ms(50)));
        report.add(figure("p99", 99, p99).goal("<= 250 ms", p99 <= 250.0));
        report.add(figure("max", 100, max).goal("<= 1000 ms", max <= 1_000.0));
    }
    rig.stack.shutdown().await;
    report.end(args.json.as_deref())
}

/// Places holds, lets them end, and answers how late each was seen to.
async fn round(rig: &mut Rig, viewer: &ViewerClient, case: Case, seconds: u64) -> anyhow::Result<Vec<Duration>> {
    let holds = if case == Case::AtOnce { AT_ONCE } else { STEADY * usize::try_from(seconds)? };
    let holds = holds.min(rig.starts.len());
    let pace = if case == Case::AtOnce { Duration::ZERO } else { Duration::from_secs(1) / u32::try_from(STEADY)? };
    let first = rand::random_range(0..=rig.starts.len() - holds);
    let starts = rig.starts.get(first..first + holds).unwrap_or_default().to_vec();
    let (began, name) = (Instant::now(), format!("bench-{:08x}", rand::random::<u32>()));
    let (rig_ref, name) = (&*rig, name.as_str());
    let place = |(n, start): (usize, u32)| async move {
        tokio::time::sleep_until((began + pace * u32::try_from(n)?).into()).await;
        let sent = Instant::now();
        let hold = rig_ref.hold(&format!("{name}-{n}"), &[start, start + 1, start + 2]).await?;
        // Counted from before the request left: too much rather than too little.
        anyhow::Ok(Granted { seat: start, sent, end: sent + Duration::from_millis(hold.remaining_ms) + GRACE })
    };
    let granted: Vec<Granted> =
        stream::iter(starts.into_iter().enumerate().map(place)).buffer_unordered(64).try_collect().await?;
    let all = |status: SeatStatus| {
        let seats: Vec<u32> = granted.iter().map(|hold| hold.seat).collect();
        move |v: &ShowViewer| seats.iter().all(|seat| v.map().status(SeatIndex(*seat)) == Some(status))
    };
    if case == Case::Killed {
        rig.stack.kill(Process::Core(0));
    }
    let patience = PATIENCE + granted.iter().map(|hold| hold.end).max().unwrap_or(began).duration_since(began);
    viewer.wait_until("the seats to be free again", rig.show, patience, all(SeatStatus::Available)).await?;
    if case == Case::Killed {
        rig.stack.restart(Process::Core(0)).await?;
        rig.stack.wait_ready().await?;
    }
    lags(viewer, &granted)
}

/// How long after its end each hold's first seat was shown as free.
fn lags(viewer: &ViewerClient, granted: &[Granted]) -> anyhow::Result<Vec<Duration>> {
    let mut waiting: HashMap<u32, &Granted> = granted.iter().map(|hold| (hold.seat, hold)).collect();
    let mut lags = Vec::new();
    viewer.read(|state| {
        for event in state.history().events() {
            let Event::Frame { at, frame, .. } = event else { continue };
            let mut freed = |seat: SeatIndex| {
                if let Some(hold) = waiting.get(&seat.0).filter(|hold| *at > hold.sent + Duration::from_millis(HOLD_MS))
                {
                    lags.push(at.saturating_duration_since(hold.end));
                    waiting.remove(&seat.0);
                }
            };
            match frame {
                SeatFrame::Delta(delta) => {
                    delta
                        .seats
                        .iter()
                        .filter(|(_, to)| *to == SeatStatus::Available)
                        .for_each(|(seat, _)| freed(*seat));
                }
                SeatFrame::Snapshot(snapshot) => {
                    let free = snapshot.statuses.iter().zip(0..).filter(|(to, _)| *to == SeatStatus::Available);
                    free.for_each(|(_, seat)| freed(SeatIndex(seat)));
                }
                SeatFrame::Beat(_) => {}
            }
        }
    });
    if !waiting.is_empty() {
        bail!("{} holds ended unseen", waiting.len());
    }
    Ok(lags)
}

/// Keys that have nothing to do with seats; some expire all the time.
async fn fill(rig: &Rig) -> anyhow::Result<()> {
    for chunk in (0..OTHER_KEYS).collect::<Vec<_>>().chunks(1_000) {
        let mut pipe = redis::pipe();
        for n in chunk {
            let lifetime = rand::random_range(1_000..1_200_000);
            pipe.cmd("SET").arg(format!("bench:other:{n}")).arg(n).arg("PX").arg(lifetime).ignore();
        }
        pipe.query_async::<()>(&mut rig.redis.clone()).await?;
    }
    Ok(())
}

/// How late Redis tells that a key has expired, for as many keys as holds end at once; ascending, without those of which
/// it did not tell in time.
async fn own_events(rig: &Rig) -> anyhow::Result<Vec<Duration>> {
    let mut redis = rig.redis.clone();
    let notify = |what: &'static str| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("notify-keyspace-events").arg(what);
        command
    };
    notify("Ex").query_async::<()>(&mut redis).await?;
    let mut events = redis::Client::open(rig.addresses.redis.clone())?.get_async_pubsub().await?;
    events.subscribe("__keyevent@0__:expired").await?;
    let mut ends = HashMap::new();
    for n in 0..AT_ONCE {
        let key = format!("bench:own:{n}");
        let end = Instant::now() + Duration::from_millis(HOLD_MS);
        redis::cmd("SET").arg(&key).arg(n).arg("PX").arg(HOLD_MS).query_async::<()>(&mut redis).await?;
        ends.insert(key, end);
    }
    let mut lags = Vec::new();
    let deadline = Instant::now() + Duration::from_millis(HOLD_MS) + OWN_PATIENCE;
    let mut messages = events.on_message();
    while !ends.is_empty() {
        let next = tokio::time::timeout_at(deadline.into(), messages.next()).await;
        let Ok(Some(message)) = next else { break };
        if let Some(end) = ends.remove(&message.get_payload::<String>()?) {
            lags.push(end.elapsed());
        }
    }
    lags.sort_unstable();
    notify("").query_async::<()>(&mut redis).await?;
    Ok(lags)
}
