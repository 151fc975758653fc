//! `loadtest run booking`: purchases at a steady rate, each by a customer of its own from the connection to the confirmed
//! booking. What the saga, PostgreSQL and the provider's webhooks take, and in what time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use seatwire_protocol::command::{BookingInfo, BookingState};
use seatwire_protocol::{ErrorBody, ErrorCode};
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
use super::sale::Share;
use super::{Common, say};
use crate::client::{ClientError, PayOptions};
use crate::crowd::{Crowd, Zone};
use crate::times::Times;

/// Flags of `loadtest run booking`.
#[derive(Debug, Clone, Args)]
pub struct Booking {
    #[command(flatten)]
    pub common: Common,
    /// Purchases a second.
    #[arg(long, env = "SEATWIRE_RUN_RATE", default_value_t = 30.0, value_name = "N", value_parser = flags::rate)]
    pub rate: f64,
    /// So long they keep coming.
    #[arg(long, env = "SEATWIRE_RUN_LENGTH", default_value = "20s", value_name = "TIME",
          value_parser = flags::some_time)]
    pub length: Time,
    /// Of the purchases, those for one of the first 64 free seats, which others want too; the rest take any.
    #[arg(long, env = "SEATWIRE_RUN_HOT_SHARE", default_value = "20", value_name = "PERCENT")]
    pub hot_share: Share,
}

/// Runs it.
///
/// # Errors
/// When the stack does not start. Everything else is in the report.
pub async fn run(args: &Booking, stop: &CancellationToken) -> anyhow::Result<Report> {
    let (seed, seats) = (args.common.seed(), args.seats()?);
    say(&format!("booking, --seed {seed}: {} purchases a second, {} % for the same seats", args.rate, args.hot_share));
    let calibration = args.common.calibration().await?;
    let place = Place::open(&args.common, Place::unlimited(&args.common).cores(2).gateways(2), seats).await?;
    let crowd = Arc::new(Crowd::gather_at(&place.addresses(), place.show).await?);

    let (watch, over) = (Watch::begin()?, CancellationToken::new());
    let (times, failed) = (Times::new()?, AtomicU64::new(0));
    let recorder = Recorder::of_crowd(&crowd);
    let schedule = Schedule { per_second: args.rate, most: MOST };
    let purchases = open_loop::play(schedule, &watch.behind, &over, |number, due| {
        let (crowd, times, failed) = (&crowd, &times, &failed);
        async move {
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(number.into()));
            match buy(crowd, &mut rng, args.hot_share, due).await {
                Ok(()) => times.note(due.elapsed()),
                Err(error) => {
                    if failed.fetch_add(1, Ordering::Relaxed) < SHOWN {
                        say(&format!("a purchase failed: {error}"));
                    }
                }
            }
        }
    });
    let (begun, ()) = tokio::join!(purchases, open_loop::end_after(args.length.0, stop, &over));
    let (duration_s, done) = (watch.seconds(), recorder.end());
    let harness = watch.end(Duration::ZERO, args.common.limits.max_behind.0, duration_s);

    let mut after = Aftermath::default();
    after.audit(&place, &crowd).await;
    let payments = after.payments(&place).await;
    let confirmed = crowd.told.confirmed() as u64;
    let report = Report {
        options: json!({
            "rate": args.rate, "length_s": args.length.0.as_secs_f64(), "hot_share": args.hot_share.to_string(),
            "target": args.common.target.is_some(),
        }),
        goals: vec![
            Goal::at_least("purchases confirmed", begun.acts.max(1), confirmed),
            Goal::least("bookings a second", args.rate * REACHED, float(confirmed) / duration_s),
            Goal::at_most("customers turned away", 0.0, float(begun.turned_away)),
        ],
        payments,
        ratios: calibration.as_ref().map(|machine| Ratios::of_purchases(machine, &crowd, duration_s)),
        calibration,
        ..Report::of("booking", seed, duration_s, after, harness)
    };
    let report = report
        .customers(&crowd, &done, Some(&times))
        .figures([("bookings_per_s", float(confirmed) / duration_s), ("purchases_failed", float(failed.into_inner()))])
        .judged(&args.common.limits);
    place.close().await;
    Ok(report)
}

async fn buy(crowd: &Crowd, rng: &mut StdRng, hot_share: Share, due: Instant) -> Result<(), ErrorBody> {
    let away = |error: ClientError| ErrorBody::new(ErrorCode::Unavailable, error.to_string());
    let who = crowd.enter(rng).await.map_err(away)?.meant_to_come(due);
    let hot = rng.random_range(0..1_000) < hot_share.of(1_000);
    let hold = who.hold_free(rng, if hot { Zone::Front } else { Zone::Anywhere }, SEATS_MAX).await?;
    let booking = who.book(&hold).await?;
    who.pay(&booking, &PayOptions::default()).await?;
    let confirmed = |b: &BookingInfo| b.state == BookingState::Confirmed;
    who.until(booking.booking, CONFIRMED_WITHIN, confirmed).await.map(drop)
}

impl Booking {
    /// Enough that choices do not run out.
    fn seats(&self) -> anyhow::Result<u32> {
        let purchases = self.rate * self.length.0.as_secs_f64();
        anyhow::ensure!(
            purchases <= 6_000.0,
            "--rate and --length: {purchases:.0} purchases are more than one show has seats for"
        );
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 20,000")]
        let seats = (purchases * 3.0) as u32;
        Ok(seats.clamp(500, 20_000))
    }
}

const SEATS_MAX: usize = 2;
/// Purchases under way at the same time; more are turned away.
const MOST: usize = 5_000;
/// Of the rate: the last ones end a little later than the schedule.
const REACHED: f64 = 0.8;
const SHOWN: u64 = 5;
const CONFIRMED_WITHIN: Duration = Duration::from_secs(60);
