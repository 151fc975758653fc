//! What the load test itself uses, and how late it is with what it means to do: a harness that lags measures itself.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use crate::bench::cpu;
use crate::times::Times;

/// What the harness used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Harness {
    /// All processes of the load test: customers, viewers, fault proxies.
    pub cpu_cores: f64,
    /// How late the 99th of 100 things was done that were due at a moment.
    pub behind_ms: f64,
    /// It lagged: the times in this report are not the product's alone.
    pub lagged: bool,
}

/// Watches this process from its beginning.
#[derive(Debug)]
pub struct Watch {
    began: Instant,
    cpu: u64,
    /// How late things were done.
    pub behind: Times,
    ticker: AbortHandle,
}

impl Watch {
    /// # Errors
    /// As [`Times::new`].
    pub fn begin() -> anyhow::Result<Self> {
        let behind = Times::new()?;
        let ticker = tokio::spawn(tick(behind.clone())).abort_handle();
        Ok(Self { began: Instant::now(), cpu: cpu::of_process(std::process::id()), behind, ticker })
    }

    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// With the processor time of other processes of the load test, over a load of so many seconds.
    pub fn end(self, others: Duration, limit: Duration, seconds: f64) -> Harness {
        let own = Duration::from_nanos(cpu::of_process(std::process::id()).saturating_sub(self.cpu));
        let behind_ms = self.behind.spread().map_or(0.0, |spread| spread.p99);
        Harness {
            cpu_cores: (own + others).as_secs_f64() / seconds,
            behind_ms,
            lagged: behind_ms > limit.as_secs_f64() * 1_000.0,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

/// Something small that is due every so often: it is as late as everything else on this runtime.
async fn tick(behind: Times) {
    let mut due = tokio::time::Instant::now();
    loop {
        due += TICK;
        tokio::time::sleep_until(due).await;
        behind.note(due.elapsed());
    }
}

const TICK: Duration = Duration::from_millis(10);
