//! Which request ids wait for an answer. Bounded, pure.
//!
//! Ids never repeat in the life of a table, so that a late answer, or a caller that gives up late, can't touch another
//! caller's entry, even after a reconnect.

use std::collections::HashMap;

/// The table is at its bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Request id → who waits.
#[derive(Debug)]
pub(super) struct Pending<W> {
    waiters: HashMap<u64, W>,
    last_id: u64,
    max: usize,
}

impl<W> Pending<W> {
    pub(super) fn new(max: usize) -> Self {
        Self { waiters: HashMap::new(), last_id: 0, max }
    }

    /// Sets the bound; entries above it stay until answered.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Adds a waiter under a fresh id, which is never 0.
    pub(super) fn add(&mut self, waiter: W) -> Result<u64, Full> {
        if self.waiters.len() >= self.max {
            return Err(Full);
        }
        self.last_id = self.last_id.wrapping_add(1).max(1);
        self.waiters.insert(self.last_id, waiter);
        Ok(self.last_id)
    }

    /// Removes the waiter of an id: it was answered, or gave up.
    pub(super) fn take(&mut self, id: u64) -> Option<W> {
        self.waiters.remove(&id)
    }

    /// Removes all: the connection is lost. Ids go on from where they were.
    pub(super) fn take_all(&mut self) -> Vec<W> {
        self.waiters.drain().map(|(_, waiter)| waiter).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_waiter_in_any_order_and_once() {
        let mut pending = Pending::new(3);
        let ids: Vec<u64> = ["a", "b", "c"].map(|w| pending.add(w).unwrap()).to_vec();
        assert_eq!(pending.add("d"), Err(Full));
        assert_eq!(pending.take(ids[2]), Some("c"));
        assert_eq!(pending.take(ids[0]), Some("a"));
        assert_eq!(pending.take(ids[0]), None, "a second answer has no waiter");
        assert_eq!(pending.take(0), None);
        assert_eq!(pending.len(), 1);
    }

    #[test]
    fn ids_are_never_used_twice_even_after_a_loss() {
        let mut pending = Pending::new(2);
        let first = pending.add(1).unwrap();
        assert_eq!(pending.take_all(), [1]);
        let second = pending.add(2).unwrap();
        assert_ne!(first, second);
        assert_eq!(pending.take(first), None, "an answer from before the loss is nobody's");
        assert_eq!(pending.take(second), Some(2));
    }

    #[test]
    fn a_lower_bound_applies_to_new_entries_only() {
        let mut pending = Pending::new(2);
        let first = pending.add("a").unwrap();
        pending.add("b").unwrap();
        pending.set_max(1);
        assert_eq!(pending.take(first), Some("a"));
        assert_eq!(pending.add("c"), Err(Full));
    }
}
