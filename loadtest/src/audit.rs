//! `loadtest audit`: looks over a stack at rest for everything that must never be: a seat sold twice, money that is
//! neither booked nor given back, a map that differs from the ledger. It only reads. Each check counts what it examined,
//! so that a check that saw nothing is not taken for a good one.
//!
//! What a stack at rest can't show (what was told to whom, frames that viewers saw) is for tests that keep histories.

mod caps;
mod event_checks;
mod gateway_checks;
mod ledger_checks;
mod map;
mod map_checks;
mod money_checks;
mod provider_checks;
mod report;
mod rest;
mod sources;
mod work_checks;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgGroup;

use crate::launcher::Addresses;

pub use caps::{CapWatch, Caps};
pub use report::{AuditReport, Check, Money};
pub use sources::Sources;

/// Flags of `loadtest audit`.
#[derive(Debug, Clone, clap::Args)]
#[command(group(ArgGroup::new("stack").required(true).args(["ready_file", "postgres"])))]
pub struct AuditArgs {
    /// File that `loadtest up --ready-file` wrote: all addresses.
    #[arg(long, env = "SEATWIRE_AUDIT_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// PostgreSQL, as a role that may read all tables; instead of a ready file.
    #[arg(
        long,
        env = "SEATWIRE_AUDIT_POSTGRES",
        hide_env_values = true,
        value_name = "URL",
        conflicts_with = "ready_file"
    )]
    pub postgres: Option<String>,
    /// Redis; without it the seat maps are not looked at.
    #[arg(long, env = "SEATWIRE_AUDIT_REDIS", hide_env_values = true, value_name = "URL", requires = "postgres")]
    pub redis: Option<String>,
    /// Redis of the event bus [default: the same].
    #[arg(long, env = "SEATWIRE_BUS_REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub bus_redis: Option<String>,
    /// The simulated payment provider; without it its books are not compared.
    #[arg(long, env = "SEATWIRE_AUDIT_PROVIDER", value_name = "URL", requires = "postgres")]
    pub provider: Option<String>,
    /// Gateways, comma-separated; without one, what viewers see is not compared.
    #[arg(long, env = "SEATWIRE_AUDIT_GATEWAYS", value_name = "URL", value_delimiter = ',', requires = "postgres")]
    pub gateways: Vec<String>,
    /// First wait so long, in seconds, for the stack to come to rest: nothing to settle, refund, deliver or apply.
    #[arg(long, env = "SEATWIRE_AUDIT_WAIT", default_value_t = 0, value_name = "SECONDS")]
    pub wait: u64,
    /// Bookings may still wait for their payment.
    #[arg(long, env = "SEATWIRE_AUDIT_ALLOW_PENDING")]
    pub allow_pending: bool,
    /// Seats that one customer may have in one show: the core's SEATWIRE_HOLD_SEATS_MAX.
    #[arg(long, env = "SEATWIRE_HOLD_SEATS_MAX", default_value_t = 10, value_name = "N")]
    pub seats_max: u32,
    /// A run that had to have so much of something, such as confirmed=1,expired=1. Known: bookings, pending, confirmed,
    /// expired, cancelled, payments, refunds.
    #[arg(long, env = "SEATWIRE_AUDIT_REQUIRE", value_name = "NAME=N", value_delimiter = ',', value_parser = report::parse_minimum)]
    pub require: Vec<(String, u64)>,
    /// Print one JSON object instead of lines.
    #[arg(long, env = "SEATWIRE_AUDIT_JSON")]
    pub json: bool,
}

/// How to audit.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// How long to wait for rest first.
    pub wait: Duration,
    /// Bookings may still wait for their payment.
    pub allow_pending: bool,
    /// The core's cap of seats for a customer and show.
    pub seats_max: u32,
    /// Names of [`AuditReport::counts`] with the least that there must be.
    pub require: Vec<(String, u64)>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { wait: Duration::ZERO, allow_pending: false, seats_max: 10, require: Vec::new() }
    }
}

impl AuditOptions {
    /// Waits for rest first.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Bookings may still wait for their payment.
    #[must_use]
    pub fn allow_pending(mut self) -> Self {
        self.allow_pending = true;
        self
    }

    /// There must be at least so many: of what, see [`AuditReport::counts`].
    #[must_use]
    pub fn require(mut self, name: &str, at_least: u64) -> Self {
        self.require.push((name.to_owned(), at_least));
        self
    }
}

/// Audits and prints. An error when anything is violated.
///
/// # Errors
/// Violations, and what prevents an audit: an unreadable ready file, a server that can't be reached.
pub async fn run(args: AuditArgs) -> anyhow::Result<()> {
    let sources = match (&args.ready_file, args.postgres) {
        (Some(file), _) => {
            let addresses = Addresses::read(file).with_context(|| format!("can't read {}", file.display()))?;
            Sources { bus_redis: args.bus_redis, ..Sources::from(&addresses) }
        }
        (None, Some(postgres)) => {
            let (redis, bus_redis) = (args.redis, args.bus_redis);
            Sources { postgres, redis, bus_redis, provider: args.provider, gateways: args.gateways }
        }
        (None, None) => anyhow::bail!("--ready-file or --postgres is needed"),
    };
    let options = AuditOptions {
        wait: Duration::from_secs(args.wait),
        allow_pending: args.allow_pending,
        seats_max: args.seats_max,
        require: args.require,
    };
    let report = audit(sources, options).await?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    let violated = report.violated().count();
    anyhow::ensure!(violated == 0, "{violated} of {} checks are violated", report.checks.len());
    Ok(())
}

/// Waits for rest if asked to, then runs every check that the given sources allow.
///
/// # Errors
/// When a source can't be reached or read. Violations are in the report.
pub async fn audit(sources: impl Into<Sources>, options: AuditOptions) -> anyhow::Result<AuditReport> {
    let sources = sources.into();
    if !options.wait.is_zero() {
        rest::wait(&sources, &options).await?;
    }
    // Gateways first: asking them makes a core load a map that was lost. Then Redis, then the ledger, as the core's own
    // scrubber does: the other order would take a fresh claim for a map that runs ahead.
    let mut checks = gateway_checks::run(&sources).await?;
    let maps = map::read_all(&sources).await?;
    let mut database = sources.connect_postgres().await?;
    let ledger = database.build_transaction().read_only(true);
    let ledger = ledger.isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
    if let Some(maps) = maps {
        checks.extend(map_checks::run(&ledger, &maps, &options).await?);
    }
    for check in
        ledger_checks::CHECKS.iter().chain(money_checks::CHECKS).chain(work_checks::CHECKS).chain(event_checks::CHECKS)
    {
        if !(options.allow_pending && check.name == work_checks::NO_PENDING) {
            checks.push(check.run(&ledger, &options).await?);
        }
    }
    checks.extend(event_checks::on_the_bus(&ledger, &sources).await?);
    let money = money_checks::totals(&ledger).await?;
    checks.push(money_checks::identity(&money));
    if let Some(books) = provider_checks::read(&sources).await? {
        checks.extend(provider_checks::run(&ledger, &books).await?);
    }
    let counts = report::count(&ledger).await?;
    checks.extend(report::minimums(&counts, &options.require));
    Ok(AuditReport { checks, money, counts })
}
