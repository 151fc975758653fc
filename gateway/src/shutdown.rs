//! The drain: on SIGTERM or SIGINT the gateway is not ready any more and takes no joins; open WebSockets are closed
//! spread over a window, each with a time to come back after, so that they do not all arrive elsewhere at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use seatwire_protocol::close_code::CloseCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::info;

use crate::app::App;
use crate::ws::connection::Connection;

/// Closing one connection costs about this much of the window, so that few connections do not wait for long.
const PER_CONNECTION: Duration = Duration::from_millis(4);
/// A client comes back within this time after its close, at random.
const RETURN_MS_MAX: u64 = 2_000;

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the signals can't be listened to.
pub async fn signalled() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Closes every WebSocket within the drain time, and waits for what is still being answered.
pub async fn drain(app: &Arc<App>) {
    let started = Instant::now();
    let end = started + app.config.drain;
    app.draining.store(true, Ordering::Release);
    let mut open = app.connections.all();
    info!(connections = open.len(), "draining");
    let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
    // The rest of the time is for goodbyes on their way.
    let window = (app.config.drain * 7 / 10).min(PER_CONNECTION.saturating_mul(count));
    let mut at = 0_u32;
    while let Some(connection) = open.pop() {
        let share = window.as_secs_f64() * f64::from(at) / f64::from(count.max(1));
        sleep_until(started + Duration::from_secs_f64(share)).await;
        goodbye(&connection);
        at = at.saturating_add(1);
    }
    // Who was let in at the last moment.
    app.connections.all().iter().for_each(|connection| goodbye(connection));
    app.tracker().close();
    let finished = timeout_at(end, app.tracker().wait()).await.is_ok();
    info!(finished, left = app.admission.open(), elapsed_ms = started.elapsed().as_millis(), "drained");
}

fn goodbye(connection: &Connection) {
    let return_after_ms = rand::random_range(0..RETURN_MS_MAX);
    connection.close(CloseCode::ServiceRestart, &return_after_ms.to_string());
}
