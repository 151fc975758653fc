//! The part of the cores that the rounds of all rooms may take together. Each slice of a round is paid for with the CPU
//! time that it took, at a price that is higher the smaller the share, and whoever has overdrawn waits until it is paid
//! (the generic cell rate algorithm, ITU-T I.371). What was not used is kept for a while, so a quiet gateway answers a
//! change at full speed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Unused time that is kept: at half of a core, a round of five thousand viewers goes out in one piece.
const CREDIT: Duration = Duration::from_millis(100);

/// What all rounds may take.
pub struct Pace {
    start: Instant,
    /// Nanoseconds of wall-clock time that one of CPU time stands for, in hundredths.
    price_percent: u64,
    /// Nanoseconds since the start up to which the work done so far fills the share.
    paid_until: AtomicU64,
}

impl Pace {
    /// `share_percent` of `cores`.
    pub fn new(share_percent: u32, cores: usize) -> Self {
        let part = u64::from(share_percent).saturating_mul(cores as u64).max(1);
        // As if there had been a long quiet time before.
        let start = Instant::now();
        Self { start, price_percent: 1_000_000 / part, paid_until: AtomicU64::new(0) }
    }

    /// Pays for work; how long to wait until the next.
    pub fn pay(&self, cpu: Duration) -> Duration {
        self.pay_at(nanos(self.start.elapsed()), cpu)
    }

    fn pay_at(&self, now: u64, cpu: Duration) -> Duration {
        let price = nanos(cpu).saturating_mul(self.price_percent) / 10_000;
        let earliest = now.saturating_sub(nanos(CREDIT));
        let pay = |until: u64| Some(until.max(earliest).saturating_add(price));
        let before = self.paid_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).unwrap_or(earliest);
        Duration::from_nanos(before.max(earliest).saturating_add(price).saturating_sub(now))
    }
}

/// CPU time that this thread has used; 0 where the system does not tell.
pub fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Works in slices of one millisecond for `total`, waiting as it is told; the work done.
    fn busy(pace: &Pace, from: u64, total: Duration) -> Duration {
        let (mut now, mut done) = (from, Duration::ZERO);
        while now < from + nanos(total) {
            now += nanos(MS);
            done += MS;
            now += nanos(pace.pay_at(now, MS));
        }
        done
    }

    #[test]
    fn the_share_is_kept_and_what_was_not_used_is_had_at_once() {
        for (percent, cores, allowed_ms) in [(50, 1, 500), (55, 1, 550), (10, 1, 100), (100, 1, 1_000)] {
            let pace = Pace::new(percent, cores);
            // A quiet second before; then its credit is on top, and no more.
            let done = busy(&pace, 1_000_000_000, 1_000 * MS).as_millis();
            let credit = 100 * u128::from(percent) * cores as u128 / 100;
            assert!((allowed_ms..=allowed_ms + credit + 2).contains(&done), "{percent} %: {done} ms");
        }
    }

    #[test]
    fn a_quiet_gateway_waits_for_nothing() {
        let pace = Pace::new(50, 1);
        let now = 10_000_000_000;
        assert_eq!(pace.pay_at(now, 49 * MS), Duration::ZERO);
        assert!(pace.pay_at(now, 10 * MS) > Duration::ZERO);
    }

    #[test]
    fn two_cores_may_take_twice_as_much() {
        let (one, two) = (Pace::new(50, 1), Pace::new(50, 2));
        let now = 10_000_000_000;
        let (waits, half) = (one.pay_at(now, 100 * MS), two.pay_at(now, 100 * MS));
        assert_eq!((waits, half), (100 * MS, Duration::ZERO));
    }

    #[test]
    fn work_takes_cpu_time() {
        let before = thread_cpu();
        while thread_cpu() == before {
            std::hint::spin_loop();
        }
    }
}
