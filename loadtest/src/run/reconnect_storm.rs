//! `loadtest run reconnect-storm`: a full house, seats that change, and every connection drops at once, as when a network
//! between them and the gateways breaks. All come back within seconds, resume from where they are, and lose nothing.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Common;
use super::flags::HouseFlags;
use super::goals::Time;
use super::report::Report;
use super::thundering_herd::{Event, Scene, ThunderingHerd, play};

/// Flags of `loadtest run reconnect-storm`.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("viewers", |viewers| viewers.default_value("5000")))]
pub struct ReconnectStorm {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub house: HouseFlags,
    /// All come back within this time.
    #[arg(long, env = "SEATWIRE_RUN_BACK_WITHIN", default_value = "2s", value_name = "TIME")]
    pub back_within: Time,
}

/// Runs it.
///
/// # Errors
/// When the stack or the viewers do not start. Everything else is in the report.
pub async fn run(args: &ReconnectStorm, stop: &CancellationToken) -> anyhow::Result<Report> {
    let mut herd = ThunderingHerd::calm(&args.common, &args.house);
    herd.common.limits.min_resumed.get_or_insert(RESUMED);
    let scene = Scene { name: "reconnect-storm", event: Some(Event::Scatter(args.back_within.0)), growth: None };
    play(&herd, scene, stop).await
}

/// Percent of the reconnects that need no snapshot.
const RESUMED: f64 = 95.0;
