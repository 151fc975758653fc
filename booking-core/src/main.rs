//! The program `seatwire-core`: command line, runtime, exit code.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use seatwire_core::admin::{self, AdminArgs, AdminError};
use seatwire_core::config::{Config, ConfigErrors, Secret, ServeArgs, database_url};
use seatwire_core::db::Db;
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
    ///
    /// Exit codes: 0 when it is, 1 when a step failed, 2 when the configuration is wrong.
    Migrate(MigrateArgs),
    /// Adds demo data where they are missing, and ends
    ///
    /// Exit codes: 0 when they are there, 1 when it failed, 2 when the configuration is wrong.
    Seed(SeedArgs),
    /// Asks a running core as an operator, or tells it to do something
    Admin(AdminArgs),
}

#[derive(Debug, clap::Args)]
struct MigrateArgs {
    /// PostgreSQL with the role seatwire_migrator, which owns the tables (required)
    #[arg(long, env = "SEATWIRE_MIGRATE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    migrate_database_url: Option<String>,
    /// Takes the last COUNT steps down instead; their data are lost
    #[arg(long, value_name = "COUNT", conflicts_with = "redo")]
    down: Option<u32>,
    /// Takes the last step down and up again, to test it; its data are lost
    #[arg(long)]
    redo: bool,
}

#[derive(Debug, clap::Args)]
struct SeedArgs {
    /// PostgreSQL with the role seatwire_core (required)
    #[arg(long, env = "SEATWIRE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// When the show that opens soon opens, milliseconds from now
    #[arg(long, env = "SEATWIRE_OPENING_IN_MS", value_name = "MS", default_value_t = 120_000)]
    opening_in_ms: u64,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => match args.check() {
            Ok(config) => {
                telemetry::start(&config.log, config.log_format);
                run(serve(config))
            }
            Err(errors) => wrong(&errors),
        },
        Command::Migrate(args) => {
            match database_url("SEATWIRE_MIGRATE_DATABASE_URL", args.migrate_database_url.clone()) {
                Ok(url) => run(migrate(url, args)),
                Err(errors) => wrong(&errors),
            }
        }
        Command::Seed(args) => match database_url("SEATWIRE_DATABASE_URL", args.database_url) {
            Ok(url) => run(seed(url, args.opening_in_ms)),
            Err(errors) => wrong(&errors),
        },
        Command::Admin(args) => run_admin(args),
    }
}

fn run_admin(args: AdminArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("seatwire-core: can't start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(admin::run(args)) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("seatwire-core: {error}");
            ExitCode::from(if matches!(error, AdminError::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn wrong(errors: &ConfigErrors) -> ExitCode {
    eprintln!("seatwire-core: {errors}");
    ExitCode::from(2)
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("can't start the runtime").and_then(|runtime| runtime.block_on(work)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seatwire-core: {error:#}");
            ExitCode::FAILURE
        }
    }
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

async fn migrate(url: Secret, args: MigrateArgs) -> anyhow::Result<()> {
    let direction = match args {
        MigrateArgs { redo: true, .. } => Direction::Redo,
        MigrateArgs { down: Some(steps), .. } => Direction::Down(steps),
        _ => Direction::Up,
    };
    for step in seatwire_core::migrate::run(url.expose(), direction).await? {
        println!("{step}");
    }
    Ok(())
}

async fn seed(url: Secret, opening_in_ms: u64) -> anyhow::Result<()> {
    let db = Db::new(url.expose(), 1)?;
    let shows = seatwire_core::seed::run(&db, opening_in_ms).await?;
    println!("{shows} shows added");
    Ok(())
}
