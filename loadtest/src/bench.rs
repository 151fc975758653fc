//! `loadtest bench`: how fast the product is, each figure beside a reference of the same run, because machines differ
//! and are shared. Every benchmark starts a private stack of its own; run them with release builds on a machine at rest.

mod abuse;
mod bookings;
mod capture;
pub(crate) mod cpu;
pub(crate) mod crowd;
mod customers;
mod driver;
pub(crate) mod edge;
mod expiry;
mod fanout;
mod holds;
mod joins;
mod ledger;
pub(crate) mod memory;
mod pgbench;
mod pin;
mod port;
mod publisher;
pub(crate) mod raw;
pub(crate) mod report;
mod rig;
mod sends;
pub(crate) mod shows;
mod slow;
mod snapshot;
mod statements;
mod stream;
mod viewers;
mod visible;
mod webhooks;
mod work;

use std::path::PathBuf;

/// Below the flags in `--help`.
pub const AFTER_HELP: &str = "\
Each line has the measured figure, the reference of the same run, their ratio (the median over the rounds, in which \
both take turns), and the goal where there is one. Build with --release first: figures of debug builds say nothing.";

/// Flags of `loadtest bench`.
#[derive(Debug, Clone, clap::Args)]
pub struct BenchArgs {
    /// What is measured.
    #[arg(value_enum, value_name = "NAME")]
    name: Bench,
    /// Length of one measurement of one round, in seconds.
    #[arg(long, env = "SEATWIRE_BENCH_SECONDS", default_value_t = 2, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// How often reference and measurement take turns.
    #[arg(long, env = "SEATWIRE_BENCH_ROUNDS", default_value_t = 5, value_name = "N", value_parser = rounds)]
    rounds: usize,
    /// Connections, and commands in flight on each, of `holds`; several separated by commas.
    #[arg(
        long = "shape",
        env = "SEATWIRE_BENCH_SHAPES",
        default_value = "4x16,1x64,50x1,1x1",
        value_name = "CxD",
        value_delimiter = ','
    )]
    shapes: Vec<holds::Shape>,
    /// Length of the sale after which `viewers` looks at the memory again, in seconds.
    #[arg(long, env = "SEATWIRE_BENCH_BUSY", default_value_t = 60, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    busy: u64,
    /// Customers who buy at the same time, of `bookings` and `webhooks`.
    #[arg(long, env = "SEATWIRE_BENCH_CUSTOMERS", default_value_t = 64, value_name = "N", value_parser = customers)]
    customers: usize,
    /// Keep the limits of a customer on in `holds`, as they are shipped; the reference has no part in them.
    #[arg(long, env = "SEATWIRE_BENCH_LIMITS")]
    limits: bool,
    /// Write the figures to this file too, as one JSON object.
    #[arg(long, env = "SEATWIRE_BENCH_JSON", value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Bench {
    /// Hold and release pairs of three seats over the core's port, beside the same script calls made directly.
    Holds,
    /// Hold to visible at another gateway, beside the script call and a plain subscriber.
    Visible,
    /// How long ended holds are still seen, beside Redis' own events of keys that expire.
    Expiry,
    /// The whole map of 20,000 seats, beside a plain GET of 5,000 bytes.
    Snapshot,
    /// Seat changes to thousands of viewers, beside the raw `send()` loop.
    Fanout,
    /// Memory and processor time of ten thousand viewers to whom nothing happens.
    Viewers,
    /// A thousand viewers that take nothing, and what they do to the others.
    Slow,
    /// A thousand connections that misbehave, and what they do to a gateway's memory.
    Abuse,
    /// Herds: storms of joins, reconnects, a drain, a rolling restart, ten thousand shows subscribed again.
    Joins,
    /// Lost messages found, and the size of whole maps.
    Stream,
    /// Purchases from hold to confirmed booking, beside pgbench with the same statements.
    Bookings,
    /// 200 webhooks a second while customers buy, beside the same with nobody else there.
    Webhooks,
}

fn rounds(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|rounds| (1..=99).contains(rounds)).ok_or_else(|| "1 to 99".to_owned())
}

fn customers(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|customers| (1..=1_000).contains(customers)).ok_or_else(|| "1 to 1000".to_owned())
}

/// Measures and prints.
///
/// # Errors
/// When the stack does not start, or answers what it should not. Goals that are not met are no error.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.name {
        Bench::Holds => holds::run(&args).await,
        Bench::Visible => visible::run(&args).await,
        Bench::Expiry => expiry::run(&args).await,
        Bench::Snapshot => snapshot::run(&args).await,
        Bench::Fanout => fanout::run(&args).await,
        Bench::Viewers => viewers::run(&args).await,
        Bench::Abuse => abuse::run(&args).await,
        Bench::Slow => slow::run(&args).await,
        Bench::Joins => joins::run(&args).await,
        Bench::Stream => stream::run(&args).await,
        Bench::Bookings => bookings::run(&args).await,
        Bench::Webhooks => webhooks::run(&args).await,
    }
}

fn progress(what: &str) {
    eprintln!("bench: {what}");
}
