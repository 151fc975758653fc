//! `loadtest run slow-viewers`: half of the viewers stop reading for seconds, again and again, while seats change. They are
//! right again by one catch-up, and the others' times, which the report is about, are those of a house without them.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Common;
use super::flags::HouseFlags;
use super::report::Report;
use super::thundering_herd::{Scene, ThunderingHerd, play};
use crate::viewers::Habits;

/// Flags of `loadtest run slow-viewers`.
#[derive(Debug, Clone, Args)]
pub struct SlowViewers {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub house: HouseFlags,
}

/// Runs it.
///
/// # Errors
/// When the stack or the viewers do not start. Everything else is in the report.
pub async fn run(args: &SlowViewers, stop: &CancellationToken) -> anyhow::Result<Report> {
    let mut herd = ThunderingHerd::calm(&args.common, &args.house);
    herd.habits = Some(Habits { drop: 0, stall: 50, hide: 0 });
    play(&herd, Scene { name: "slow-viewers", event: None, growth: None }, stop).await
}
