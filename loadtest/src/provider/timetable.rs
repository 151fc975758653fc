//! Things to do at a time: a sorted set that one loop takes from. What is in it is also in the ledger, so its size is
//! bounded by the ledger's bounds and a restart fills it again.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::now_ms;

#[derive(Debug)]
pub(crate) struct Timetable<T> {
    entries: Mutex<BTreeSet<(u64, T)>>,
    earlier: Notify,
}

impl<T: Ord> Timetable<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Mutex::new(BTreeSet::new()), earlier: Notify::new() }
    }

    pub(crate) fn add(&self, at_ms: u64, entry: T) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert((at_ms, entry));
        self.earlier.notify_one();
    }

    /// Takes everything that is due, the longest due first.
    pub(crate) fn take_due(&self) -> Vec<(u64, T)> {
        let (mut entries, now) = (self.entries.lock().unwrap_or_else(PoisonError::into_inner), now_ms());
        let mut due = Vec::new();
        while entries.first().is_some_and(|(at_ms, _)| *at_ms <= now) {
            due.extend(entries.pop_first());
        }
        due
    }

    /// Waits for the first entry to be due and takes it. Dropping the future loses nothing.
    pub(crate) async fn next(&self) -> T {
        loop {
            let wait = {
                let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
                match entries.first().map(|(at_ms, _)| at_ms.saturating_sub(now_ms())) {
                    Some(0) => {
                        if let Some((_, entry)) = entries.pop_first() {
                            return entry;
                        }
                        None
                    }
                    wait => wait,
                }
            };
            match wait {
                None => self.earlier.notified().await,
                // The wall clock may be set meanwhile: look again within a second.
                Some(ms) => tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(ms.min(1000))) => {}
                    () = self.earlier.notified() => {}
                },
            }
        }
    }
}
