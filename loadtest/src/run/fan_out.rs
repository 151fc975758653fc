//! `loadtest run fan-out`: a house full of viewers, and seats that change at a steady rate by real holds and releases. How
//! many frames everybody gets, how soon, and that every map is right in the end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::aftermath::Aftermath;
use super::flags::{self, HouseFlags, ShowFlags};
use super::goals::{Goal, float};
use super::harness::Watch;
use super::house::House;
use super::open_loop::{self, Schedule};
use super::place::Place;
use super::pool::Pool;
use super::recorder::Recorder;
use super::report::{Ratios, Report};
use super::{Common, say};
use crate::crowd::Crowd;
use crate::viewers::Habits;

/// Flags of `loadtest run fan-out`.
#[derive(Debug, Clone, Args)]
pub struct FanOut {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub house: HouseFlags,
    /// Changes of a seat a second: each hold is one, and each release.
    #[arg(long, env = "SEATWIRE_RUN_RATE", default_value_t = 50.0, value_name = "N", value_parser = flags::rate)]
    pub rate: f64,
    #[command(flatten)]
    pub show: ShowFlags,
}

/// Runs it.
///
/// # Errors
/// When the stack or the viewers do not start. Everything else is in the report.
pub async fn run(args: &FanOut, stop: &CancellationToken) -> anyhow::Result<Report> {
    let seed = args.common.seed();
    let (viewers, rate) = (args.house.viewers, args.rate);
    // Each hold is given back.
    let holds_per_s = rate / 2.0;
    anyhow::ensure!(
        holds_per_s * KEEP.as_secs_f64() < f64::from(args.show.seats) / 2.0,
        "--rate and --seats: so many changes a second need more seats, for none may be wanted while it is held"
    );
    say(&format!("fan-out, --seed {seed}: {viewers} viewers, {rate} seat changes a second"));
    let mut limits = args.common.limits.clone();
    limits.min_frames.get_or_insert(FRAMES.min(rate / 2.0));
    let calibration = args.common.calibration().await?;
    let options = Place::unlimited(&args.common).cores(2).gateways(2);
    let place = Place::open(&args.common, options, args.show.seats).await?;
    let crowd = Arc::new(Crowd::gather_at(&place.addresses(), place.show).await?);
    let pool = Pool::of(&crowd, Pool::enough_for(holds_per_s)).await?;

    let within = args.house.within.0;
    let house = House::of(&args.house, Habits { drop: 0, stall: 0, hide: 0 }, seed);
    let (come_at, resident) = (SystemTime::now() + house.lead(), place.resident());
    let mut herd = house.fill(&place.addresses(), place.show, come_at).await?;
    tokio::time::sleep(come_at.duration_since(SystemTime::now()).unwrap_or_default() + within + SETTLED).await;
    let grew = resident.grown();
    say(&format!("{} viewers are there; seats change", herd.progress().live));

    let (watch, over) = (Watch::begin()?, CancellationToken::new());
    let (recorder, cpu_before, frames_before) =
        (Recorder::of_crowd(&crowd), place.gateways_cpu(), herd.progress().frames);
    herd.count_from(SystemTime::now()).await?;
    let schedule = Schedule { per_second: holds_per_s, most: MOST };
    let changes = open_loop::play(schedule, &watch.behind, &over, |number, due| {
        // One seat after the other, so that nobody is refused.
        let (seat, pool) = (number % args.show.seats, &pool);
        async move { pool.hold_for(&[seat], KEEP, due).await }
    });
    let (begun, ()) = tokio::join!(changes, open_loop::end_after(args.show.length.0, stop, &over));
    let (duration_s, done) = (watch.seconds(), recorder.end());
    let gateways_cpu = place.gateways_cpu().saturating_sub(cpu_before);
    // What processes tell is up to a second old: so it was before.
    let frames = herd.progress().frames.saturating_sub(frames_before);
    drop(pool);

    let mut after = Aftermath::default();
    after.read("viewers' settling", herd.settle().await);
    after.audit(&place, &crowd).await;
    let seen = after.viewers(&place, herd, &watch.behind).await;
    let harness = watch.end(seen.as_ref().map_or(Duration::ZERO, |seen| seen.cpu), limits.max_behind.0, duration_s);
    let holds = crowd.holds();
    let connected = seen.as_ref().map_or(f64::NAN, |seen| float(seen.viewers.connected));
    let changes_per_s = 2.0 * float(holds.granted) / duration_s;
    let ratios = calibration.as_ref().map(|machine| Ratios {
        cpu_per_frame: Some(float(gateways_cpu) / 1_000.0 / float(frames.max(1)) / machine.send_us),
        frames_per_s: Some(float(frames) / duration_s / machine.frames_per_s),
        bookings: None,
        ..Ratios::of_purchases(machine, &crowd, duration_s)
    });
    let report = Report {
        options: json!({
            "viewers": viewers, "within_s": within.as_secs_f64(), "rate": rate, "length_s": args.show.length.0.as_secs_f64(),
            "seats": args.show.seats, "target": args.common.target.is_some(),
        }),
        goals: vec![
            Goal::least("viewers connected", viewers.into(), connected),
            Goal::least("seat changes a second", rate * REACHED, changes_per_s),
            Goal::at_most("holds that failed", 0.0, float(holds.errors + holds.refused)),
            Goal::at_most("customers turned away", 0.0, float(begun.turned_away)),
        ],
        ratios,
        calibration,
        rss_kib_per_viewer: Some(float(grew) / f64::from(viewers)),
        ..Report::of("fan-out", seed, duration_s, after, harness)
    };
    let report = report
        .customers(&crowd, &done, None)
        .seen(seen, &done)
        .figures([
            ("seat_changes_per_s", changes_per_s),
            ("frames_per_s_and_viewer", float(frames) / duration_s / f64::from(viewers)),
        ])
        .judged(&limits);
    place.close().await;
    Ok(report)
}

/// Frames a second that each viewer gets at least, where seats change that often.
const FRAMES: f64 = 5.0;
const KEEP: Duration = Duration::from_millis(150);
/// Between the last viewer and the first change.
const SETTLED: Duration = Duration::from_secs(2);
const MOST: usize = 20_000;
const REACHED: f64 = 0.9;
