//! The loops around the workers. Each step is a function that tests call by themselves; a loop runs it when woken and
//! at jittered intervals, goes on at once while it finds work, and backs off while a server is out of reach.

use std::future::Future;
use std::time::Duration;

use rand::Rng;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Saga, SagaError};

/// Longest pause after failures, and how many doublings lead to it: a server that is back waits for the relay, which
/// runs most often, for a second at most, and a provider in trouble is left alone for longer.
const PAUSE_MAX: Duration = Duration::from_secs(5);
const DOUBLINGS_MAX: u32 = 2;

impl Saga {
    /// Starts the workers; they end with the token, and the tracker waits for them.
    pub fn spawn(&self, tracker: &TaskTracker, shutdown: &CancellationToken) {
        let taken = self.inner.marks_taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(rows) = taken {
            tracker.spawn(self.clone().mark_applied(rows, shutdown.clone()));
        }
        let ms = Duration::from_millis;
        self.run("settle", tracker, shutdown, ms(500), |saga| async move { saga.settle_once().await });
        self.run("expire", tracker, shutdown, ms(500), |saga| async move { saga.expire_once().await });
        self.run("refunds", tracker, shutdown, ms(1_000), |saga| async move { saga.refund_once().await });
        self.run("reconcile", tracker, shutdown, ms(2_000), |saga| async move { saga.reconcile_once().await });
        self.run("relay", tracker, shutdown, ms(250), |saga| async move { saga.relay_once().await });
        self.run("unload", tracker, shutdown, ms(60_000), |saga| async move { saga.unload_once().await });
        self.run("open_sales", tracker, shutdown, ms(1_000), |saga| async move { saga.open_sales_once().await });
    }

    fn run<F, S>(
        &self,
        name: &'static str,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
        every: Duration,
        step: F,
    ) where
        F: Fn(Self) -> S + Send + 'static,
        S: Future<Output = Result<usize, SagaError>> + Send + 'static,
    {
        let (saga, shutdown) = (self.clone(), shutdown.clone());
        tracker.spawn(async move {
            let mut failures = 0_u32;
            loop {
                // A step is not cut off: it is short, and what it commits is worth telling.
                let pause = match step(saga.clone()).await {
                    Ok(0) => {
                        failures = 0;
                        every
                    }
                    Ok(_) => {
                        failures = 0;
                        Duration::ZERO
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
                    () = woken(saga.wake_of(name)), if failures == 0 => {}
                }
            }
        });
    }

    fn wake_of(&self, worker: &str) -> Option<&Notify> {
        match worker {
            "settle" => Some(&self.inner.wake.settle),
            "refunds" => Some(&self.inner.wake.refunds),
            _ => None,
        }
    }
}

async fn woken(notify: Option<&Notify>) {
    match notify {
        Some(notify) => notify.notified().await,
        None => std::future::pending().await,
    }
}
