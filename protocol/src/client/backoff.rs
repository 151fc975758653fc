//! Waits between attempts to connect: doubling, with jitter so that many clients do not come back at once. Pure.

use std::time::Duration;

/// The growing wait; [`Backoff::reset`] after a success.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), next: min }
    }

    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    /// The next wait: between half and all of the doubling value. `random` is uniform in 0 .. 1.
    pub(super) fn wait(&mut self, random: f64) -> Duration {
        let wait = self.next.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        self.next = self.next.saturating_mul(2).min(self.max);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum_and_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(35));
        let waits: Vec<u128> = (0..4).map(|_| backoff.wait(1.0).as_millis()).collect();
        assert_eq!(waits, [10, 20, 35, 35]);
        assert_eq!(backoff.wait(0.0), Duration::from_micros(17_500));
        backoff.reset();
        assert_eq!(backoff.wait(0.5), Duration::from_micros(7_500));
    }
}
