//! What the slots do: pairs of hold and release on random seats, or a list of operations.

use std::time::Instant;

use super::driver::{Answer, Op, Source};

/// Every slot holds three free adjacent seats, releases them, and goes on with others until the time is over.
pub(super) struct Pairs<'a> {
    /// First seats of runs of three.
    starts: &'a [u32],
    until: Instant,
    name: String,
    /// What each slot holds.
    held: Vec<Option<Op>>,
    customers: u64,
    pub(super) granted: u64,
    pub(super) refused: u64,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(starts: &'a [u32], slots: usize, until: Instant) -> Self {
        Self { starts, until, name: run_name(), held: vec![None; slots], customers: 0, granted: 0, refused: 0 }
    }
}

impl Source for Pairs<'_> {
    fn next(&mut self, slot: usize) -> Option<Op> {
        if let Some(release) = self.held.get_mut(slot).and_then(Option::take) {
            return Some(release);
        }
        if Instant::now() >= self.until {
            return None;
        }
        self.customers += 1;
        let start = *self.starts.get(rand::random_range(0..self.starts.len()))?;
        Some(Op::Hold { customer: format!("{}{}", self.name, self.customers), seats: [start, start + 1, start + 2] })
    }

    fn answered(&mut self, slot: usize, op: Op, answer: Answer) {
        match (op, answer) {
            (Op::Hold { customer, .. }, Answer::Held(hold)) => {
                self.granted += 1;
                if let Some(place) = self.held.get_mut(slot) {
                    *place = Some(Op::Release { customer, hold });
                }
            }
            (Op::Hold { .. }, _) => self.refused += 1,
            _ => {}
        }
    }
}

/// Operations in order, each once.
pub(super) struct List {
    ops: std::vec::IntoIter<Op>,
    /// Releases of all that was granted.
    pub(super) releases: Vec<Op>,
    pub(super) refused: u64,
}

impl List {
    pub(super) fn new(ops: Vec<Op>) -> Self {
        Self { ops: ops.into_iter(), releases: Vec::new(), refused: 0 }
    }

    /// One hold on each run of three, each by a customer of its own.
    pub(super) fn holds(starts: &[u32]) -> Vec<Op> {
        let name = run_name();
        let hold = |(n, start): (usize, &u32)| Op::Hold {
            customer: format!("{name}{n}"),
            seats: [*start, *start + 1, *start + 2],
        };
        starts.iter().enumerate().map(hold).collect()
    }
}

impl Source for List {
    fn next(&mut self, _: usize) -> Option<Op> {
        self.ops.next()
    }

    fn answered(&mut self, _: usize, op: Op, answer: Answer) {
        match (op, answer) {
            (Op::Hold { customer, .. }, Answer::Held(hold)) => self.releases.push(Op::Release { customer, hold }),
            (Op::Hold { .. }, _) => self.refused += 1,
            _ => {}
        }
    }
}

/// So that customers of two runs are never the same.
fn run_name() -> String {
    format!("b{:08x}-", rand::random::<u32>())
}
