//! `loadtest run late-payments`: thousands of payments with every disorder of a provider, while core, gateway,
//! PostgreSQL, Redis and provider are killed. Afterwards every payment is a booking or a refund, and nothing that was
//! told to anybody is lost.
//!
//! Customers work off a deck that the seed shuffles: each card is one way to pay, taken again until it came to its end.
//! Bookings last seconds instead of minutes by the core's own settings, so that being late is real and short.

mod deck;
mod figures;
mod purchase;
mod share;
mod shopping;
mod upsets;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::kills::Kills;
use super::report::{Audit, Goal, Harness, Report, commit};
use super::{Common, say};
use crate::audit::{AuditOptions, Sources, audit};
use crate::bench::cpu;
use crate::crowd::Crowd;
use crate::launcher::{Service, Stack, StackOptions};
use crate::provider::Shapes;
use deck::Deck;
use figures::Figures;
pub use share::Share;
use shopping::Shopping;

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

/// Which disorders, and how much of each.
#[derive(Debug, Clone, Args)]
pub struct Mix {
    /// Payments whose webhooks are sent two to four times.
    #[arg(long, env = "SEATWIRE_RUN_DUPLICATES", default_value = "13", value_name = "PERCENT")]
    pub duplicates: Share,
    /// Paid or captured after the booking's end: a third finds the seats with somebody else.
    #[arg(long, env = "SEATWIRE_RUN_LATE", default_value = "7.5", value_name = "PERCENT")]
    pub late: Share,
    /// Another amount than the booking's, then mostly the right one.
    #[arg(long, env = "SEATWIRE_RUN_WRONG_AMOUNT", default_value = "3", value_name = "PERCENT")]
    pub wrong_amount: Share,
    /// Two payments for one booking.
    #[arg(long, env = "SEATWIRE_RUN_DOUBLE", default_value = "3", value_name = "PERCENT")]
    pub double: Share,
    /// No webhook ever tells of them; a third of them late as well.
    #[arg(long, env = "SEATWIRE_RUN_UNANNOUNCED", default_value = "3", value_name = "PERCENT")]
    pub unannounced: Share,
    /// Declined first, then paid by another card or captured after all.
    #[arg(long, env = "SEATWIRE_RUN_DECLINED", default_value = "3", value_name = "PERCENT")]
    pub declined: Share,
    /// Cancelled by the customer before, or in the moment of, the payment.
    #[arg(long, env = "SEATWIRE_RUN_CANCELLED", default_value = "3", value_name = "PERCENT")]
    pub cancelled: Share,
    /// Beside the payments: holds released or left alone.
    #[arg(long, env = "SEATWIRE_RUN_ABANDONED", default_value = "5", value_name = "PERCENT")]
    pub abandoned: Share,
}

/// Runs it.
///
/// # Errors
/// When the stack does not start, or a killed server does not start again. Everything else is in the report.
pub async fn run(args: &LatePayments, stop: &CancellationToken) -> anyhow::Result<Report> {
    let seed = args.common.seed();
    let deck = Deck::shuffled(args.payments, &args.mix, seed);
    say(&format!(
        "late-payments, --seed {seed}: {} payments, {} kills; starting a private stack",
        args.payments, args.kills
    ));
    let mut stack = Stack::start(options(args)).await?;
    let addresses = stack.addresses();
    let crowd = Crowd::gather(&addresses).await?;
    let shopping = Arc::new(Shopping::new(crowd, deck.clone(), CLAIM, stop.clone()));

    let (begin, cpu_before) = (Instant::now(), cpu::of_process(std::process::id()));
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
    let duration_s = begin.elapsed().as_secs_f64();
    let cpu_s = Duration::from_nanos(cpu::of_process(std::process::id()).saturating_sub(cpu_before)).as_secs_f64();

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
    let report = Report {
        scenario: "late-payments",
        seed,
        commit: commit(),
        duration_s,
        goals,
        audit: Audit::new(audited, told),
        holds: Some(shopping.crowd.holds()),
        payments: Some(figures.payments),
        harness: Harness { cpu_cores: cpu_s / duration_s },
        faults,
    };
    stack.shutdown().await;
    Ok(report)
}

fn options(args: &LatePayments) -> StackOptions {
    let lives = [
        ("SEATWIRE_HOLD_MS", HOLD),
        ("SEATWIRE_HOLD_GRACE_MS", GRACE),
        ("SEATWIRE_CLAIM_MS", CLAIM),
        ("SEATWIRE_PAYING_MS", CLAIM),
        ("SEATWIRE_RECONCILE_MS", RECONCILE),
    ];
    let options = args.common.stack().cores(args.cores.into()).provider(args.provider);
    lives.iter().fold(options, |options, (name, time)| options.env(Service::Core, *name, time.as_millis()))
}

const HOLD: Duration = Duration::from_millis(3_000);
const GRACE: Duration = Duration::from_millis(500);
/// How long a booking waits for its payment.
const CLAIM: Duration = Duration::from_millis(5_000);
/// Longer than a booking lives, so that what is found so was late.
const RECONCILE: Duration = Duration::from_millis(9_000);
/// An order that is paid just after it was asked for is asked for again after twice the time.
const AT_REST_WITHIN: Duration = Duration::from_secs(180);
