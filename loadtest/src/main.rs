//! The `loadtest` program: one subcommand a job, each in a module of the library.

use std::{
    io::{IsTerminal as _, stderr},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use seatwire_loadtest::{audit, bench, calibrate, capacity, launcher::reaper, provider, run as scenarios, up, viewers};

#[derive(Debug, Parser)]
#[command(name = "loadtest", version, about = "Private Seatwire stack, simulated payment provider, audit, benchmarks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on loopback with demo data, print the page's address, stop it all on Ctrl-C.
    #[command(after_help = up::AFTER_HELP)]
    Up(up::UpArgs),
    /// Run the simulated payment provider: orders, a checkout page, signed webhooks, refunds.
    Provider(Box<provider::ProviderArgs>),
    /// Run a scenario on a private stack or one that is up, with faults, an audit and a report.
    #[command(after_help = scenarios::AFTER_HELP)]
    Run(Box<scenarios::RunArgs>),
    /// Show a report that was stored, alone or beside another.
    Report(scenarios::show::ReportArgs),
    /// Look over a stack at rest for what must never be; exit 1 when anything is.
    Audit(Box<audit::AuditArgs>),
    /// Measure what this machine does at most, and print it as one JSON object.
    Calibrate(calibrate::CalibrateArgs),
    /// Measure one part of the product beside what bounds it.
    #[command(after_help = bench::AFTER_HELP)]
    Bench(bench::BenchArgs),
    /// What a demand needs in gateways, cores, Redis and PostgreSQL, from unit costs that were measured.
    #[command(after_help = capacity::AFTER_HELP)]
    Capacity(capacity::CapacityArgs),
    /// Play viewers for a scenario; started by `run`, not by people.
    #[command(hide = true)]
    Viewers,
    /// End what a launcher left behind; started by the launcher, not by people.
    #[command(hide = true)]
    Reaper,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_ansi(stderr().is_terminal()).with_writer(scenarios::BesideBars::default).init();
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Provider(args) => provider::run(*args).await,
        Command::Run(args) => scenarios::run(*args).await,
        Command::Report(args) => scenarios::show::show(&args),
        Command::Audit(args) => audit::run(*args).await,
        Command::Calibrate(args) => calibrate::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Capacity(args) => capacity::run(&args),
        Command::Viewers => viewers::worker::run(),
        Command::Reaper => {
            reaper::run_on_stdin();
            Ok(())
        }
    }
}
