//! Who wants which seats at the same moment: an attempt is contended when another one for a seat of its own is under way
//! at some time between its command and its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Contest(Mutex<Wanted>);

#[derive(Debug, Default)]
struct Wanted {
    /// By seat, the attempts under way.
    now: BTreeMap<u32, Vec<Arc<AtomicBool>>>,
    ever: BTreeSet<u32>,
}

/// One attempt; it is under way as long as this lives.
pub(super) struct Attempt<'a> {
    contest: &'a Contest,
    seats: Vec<u32>,
    met: Arc<AtomicBool>,
}

impl Contest {
    pub(super) fn enter(&self, seats: &[u32]) -> Attempt<'_> {
        let met = Arc::new(AtomicBool::new(false));
        let mut wanted = self.lock();
        for seat in seats {
            wanted.ever.insert(*seat);
            let others = wanted.now.entry(*seat).or_default();
            for other in others.iter() {
                other.store(true, Ordering::Relaxed);
                met.store(true, Ordering::Relaxed);
            }
            others.push(Arc::clone(&met));
        }
        Attempt { contest: self, seats: seats.to_vec(), met }
    }

    /// Different seats that anybody wanted.
    pub(super) fn seats(&self) -> u64 {
        self.lock().ever.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    pub(super) fn met_another(&self) -> bool {
        self.met.load(Ordering::Relaxed)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut wanted = self.contest.lock();
        for seat in &self.seats {
            if let Some(others) = wanted.now.get_mut(seat) {
                others.retain(|other| !Arc::ptr_eq(other, &self.met));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_for_a_same_seat_at_the_same_time_are_contended_both() {
        let contest = Contest::default();
        let (early, alone) = (contest.enter(&[1, 2]), contest.enter(&[7]));
        assert!(!early.met_another());
        let late = contest.enter(&[2, 3]);
        assert!(early.met_another() && late.met_another() && !alone.met_another());
        drop((early, late));
        assert!(!contest.enter(&[2]).met_another());
        assert_eq!(contest.seats(), 4);
    }
}
