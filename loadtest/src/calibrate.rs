//! `loadtest calibrate`: what this machine does at most, as one JSON object that benchmarks print beside their own
//! figures: the raw `send()` loop that bounds the fan-out, a hold-like script in Redis, and a claim-like transaction in
//! PostgreSQL. Private servers on loopback; nothing of Seatwire itself runs.

mod postgres;
mod redis;
mod sends;

use std::time::Duration;

pub(crate) use postgres::{PLAIN_SCRIPT, prepare as prepare_postgres};
use serde::Serialize;

use crate::launcher::{Postgres, Redis};

/// Flags of `loadtest calibrate`.
#[derive(Debug, Clone, clap::Args)]
pub struct CalibrateArgs {
    /// Length of each of the five measurements, in seconds.
    #[arg(long, env = "SEATWIRE_CALIBRATE_SECONDS", default_value_t = 5, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Connections that the send loop writes to.
    #[arg(long, env = "SEATWIRE_CALIBRATE_CONNECTIONS", default_value_t = 1000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub connections: u32,
}

/// The figures; the field names are what later tools read.
#[derive(Debug, Clone, Serialize)]
pub struct Calibration {
    /// Microseconds of one `send()` of a 60-byte frame, over all connections in turn, in one thread.
    pub send_us: f64,
    pub frames_per_s: f64,
    pub connections: u32,
    /// Scripts of three seats each, one connection, each answer awaited.
    pub redis_holds_per_s: f64,
    /// The same, 64 scripts to a round trip.
    pub redis_holds_per_s_pipelined: f64,
    /// Transactions that lock and change three seats, one connection, commits synced.
    pub pg_transactions_per_s_1: f64,
    /// The same on 16 connections.
    pub pg_transactions_per_s_16: f64,
    pub cores: usize,
    /// Length of each measurement.
    pub seconds: u64,
}

/// Measures and prints: progress on stderr, the JSON object alone on stdout.
///
/// # Errors
/// When a server can't be started or fails, or there are too few file descriptors for the connections.
pub async fn run(args: CalibrateArgs) -> anyhow::Result<()> {
    let calibration = measure(&args).await?;
    println!("{}", serde_json::to_string(&calibration)?);
    Ok(())
}

/// The measurements alone.
///
/// # Errors
/// As [`run`].
pub async fn measure(args: &CalibrateArgs) -> anyhow::Result<Calibration> {
    let length = Duration::from_secs(args.seconds);
    progress(&format!("send() to {} connections", args.connections));
    let sends = sends::measure(args.connections, length).await?;

    progress("starting Redis");
    let server = Redis::start().await?;
    progress("scripts in Redis, one by one");
    let redis_holds_per_s = redis::measure(&server.url(), 1, length).await?;
    progress("scripts in Redis, pipelined");
    let redis_holds_per_s_pipelined = redis::measure(&server.url(), 64, length).await?;
    server.shutdown().await;

    progress("starting PostgreSQL");
    let server = Postgres::start().await?;
    postgres::prepare(&server.superuser_url()).await?;
    progress("transactions in PostgreSQL, 1 connection");
    let pg_transactions_per_s_1 = postgres::measure(&server.superuser_url(), 1, length).await?;
    progress("transactions in PostgreSQL, 16 connections");
    let pg_transactions_per_s_16 = postgres::measure(&server.superuser_url(), 16, length).await?;
    server.shutdown().await;

    Ok(Calibration {
        send_us: rounded(sends.microseconds, 1000.0),
        frames_per_s: rounded(sends.frames_per_s, 1.0),
        connections: args.connections,
        redis_holds_per_s: rounded(redis_holds_per_s, 1.0),
        redis_holds_per_s_pipelined: rounded(redis_holds_per_s_pipelined, 1.0),
        pg_transactions_per_s_1: rounded(pg_transactions_per_s_1, 1.0),
        pg_transactions_per_s_16: rounded(pg_transactions_per_s_16, 1.0),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        seconds: args.seconds,
    })
}

fn progress(what: &str) {
    eprintln!("calibrate: {what}");
}

fn rounded(figure: f64, parts: f64) -> f64 {
    (figure * parts).round() / parts
}

/// Operations a second.
fn rate(operations: u64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let operations = operations as f64;
    operations / took.as_secs_f64()
}
