//! Customers who logged out, for as long as tokens of before may be around. Bounded: when there are too many, the oldest
//! are forgotten, and all tokens of that time are void instead, whoever's they are. Pure.

use std::collections::HashMap;

use seatwire_protocol::CustomerId;

/// Logouts remembered.
const REVOKED_MAX: usize = 100_000;

/// Who logged out, and when; milliseconds since 1970.
pub struct Revoked {
    before: HashMap<CustomerId, u64>,
    /// Every token issued before is void.
    floor_ms: u64,
    max: usize,
}

impl Default for Revoked {
    fn default() -> Self {
        Self::new(REVOKED_MAX)
    }
}

impl Revoked {
    fn new(max: usize) -> Self {
        Self { before: HashMap::new(), floor_ms: 0, max }
    }

    /// Tokens of the customer issued before `before_ms` are void; those issued before `oldest_ms` have ended anyway.
    /// `true` when the floor rose: customers who did not log out have to log in again.
    pub fn add(&mut self, customer: CustomerId, before_ms: u64, oldest_ms: u64) -> bool {
        let before = self.before.entry(customer).or_default();
        *before = before_ms.max(*before);
        if self.before.len() <= self.max {
            return false;
        }
        self.before.retain(|_, before| *before > oldest_ms);
        if self.before.len() <= self.max {
            return false;
        }
        let mut all: Vec<u64> = self.before.values().copied().collect();
        let middle = all.len() / 2;
        let (_, floor_ms, _) = all.select_nth_unstable(middle);
        self.floor_ms = self.floor_ms.max(*floor_ms);
        self.before.retain(|_, before| *before > self.floor_ms);
        true
    }

    /// Whether a token is void that was issued to the customer at this time.
    pub fn covers(&self, customer: &CustomerId, issued_at_ms: u64) -> bool {
        issued_at_ms < self.floor_ms || self.before.get(customer).is_some_and(|before| issued_at_ms < *before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(n: u64) -> CustomerId {
        CustomerId::new(&format!("c_{n}")).unwrap()
    }

    #[test]
    fn a_logout_voids_what_was_issued_before_it_and_the_later_one_counts() {
        let mut revoked = Revoked::default();
        revoked.add(customer(1), 5_000, 0);
        revoked.add(customer(1), 3_000, 0);
        assert!(revoked.covers(&customer(1), 4_999) && !revoked.covers(&customer(1), 5_000));
        assert!(!revoked.covers(&customer(2), 1));
    }

    #[test]
    fn when_there_are_too_many_nobody_who_logged_out_is_let_in_again() {
        let mut revoked = Revoked::new(100);
        let rose = (1..=1_000).filter(|n| revoked.add(customer(*n), n * 1_000, 0)).count();
        assert!(rose > 0 && revoked.before.len() <= 100, "{rose} {}", revoked.before.len());
        assert!((1..=1_000).all(|n| revoked.covers(&customer(n), n * 1_000 - 1)));
        assert!(!revoked.covers(&customer(1_000), 1_000_000), "a token of after is good");
        // What has ended is forgotten without harm to others.
        let mut revoked = Revoked::new(100);
        assert!((1..=1_000_u64).all(|n| !revoked.add(customer(n), n * 1_000, (n * 1_000).saturating_sub(50_000))));
        assert!(!revoked.covers(&customer(5_000), 1), "nobody else has to log in again");
    }
}
