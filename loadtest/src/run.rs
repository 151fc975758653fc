//! `loadtest run`: one scenario on a private stack or one that runs already, with faults, an audit and a report. Each
//! scenario is a module with its flags and a function from them to a [`Report`]; what is here they share.

mod aftermath;
pub mod booking;
pub mod fan_out;
pub mod flags;
pub mod goals;
pub mod harness;
pub mod hoarding_bots;
pub mod hold_contention;
mod house;
pub mod kills;
pub mod late_payments;
mod live;
mod open_loop;
mod place;
mod pool;
pub mod reconnect_storm;
mod recorder;
pub mod report;
mod rest;
pub mod rolling_restart;
pub mod sale;
pub mod show;
pub mod slow_viewers;
pub mod soak;
pub mod strikes;
pub mod thundering_herd;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use rand::Rng as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::calibrate::{self, CalibrateArgs};
use crate::launcher::{Addresses, StackOptions};
use goals::{Limits, Measured};
pub use live::BesideBars;
use live::say;
pub use report::Report;
pub use show::Output;

/// Below the flags in `--help`.
pub const AFTER_HELP: &str = "\
Every scenario starts a private stack, or takes one that runs (--target), plays on it, waits until it is at rest and audits \
it. `loadtest run SCENARIO --help` lists the flags, each with its variable. Ctrl-C ends a run with its report, a second one at once. The exit code is 0 only when every goal was reached and the \
audit is clean. \
How to read a report: docs/LOADTEST.md.";

/// Flags of `loadtest run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// The doors open: viewers come within seconds, buyers fight for the good seats, faults by a plan.
    ThunderingHerd(Box<thundering_herd::ThunderingHerd>),
    /// Everybody's connection drops at once; all come back within seconds and resume.
    ReconnectStorm(Box<reconnect_storm::ReconnectStorm>),
    /// Each gateway in turn is drained and restarted under load.
    RollingRestart(Box<rolling_restart::RollingRestart>),
    /// Half of the viewers stop reading again and again, and hinder nobody.
    SlowViewers(Box<slow_viewers::SlowViewers>),
    /// Seats change at a steady rate before a house full of viewers.
    FanOut(Box<fan_out::FanOut>),
    /// Attempts to hold seats at a steady rate, most of them for the same few.
    HoldContention(Box<hold_contention::HoldContention>),
    /// Purchases at a steady rate, from the connection to the confirmed booking.
    Booking(Box<booking::Booking>),
    /// Bots hold seats again and again and never buy; honest buyers come nevertheless.
    HoardingBots(Box<hoarding_bots::HoardingBots>),
    /// A moderate herd for long: what grows?
    Soak(Box<soak::Soak>),
    /// Thousands of payments with every disorder of a provider, while servers are killed.
    LatePayments(Box<late_payments::LatePayments>),
}

impl Scenario {
    fn common(&self) -> &Common {
        self.parts().1
    }

    /// As in its report.
    fn parts(&self) -> (&'static str, &Common) {
        match self {
            Self::ThunderingHerd(args) => ("thundering-herd", &args.common),
            Self::ReconnectStorm(args) => ("reconnect-storm", &args.common),
            Self::RollingRestart(args) => ("rolling-restart", &args.common),
            Self::SlowViewers(args) => ("slow-viewers", &args.common),
            Self::FanOut(args) => ("fan-out", &args.common),
            Self::HoldContention(args) => ("hold-contention", &args.common),
            Self::Booking(args) => ("booking", &args.common),
            Self::HoardingBots(args) => ("hoarding-bots", &args.common),
            Self::Soak(args) => ("soak", &args.common),
            Self::LatePayments(args) => ("late-payments", &args.common),
        }
    }

    /// What its report will have, so that no goal is for something else.
    fn measures(&self) -> Measured {
        let servers_stay = match self {
            Self::ThunderingHerd(args) => !args.faults.any(),
            Self::Soak(args) => !args.faults.any(),
            Self::RollingRestart(_) => false,
            _ => true,
        };
        let viewers = match self {
            Self::HoldContention(_) | Self::Booking(_) | Self::HoardingBots(_) | Self::LatePayments(_) => false,
            Self::ThunderingHerd(_) | Self::ReconnectStorm(_) | Self::RollingRestart(_) => true,
            Self::SlowViewers(_) | Self::FanOut(_) | Self::Soak(_) => true,
        };
        Measured { viewers, cpu_per_frame: viewers && servers_stay && self.common().calibrate > 0 }
    }
}

