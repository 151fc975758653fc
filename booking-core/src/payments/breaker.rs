//! A circuit breaker: after some failures in a row nobody is sent to a provider that is down; after a pause one call
//! may try. Takes the time as an argument, so that it can be tested without waiting.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng;

use crate::metrics as names;

/// Failures in a row that open it.
pub const FAILURES_MAX: u32 = 5;
/// First pause; doubled with each try that fails.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A provider that asks to be left alone is, but not for longer than this.
const QUIET_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls pass; so many failed in a row.
    Closed { failures: u32 },
    /// None passes before `until`; after so many openings in a row.
    Open { until: Instant, openings: u32 },
    /// One call tries.
    HalfOpen { openings: u32 },
}

/// The breaker of one provider.
#[derive(Debug)]
pub struct Breaker {
    provider: &'static str,
    state: Mutex<(State, Option<Instant>)>,
}

/// Leave for one call. Dropped without a report (the call was given up), it tells nothing, and the next one may try.
#[derive(Debug)]
pub struct Pass<'a> {
    breaker: &'a Breaker,
    reported: bool,
}

impl Breaker {
    /// Closed.
    #[must_use]
    pub fn new(provider: &'static str) -> Self {
        let breaker = Self { provider, state: Mutex::new((State::Closed { failures: 0 }, None)) };
        breaker.show(State::Closed { failures: 0 });
        breaker
    }

    /// Leave to call, or how long to wait.
    ///
    /// # Errors
    /// While it is open, or the provider asked for quiet.
    pub fn admit(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut state = self.lock();
        if let Some(until) = state.1.filter(|until| *until > now) {
            return Err(until - now);
        }
        match state.0 {
            State::Closed { .. } => {}
            State::Open { until, .. } if until > now => return Err(until - now),
            State::Open { openings, .. } => self.set(&mut state, State::HalfOpen { openings }),
            State::HalfOpen { .. } => return Err(PAUSE),
        }
        Ok(Pass { breaker: self, reported: false })
    }

    /// The provider asked to be left alone for so long.
    pub fn quiet(&self, now: Instant, wait: Duration) {
        self.lock().1 = Some(now + wait.min(QUIET_MAX));
    }

    fn report(&self, now: Instant, answered: Option<bool>) {
        let mut state = self.lock();
        let next = match (state.0, answered) {
            (_, Some(true)) => State::Closed { failures: 0 },
            (State::Closed { failures }, Some(false)) if failures + 1 < FAILURES_MAX => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, Some(false)) => open(now, 0),
            (State::HalfOpen { openings }, Some(false)) => open(now, openings.saturating_add(1)),
            // The try was given up: the next call tries.
            (State::HalfOpen { openings }, None) => State::Open { until: now, openings },
            // A call that began before it opened.
            (other, _) => other,
        };
        if next != state.0 {
            self.set(&mut state, next);
        }
    }

    fn set(&self, state: &mut (State, Option<Instant>), next: State) {
        match (state.0, next) {
            (State::Closed { .. }, State::Open { .. }) => {
                tracing::warn!(provider = self.provider, "the payment provider is down: not called for a while");
            }
            (State::HalfOpen { .. }, State::Closed { .. }) => {
                tracing::info!(provider = self.provider, "the payment provider answers again");
            }
            _ => {}
        }
        state.0 = next;
        self.show(next);
    }

    fn show(&self, state: State) {
        let value = match state {
            State::Closed { .. } => 0.0,
            State::HalfOpen { .. } => 1.0,
            State::Open { .. } => 2.0,
        };
        metrics::gauge!(names::PROVIDER_BREAKER, "provider" => self.provider).set(value);
    }

    fn lock(&self) -> MutexGuard<'_, (State, Option<Instant>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(now: Instant, openings: u32) -> State {
    let pause = PAUSE.saturating_mul(1 << openings.min(10)).min(PAUSE_MAX);
    State::Open { until: now + pause.mul_f64(rand::rng().random_range(0.8..1.2)), openings }
}

impl Pass<'_> {
    /// How the call ended: whether the provider answered sensibly.
    pub fn report(mut self, now: Instant, answered: bool) {
        self.reported = true;
        self.breaker.report(now, Some(answered));
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.reported {
            self.breaker.report(Instant::now(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, now: Instant) {
        breaker.admit(now).unwrap().report(now, false);
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_between_does_not() {
        let (breaker, now) = (Breaker::new("test"), Instant::now());
        for _ in 1..FAILURES_MAX {
            fail(&breaker, now);
        }
        breaker.admit(now).unwrap().report(now, true);
        for _ in 0..FAILURES_MAX {
            fail(&breaker, now);
        }
        let wait = breaker.admit(now).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= PAUSE * 2, "{wait:?}");
    }

    #[test]
    fn after_the_pause_one_call_tries_and_decides() {
        let (breaker, now) = (Breaker::new("test"), Instant::now());
        (0..FAILURES_MAX).for_each(|_| fail(&breaker, now));
        let later = now + PAUSE * 2;
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_err(), "only one");
        probe.report(later, false);
        assert!(breaker.admit(later).unwrap_err() > PAUSE, "a longer pause");
        let much_later = later + PAUSE_MAX * 2;
        breaker.admit(much_later).unwrap().report(much_later, true);
        let both = (breaker.admit(much_later).unwrap(), breaker.admit(much_later).unwrap());
        drop(both);
        fail(&breaker, much_later);
        assert!(breaker.admit(much_later).is_ok(), "closed as at first");
    }

    #[test]
    fn a_try_that_is_given_up_leaves_the_next_one_to_try() {
        let (breaker, now) = (Breaker::new("test"), Instant::now());
        (0..FAILURES_MAX).for_each(|_| fail(&breaker, now));
        let later = now + PAUSE_MAX;
        drop(breaker.admit(later).unwrap());
        assert!(breaker.admit(later).is_ok());
    }

    #[test]
    fn quiet_is_kept_and_bounded() {
        let (breaker, now) = (Breaker::new("test"), Instant::now());
        breaker.quiet(now, Duration::from_secs(3_600));
        assert_eq!(breaker.admit(now).unwrap_err(), QUIET_MAX);
        assert!(breaker.admit(now + QUIET_MAX).is_ok());
    }
}
