//! The loop around a worker's step: runs it when woken and at jittered intervals, goes on at once while it finds work,
//! and backs off while a server is out of reach.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest pause after failures, and how many doublings lead to it: a server that is back waits for the relay, which
/// runs most often, for a second at most, and a provider in trouble is left alone for longer.
const PAUSE_MAX: Duration = Duration::from_secs(5);
const DOUBLINGS_MAX: u32 = 2;

/// When a worker runs.
pub(crate) struct Pace {
    /// For logs.
    pub(crate) name: &'static str,
    /// Pause after a step that found nothing.
    pub(crate) every: Duration,
    /// Ends the pause.
    pub(crate) wake: Option<Arc<Notify>>,
}

/// Runs a step until shutdown. It answers how much it found to do.
pub(crate) fn spawn<F, S, E>(tracker: &TaskTracker, shutdown: &CancellationToken, pace: Pace, step: F)
where
    F: Fn() -> S + Send + 'static,
    S: Future<Output = Result<usize, E>> + Send + 'static,
    E: Display + Send,
{
    let shutdown = shutdown.clone();
    let Pace { name, every, wake } = pace;
    tracker.spawn(async move {
        let mut failures = 0_u32;
        loop {
            // A step is not cut off: it is short, and what it commits is worth telling.
            let pause = match step().await {
                Ok(found) => {
                    failures = 0;
                    if found == 0 { every } else { Duration::ZERO }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        tracing::warn!(worker = name, "{error}");
                    }
                    (every * 2_u32.pow(failures.min(DOUBLINGS_MAX))).min(PAUSE_MAX)
                }
            };
            let pause = pause.mul_f64(rand::rng().random_range(0.8..1.2));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = woken(wake.as_deref()), if failures == 0 => {}
            }
        }
    });
}

async fn woken(notify: Option<&Notify>) {
    match notify {
        Some(notify) => notify.notified().await,
        None => std::future::pending().await,
    }
}
