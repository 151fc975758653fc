//! When those who were refused should come back. Each is given a turn as if it stood in a line that moves at the rate of
//! joins: a storm of ten thousand does not come back as a storm. Nobody is waited for: who comes early or not at all
//! costs nothing. Pure.

use std::sync::atomic::{AtomicU64, Ordering};

/// Nobody is told to wait for longer than this, however long the line.
const WAIT_MS_MAX: u64 = 120_000;
/// Nobody comes back before this.
const WAIT_MS_MIN: u64 = 1_000;
/// Beyond its turn a client waits this much longer, at random, at most.
const JITTER_MS: u64 = 4_000;

/// The line.
pub struct WaitingLine {
    /// A turn takes this long.
    turn_us: u64,
    /// When the last turn that was given is over.
    ends_at_us: AtomicU64,
}

impl WaitingLine {
    pub fn new(per_second: u32) -> Self {
        Self { turn_us: 1_000_000 / u64::from(per_second.max(1)), ends_at_us: AtomicU64::new(0) }
    }

    /// A turn for one more: how long until then, without jitter.
    pub fn turn_ms(&self, now_ms: u64) -> u64 {
        let now_us = now_ms.saturating_mul(1_000);
        let after = |ends_at_us: u64| ends_at_us.max(now_us).saturating_add(self.turn_us);
        let latest_us = now_us.saturating_add(WAIT_MS_MAX.saturating_mul(1_000));
        let next = |ends_at_us| Some(after(ends_at_us).min(latest_us));
        let before = self.ends_at_us.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        let turn_us = after(before.unwrap_or_else(|now| now)).min(latest_us);
        WAIT_MS_MIN.saturating_add(turn_us.saturating_sub(now_us) / 1_000)
    }

    /// The same with jitter: what a client is told.
    pub fn wait_ms(&self, now_ms: u64) -> u64 {
        self.turn_ms(now_ms).saturating_add(rand::random_range(0..=JITTER_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_spread_at_the_rate_of_joins_and_a_lone_refusal_is_not() {
        let line = WaitingLine::new(500);
        assert_eq!(line.turn_ms(10_000), WAIT_MS_MIN + 2);
        let waits: Vec<u64> = (0..10_000).map(|_| line.turn_ms(10_000)).collect();
        let mut seconds = [0_u32; 32];
        waits.iter().for_each(|wait| seconds[usize::try_from(wait / 1_000).unwrap()] += 1);
        assert!(seconds.iter().all(|count| *count <= 500), "{seconds:?}");
        assert_eq!(waits.iter().max(), Some(&(WAIT_MS_MIN + 20_002)), "no longer than it has to be");
        assert_eq!(line.turn_ms(60_000), WAIT_MS_MIN + 2, "the line is gone");
        let slow = WaitingLine::new(1);
        let longest = (0..10_000).map(|_| slow.turn_ms(0)).max();
        assert_eq!(longest, Some(WAIT_MS_MIN + WAIT_MS_MAX));
    }
}
