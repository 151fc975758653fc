//! Drift of every kind, planted by hand in a real Redis: found, named, repaired or loaded again, and counted. And none is
//! found in a healthy show, however busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::Rng;
use seatwire_core::holds::ledger::SeatRun;
use seatwire_core::holds::{Drift, HoldConfig, LedgerStatus, Scrubbed};
use seatwire_protocol::ws::{HoldEndReason, Push};
use seatwire_protocol::{HoldId, SeatIndex, SeatStatus};

use super::stage::{PATIENCE, Stage, config, customer, key, seats};

/// Names for the keys, and what a plant may use: the hold of ann on seats 1 and 2, and the time.
const PRELUDE: &str = "
    local SHOW, VERSION, STATUS, LOCK, HOLD, HELD_BY, OWNED_BY, ROWS, DUE = unpack(KEYS)
    local call, ANN, MEMBER, GHOST = redis.call, ARGV[1], ARGV[2] .. ':', string.rep('g', 16)
    local time = call('TIME')
    local soon = time[1] * 1000 + 100000
    local function set_status(seat, status) call('BITFIELD', STATUS, 'SET', 'u2', '#' .. seat, status) end
";

async fn plant(stage: &Stage, hold: HoldId, script: &str) {
    let names = ["show", "seat_version", "seat_status", "seat_lock", "hold", "held_by", "owned_by", "rows"];
    let mut keys: Vec<String> = names.iter().map(|name| stage.redis_key(name)).collect();
    keys.push(format!("hold_expiry:{{{}}}", stage.show.bucket()));
    let mut cmd = redis::cmd("EVAL");
    cmd.arg(format!("{PRELUDE}{script}")).arg(keys.len()).arg(keys);
    let _: () =
        cmd.arg(&hold.0).arg(stage.show.get()).query_async(&mut stage.connection().await).await.expect("the plant");
}

