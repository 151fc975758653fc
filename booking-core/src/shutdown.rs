//! How the process ends: a signal cancels one token; every task was spawned through one tracker and is waited for.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

/// How long tasks may take to end after the signal.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);

/// The token and the tracker, cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Shutdown {
    /// Spawns a task that the drain waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Starts the drain; for tests and for the signal.
    pub fn start(&self) {
        self.token.cancel();
    }

    /// Whether the drain has started.
    pub fn has_started(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until the drain starts.
    pub fn started(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// For parts that spawn through a plain tracker.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// For parts that take a plain token.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Waits until all tasks have ended, at most [`DRAIN_MAX`]; answers how many were cut off.
    pub async fn drained(&self) -> usize {
        self.tracker.close();
        // The count is read after the wait: tasks that ended meanwhile were not cut off.
        let _ = tokio::time::timeout(DRAIN_MAX, self.tracker.wait()).await;
        self.tracker.len()
    }

    /// Starts the drain on SIGTERM or SIGINT.
    pub fn on_signals(&self) -> io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let token = self.token.clone();
        // Not tracked: it would keep the drain waiting for a signal.
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "draining");
            token.cancel();
        });
        Ok(())
    }
}
