//! `loadtest run hoarding-bots`: bots hold every seat they can get, let holds lapse, extend them, give them back and take
//! them again, over several connections each, and never buy. Honest buyers come by the clock and have to get through.
//!
//! Times are those of production, divided by one factor: holds, the windows in which things are counted, cool-downs,
//! patience. People's reaction and the limit of commands a second are not, to the bots' advantage.

mod bots;
mod honest;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::aftermath::Aftermath;
use super::flags;
use super::goals::{Goal, Time, float};
use super::harness::Watch;
use super::open_loop::{self, Schedule};
use super::place::Place;
use super::recorder::Recorder;
use super::report::{Ratios, Report};
use super::{Common, say};
use crate::audit::{CapWatch, Caps, Check};
use crate::crowd::Crowd;
use crate::launcher::{Service, StackOptions};
use crate::times::Times;
use bots::{Bots, Did};
use honest::{End, Honest};

/// Flags of `loadtest run hoarding-bots`.
#[derive(Debug, Clone, Args)]
pub struct HoardingBots {
    #[command(flatten)]
    pub common: Common,
    /// Bots; each is a customer of its own.
    #[arg(long, env = "SEATWIRE_RUN_BOTS", default_value_t = 200, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub bots: u32,
    /// Connections of each bot, all of which try to hold seats at the same time.
    #[arg(long, env = "SEATWIRE_RUN_BOT_CONNECTIONS", default_value_t = 3, value_name = "N",
          value_parser = clap::value_parser!(u8).range(1..=20))]
    pub bot_connections: u8,
    /// Seats of the show.
    #[arg(long, env = "SEATWIRE_RUN_SEATS", default_value_t = 500, value_name = "N",
          value_parser = clap::value_parser!(u32).range(20..=20_000))]
    pub seats: u32,
    /// Honest buyers, each of whom wants one or two seats; they come evenly over the length.
    #[arg(long, env = "SEATWIRE_RUN_HONEST", default_value_t = 60, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub honest: u32,
    /// So long they keep coming, as a clock in production would tell.
    #[arg(long, env = "SEATWIRE_RUN_LENGTH", default_value = "20m", value_name = "TIME", value_parser = flags::some_time)]
    pub length: Time,
    /// So long each of them waits for a seat, by the same clock.
    #[arg(long, env = "SEATWIRE_RUN_PATIENCE", default_value = "15m", value_name = "TIME", value_parser = flags::some_time)]
    pub patience: Time,
    /// Divides all times but reactions and commands a second.
    #[arg(long, env = "SEATWIRE_RUN_FASTER", default_value_t = 20, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub faster: u32,
    #[command(flatten)]
    pub caps: CapFlags,
    /// Of the honest buyers who could, so many percent have to finish.
    #[arg(long, env = "SEATWIRE_RUN_MIN_FINISHED", default_value_t = 95.0, value_name = "PERCENT",
          value_parser = flags::percent)]
    pub min_finished: f64,
}

/// The core's limits of one customer, under its own variables.
#[derive(Debug, Clone, Args)]
pub struct CapFlags {
    /// Seats that one customer may have at the show, held, pending and booked [the core's default is 10].
    #[arg(long, env = "SEATWIRE_HOLD_SEATS_MAX", default_value_t = 2, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub seats_max: u32,
    /// Live holds that one customer may have at the show.
    #[arg(long, env = "SEATWIRE_HOLDS_MAX", default_value_t = 2, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub holds_max: u32,
    /// New holds of one customer within ten minutes; 0: no limit.
    #[arg(long, env = "SEATWIRE_CUSTOMER_HOLDS", default_value_t = 6, value_name = "N")]
    pub customer_holds: u32,
    /// Times that a hold may be extended.
    #[arg(long, env = "SEATWIRE_HOLD_EXTENSIONS", default_value_t = 2, value_name = "N")]
    pub hold_extensions: u32,
}

