//! What is asked for, and what is taken for granted about it.

use clap::Args;
use serde::Serialize;

use crate::run::flags::{above_zero, number};

/// The demand at its peak. What is no measurement is a flag.
#[derive(Debug, Clone, Copy, Args, Serialize)]
pub struct Demand {
    /// Who watches a map at the same time.
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub viewers: u64,
    /// Confirmed bookings a second, all shows together.
    #[arg(long, default_value_t = 10_000.0, value_name = "N", value_parser = number)]
    pub bookings_per_second: f64,
    /// Shows on sale at the same time, with the same share of everything.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub shows: u64,
    /// Frames that each viewer gets a second at most; more changes are put together in one frame.
    #[arg(long, default_value_t = 5.0, value_name = "N", value_parser = number)]
    pub frames_per_viewer: f64,
    /// Holds granted for each booking: most are given back or end.
    #[arg(long, default_value_t = 2.0, value_name = "N", value_parser = number)]
    pub holds_per_booking: f64,
    /// Attempts refused for each booking: somebody was faster.
    #[arg(long, default_value_t = 3.0, value_name = "N", value_parser = number)]
    pub refusals_per_booking: f64,
    /// Seats of a booking.
    #[arg(long, default_value_t = 2.0, value_name = "N", value_parser = number)]
    pub seats_per_booking: f64,
    /// All viewers come within so many seconds.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = above_zero)]
    pub joins_within: f64,
    /// What is provided for each of what is needed: 1.5 means that two thirds are used at the peak.
    #[arg(long, default_value_t = 1.5, value_name = "FACTOR", value_parser = above_zero)]
    pub headroom: f64,
    /// Cores of a gateway's machine.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub gateway_cores: u64,
    /// Cores of a PostgreSQL machine.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub postgres_cores: u64,
}
