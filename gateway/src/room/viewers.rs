//! Who watches a room: a list with stable places, so that a round can go through it in parts while others come and go.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A list with stable places.
pub struct Viewers<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    places: Vec<Option<Arc<T>>>,
    free: Vec<usize>,
    count: usize,
    /// When the last viewer left, or the room was made.
    empty_since_ms: u64,
    /// A closed room takes no viewer: whoever comes opens another.
    closed: bool,
    /// The number that is told, and when it was counted.
    told: (usize, u64),
}

/// A number of viewers that is told is counted again after this long: it is for people, who can't read faster.
const TOLD_MS: u64 = 2_000;

impl<T> Viewers<T> {
    pub fn new(now_ms: u64) -> Self {
        let (places, free, told) = (Vec::new(), Vec::new(), (0, now_ms));
        let inner = Inner { places, free, count: 0, empty_since_ms: now_ms, closed: false, told };
        Self { inner: Mutex::new(inner) }
    }

    /// Adds a viewer and answers its place; `None` when the room is closed.
    pub fn join(&self, viewer: &Arc<T>) -> Option<usize> {
        let mut inner = self.lock();
        if inner.closed {
            return None;
        }
        inner.count = inner.count.saturating_add(1);
        let viewer = Some(Arc::clone(viewer));
        if let Some(place) = inner.free.pop() {
            if let Some(slot) = inner.places.get_mut(place) {
                *slot = viewer;
            }
            return Some(place);
        }
        inner.places.push(viewer);
        Some(inner.places.len().saturating_sub(1))
    }

    /// Frees a place.
    pub fn leave(&self, place: usize, now_ms: u64) {
        let mut inner = self.lock();
        let gone = inner.places.get_mut(place).and_then(Option::take);
        if gone.is_some() {
            inner.free.push(place);
            inner.count = inner.count.saturating_sub(1);
        }
        if inner.count == 0 {
            inner.empty_since_ms = now_ms;
            inner.places = Vec::new();
            inner.free = Vec::new();
        }
        // A viewer's end is not run under the lock.
        drop(inner);
        drop(gone);
    }

    pub fn count(&self) -> usize {
        self.lock().count
    }

    /// About how many there are: the same number for two seconds, so that who comes and goes changes nothing.
    pub fn about(&self, now_ms: u64) -> usize {
        let mut inner = self.lock();
        let (told, at_ms) = inner.told;
        if told == 0 || now_ms.saturating_sub(at_ms) >= TOLD_MS {
            inner.told = (inner.count, now_ms);
        }
        inner.told.0
    }

    /// Keeps an empty room for longer: somebody asked for it without staying.
    pub fn touch(&self, now_ms: u64) {
        self.lock().empty_since_ms = now_ms;
    }

    /// Closes the list if it has been empty for `keep_ms`; `true` when it is closed now.
    pub fn close_if_idle(&self, now_ms: u64, keep_ms: u64) -> bool {
        let mut inner = self.lock();
        if inner.count == 0 && now_ms.saturating_sub(inner.empty_since_ms) >= keep_ms {
            inner.closed = true;
        }
        inner.closed
    }

    /// Takes no more viewers; those that are here stay.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Places, free ones included.
    pub fn places(&self) -> usize {
        self.lock().places.len()
    }

    /// Copies the viewers of the places in `from..from + places` into `out`. The lock is held for the copy only. Who joins
    /// at a place that was passed has just been brought up to date, and who leaves is skipped.
    pub fn copy(&self, from: usize, places: usize, out: &mut Vec<Arc<T>>) {
        let inner = self.lock();
        out.extend(inner.places.get(from..).unwrap_or_default().iter().take(places).flatten().cloned());
    }

    /// Everybody who is here now.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.lock().places.iter().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_stable_and_used_again() {
        let viewers = Viewers::new(0);
        let all: Vec<_> = (0..200).map(Arc::new).collect();
        let places: Vec<_> = all.iter().map(|v| viewers.join(v).unwrap()).collect();
        viewers.leave(places[3], 5);
        viewers.leave(places[3], 5);
        assert_eq!(viewers.count(), 199);
        let (mut seen, mut from) = (Vec::new(), 0);
        while from < viewers.places() {
            viewers.copy(from, 64, &mut seen);
            from += 64;
        }
        assert_eq!(seen.len(), 199);
        assert!(!seen.contains(&all[3]) && seen.contains(&all[199]));
        assert_eq!(viewers.all(), seen);
        assert_eq!(viewers.join(&all[3]), Some(3));
        assert!(!viewers.close_if_idle(1_000_000, 10), "it has viewers");
    }

    #[test]
    fn the_number_that_is_told_changes_every_two_seconds_at_most() {
        let viewers = Viewers::new(0);
        let all: Vec<_> = (0..5).map(Arc::new).collect();
        assert_eq!(viewers.about(0), 0);
        viewers.join(&all[0]).unwrap();
        assert_eq!(viewers.about(1), 1, "the first one is not nobody");
        all.iter().skip(1).for_each(|viewer| assert!(viewers.join(viewer).is_some()));
        assert_eq!((viewers.about(2), viewers.about(2_000), viewers.about(2_001)), (1, 1, 5));
        viewers.leave(2, 2_002);
        assert_eq!((viewers.about(4_000), viewers.about(4_001)), (5, 4));
    }

    #[test]
    fn an_idle_room_closes_and_takes_nobody() {
        let viewers = Viewers::new(0);
        let place = viewers.join(&Arc::new(1)).unwrap();
        viewers.leave(place, 100);
        assert!(!viewers.close_if_idle(150, 60));
        assert!(viewers.close_if_idle(160, 60));
        assert_eq!(viewers.join(&Arc::new(2)), None);
    }
}