/// Flags that all scenarios have.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// Repeats a run's choices [default: a random one, printed].
    #[arg(long, env = "SEATWIRE_RUN_SEED", value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub output: Output,
    /// Keep all data and logs in this folder; what an earlier run left there is removed [default: a temporary folder].
    #[arg(long, env = "SEATWIRE_RUN_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// First measure what the machine does at most, so long for each of five figures, in seconds; 0: not at all.
    #[arg(long, env = "SEATWIRE_RUN_CALIBRATE", default_value_t = 1, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(0..=60))]
    pub calibrate: u64,
    /// Run against a stack that is up already: the file that `loadtest up --ready-file` wrote. The run makes a show of its
    /// own there, and starts and stops nothing; faults, kills and restarts are refused [default: a private stack].
    #[arg(long, env = "SEATWIRE_RUN_TARGET", value_name = "FILE", conflicts_with = "data_dir")]
    pub target: Option<PathBuf>,
    #[command(flatten)]
    pub limits: Limits,
}

impl Common {
    /// A private stack of one gateway, with the data where they are wanted.
    fn stack(&self) -> StackOptions {
        let options = StackOptions::new();
        match &self.data_dir {
            Some(folder) => options.folder(folder).fresh(true),
            None => options,
        }
    }

    /// What kills, restarts or cuts off servers does so on a private stack alone.
    fn only_private(&self, what: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.target.is_none(),
            "--target: {what} is for servers that the run started itself; leave one of the two out"
        );
        Ok(())
    }

    /// The stack that is up already, if one is meant.
    fn target(&self) -> anyhow::Result<Option<Addresses>> {
        let read = |file: &PathBuf| {
            Addresses::read(file).with_context(|| {
                format!("--target: can't read {}; `loadtest up --ready-file FILE` writes such a file", file.display())
            })
        };
        self.target.as_ref().map(read).transpose()
    }

    /// Of the machine, before anything else runs on it.
    async fn calibration(&self) -> anyhow::Result<Option<report::Calibration>> {
        if self.calibrate == 0 {
            return Ok(None);
        }
        let measured = calibrate::measure(&CalibrateArgs { seconds: self.calibrate, connections: 1_000 }).await?;
        Ok(Some(report::Calibration::from(&measured)))
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000))
    }
}

/// Runs a scenario and prints its report.
///
/// # Errors
/// When the stack does not start, a goal was missed or the audit found something.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let stop = stop_on_signals()?;
    let (scenario, common) = args.scenario.parts();
    let common = common.clone();
    // A run takes minutes: what is wrong with its flags is said before.
    let earlier = common.output.earlier(scenario)?;
    common.output.ensure_writable()?;
    common.target()?;
    common.limits.ensure_measured(args.scenario.measures())?;
    let report = match &args.scenario {
        Scenario::ThunderingHerd(args) => thundering_herd::run(args, &stop).await?,
        Scenario::ReconnectStorm(args) => reconnect_storm::run(args, &stop).await?,
        Scenario::RollingRestart(args) => rolling_restart::run(args, &stop).await?,
        Scenario::SlowViewers(args) => slow_viewers::run(args, &stop).await?,
        Scenario::LatePayments(args) => late_payments::run(args, &stop).await?,
        Scenario::HoardingBots(args) => hoarding_bots::run(args, &stop).await?,
        Scenario::FanOut(args) => fan_out::run(args, &stop).await?,
        Scenario::HoldContention(args) => hold_contention::run(args, &stop).await?,
        Scenario::Booking(args) => booking::run(args, &stop).await?,
        Scenario::Soak(args) => soak::run(args, &stop).await?,
    };
    common.output.write(&report, earlier.as_ref())?;
    report.verdict()
}

/// Cancelled by the first Ctrl-C or SIGTERM; the second ends the program, and the reaper what it started.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stopped.is_cancelled() {
                std::process::exit(INTERRUPTED);
            }
            say("ends with its report; once more to end at once");
            stopped.cancel();
        }
    });
    Ok(stop)
}

/// What a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
