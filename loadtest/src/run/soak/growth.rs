//! Memory and descriptors of every process while a run goes on, and how much they grew after it had warmed up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use crate::bench::memory;
use crate::run::goals::{Goal, float};

/// What may grow.
#[derive(Debug, Clone, Copy)]
pub(in crate::run) struct Limit {
    /// Of the load.
    pub(in crate::run) length: Duration,
    /// Between two looks.
    pub(in crate::run) every: Duration,
    /// From the warm-up to the end.
    pub(in crate::run) percent: f64,
}

/// Looks until it is dropped.
#[derive(Debug)]
pub(in crate::run) struct Growth {
    limit: Limit,
    began: Instant,
    seen: Arc<Mutex<BTreeMap<String, Vec<Look>>>>,
    ticker: AbortHandle,
}

/// One process at one moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    rss_kib: u64,
    descriptors: u64,
}

/// Means of a third of what came after the warm-up: the first, and the last.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Grown {
    rss_percent: f64,
    descriptors: f64,
}

impl Growth {
    /// Of these processes and the load test itself.
    pub(in crate::run) fn watch(pids: &BTreeMap<String, u32>, limit: Limit) -> Self {
        let mut pids = pids.clone();
        pids.insert("harness".to_owned(), std::process::id());
        let (began, seen) = (Instant::now(), Arc::<Mutex<BTreeMap<String, Vec<Look>>>>::default());
        let looks = Arc::clone(&seen);
        let ticker = tokio::spawn(async move {
            let mut due = tokio::time::interval(limit.every);
            loop {
                due.tick().await;
                let mut seen = looks.lock().unwrap_or_else(PoisonError::into_inner);
                for (name, pid) in &pids {
                    let (rss_kib, descriptors) = (memory::rss_kib(*pid), descriptors(*pid));
                    // One that was killed and started again has another number.
                    if rss_kib > 0 {
                        seen.entry(name.clone()).or_default().push(Look { at: began.elapsed(), rss_kib, descriptors });
                    }
                }
            }
        });
        Self { limit, began, seen, ticker: ticker.abort_handle() }
    }

    /// Goals, and each process's figures. A process that was started anew meanwhile is not judged.
    pub(in crate::run) fn end(self) -> (Vec<Goal>, Vec<(String, f64)>) {
        self.ticker.abort();
        let warm = (self.limit.length / 3).min(WARM_UP);
        let lasted = self.began.elapsed();
        let (mut goals, mut figures) = (Vec::new(), Vec::new());
        for (name, looks) in self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let Some(last) = looks.last().filter(|last| last.at + self.limit.every * 3 >= lasted) else { continue };
            let grown = grown(looks, warm);
            figures.push((format!("rss_mib_{name}"), float(last.rss_kib) / 1_024.0));
            figures.push((format!("rss_growth_percent_{name}"), grown.rss_percent));
            figures.push((format!("descriptors_growth_{name}"), grown.descriptors));
            if JUDGED.iter().any(|judged| name.starts_with(judged)) {
                goals.push(Goal::at_most(&format!("growth of {name}, %"), self.limit.percent, grown.rss_percent));
                goals.push(Goal::at_most(&format!("more descriptors of {name}"), DESCRIPTORS, grown.descriptors));
            }
        }
        goals.push(Goal::at_least("processes whose growth is known", 1, (goals.len() / 2) as u64));
        (goals, figures)
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

/// NaN, which misses every goal, when there were too few looks.
fn grown(looks: &[Look], warm: Duration) -> Grown {
    let after: Vec<&Look> = looks.iter().filter(|look| look.at >= warm).collect();
    let part = (after.len() / 3).max(1);
    let mean = |looks: &[&Look], of: fn(&Look) -> u64| {
        looks.iter().map(|look| float(of(look))).sum::<f64>() / float(looks.len() as u64)
    };
    let first = after.get(..part).unwrap_or_default();
    let last = after.get(after.len().saturating_sub(part)..).unwrap_or_default();
    let (before, now) = (mean(first, |look| look.rss_kib), mean(last, |look| look.rss_kib));
    let descriptors = mean(last, |look| look.descriptors) - mean(first, |look| look.descriptors);
    Grown { rss_percent: 100.0 * (now - before) / before, descriptors }
}

/// Open files and sockets of a process; 0 when it is gone or somebody else's.
fn descriptors(pid: u32) -> u64 {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64)
}

/// The product's own, and Redis. PostgreSQL and the simulated provider keep what was bought, so that they grow.
const JUDGED: [&str; 3] = ["gateway", "core", "redis"];
const WARM_UP: Duration = Duration::from_secs(3_600);
/// Connections come and go; one that is forgotten each time adds up to more.
const DESCRIPTORS: f64 = 50.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_counted_after_the_warm_up() {
        let look = |s: u64, rss_kib| Look { at: Duration::from_secs(s), rss_kib, descriptors: 10 + s / 60 };
        let looks: Vec<Look> = [(0, 10), (10, 60), (20, 100), (30, 100), (40, 100), (50, 104), (60, 110)]
            .map(|(s, kib)| look(s, kib))
            .into();
        let warm = grown(&looks, Duration::from_secs(20));
        assert!((warm.rss_percent - 10.0).abs() < 1e-9 && (warm.descriptors - 1.0).abs() < 1e-9, "{warm:?}");
        assert!(grown(&looks, Duration::from_secs(100)).rss_percent.is_nan());
    }
}
