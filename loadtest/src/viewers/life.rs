//! What each viewer does and when, by the seed: it comes; some drop their connection and come back, some stall, some hide
//! the page, again and again until the run settles.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::orders::Plan;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// For the first time, or again.
    Come,
    Drop,
    Stall,
    Read,
    Hide,
    Look,
}

/// Acts in the order of their times.
pub(super) struct Lives {
    due: BinaryHeap<Reverse<(Instant, usize, Act)>>,
    habits: Vec<Option<Act>>,
    rng: StdRng,
    settled: bool,
}

impl Lives {
    pub(super) fn planned(plan: &Plan, come_at: Instant) -> Self {
        let mut rng = StdRng::seed_from_u64(plan.seed.wrapping_add(plan.number as u64));
        let (mut due, mut habits) = (BinaryHeap::new(), Vec::with_capacity(plan.viewers));
        for viewer in 0..plan.viewers {
            let comes = come_at + Duration::from_millis(rng.random_range(0..=plan.within_ms));
            due.push(Reverse((comes, viewer, Act::Come)));
            let habit = habit(plan, rng.random_range(0..100));
            if let Some(act) = habit {
                due.push(Reverse((comes + between(&mut rng, FIRST_MS), viewer, act)));
            }
            habits.push(habit);
        }
        Self { due, habits, rng, settled: false }
    }

    /// The next act that is due, with the moment that was meant.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Instant, usize, Act)> {
        loop {
            let Reverse((at, viewer, act)) = self.due.peek().copied().filter(|Reverse((at, ..))| *at <= now)?;
            self.due.pop();
            let begins = matches!(act, Act::Drop | Act::Stall | Act::Hide);
            if self.settled && begins {
                continue;
            }
            if begins {
                let (then, pause) = match act {
                    Act::Drop => (Act::Come, AWAY_MS),
                    Act::Stall => (Act::Read, STALL_MS),
                    _ => (Act::Look, HIDE_MS),
                };
                let over = at + between(&mut self.rng, pause);
                self.due.push(Reverse((over, viewer, then)));
                self.due.push(Reverse((over + between(&mut self.rng, AGAIN_MS), viewer, act)));
            }
            return Some((at, viewer, act));
        }
    }

    /// Somebody whose connection ended comes back, no sooner than the gateway said.
    pub(super) fn comes_back(&mut self, viewer: usize, no_sooner: Instant) {
        let at = no_sooner + between(&mut self.rng, BACK_MS);
        self.due.push(Reverse((at, viewer, Act::Come)));
    }

    pub(super) fn comes_back_within(&mut self, viewer: usize, within: Duration) {
        let at = Instant::now() + within.mul_f64(self.rng.random_range(0.0..1.0));
        self.due.push(Reverse((at, viewer, Act::Come)));
    }

    /// Any of so many.
    pub(super) fn choose(&mut self, of: usize) -> usize {
        self.rng.random_range(0..of.max(1))
    }

    /// Whether this viewer does nothing but look.
    pub(super) fn stays(&self, viewer: usize) -> bool {
        self.habits.get(viewer).is_some_and(Option::is_none)
    }

    /// From now on acts only end.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }
}

fn habit(plan: &Plan, percent: u8) -> Option<Act> {
    let habits = plan.habits;
    let stalls = habits.drop.saturating_add(habits.stall);
    match percent {
        percent if percent < habits.drop => Some(Act::Drop),
        percent if percent < stalls => Some(Act::Stall),
        percent if percent < stalls.saturating_add(habits.hide) => Some(Act::Hide),
        _ => None,
    }
}

fn between(rng: &mut StdRng, ms: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(ms))
}

const FIRST_MS: std::ops::Range<u64> = 500..8_000;
const AWAY_MS: std::ops::Range<u64> = 50..3_000;
const STALL_MS: std::ops::Range<u64> = 500..4_000;
const HIDE_MS: std::ops::Range<u64> = 500..6_000;
const AGAIN_MS: std::ops::Range<u64> = 2_000..12_000;
/// After a connection that ended without being asked to.
const BACK_MS: std::ops::Range<u64> = 100..1_500;
