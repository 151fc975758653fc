//! At every named place between two effects of the saga the core is killed once, the step fails once and is repeated
//! once, while purchases are in flight: each ends as it does without the fault, and the books balance.
//!
//! The list of places comes from the source. Needs a core that was built with the feature `failpoints`:
//! `make failpoints`. `SEATWIRE_TEST_FAILPOINTS=claim.,settle.` takes only names that begin so.

mod control;
mod names;
mod rig;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use seatwire_loadtest::launcher::{Service, StackOptions};

use crate::shop::Shop;
use control::{Action, Control};
use rig::Rig;
use routes::{Ended, ROUTES, Route};

/// Longer than a restart of the core, so that a hold outlives it.
const OPTIONS: [(&str, u64); 4] = [
    ("SEATWIRE_HOLD_MS", 6_000),
    ("SEATWIRE_HOLD_GRACE_MS", 300),
    ("SEATWIRE_CLAIM_MS", 6_000),
    ("SEATWIRE_PAYING_MS", 6_000),
];
/// Some places only a worker's round leads to.
const FIRES_WITHIN: Duration = Duration::from_secs(20);
/// Some only a core's start: one that did not fire until then is given another.
const STARTS_AFTER: Duration = Duration::from_secs(2);
/// A payment that is settled together with somebody else's passes other places than one alone: then once more.
const STRIKES_AGAIN: usize = 2;
const NEVER_FIRED: &str = "never fired";
/// Books are looked at after so many faults, and at the end.
const AUDIT_EVERY: usize = 40;

/// What a route does without a fault.
struct Known {
    route: &'static Route,
    end: String,
    took: Duration,
    passes: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a core with failpoints: make failpoints"]
async fn a_fault_at_any_failpoint_changes_no_end() {
    let control = Control::new();
    let options = StackOptions::new().env(Service::Core, "SEATWIRE_FAILPOINTS", control.folder().display());
    let mail = control.folder().join("mail");
    let options = options.env(Service::Core, "SEATWIRE_MAIL_URL", format!("file:{}", mail.display()));
    let options = OPTIONS.iter().fold(options, |options, (name, ms)| options.env(Service::Core, *name, ms));
    let mut shop = Shop::open(options).await;
    let rig = Rig::of(&shop, mail).await;
    let at = shop.at.clone();
    let failed = tokio::select! {
        failed = run(&rig, &control, &at) => failed,
        () = rig.keep_up(&mut shop.stack) => Vec::new(),
    };
    rig.check_told().await;
    shop.audit(&[("confirmed", 1)]).await;
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    shop.stack.shutdown().await;
}

/// Every name, with every action; what failed, in words.
async fn run(rig: &Rig, control: &Control, at: &seatwire_loadtest::launcher::Addresses) -> Vec<String> {
    let mut failed = Vec::new();
    let known = survey(rig, control, &mut failed).await;
    let wanted = wanted();
    println!("{} failpoints x {} actions", wanted.len(), Action::ALL.len());
    println!("{:<34} {:<7} {:<17} {:>6}  end", "failpoint", "action", "route", "ms");
    let mut faults = 0;
    for name in &wanted {
        let through = known.iter().filter(|known| known.passes.contains(name)).min_by_key(|known| known.took);
        let Some(known) = through else {
            failed.push(format!("{name}: no route leads there"));
            continue;
        };
        for action in Action::ALL {
            let start = Instant::now();
            let mut result = strike(rig, control, known, name, action).await;
            for _ in 0..STRIKES_AGAIN {
                if !matches!(&result, Err(error) if error == NEVER_FIRED) {
                    break;
                }
                result = strike(rig, control, known, name, action).await;
            }
            let took = start.elapsed().as_millis();
            let end = result.as_ref().unwrap_or_else(|error| error);
            println!("{name:<34} {action:<7} {:<17} {took:>6}  {end}", known.route.0);
            if let Err(error) = result {
                failed.push(format!("{name} {action} on {}: {error}", known.route.0));
            }
            faults += 1;
            if faults % AUDIT_EVERY == 0 {
                failed.extend(audited(at).await.err());
            }
        }
    }
    println!("{faults} faults, {} confirmed and kept", rig.check_told().await);
    failed
}

/// Walks every route without a fault.
async fn survey(rig: &Rig, control: &Control, failed: &mut Vec<String>) -> Vec<Known> {
    let mut known = Vec::new();
    for route in ROUTES {
        control.forget_reached();
        rig.restart_core().await;
        let start = Instant::now();
        match route.1(rig).await {
            Ok(end) => {
                let (took, passes) = (start.elapsed(), control.reached());
                println!("{:<17} {:>6} ms, {:>3} places: {end}", route.0, took.as_millis(), passes.len());
                known.push(Known { route, end, took, passes });
            }
            Err(error) => failed.push(format!("{} without a fault: {error}", route.0)),
        }
    }
    known
}

/// One fault on a route, beside somebody else's purchase.
async fn strike(rig: &Rig, control: &Control, known: &Known, name: &str, action: Action) -> Ended {
    control.arm(name, action);
    let beside = async {
        // Whoever holds something when Redis loses everything has to begin anew.
        if known.route.0 == "load" { Ok("Confirmed []".to_owned()) } else { routes::purchase(rig).await }
    };
    let (end, beside) = tokio::join!(known.route.1(rig), beside);
    let (end, beside) = (end?, beside.map_err(|error| format!("the purchase beside it: {error}"))?);
    let (over, mut restarted) = (Instant::now(), false);
    while !control.has_fired() && over.elapsed() < FIRES_WITHIN {
        if over.elapsed() > STARTS_AFTER && !restarted {
            restarted = true;
            rig.restart_core().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let fired = control.has_fired();
    control.disarm();
    rig.core_is_ready().await;
    match () {
        () if !fired => Err(NEVER_FIRED.to_owned()),
        () if end != known.end => Err(format!("ended as {end}, and without a fault as {}", known.end)),
        () if !beside.starts_with("Confirmed") => Err(format!("the purchase beside it: {beside}")),
        () => Ok(end),
    }
}

async fn audited(at: &seatwire_loadtest::launcher::Addresses) -> Result<(), String> {
    use seatwire_loadtest::audit::{AuditOptions, audit};
    let report = audit(at, AuditOptions::default().wait(Duration::from_secs(60))).await;
    let clean = report.and_then(seatwire_loadtest::audit::AuditReport::into_clean);
    clean.map(drop).map_err(|error| format!("audit: {error:#}"))
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
