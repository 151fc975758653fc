//! `loadtest run late-payments`: thousands of payments with every disorder of a provider, while core, gateway,
//! PostgreSQL, Redis and provider are killed. Afterwards every payment is a booking or a refund, and nothing that was
//! told to anybody is lost.
//!
//! Customers work off a deck that the seed shuffles: each card is one way to pay, taken again until it came to its end.
//! Bookings last seconds instead of minutes by the core's own settings, so that being late is real and short.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::goals::Goal;
use super::harness::Watch;
use super::kills::Kills;
use super::recorder::Recorder;
use super::report::{Audit, Histograms, Ratios, Report, Series};
use super::sale::deck::Deck;
use super::sale::figures::Figures;
use super::sale::shopping::{self, Shopping};
use super::sale::{self, AT_REST_WITHIN, CLAIM, Mix, upsets};
use super::{Common, say};
use crate::audit::{AuditOptions, Sources, audit};
use crate::crowd::Crowd;
use crate::launcher::{Stack, StackOptions};
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
    /// Servers killed with SIGKILL: every process of the stack in turn.
    #[arg(long, env = "SEATWIRE_RUN_KILLS", default_value_t = 24, value_name = "N")]
    pub kills: u32,
    /// Customers who buy at the same time.
    #[arg(long, env = "SEATWIRE_RUN_CUSTOMERS", default_value_t = 64, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub customers: u32,
    /// Number of booking cores.
    #[arg(long, env = "SEATWIRE_RUN_CORES", default_value_t = 2, value_name = "N",
          value_parser = clap::value_parser!(u8).range(1..=16))]
    pub cores: u8,
    /// Whose API the simulated payment provider speaks.
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
    args.common.only_private("late-payments")?;
    let seed = args.common.seed();
    let deck = Deck::shuffled(args.payments, &args.mix, seed);
    say(&format!(
        "late-payments, --seed {seed}: {} payments, {} kills; starting a private stack",
        args.payments, args.kills
    ));
    let calibration = args.common.calibration().await?;
    let mut stack = Stack::start(options(args)).await?;
    let addresses = stack.addresses();
    let crowd = Crowd::gather(&addresses).await?;
    let shopping = Arc::new(Shopping::new(crowd, deck.clone(), CLAIM, stop.clone()));

    let (watch, recorder) = (Watch::begin()?, Recorder::begin(Arc::clone(&shopping)));
    let over = CancellationToken::new();
    let _ends_with_this = over.clone().drop_guard();
    let upsets = tokio::spawn(upsets::run(addresses.provider.clone(), seed, over.clone()));
    let customers = tokio::spawn(shopping::all(Arc::clone(&shopping), args.customers));
    let progress = tokio::spawn(shopping::tell(Arc::clone(&shopping), over.clone()));
    let faults = Kills::of(&stack, args.kills, seed).run(&mut stack, &*shopping, stop).await?;
    customers.await?;
    over.cancel();
    progress.await?;
    upsets.await?;
    let (duration_s, done) = (watch.seconds(), recorder.end());
    let harness = watch.end(Duration::ZERO, args.common.limits.max_behind.0, duration_s);

    say("waiting for rest, then the audit");
    let sources = Sources::from(&addresses);
    let audited = audit(sources.clone(), AuditOptions::default().wait(AT_REST_WITHIN)).await?;
    let figures = Figures::read(&sources, &stack.folder().join("provider")).await?;
    let mut told = shopping.crowd.check_told(&sources).await?;
    told.push(figures.webhooks.clone());
    let got_over = faults.iter().filter(|line| line.back_to_normal_s.is_some()).count() as u64;
    let mut goals = vec![
        Goal::at_least("payments made", deck.payments(), shopping.paid()),
        Goal::at_least("kills that met work", args.kills.into(), got_over),
    ];
    goals.extend(deck.goals(&figures.payments));
    let ratios = calibration.as_ref().map(|machine| Ratios::of_purchases(machine, &shopping.crowd, duration_s));
    let report = Report {
        options: json!({
            "payments": args.payments, "kills": args.kills, "customers": args.customers, "cores": args.cores,
            "provider": args.provider.name(),
        }),
        goals,
        hold_ms: shopping.crowd.hold_times.spread(),
        holds: Some(shopping.crowd.holds()),
        payments: Some(figures.payments),
        calibration,
        ratios,
        faults,
        histograms: Histograms { hold: shopping.crowd.hold_times.buckets(), ..Histograms::default() },
        series: Some(Series::of(&done, &BTreeMap::new())),
        ..Report::of("late-payments", seed, duration_s, Audit::new(audited, told), harness)
    };
    let report = report.judged(&args.common.limits);
    stack.shutdown().await;
    Ok(report)
}

fn options(args: &LatePayments) -> StackOptions {
    sale::short_lives(args.common.stack().cores(args.cores.into()).provider(args.provider))
}