impl CapFlags {
    fn settings(&self) -> [(&'static str, u32); 4] {
        [
            ("SEATWIRE_HOLD_SEATS_MAX", self.seats_max),
            ("SEATWIRE_HOLDS_MAX", self.holds_max),
            ("SEATWIRE_CUSTOMER_HOLDS", self.customer_holds),
            ("SEATWIRE_HOLD_EXTENSIONS", self.hold_extensions),
        ]
    }
}

/// Runs it.
///
/// # Errors
/// When the stack does not start. Everything else is in the report.
pub async fn run(args: &HoardingBots, stop: &CancellationToken) -> anyhow::Result<Report> {
    let seed = args.common.seed();
    let (bots, honest) = (args.bots, args.honest);
    say(&format!("hoarding-bots, --seed {seed}: {bots} bots, {honest} honest buyers, {} seats", args.seats));
    let calibration = args.common.calibration().await?;
    let place = Place::open(&args.common, options(args), args.seats).await?;
    let (sources, show) = (place.sources(), place.show);
    let caps = Caps { seats: args.caps.seats_max, holds: args.caps.holds_max };
    let sampler = Sampler::start(CapWatch::new(&sources, show, caps).await?);
    let crowd = Arc::new(Crowd::gather_at(&place.addresses(), show).await?);
    let (watch, recorder) = (Watch::begin()?, Recorder::of_crowd(&crowd));
    let over = CancellationToken::new();
    let _ends_with_this = over.clone().drop_guard();
    let hoard = Arc::new(Bots {
        at: place.addresses(),
        show,
        connections: args.bot_connections.into(),
        seats_max: usize::try_from(args.caps.seats_max)?,
        over: over.clone(),
        did: Did::default(),
    });
    let mut playing = tokio::task::JoinSet::new();
    (0..usize::try_from(bots)?).for_each(|number| drop(playing.spawn(Arc::clone(&hoard).play(number, seed))));

    let (length, patience) = (args.scaled(args.length.0), args.scaled(args.patience.0));
    let buyers = Honest {
        crowd: &crowd,
        seats: args.seats,
        patience,
        thinks: args.scaled(THINKS),
        seed,
        ends: Mutex::default(),
        waits: Times::new()?,
        bookings: Times::new()?,
    };
    let schedule = Schedule { per_second: f64::from(honest) / length.as_secs_f64(), most: usize::try_from(honest)? };
    let doors = CancellationToken::new();
    let began = Instant::now();
    let visits = open_loop::play(schedule, &watch.behind, &doors, |number, due| buyers.visit(number, due));
    let (begun, ()) = tokio::join!(visits, open_loop::end_after(length, stop, &doors));
    let (duration_s, done) = (watch.seconds(), recorder.end());
    say(&format!("{:.0} s: the last honest buyer has left", began.elapsed().as_secs_f64()));
    let mut after = Aftermath::default();
    let sampled = after.read("looks at everybody's caps", sampler.end().await);
    over.cancel();
    while let Some(ended) = playing.join_next().await {
        if let Some(Err(error)) = after.read("a bot", ended.map_err(anyhow::Error::from)) {
            say(&format!("a bot: {error:#}"));
        }
    }
    let harness = watch.end(Duration::ZERO, args.common.limits.max_behind.0, duration_s);

    after.audit(&place, &crowd).await;
    let payments = after.payments(&place).await;
    let ends = buyers.ends.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count = |is: fn(&End) -> bool| ends.iter().filter(|end| is(end)).count() as u64;
    let confirmed = count(|end| *end == End::Confirmed);
    let sold_out = count(|end| *end == End::SoldOut);
    let could = begun.acts - sold_out;
    let finished = 100.0 * float(confirmed) / float(could);
    for end in ends.iter().filter_map(|end| if let End::Failed(why) = end { Some(why) } else { None }).take(5) {
        say(&format!("an honest buyer failed: {end}"));
    }
    let mut measured = BTreeMap::from([
        ("honest_came", float(begun.acts)),
        ("honest_finished", float(confirmed)),
        ("honest_found_no_seat", float(count(|end| *end == End::NoSeat))),
        ("honest_failed", float(count(|end| matches!(end, End::Failed(_))))),
        ("honest_could_not_all_was_sold", float(sold_out)),
        ("honest_finished_percent", finished),
    ]);
    let samples = sampled.as_ref().map_or(0, |sampled| sampled.samples);
    if let Some(Sampled { check, samples, seats_mean, seats_most }) = sampled {
        measured.extend([
            ("bots_seats_mean", seats_mean),
            ("bots_seats_most", seats_most),
            ("samples_of_caps", float(samples)),
        ]);
        after.check(check);
    }
    if let Some(waits) = buyers.waits.spread() {
        let shown = |ms: f64| ms / 1_000.0 * f64::from(args.faster);
        measured.extend([("honest_wait_s_p50", shown(waits.p50)), ("honest_wait_s_p95", shown(waits.p95))]);
    }
    measured.extend(hoard.did.figures());
    let report = Report {
        options: json!({
            "bots": bots, "bot_connections": args.bot_connections, "seats": args.seats, "honest": honest,
            "length_s": args.length.0.as_secs(), "patience_s": args.patience.0.as_secs(), "faster": args.faster,
            "seats_max": args.caps.seats_max, "holds_max": args.caps.holds_max,
            "customer_holds": args.caps.customer_holds, "hold_extensions": args.caps.hold_extensions,
            "target": args.common.target.is_some(),
        }),
        goals: vec![
            Goal::least("honest buyers who finished, %", args.min_finished, finished),
            Goal::at_least("honest buyers who could", (u64::from(honest) / 2).max(1), could),
            Goal::at_least("holds of bots", u64::from(bots), hoard.did.granted.load(Ordering::Relaxed)),
            Goal::at_least("looks at everybody's caps", MIN_SAMPLES, samples),
        ],
        payments,
        ratios: calibration.as_ref().map(|machine| Ratios::of_purchases(machine, &crowd, duration_s)),
        calibration,
        ..Report::of("hoarding-bots", seed, duration_s, after, harness)
    };
    let report = report.customers(&crowd, &done, Some(&buyers.bookings)).figures(measured).judged(&args.common.limits);
    place.close().await;
    Ok(report)
}

impl HoardingBots {
    fn scaled(&self, time: Duration) -> Duration {
        time / self.faster
    }
}

/// The core's own proportions, all by the same factor.
fn options(args: &HoardingBots) -> StackOptions {
    let times = [
        ("SEATWIRE_HOLD_MS", 300),
        ("SEATWIRE_HOLD_LIFETIME_MS", 900),
        ("SEATWIRE_HOLD_GRACE_MS", 2),
        ("SEATWIRE_CUSTOMER_HOLDS_WINDOW_MS", 600),
        ("SEATWIRE_LAPSE_WINDOW_MS", 1_800),
        ("SEATWIRE_COOL_DOWN_MS", 60),
        ("SEATWIRE_CLAIM_MS", 720),
        ("SEATWIRE_PAYING_MS", 60),
    ];
    let scaled = |seconds| args.scaled(Duration::from_secs(seconds)).as_millis();
    let options = Place::roomy(&args.common);
    let options = times.iter().fold(options, |options, (name, s)| options.env(Service::Core, *name, scaled(*s)));
    args.caps.settings().iter().fold(options, |options, (name, count)| options.env(Service::Core, *name, count))
}

/// Looks at everybody again and again.
struct Sampler {
    over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<anyhow::Result<Sampled>>,
}

struct Sampled {
    check: Check,
    samples: u64,
    /// That bots held, on average and at most.
    seats_mean: f64,
    seats_most: f64,
}

impl Sampler {
    fn start(mut watch: CapWatch) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let task = tokio::spawn(async move {
            let (mut seats, mut most, mut samples) = (0, 0, 0);
            while !ends.load(Ordering::Relaxed) {
                let held = watch.sample(bots::NAME).await? as u64;
                (seats, most, samples) = (seats + held, most.max(held), samples + 1);
                tokio::time::sleep(SAMPLE_EVERY).await;
            }
            let seats_mean = float(seats) / float(samples);
            Ok(Sampled { check: watch.check, samples, seats_mean, seats_most: float(most) })
        });
        Self { over, task }
    }

    async fn end(self) -> anyhow::Result<Sampled> {
        self.over.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

/// Between having seats and having paid, by production's clock.
const THINKS: Duration = Duration::from_secs(120);
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
const MIN_SAMPLES: u64 = 20;