/// Sum of the drift counted of this kind.
fn counted(kind: Drift, action: &str) -> f64 {
    let (kind, action) = (format!("kind=\"{}\"", kind.name()), format!("action=\"{action}\""));
    let text = seatwire_core::metrics::render();
    let lines = text.lines().filter(|line| line.starts_with("seatwire_core_map_drift_total{"));
    let ours = lines.filter(|line| line.contains(&kind) && line.contains(&action));
    ours.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// 1,100 seats: ann holds 1 and 2, ben 600 (another step of the scrubber), 900 is booked for cat, the rest is free.
async fn show() -> (Stage, HoldId) {
    seatwire_core::metrics::start().unwrap();
    let stage = Stage::new(1_100, config()).await;
    stage.ledger.set_rows(stage.show, vec![SeatRun { first: SeatIndex(0), count: 1_100, tier: 0, joined: false }]);
    let ann = stage.hold("ann", &[1, 2]).await;
    stage.hold("ben", &[600]).await;
    let booked = stage.ledger.change(stage.show, &[900], LedgerStatus::Booked, Some((&customer("cat"), None)));
    stage.store.apply(&booked).await.unwrap();
    let clean = stage.store.scrub(stage.show).await.unwrap();
    assert_eq!((clean.result, &clean.found), (Scrubbed::Clean, &Vec::new()));
    (stage, ann)
}

/// The map is what it was before anything was planted.
async fn is_right(stage: &Stage, ann: HoldId) {
    let (_, map) = stage.map().await;
    for (seat, status) in map.iter().enumerate() {
        let right = match seat {
            1 | 2 | 600 => SeatStatus::Held,
            900 => SeatStatus::Booked,
            _ => SeatStatus::Available,
        };
        assert_eq!(status, right, "seat {seat}");
    }
    let own = stage.store.own_holds(stage.show, &[customer("ann"), customer("cat")]).await.unwrap().unwrap();
    assert_eq!(own[0].0.iter().map(|hold| hold.hold).collect::<Vec<_>>(), [ann]);
    assert_eq!(own[0].0[0].seats, seats(&[1, 2]));
}

#[tokio::test]
async fn drift_of_each_kind_is_found_repaired_and_counted() {
    let (stage, ann) = show().await;
    let plants = [
        (Drift::Status, "set_status(700, 2)"),
        (Drift::Status, "set_status(1, 0)"),
        (Drift::Status, "call('DEL', STATUS)"),
        (Drift::Lock, "call('HSET', LOCK, 800, GHOST .. 'ghost'); set_status(800, 1)"),
        (Drift::Lock, "call('HSET', LOCK, 3, ANN .. 'ann')"),
        (Drift::Lock, "call('HSET', LOCK, 4, ANN .. 'ben')"),
        (Drift::Hold, "call('HDEL', LOCK, 1)"),
        (Drift::Hold, "call('HDEL', LOCK, 1, 2); set_status(1, 0); set_status(2, 0)"),
        (Drift::Hold, "call('HSET', LOCK, 1, GHOST .. 'ghost')"),
        (Drift::HeldBy, "call('HDEL', HELD_BY, 'ann')"),
        (Drift::HeldBy, "call('HSET', HELD_BY, 'ann', cmsgpack.pack({ 9, { ANN }, {} }))"),
        (Drift::HeldBy, "call('HSET', HELD_BY, 'ghost', cmsgpack.pack({ 1, { GHOST }, {} }))"),
        (Drift::OwnedBy, "call('HINCRBY', OWNED_BY, 'bcat', 5)"),
        (Drift::OwnedBy, "call('HDEL', OWNED_BY, 'bcat')"),
        (Drift::OwnedBy, "call('HSET', OWNED_BY, 'pghost', 1)"),
        (Drift::Due, "call('ZREM', DUE, MEMBER .. ANN)"),
        (Drift::Due, "call('ZADD', DUE, soon * 2, MEMBER .. ANN)"),
        (Drift::Due, "call('ZADD', DUE, soon, MEMBER .. GHOST)"),
        (Drift::Due, "call('ZADD', DUE, soon, MEMBER)"),
        (Drift::Behind, "call('HSET', VERSION, 5, '00:')"),
        (Drift::Behind, "call('HDEL', VERSION, 1099)"),
        (Drift::Sale, "call('HSET', SHOW, 'sale_version', 0, 'sale', 2)"),
    ];
    for (kind, script) in plants {
        let before = counted(kind, "repaired");
        plant(&stage, ann, script).await;
        let scrub = stage.store.scrub(stage.show).await.unwrap();
        assert!(matches!(scrub.result, Scrubbed::Repaired(1..)), "{script}: {scrub:?}");
        let finding = scrub.found.iter().find(|finding| finding.kind == kind);
        let finding = finding.unwrap_or_else(|| panic!("{script}: {scrub:?}"));
        // Other tests of this process count as well.
        assert!(counted(kind, "repaired") >= before + finding.count as f64, "{script}");
        let again = stage.store.scrub(stage.show).await.unwrap();
        assert_eq!((again.result, again.found), (Scrubbed::Clean, Vec::new()), "{script}");
        is_right(&stage, ann).await;
    }
    assert_eq!(stage.map().await.0.generation, 1, "none of these needs a new generation");
    stage.finish().await;
}

#[tokio::test]
async fn drift_that_no_order_of_writes_explains_starts_a_new_generation() {
    let (stage, ann) = show().await;
    let plants = [
        (Drift::Ahead, "call('HSET', VERSION, 5, '29:ghost')"),
        (Drift::Ahead, "call('HSET', VERSION, 5, '21:ghost')"),
        (Drift::Ahead, "call('HSET', SHOW, 'generation', 1000)"),
        (Drift::Sale, "call('HSET', SHOW, 'sale', 2)"),
        (Drift::Sale, "call('HSET', SHOW, 'opens_at', 7)"),
        (Drift::Sale, "call('HSET', SHOW, 'sale_version', 7)"),
        (Drift::Sale, "call('HSET', SHOW, 'no_orphan', 1)"),
        (Drift::Layout, "call('HSET', SHOW, 'layout_version', 8)"),
        (Drift::Layout, "call('SET', ROWS, 'nonsense')"),
    ];
    for (kind, script) in plants {
        let before = counted(kind, "reloaded");
        plant(&stage, ann, script).await;
        let (position, _) = stage.map().await;
        let scrub = stage.store.scrub(stage.show).await.unwrap();
        assert_eq!(scrub.result, Scrubbed::Reloaded, "{script}: {scrub:?}");
        assert!(scrub.found.iter().any(|finding| finding.kind == kind), "{script}: {scrub:?}");
        assert!(counted(kind, "reloaded") > before, "{script}");
        assert_eq!(stage.map().await.0.generation, position.generation + 1, "{script}");
        assert_eq!(stage.store.scrub_once(stage.show).await.unwrap(), Scrubbed::Clean, "{script}");
        is_right(&stage, ann).await;
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_hold_without_a_record_or_whose_seat_is_another_ones_ends() {
    let (stage, ann) = show().await;
    let mut pushes = stage.pushes(&customer("ann")).await;
    // Ben has the lock of a seat of ann's: one of them has to go, and ann's hold is not whole any more.
    plant(&stage, ann, "local ben = call('HGET', LOCK, 600); call('HSET', LOCK, 1, ben)").await;
    let scrub = stage.store.scrub(stage.show).await.unwrap();
    let kinds: Vec<Drift> = scrub.found.iter().map(|finding| finding.kind).collect();
    assert!(kinds.contains(&Drift::Hold) && kinds.contains(&Drift::Lock), "{scrub:?}");
    stage.run(&stage.store);
    let ended = loop {
        // The word of its beginning was still waiting to be sent.
        if let Push::HoldEnded { hold, reason, .. } = pushes.push().await {
            break (hold, reason);
        }
    };
    assert_eq!(ended, (ann, HoldEndReason::SeatsLost));
    for seat in [1, 2] {
        assert_eq!(stage.status(seat).await, SeatStatus::Available);
    }
    // The record itself is gone: its locks, its holder and its due entry go.
    let again = stage.hold("ann", &[5, 6]).await;
    plant(&stage, again, "call('HDEL', HOLD, ANN)").await;
    let scrub = stage.store.scrub(stage.show).await.unwrap();
    let kinds: Vec<Drift> = scrub.found.iter().map(|finding| finding.kind).collect();
    for kind in [Drift::Lock, Drift::HeldBy, Drift::Due] {
        assert!(kinds.contains(&kind), "{kind:?} in {scrub:?}");
    }
    assert_eq!(stage.status(5).await, SeatStatus::Available);
    assert_eq!(stage.store.scrub_once(stage.show).await.unwrap(), Scrubbed::Clean);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_show_under_load_is_never_reported() {
    const BUYERS: usize = 24;
    let busy = HoldConfig { hold_ms: 60, grace_ms: 20, lapses_max: 1_000, ended_kept_ms: 500, ..config() };
    let stage = Stage::running(1_000, busy.clone()).await;
    let other = stage.another_core(busy);
    stage.run(&other);
    stage.map().await;
    let (stop, granted, booked) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (stage, shared) = (Arc::new(stage), Arc::new((stop, granted, booked)));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..BUYERS {
        let (stage, other, shared) = (stage.clone(), other.clone(), shared.clone());
        tasks.spawn(async move {
            let (stop, granted, booked) = &*shared;
            let who = customer(&format!("buyer{n}"));
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let store = if rand::rng().random() { &stage.store } else { &other };
                let first = rand::rng().random_range(0..990);
                let named: Vec<u32> = (first..first + rand::rng().random_range(1..=4)).collect();
                let body = key(&round.to_string());
                let Ok(hold) = store.hold(stage.show, &who, &body, &seats(&named), None).await.unwrap() else {
                    continue;
                };
                granted.fetch_add(1, Ordering::Relaxed);
                let choice = rand::rng().random_range(0..4);
                match choice {
                    0 => drop(store.release(stage.show, &who, hold.hold).await.unwrap()),
                    1 => drop(store.extend(stage.show, &who, hold.hold, &body).await.unwrap()),
                    2 => {
                        // A claim that is applied a moment after it was committed, and given back after a while.
                        let claim = stage.ledger.claim_if_free(stage.show, &named, &who, hold.hold);
                        let Some(claim) = claim else { continue };
                        let pause = Duration::from_millis(rand::rng().random_range(0..100));
                        tokio::time::sleep(pause).await;
                        store.apply(&claim).await.unwrap();
                        booked.fetch_add(1, Ordering::Relaxed);
                        let free = stage.ledger.change(stage.show, &named, LedgerStatus::Available, None);
                        store.apply(&free).await.unwrap();
                    }
                    _ => {}
                }
            }
        });
    }
    let start = Instant::now();
    let mut looks = 0;
    let (_, granted, booked) = &*shared;
    while looks < 8 || granted.load(Ordering::Relaxed) < 400 || booked.load(Ordering::Relaxed) < 40 {
        assert!(start.elapsed() < 3 * PATIENCE, "too little happened: {looks} looks, {granted:?} holds");
        let scrub = stage.store.scrub(stage.show).await.unwrap();
        assert_eq!((scrub.result, scrub.found), (Scrubbed::Clean, Vec::new()));
        looks += 1;
    }
    shared.0.store(true, Ordering::Relaxed);
    tasks.join_all().await;
    drop(other);
    Arc::into_inner(stage).unwrap().finish().await;
}
