//! `loadtest run late-payments`: thousands of payments with every disorder of a provider, while core, gateway,
//! PostgreSQL, Redis and provider are killed. Afterwards every payment is a booking or a refund, and nothing that was
//! told to anybody is lost.
//!
//! Customers work off a deck that the seed shuffles: each card is one way to pay, taken again until it came to its end.
//! Bookings last seconds instead of minutes by the core's own settings, so that being late is real and short.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::aftermath::Aftermath;
use super::goals::Goal;
use super::harness::Watch;
use super::kills::Kills;
use super::place::Place;
use super::recorder::Recorder;
use super::report::{Ratios, Report};
use super::sale::deck::Deck;
use super::sale::shopping::{self, Shopping};
use super::sale::{self, CLAIM, Mix, upsets};
use super::{Common, say};
use crate::crowd::Crowd;
use crate::launcher::StackOptions;
use crate::provider::Shapes;

/// Flags of `loadtest run late-payments`. Shares are percent of the payments.
#[derive(Debug, Clone, Args)]
pub struct LatePayments {
    #[command(flatten)]
    pub common: Common,
    /// Purchases that end in a payment; some of them take two.
    #[arg(long, env = "SEATWIRE_RUN_PAYMENTS", default_value_t = 5_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(100..=10_000))]
    pub payments: u32,
    /// Servers killed with SIGKILL: every process of the private stack in turn; 0 for a run at a --target.
    #[arg(long, env = "SEATWIRE_RUN_KILLS", default_value_t = 24, value_name = "N")]
    pub kills: u32,
    /// Customers who buy at the same time.
    #[arg(long, env = "SEATWIRE_RUN_CUSTOMERS", default_value_t = 64, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub customers: u32,
    /// Number of booking cores of a private stack.
    #[arg(long, env = "SEATWIRE_RUN_CORES", default_value_t = 2, value_name = "N",
          value_parser = clap::value_parser!(u8).range(1..=16))]
    pub cores: u8,
    /// Whose API the simulated payment provider of a private stack speaks.
    #[arg(long, env = "SEATWIRE_RUN_PROVIDER", value_enum, default_value_t, value_name = "NAME")]
    pub provider: Shapes,
    #[command(flatten)]
    pub mix: Mix,
}

/// Runs it.
///
/// # Errors
/// When the stack does not start, or a killed server does not start again. Everything else is in the report.
pub async fn run(args: &LatePayments, stop: &CancellationToken) -> anyhow::Result<Report> {
    if args.kills > 0 {
        args.common.only_private("--kills above 0")?;
    }
    let seed = args.common.seed();
    let deck = Deck::shuffled(args.payments, &args.mix, seed);
    say(&format!("late-payments, --seed {seed}: {} payments, {} kills", args.payments, args.kills));
    let calibration = args.common.calibration().await?;
    let mut place = Place::open(&args.common, options(args), seats(args.payments)).await?;
    let crowd = Crowd::gather_at(&place.addresses(), place.show).await?;
    let shopping = Arc::new(Shopping::new(crowd, deck.clone(), CLAIM, stop.clone()));

    let (watch, recorder) = (Watch::begin()?, Recorder::begin(Arc::clone(&shopping)));
    let over = CancellationToken::new();
    let _ends_with_this = over.clone().drop_guard();
    let upsets = tokio::spawn(upsets::run(place.addresses().provider, seed, over.clone()));
    let customers = tokio::spawn(shopping::all(Arc::clone(&shopping), args.customers));
    let progress = tokio::spawn(shopping::tell(Arc::clone(&shopping), over.clone()));
    let faults = match place.stack_mut() {
        Some(stack) => Kills::of(stack, args.kills, seed).run(stack, &*shopping, stop).await?,
        None => Vec::new(),
    };
    customers.await?;
    over.cancel();
    progress.await?;
    upsets.await?;
    let (duration_s, done) = (watch.seconds(), recorder.end());
    let harness = watch.end(Duration::ZERO, args.common.limits.max_behind.0, duration_s);

    let mut after = Aftermath::default();
    after.audit(&place, &shopping.crowd).await;
    let payments = after.payments(&place).await;
    let got_over = faults.iter().filter(|line| line.back_to_normal_s.is_some()).count() as u64;
    let mut goals = vec![
        Goal::at_least("payments made", deck.payments(), shopping.paid()),
        Goal::at_least("kills that met work", args.kills.into(), got_over),
    ];
    goals.extend(payments.iter().flat_map(|payments| deck.goals(payments)));
    let ratios = calibration.as_ref().map(|machine| Ratios::of_purchases(machine, &shopping.crowd, duration_s));
    let report = Report {
        options: json!({
            "payments": args.payments, "kills": args.kills, "customers": args.customers, "cores": args.cores,
            "provider": args.provider.name(), "target": args.common.target.is_some(),
        }),
        goals,
        payments,
        calibration,
        ratios,
        faults,
        ..Report::of("late-payments", seed, duration_s, after, harness)
    };
    let report = report.customers(&shopping.crowd, &done, None).judged(&args.common.limits);
    place.close().await;
    Ok(report)
}

/// Some more than are booked in the end.
fn seats(payments: u32) -> u32 {
    payments.saturating_mul(3).clamp(2_000, 20_000)
}

fn options(args: &LatePayments) -> StackOptions {
    sale::short_lives(Place::roomy(&args.common).cores(args.cores.into()).provider(args.provider))
}
