//! A breadth-first search through every state that a model can reach.
//!
//! Of a visited state only a 64-bit fingerprint and the one of its parent are kept, so ten million states fit into half a
//! gigabyte. Two states with one fingerprint would be taken for one: with ten million of them the chance is below one in
//! a hundred thousand. The shortest way to a violation is found by running it again along the fingerprints.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// What can happen, and what must never be.
pub trait Model {
    /// Everything that is.
    type State: Clone + Hash;
    /// One atomic step of somebody.
    type Action: Copy + Debug;

    /// Where it starts.
    fn initial(&self) -> Self::State;
    /// Lists what can happen next.
    fn actions(&self, state: &Self::State, out: &mut Vec<Self::Action>);
    /// What an action of that list leads to.
    fn next(&self, state: &Self::State, action: Self::Action) -> Self::State;
    /// The property that a state violates; `enabled` is what can happen next.
    fn violated(&self, state: &Self::State, enabled: &[Self::Action]) -> Option<&'static str>;
    /// What a run should have come across, or it proves little.
    fn milestones(&self) -> Vec<Milestone<Self::State>>;
}

/// Something worth reaching.
pub type Milestone<S> = (&'static str, fn(&S) -> bool);

/// A property that does not hold, and the shortest way there.
#[derive(Debug)]
pub struct Violation<A> {
    /// The property.
    pub property: &'static str,
    /// What happened, step by step.
    pub trace: Vec<A>,
}

/// What a search came to. It ends at the first violation.
#[derive(Debug)]
pub struct Report<A> {
    /// Different states.
    pub states: usize,
    /// Steps tried.
    pub steps: usize,
    /// Length of the longest shortest way.
    pub depth: usize,
    /// The first violation.
    pub violation: Option<Violation<A>>,
    /// Milestones that no state reached.
    pub missed: Vec<&'static str>,
    /// Whether every state was visited.
    pub complete: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// Visits every state, at most `states_max`.
pub fn explore<M: Model>(model: &M, states_max: usize) -> Report<M::Action> {
    let started = Instant::now();
    let initial = model.initial();
    let mut parents = HashMap::from([(fingerprint(&initial), None)]);
    let mut missed = model.milestones();
    let (mut level, mut next_level) = (vec![initial], Vec::new());
    let (mut steps, mut depth) = (0_usize, 0_usize);
    let mut violation = None;
    let mut actions = Vec::new();
    'search: while !level.is_empty() && parents.len() < states_max {
        for state in level.drain(..) {
            actions.clear();
            model.actions(&state, &mut actions);
            missed.retain(|(_, reached)| !reached(&state));
            let parent = fingerprint(&state);
            if let Some(property) = model.violated(&state, &actions) {
                violation = Some(Violation { property, trace: trace(model, &parents, parent) });
                break 'search;
            }
            for action in &actions {
                steps += 1;
                let next = model.next(&state, *action);
                if let Entry::Vacant(entry) = parents.entry(fingerprint(&next)) {
                    entry.insert(Some(parent));
                    next_level.push(next);
                }
            }
        }
        std::mem::swap(&mut level, &mut next_level);
        depth += usize::from(!level.is_empty());
    }
    Report {
        states: parents.len(),
        steps,
        depth,
        complete: violation.is_none() && level.is_empty(),
        violation,
        missed: missed.into_iter().map(|(name, _)| name).collect(),
        elapsed: started.elapsed(),
    }
}

/// The way to a state: the fingerprints back to the start, then the actions that lead along them.
fn trace<M: Model>(model: &M, parents: &HashMap<u64, Option<u64>>, end: u64) -> Vec<M::Action> {
    let mut way = vec![end];
    let mut at = end;
    while let Some(Some(parent)) = parents.get(&at) {
        way.push(*parent);
        at = *parent;
    }
    let mut state = model.initial();
    let mut trace = Vec::new();
    for target in way.into_iter().rev().skip(1) {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        let found = actions.into_iter().map(|action| (action, model.next(&state, action)));
        let Some((action, next)) = found.into_iter().find(|(_, next)| fingerprint(next) == target) else { break };
        trace.push(action);
        state = next;
    }
    trace
}

fn fingerprint<S: Hash>(state: &S) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
