//! The saga's workers and their pace. Each step is a function that tests call by themselves.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Saga, SagaError};
use crate::worker;

impl Saga {
    /// Starts the workers; they end with the token, and the tracker waits for them.
    pub fn spawn(&self, tracker: &TaskTracker, shutdown: &CancellationToken) {
        let taken = self.inner.marks_taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(rows) = taken {
            tracker.spawn(self.clone().mark_applied(rows, shutdown.clone()));
        }
        let ms = Duration::from_millis;
        self.run("settle", tracker, shutdown, ms(500), |saga| async move { saga.settle_known_once().await });
        self.run("settle_others", tracker, shutdown, ms(500), |saga| async move { saga.settle_others_once().await });
        self.run("expire", tracker, shutdown, ms(500), |saga| async move { saga.expire_once().await });
        self.run("refunds", tracker, shutdown, ms(1_000), |saga| async move { saga.refund_once().await });
        self.run("reconcile", tracker, shutdown, ms(2_000), |saga| async move { saga.reconcile_once().await });
        self.run("relay", tracker, shutdown, ms(250), |saga| async move { saga.relay_once().await });
        self.run("unload", tracker, shutdown, ms(60_000), |saga| async move { saga.unload_once().await });
        // "Found nothing", so that the next batch has to wait its time.
        let end_keys = |saga: Self| async move { saga.end_keys_once().await.map(|_| 0) };
        self.run("end_keys", tracker, shutdown, ms(2_000), end_keys);
        let every = ms(1_000);
        self.run("cancellations", tracker, shutdown, every, |saga| async move { saga.cancel_shows_once().await });
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
        let saga = self.clone();
        let wake = self.wake_of(name);
        worker::spawn(tracker, shutdown, worker::Pace { name, every, wake }, move || step(saga.clone()));
    }

    fn wake_of(&self, worker: &str) -> Option<Arc<Notify>> {
        match worker {
            "settle" => Some(Arc::clone(&self.inner.wake.settle)),
            "settle_others" => Some(Arc::clone(&self.inner.wake.settle_others)),
            "refunds" => Some(Arc::clone(&self.inner.wake.refunds)),
            "cancellations" => Some(Arc::clone(&self.inner.wake.cancellations)),
            _ => None,
        }
    }
}
