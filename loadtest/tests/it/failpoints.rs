//! At every named place between two effects of the saga the core is killed once, the step fails once and is repeated
//! once, while purchases are in flight: each ends as it does without the fault, and the books balance.
//!
//! The list of places comes from the source. Needs a core that was built with the feature `failpoints`:
//! `make failpoints`. `SEATWIRE_TEST_FAILPOINTS=claim.,settle.` takes only names that begin so.

mod control;
mod lane;
mod names;
mod rig;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::{shop, support};
use control::Action;
use lane::{At, Lane};
use routes::{ROUTES, Route};

/// Stacks side by side, as many as two cores can feed.
const LANES: u64 = 4;
/// Books are looked at after so many faults of a lane, and at the end.
const AUDIT_EVERY: usize = 40;
/// Places that a worker may pass beside any route, and the route that makes it.
const MADE_BY: (&str, &str) = ("scrub_", "wrong_map");

/// What a route does without a fault.
#[derive(Clone)]
struct Known {
    route: &'static Route,
    end: String,
    took: Duration,
    passes: BTreeSet<String>,
    /// Those, and what workers pass when its customer is served already.
    leads_to: BTreeSet<String>,
}

/// What is left to do, and what went wrong, in words.
#[derive(Default)]
struct Work {
    routes: Mutex<Vec<&'static Route>>,
    known: Mutex<Vec<Known>>,
    names: Mutex<Vec<String>>,
    faults: Mutex<usize>,
    failed: Mutex<Vec<String>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a core with failpoints: make failpoints"]
async fn a_fault_at_any_failpoint_changes_no_end() {
    let _turn = shop::TURN.lock().await;
    let (start, wanted) = (Instant::now(), wanted());
    let mut lanes = Vec::new();
    // One after the other: the first map of a large show takes all that a machine has.
    for _ in 0..support::number("SEATWIRE_TEST_LANES", LANES).min(wanted.len() as u64) {
        lanes.push(Lane::open().await);
    }
    let mut work = Work { routes: Mutex::new(ROUTES.iter().rev().collect()), ..Work::default() };
    join_all(lanes.iter_mut().map(|lane| lane.work(async |at| work.survey(at).await))).await;
    println!("{} failpoints x {} actions", wanted.len(), Action::ALL.len());
    println!("{:<34} {:<7} {:<17} {:>6}  end", "failpoint", "action", "route", "ms");
    work.plan(&wanted);
    join_all(lanes.iter_mut().map(|lane| lane.work(async |at| work.strike(at).await))).await;
    let told: usize = join_all(lanes.into_iter().map(Lane::close)).await.into_iter().sum();
    let (faults, failed) = (work.faults.into_inner().unwrap(), work.failed.into_inner().unwrap());
    println!(
        "{} failpoints, {faults} faults, {} not as they should be, {told} confirmed and kept, {:.1} minutes",
        wanted.len(),
        failed.len(),
        start.elapsed().as_secs_f64() / 60.0
    );
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

impl Work {
    /// Walks routes without a fault.
    async fn survey(&self, at: &At<'_>) {
        while let Some(route) = next(&self.routes) {
            match at.survey(route).await {
                Ok(known) => {
                    let Known { end, took, passes, .. } = &known;
                    println!("{:<17} {:>6} ms, {:>3} places: {end}", route.0, took.as_millis(), passes.len());
                    self.known.lock().unwrap().push(known);
                }
                Err(error) => self.note(format!("{} without a fault: {error}", route.0)),
            }
        }
    }

    /// Names in the order in which they are taken from the end: those that take longest first, so that no lane is left
    /// alone with them.
    fn plan(&mut self, wanted: &[String]) {
        let mut names = wanted.to_vec();
        names.sort_by_cached_key(|name| (self.known(name).map(|known| known.took), std::cmp::Reverse(name.clone())));
        *self.names.get_mut().unwrap() = names;
    }

    /// Every action at names that nobody else has taken.
    async fn strike(&self, at: &At<'_>) {
        let mut faults = 0;
        while let Some(name) = next(&self.names) {
            let Some(known) = self.known(&name) else {
                self.note(format!("{name}: no route leads there"));
                continue;
            };
            for action in Action::ALL {
                let start = Instant::now();
                let result = at.strike(&known, &name, action).await;
                let took = start.elapsed().as_millis();
                let end = result.as_ref().unwrap_or_else(|error| error);
                println!("{name:<34} {action:<7} {:<17} {took:>6}  {end}", known.route.0);
                if let Err(error) = result {
                    self.note(format!("{name} {action} on {}: {error}", known.route.0));
                }
                *self.faults.lock().unwrap() += 1;
                faults += 1;
                if faults % AUDIT_EVERY == 0
                    && let Err(error) = at.audited().await
                {
                    self.note(error);
                }
            }
        }
    }

    /// The shortest way past a place; without one, the shortest that leads there in the end.
    fn known(&self, name: &str) -> Option<Known> {
        let known = self.known.lock().unwrap();
        let made = |known: &Known| !name.starts_with(MADE_BY.0) || known.route.0 == MADE_BY.1;
        let passing =
            known.iter().filter(|known| made(known) && known.passes.contains(name)).min_by_key(|known| known.took);
        let leading = || known.iter().filter(|known| known.leads_to.contains(name)).min_by_key(|known| known.took);
        passing.or_else(leading).cloned()
    }

    fn note(&self, failure: String) {
        self.failed.lock().unwrap().push(failure);
    }
}

fn next<T>(queue: &Mutex<Vec<T>>) -> Option<T> {
    queue.lock().unwrap().pop()
}

/// The names of the code that a route has to lead to.
fn wanted() -> Vec<String> {
    let only = std::env::var("SEATWIRE_TEST_FAILPOINTS").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|start| !start.is_empty()).collect();
    let chosen = |name: &String| only.is_empty() || only.iter().any(|start| name.starts_with(start));
    names::from_the_code().into_iter().filter(chosen).collect()
}

/// Cheap, and part of every run: the list is read as it should be.
#[test]
fn the_list_of_failpoints_is_that_of_the_code() {
    let names = names::from_the_code();
    let mut by_step: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in &names {
        let (step, place) = name.split_once('.').unwrap_or_else(|| panic!("{name}: step.place"));
        by_step.entry(step).or_default().push(place);
    }
    for (step, least) in [
        ("claim", 9),
        ("settle", 15),
        ("expire", 8),
        ("export", 2),
        ("mail", 2),
        ("cancel", 8),
        ("begin_book", 2),
        ("store_events", 2),
        ("complete", 2),
        ("bump_generation", 2),
        ("mark_outbox", 2),
        ("refund", 3),
    ] {
        let places = by_step.get(step).map_or(0, Vec::len);
        assert!(places >= least, "{step} has {places} places: {:?}", by_step.get(step));
    }
    println!("{} failpoints: {by_step:#?}", names.len());
}
