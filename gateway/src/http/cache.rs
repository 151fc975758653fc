//! Answers kept for a moment. Whoever asks first fetches, the others wait for it: a herd costs one command.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use crate::clock;

/// Different questions remembered; one more forgets all.
const ENTRIES_MAX: usize = 512;

type Place<V> = Arc<AsyncMutex<Option<(u64, V)>>>;

/// A cache by key.
pub struct Cache<K, V> {
    entries: Mutex<HashMap<K, Place<V>>>,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// The answer, at most `keep` old unless `fits` says that its age does not matter, together with its age.
    ///
    /// # Errors
    /// What `fetch` answers; an error is not kept.
    pub async fn get<E>(
        &self,
        key: K,
        keep: Duration,
        fits: impl Fn(&V) -> bool,
        fetch: impl Future<Output = Result<V, E>>,
    ) -> Result<(V, Duration), E> {
        let place = self.place(key);
        let mut kept = place.lock().await;
        let now_ms = clock::now_ms();
        if let Some((at_ms, value)) = kept.as_ref() {
            let age = Duration::from_millis(now_ms.saturating_sub(*at_ms));
            if age < keep || fits(value) {
                return Ok((value.clone(), age));
            }
        }
        let value = fetch.await?;
        *kept = Some((clock::now_ms(), value.clone()));
        Ok((value, Duration::ZERO))
    }

    fn place(&self, key: K) -> Place<V> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(&key) {
            entries.clear();
        }
        Arc::clone(entries.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_herd_costs_one_fetch_and_errors_are_not_kept() {
        let cache: Arc<Cache<u8, u32>> = Arc::default();
        let fetched = Arc::new(AtomicU32::new(0));
        let herd = (0..50).map(|_| {
            let (cache, fetched) = (Arc::clone(&cache), Arc::clone(&fetched));
            async move {
                let fetch = async {
                    tokio::task::yield_now().await;
                    Ok::<_, ()>(fetched.fetch_add(1, Ordering::Relaxed))
                };
                cache.get(1, Duration::from_secs(60), |_| false, fetch).await.unwrap().0
            }
        });
        let answers = futures_util::future::join_all(herd).await;
        assert!(answers.iter().all(|answer| *answer == 0), "{answers:?}");
        assert_eq!(cache.get(2, Duration::MAX, |_| true, async { Err("no") }).await, Err("no"));
        assert_eq!(cache.get(2, Duration::MAX, |_| true, async { Ok::<_, ()>(7) }).await.unwrap().0, 7);
        assert_eq!(cache.get(1, Duration::ZERO, |_| false, async { Ok::<_, ()>(9) }).await.unwrap().0, 9);
    }
}
