//! How many WebSockets each address, or each customer, has open.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counters by key, at most `max` each. A key is kept as a hash of a secret kind, which is eight bytes however long the
/// key is; two that were to share one would share their places, which harms nobody.
pub struct Places {
    max: u32,
    open: Mutex<HashMap<u64, u32>>,
    hashes: RandomState,
}

/// Whose place it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(u64);

impl Places {
    pub fn new(max: u32) -> Self {
        Self { max, open: Mutex::default(), hashes: RandomState::new() }
    }

    /// Who a key is here.
    pub fn owner(&self, key: &impl Hash) -> Owner {
        Owner(self.hashes.hash_one(key))
    }

    /// Takes a place; `false` when the owner has all of its places already.
    pub fn take(&self, Owner(owner): Owner) -> bool {
        let mut open = self.lock();
        let count = open.entry(owner).or_default();
        let free = *count < self.max;
        if free {
            *count = count.saturating_add(1);
        }
        free
    }

    /// Gives a place back that was taken.
    pub fn give_back(&self, Owner(owner): Owner) {
        let mut open = self.lock();
        let Some(count) = open.get_mut(&owner) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            open.remove(&owner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
