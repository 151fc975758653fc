//! The program `seatwire-core`: command line, runtime, exit code.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use seatwire_core::config::{Config, ServeArgs};
use seatwire_core::migrate::Direction;
use seatwire_core::shutdown::Shutdown;
use seatwire_core::telemetry;

/// Booking core of Seatwire: seat holds, bookings and payments.
#[derive(Debug, Parser)]
#[command(name = "seatwire-core", version, about, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves gateways, webhooks and operators until SIGTERM or SIGINT
    ///
    /// Prints one line of JSON with its addresses on standard output when it listens; logs go to standard error. It
    /// starts, and stays up with /ready answering 503, while Redis or PostgreSQL is out of reach.
    ///
    /// Exit codes: 0 after a drain, 1 when it could not start, 2 when the configuration is wrong.
    Serve(Box<ServeArgs>),
    /// Brings the schema of PostgreSQL up to date, and ends
    Migrate(MigrateArgs),
}

#[derive(Debug, clap::Args)]
struct MigrateArgs {
    /// PostgreSQL with the role seatwire_migrator, which owns the tables
    #[arg(long, env = "SEATWIRE_MIGRATE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    migrate_database_url: String,
    /// Takes the last COUNT steps down instead; their data are lost
    #[arg(long, value_name = "COUNT", conflicts_with = "redo")]
    down: Option<u32>,
    /// Takes the last step down and up again, to test it; its data are lost
    #[arg(long)]
    redo: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => match args.check() {
            Ok(config) => {
                telemetry::start(&config.log, config.log_format);
                run(serve(config))
            }
            Err(errors) => {
                eprintln!("seatwire-core: {errors}");
                return ExitCode::from(2);
            }
        },
        Command::Migrate(args) => run(migrate(args)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seatwire-core: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("can't start the runtime")?.block_on(work)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let shutdown = Shutdown::default();
    shutdown.on_signals().context("can't listen for signals")?;
    let name = config.core_name.clone();
    let listening = seatwire_core::start(config, &shutdown).await?;
    let ready = serde_json::json!({
        "ready": true,
        "core": listening.core.to_string(),
        "core_http": listening.core_http.to_string(),
        "pid": std::process::id(),
    });
    println!("{ready}");
    tracing::info!(name, core = %listening.core, http = %listening.core_http, "serving");
    shutdown.started().await;
    match shutdown.drained().await {
        0 => tracing::info!("drained"),
        cut => tracing::warn!(cut, "tasks were still running at the end of the drain"),
    }
    Ok(())
}

async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let direction = match args {
        MigrateArgs { redo: true, .. } => Direction::Redo,
        MigrateArgs { down: Some(steps), .. } => Direction::Down(steps),
        _ => Direction::Up,
    };
    for step in seatwire_core::migrate::run(&args.migrate_database_url, direction).await? {
        println!("{step}");
    }
    Ok(())
}
