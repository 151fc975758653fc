//! The Redis script rate: a script of the shape and cost of a hold, over one connection.

use std::time::{Duration, Instant};

use anyhow::ensure;
use redis::{Client, Cmd, Pipeline};

use super::rate;

/// Holds a second with `at_once` scripts to a round trip.
pub(super) async fn measure(url: &str, at_once: u64, length: Duration) -> anyhow::Result<f64> {
    let mut connection = Client::open(url)?.get_multiplexed_async_connection().await?;
    let script: String = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
    let started = Instant::now();
    let mut holds = 0_u64;
    while started.elapsed() < length {
        let mut pipeline = Pipeline::with_capacity(usize::try_from(at_once)?);
        for hold in holds..holds + at_once {
            pipeline.add_command(hold_command(&script, hold));
        }
        let sequences: Vec<u64> = pipeline.query_async(&mut connection).await?;
        ensure!(sequences.len() as u64 == at_once, "{} answers to {at_once} scripts", sequences.len());
        holds += at_once;
    }
    Ok(rate(holds, started.elapsed()))
}

/// Three adjacent seats of one of a hundred shows of 3,000 seats; ids repeat, so that the data stay small.
fn hold_command(script: &str, hold: u64) -> Cmd {
    let (show, seat) = (hold % 100, hold / 100 % 1000 * 3);
    let of_show = |what: &str| format!("{what}:{{{show}}}:{show}");
    let mut command = redis::cmd("EVALSHA");
    command.arg(script).arg(7);
    for what in ["show", "seat_status", "seat_lock", "hold", "held_by", "hold_expiry", "feed"] {
        command.arg(of_show(what));
    }
    command.arg(format!("{seat:016}")).arg(format!("customer-{seat}")).arg(hold);
    command.arg(seat).arg(seat + 1).arg(seat + 2);
    command
}

const SCRIPT: &str = include_str!("hold_like.lua");
