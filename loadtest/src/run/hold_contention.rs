//! `loadtest run hold-contention`: attempts to hold seats at a steady rate, most of them for the same few seats; who gets
//! them gives them back soon, so that the fight goes on. What the core and Redis take, and in what time.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::aftermath::Aftermath;
use super::flags::{self, ShowFlags};
use super::goals::{Goal, Time, float};
use super::harness::Watch;
use super::open_loop::{self, Schedule};
use super::place::Place;
use super::pool::Pool;
use super::recorder::Recorder;
use super::report::{Ratios, Report};
use super::sale::Share;
use super::{Common, say};
use crate::crowd::Crowd;

/// Flags of `loadtest run hold-contention`.
#[derive(Debug, Clone, Args)]
pub struct HoldContention {
    #[command(flatten)]
    pub common: Common,
    /// Attempts a second.
    #[arg(long, env = "SEATWIRE_RUN_RATE", default_value_t = 300.0, value_name = "N", value_parser = flags::rate)]
    pub rate: f64,
    #[command(flatten)]
    pub show: ShowFlags,
    /// Of the seats, the ones that most want.
    #[arg(long, env = "SEATWIRE_RUN_HOT", default_value_t = 40, value_name = "N",
          value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub hot: u32,
    /// Of the attempts, those for hot seats.
    #[arg(long, env = "SEATWIRE_RUN_HOT_SHARE", default_value = "80", value_name = "PERCENT")]
    pub hot_share: Share,
    /// Seats that were granted are given back after this time.
    #[arg(long, env = "SEATWIRE_RUN_KEEP", default_value = "100ms", value_name = "TIME")]
    pub keep: Time,
    /// Customers who take turns [default: as many as keep each below four commands a second].
    #[arg(long, env = "SEATWIRE_RUN_CUSTOMERS", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub customers: Option<u16>,
}

/// Runs it.
///
/// # Errors
/// When the stack does not start. Everything else is in the report.
pub async fn run(args: &HoldContention, stop: &CancellationToken) -> anyhow::Result<Report> {
    let (seed, seats) = (args.common.seed(), args.show.seats);
    anyhow::ensure!(args.hot < seats, "--hot: {} seats are not some of the {seats} of the show", args.hot);
    say(&format!(
        "hold-contention, --seed {seed}: {} attempts a second, {} % for {} seats",
        args.rate, args.hot_share, args.hot
    ));
    let calibration = args.common.calibration().await?;
    let place = Place::open(&args.common, Place::unlimited(&args.common).cores(2).gateways(2), seats).await?;
    let crowd = Arc::new(Crowd::gather_at(&place.addresses(), place.show).await?);
    let pool = Pool::of(&crowd, args.customers.map_or_else(|| Pool::enough_for(args.rate), usize::from)).await?;

    let (watch, over) = (Watch::begin()?, CancellationToken::new());
    let recorder = Recorder::of_crowd(&crowd);
    let schedule = Schedule { per_second: args.rate, most: MOST };
    let attempts = open_loop::play(schedule, &watch.behind, &over, |number, due| {
        let (seats, pool) = (args.wanted(seed, number), &pool);
        async move { pool.hold_for(&seats, args.keep.0, due).await }
    });
    let (begun, ()) = tokio::join!(attempts, open_loop::end_after(args.show.length.0, stop, &over));
    let (duration_s, done) = (watch.seconds(), recorder.end());
    let harness = watch.end(Duration::ZERO, args.common.limits.max_behind.0, duration_s);
    drop(pool);

    let mut after = Aftermath::default();
    after.audit(&place, &crowd).await;
    let holds = crowd.holds();
    let report = Report {
        options: json!({
            "rate": args.rate, "length_s": args.show.length.0.as_secs_f64(), "seats": seats, "hot": args.hot,
            "hot_share": args.hot_share.to_string(), "keep_ms": args.keep.ms(), "target": args.common.target.is_some(),
        }),
        goals: vec![
            Goal::least("attempts a second", args.rate * REACHED, float(holds.attempts()) / duration_s),
            Goal::at_least("contended attempts", args.contended(begun.acts), holds.contended),
            Goal::at_most("attempts that failed", 0.0, float(holds.errors)),
            Goal::at_most("customers turned away", 0.0, float(begun.turned_away)),
        ],
        ratios: calibration.as_ref().map(|machine| Ratios::of_purchases(machine, &crowd, duration_s)),
        calibration,
        ..Report::of("hold-contention", seed, duration_s, after, harness)
    };
    let report = report
        .customers(&crowd, &done, None)
        .figures([
            ("holds_asked_per_s", float(holds.attempts()) / duration_s),
            ("holds_granted_per_s", float(holds.granted) / duration_s),
        ])
        .judged(&args.common.limits);
    place.close().await;
    Ok(report)
}

impl HoldContention {
    /// One or two neighbours, hot ones for its share of the attempts.
    fn wanted(&self, seed: u64, number: u32) -> Vec<u32> {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(number.into()));
        let hot = rng.random_range(0..1_000) < self.hot_share.of(1_000);
        let seats = if hot { 0..self.hot } else { self.hot..self.show.seats };
        let first = rng.random_range(seats.start..seats.end.saturating_sub(1).max(seats.start + 1));
        if rng.random_bool(0.5) { vec![first] } else { vec![first, first + 1] }
    }

    /// When most want few seats, a tenth of the attempts have to meet each other.
    fn contended(&self, attempts: u64) -> u64 {
        if self.hot_share.of(100) >= 50 { attempts / 10 } else { 0 }
    }
}

/// Attempts under way at the same time; more are turned away.
const MOST: usize = 20_000;
/// Of the rate: the last attempts may end a little later than the schedule.
const REACHED: f64 = 0.9;
