//! The token bucket of one connection. Pure, eight bytes of state and a time.

/// How often something may happen: `per_second` in the long run, twice as many at once.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub per_second: u32,
}

/// A bucket; full at first.
#[derive(Debug)]
pub struct Bucket {
    /// Thousandths of a message.
    level: u64,
    at_ms: u64,
    /// Refusals since the bucket was last half full.
    refused: u32,
}

/// What the bucket says.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// Too fast; wait so many milliseconds.
    Refused(u64),
    /// Too fast for too long.
    Persistent,
}

impl Bucket {
    pub fn new(rate: Rate, now_ms: u64) -> Self {
        Self { level: Self::full(rate), at_ms: now_ms, refused: 0 }
    }

    /// Takes one message out.
    pub fn take(&mut self, rate: Rate, now_ms: u64) -> Verdict {
        let per_second = u64::from(rate.per_second.max(1));
        // A message is a thousand, and a second has a thousand milliseconds: per_second a millisecond.
        let gained = now_ms.saturating_sub(self.at_ms).saturating_mul(per_second);
        self.level = self.level.saturating_add(gained).min(Self::full(rate));
        self.at_ms = now_ms;
        if self.level.saturating_mul(2) >= Self::full(rate) {
            self.refused = 0;
        }
        if let Some(rest) = self.level.checked_sub(1_000) {
            self.level = rest;
            return Verdict::Allowed;
        }
        self.refused = self.refused.saturating_add(1);
        if u64::from(self.refused) > per_second.saturating_mul(4) {
            return Verdict::Persistent;
        }
        Verdict::Refused(1_000_u64.saturating_sub(self.level).div_ceil(per_second))
    }

    fn full(rate: Rate) -> u64 {
        u64::from(rate.per_second.max(1)).saturating_mul(2_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 20 };

    #[test]
    fn a_burst_of_forty_then_twenty_a_second() {
        let mut bucket = Bucket::new(RATE, 0);
        assert_eq!((0..40).filter(|_| bucket.take(RATE, 0) == Verdict::Allowed).count(), 40);
        assert_eq!(bucket.take(RATE, 0), Verdict::Refused(50));
        let allowed = (1..=1_000).filter(|ms| ms % 10 == 0 && bucket.take(RATE, *ms) == Verdict::Allowed).count();
        assert_eq!(allowed, 20);
    }

    #[test]
    fn only_who_goes_on_is_closed() {
        let mut bucket = Bucket::new(RATE, 0);
        let verdicts: Vec<_> = (0..200).map(|_| bucket.take(RATE, 0)).collect();
        assert_eq!(verdicts.iter().position(|v| *v == Verdict::Persistent), Some(120));
        let mut patient = Bucket::new(RATE, 0);
        for second in 0..100 {
            for _ in 0..45 {
                assert_ne!(patient.take(RATE, second * 2_000), Verdict::Persistent);
            }
        }
    }
}
