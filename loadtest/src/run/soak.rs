//! `loadtest run soak`: the house of the thundering herd at a moderate rate for long. What it is about is what grows: the
//! memory and the descriptors of every process, looked at every few seconds. A tenth of the viewers is restless.

mod growth;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Common;
use super::flags::{self, HouseFlags};
use super::goals::Time;
use super::report::Report;
use super::strikes::FaultFlags;
use super::thundering_herd::{Scene, ThunderingHerd, play};
pub(super) use growth::{Growth, Limit};

/// Flags of `loadtest run soak`.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("viewers", |viewers| viewers.default_value("500")))]
pub struct Soak {
    #[command(flatten)]
    pub common: Common,
    /// So long; the first third of it, at most an hour, is for warming up.
    #[arg(long, env = "SEATWIRE_RUN_LENGTH", default_value = "1h", value_name = "TIME", value_parser = flags::some_time)]
    pub length: Time,
    #[command(flatten)]
    pub house: HouseFlags,
    /// Who comes to buy each second.
    #[arg(long, env = "SEATWIRE_RUN_BUYERS_PER_SECOND", default_value_t = 5.0, value_name = "N",
          value_parser = flags::rate)]
    pub buyers_per_second: f64,
    /// Between two looks at the processes.
    #[arg(long, env = "SEATWIRE_RUN_SAMPLE_EVERY", default_value = "5s", value_name = "TIME",
          value_parser = flags::some_time)]
    pub sample_every: Time,
    /// After the warm-up no process of the product, nor Redis, may grow by more percent.
    #[arg(long, env = "SEATWIRE_RUN_MAX_GROWTH", default_value_t = 5.0, value_name = "PERCENT",
          value_parser = flags::number)]
    pub max_growth: f64,
    #[command(flatten)]
    pub faults: FaultFlags,
}

/// Runs it.
///
/// # Errors
/// When the stack or the viewers do not start. Everything else is in the report.
pub async fn run(args: &Soak, stop: &CancellationToken) -> anyhow::Result<Report> {
    let mut herd = ThunderingHerd::calm(&args.common, &args.house);
    herd.length = args.length;
    herd.buyers_per_second = args.buyers_per_second;
    herd.restless = 10;
    herd.faults = args.faults.clone();
    let limit = Limit { length: args.length.0, every: args.sample_every.0, percent: args.max_growth };
    play(&herd, Scene { name: "soak", event: None, growth: Some(limit) }, stop).await
}
