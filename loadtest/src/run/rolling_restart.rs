//! `loadtest run rolling-restart`: a full house, seats that change, and each gateway in turn is restarted as a deploy does
//! it, with SIGTERM. Viewers are sent away over some seconds, resume at the other gateway, and lose nothing.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Common;
use super::flags::HouseFlags;
use super::report::Report;
use super::thundering_herd::{Event, Scene, ThunderingHerd, play};

/// Flags of `loadtest run rolling-restart`.
#[derive(Debug, Clone, Args)]
pub struct RollingRestart {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub house: HouseFlags,
}

/// Runs it.
///
/// # Errors
/// When the stack or the viewers do not start. Everything else is in the report.
pub async fn run(args: &RollingRestart, stop: &CancellationToken) -> anyhow::Result<Report> {
    let mut herd = ThunderingHerd::calm(&args.common, &args.house);
    herd.common.limits.min_resumed.get_or_insert(RESUMED);
    play(&herd, Scene { name: "rolling-restart", event: Some(Event::RollingRestart), growth: None }, stop).await
}

/// Percent of the reconnects that need no snapshot.
const RESUMED: f64 = 95.0;
