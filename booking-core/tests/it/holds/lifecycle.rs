//! One customer's hold from beginning to end, and every refusal.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use seatwire_core::holds::{HoldConfig, LedgerStatus, LimitKind, Refusal};
use seatwire_protocol::command::{BestAvailable, HoldPhase};
use seatwire_protocol::error::{SeatConflict, SeatConflictReason};
use seatwire_protocol::ws::{HoldEndReason, Push};
use seatwire_protocol::{HoldId, Position, SaleState, SeatIndex, SeatStatus};

use seatwire_core::holds::ledger::SeatRun;

use super::stage::{Stage, config, customer, key, seats, until};

fn conflict(seat: u32, reason: SeatConflictReason) -> SeatConflict {
    SeatConflict { seat: SeatIndex(seat), reason, label: None }
}

#[tokio::test]
async fn a_hold_is_all_or_nothing_and_a_refusal_names_each_seat() {
    let stage = Stage::new(8, config()).await;
    stage.store.apply(&stage.ledger.change(stage.show, &[2], LedgerStatus::Booked, None)).await.unwrap();
    stage.hold("ann", &[0, 1]).await;
    stage.store.apply(&stage.ledger.change(stage.show, &[3], LedgerStatus::Blocked, None)).await.unwrap();
    let before = stage.map().await;

    let wanted = seats(&[4, 3, 2, 1]);
    let refused = stage.store.hold(stage.show, &customer("ben"), &key("k"), &wanted, None).await.unwrap();
    let Err(Refusal::Taken(conflicts)) = refused else { panic!("{refused:?}") };
    assert_eq!(
        conflicts,
        [
            conflict(1, SeatConflictReason::Held),
            conflict(2, SeatConflictReason::Booked),
            conflict(3, SeatConflictReason::Blocked)
        ]
    );
    let unknown = stage.store.hold(stage.show, &customer("ben"), &key("k"), &seats(&[0, 8, 99]), None).await.unwrap();
    assert_eq!(
        unknown,
        Err(Refusal::NoSuchSeat(vec![
            conflict(8, SeatConflictReason::NoSuchSeat),
            conflict(99, SeatConflictReason::NoSuchSeat)
        ]))
    );
    for wrong in [seats(&[]), seats(&[1, 1]), (0..11).map(SeatIndex).collect()] {
        let refused = stage.store.hold(stage.show, &customer("ben"), &key("k"), &wrong, None).await.unwrap();
        assert!(matches!(refused, Err(Refusal::Invalid { field: "seats", .. })), "{refused:?}");
    }
    // No trace of what was refused.
    assert_eq!(stage.map().await, before);
    let own = stage.store.own_holds(stage.show, &[customer("ben")]).await.unwrap().unwrap();
    assert_eq!(own, [(Vec::new(), 0)]);
    stage.finish().await;
}

#[tokio::test]
async fn the_same_key_is_the_same_hold_and_other_seats_under_it_are_refused() {
    let stage = Stage::new(8, config()).await;
    let ann = customer("ann");
    let place = |named: &'static [u32]| {
        let (store, ann) = (stage.store.clone(), ann.clone());
        async move { store.hold(stage.show, &ann, &key("k1"), &seats(named), None).await.unwrap() }
    };
    let first = place(&[2, 1]).await.unwrap();
    assert_eq!(first.seats, seats(&[1, 2]));
    assert_eq!((first.phase, first.extensions_left), (HoldPhase::Browse, 2));
    let again = place(&[1, 2]).await.unwrap();
    assert_eq!((again.hold, again.position), (first.hold, first.position));
    assert!(again.remaining_ms <= first.remaining_ms && again.remaining_ms > 290_000);
    assert_eq!(place(&[1, 3]).await, Err(Refusal::KeyReused));
    // Another customer's key is another hold.
    let other = stage.store.hold(stage.show, &customer("ben"), &key("k1"), &seats(&[5]), None).await.unwrap().unwrap();
    assert_ne!(other.hold, first.hold);
    // On another core too.
    let core = stage.another_core(config());
    let elsewhere = core.hold(stage.show, &ann, &key("k1"), &seats(&[1, 2]), None).await.unwrap().unwrap();
    assert_eq!(elsewhere.hold, first.hold);
    // After its end the key answers how it ended.
    stage.store.release(stage.show, &ann, first.hold).await.unwrap().unwrap();
    let ended = place(&[1, 2]).await.unwrap();
    assert_eq!((ended.hold, ended.phase, ended.remaining_ms), (first.hold, HoldPhase::Ended, 0));
    stage.finish().await;
}

#[tokio::test]
async fn only_the_owner_extends_and_releases() {
    let stage = Stage::new(8, config()).await;
    let (ann, ben) = (customer("ann"), customer("ben"));
    let hold = stage.hold("ann", &[1, 2]).await;
    assert_eq!(stage.store.release(stage.show, &ben, hold).await.unwrap(), Err(Refusal::NotOwner));
    assert_eq!(stage.store.extend(stage.show, &ben, hold, &key("e")).await.unwrap(), Err(Refusal::NotOwner));
    assert_eq!(stage.store.release(stage.show, &ann, HoldId([7; 16])).await.unwrap(), Err(Refusal::NotOwner));

    let once = stage.store.extend(stage.show, &ann, hold, &key("e1")).await.unwrap().unwrap();
    assert_eq!(once.extensions_left, 1);
    assert!(once.remaining_ms > 590_000);
    let same = stage.store.extend(stage.show, &ann, hold, &key("e1")).await.unwrap().unwrap();
    assert_eq!(same.extensions_left, 1);
    let twice = stage.store.extend(stage.show, &ann, hold, &key("e2")).await.unwrap().unwrap();
    assert_eq!(twice.extensions_left, 0);
    let thrice = stage.store.extend(stage.show, &ann, hold, &key("e3")).await.unwrap();
    assert_eq!(thrice, Err(Refusal::Limit { kind: LimitKind::Extensions, cap: 2 }));

    let released = stage.store.release(stage.show, &ann, hold).await.unwrap().unwrap();
    assert_eq!(stage.status(1).await, SeatStatus::Available);
    // A retry whose first answer was lost gets the same answer.
    assert_eq!(stage.store.release(stage.show, &ann, hold).await.unwrap().unwrap(), released);
    assert_eq!(stage.store.extend(stage.show, &ann, hold, &key("e4")).await.unwrap(), Err(Refusal::Gone));
    stage.finish().await;
}

#[tokio::test]
async fn no_extension_goes_past_the_lifetime() {
    let short = HoldConfig { lifetime_ms: 400_000, ..config() };
    let stage = Stage::new(4, short).await;
    let hold = stage.hold("ann", &[1]).await;
    let extended = stage.store.extend(stage.show, &customer("ann"), hold, &key("e1")).await.unwrap().unwrap();
    assert!(extended.remaining_ms <= 400_000 && extended.remaining_ms > 390_000);
    let refused = stage.store.extend(stage.show, &customer("ann"), hold, &key("e2")).await.unwrap();
    assert_eq!(refused, Err(Refusal::Limit { kind: LimitKind::Lifetime, cap: 400_000 }));
    stage.finish().await;
}

#[tokio::test]
async fn caps_count_held_pending_and_booked_seats() {
    let stage = Stage::new(40, config()).await;
    let ann = customer("ann");
    let first = stage.hold("ann", &[0, 1, 2]).await;
    let claim = stage.ledger.change(stage.show, &[0, 1, 2], LedgerStatus::Claimed, Some((&ann, Some(first))));
    stage.store.apply(&claim).await.unwrap();
    stage.store.apply(&claim).await.unwrap();
    assert_eq!(stage.store.own_holds(stage.show, std::slice::from_ref(&ann)).await.unwrap().unwrap(), [(vec![], 3)]);
    stage.hold("ann", &[3, 4, 5, 6]).await;
    let over = stage.store.hold(stage.show, &ann, &key("over"), &seats(&[7, 8, 9, 10]), None).await.unwrap();
    assert_eq!(over, Err(Refusal::Limit { kind: LimitKind::Seats, cap: 10 }));
    stage.hold("ann", &[7, 8, 9]).await;
    let third = stage.store.hold(stage.show, &ann, &key("third"), &seats(&[20]), None).await.unwrap();
    assert_eq!(third, Err(Refusal::Limit { kind: LimitKind::Holds, cap: 2 }));
    // The claim expires: its seats count no more.
    stage.store.apply(&stage.ledger.change(stage.show, &[0, 1, 2], LedgerStatus::Available, None)).await.unwrap();
    let own = stage.store.own_holds(stage.show, std::slice::from_ref(&ann)).await.unwrap().unwrap();
    assert_eq!((own[0].0.len(), own[0].1), (2, 0));
    stage.finish().await;
}

#[tokio::test]
async fn a_release_counts_back_and_leaves_other_holds() {
    let stage = Stage::new(20, config()).await;
    let ann = customer("ann");
    let first = stage.hold("ann", &[0, 1, 2, 3]).await;
    let second = stage.hold("ann", &[4, 5, 6, 7]).await;
    stage.store.release(stage.show, &ann, first).await.unwrap().unwrap();
    let live = || async {
        let own = stage.store.own_holds(stage.show, &[customer("ann")]).await.unwrap().unwrap();
        own[0].0.iter().map(|hold| hold.hold).collect::<Vec<_>>()
    };
    assert_eq!(live().await, [second]);
    let third = stage.hold("ann", &[0, 1, 2, 3, 10, 11]).await;
    assert_eq!(live().await, [second, third]);
    stage.store.release(stage.show, &ann, second).await.unwrap().unwrap();
    let over = stage.store.hold(stage.show, &ann, &key("over"), &seats(&[4, 5, 6, 7, 8]), None).await.unwrap();
    assert_eq!(over, Err(Refusal::Limit { kind: LimitKind::Seats, cap: 10 }));
    stage.hold("ann", &[4, 5, 6, 7]).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_hold_left_alone_ends_with_an_event_and_lapses_bring_a_cool_down() {
    let quick = HoldConfig { hold_ms: 30, grace_ms: 10, ..config() };
    let stage = Stage::running(8, quick).await;
    let ann = customer("ann");
    let mut pushes = stage.pushes(&ann).await;
    let mut last = Position::default();
    for round in 0..2 {
        let hold = stage.hold("ann", &[round, 5]).await;
        let Push::Hold { hold: told } = pushes.push().await else { panic!("a hold first") };
        assert_eq!(told.hold, hold);
        let Push::HoldEnded { hold: ended, seats: lost, reason, position, .. } = pushes.push().await else {
            panic!("then its end")
        };
        assert_eq!((ended, reason), (hold, HoldEndReason::Expired));
        assert_eq!(lost, seats(&[round, 5]));
        assert!(position > told.position && told.position > last);
        last = position;
        assert_eq!(stage.status(5).await, SeatStatus::Available);
        assert_eq!(stage.store.release(stage.show, &ann, hold).await.unwrap(), Err(Refusal::Gone));
    }
    let cool = stage.store.hold(stage.show, &ann, &key("again"), &seats(&[5]), None).await.unwrap();
    let Err(Refusal::CoolDown { retry_after_ms, .. }) = cool else { panic!("{cool:?}") };
    assert!((1..=60_000).contains(&retry_after_ms));
    stage.hold("ben", &[5]).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_hold_sweeps_due_ones_itself_those_in_its_way_always() {
    let stage = Stage::new(200, HoldConfig { hold_ms: 2_000, grace_ms: 0, ..config() }).await;
    for n in 0..70 {
        stage.hold(&format!("c{n}"), &[n]).await;
    }
    // No sweeper runs here, and asking for own holds ends none.
    until("the last one is due", || async {
        let own = stage.store.own_holds(stage.show, &[customer("c69")]).await.unwrap().unwrap();
        own[0].0.is_empty()
    })
    .await;
    stage.hold("ben", &[69, 100]).await;
    let held = stage.map().await.1.iter().take(69).filter(|status| *status == SeatStatus::Held).count();
    assert!(held <= 5, "64 others are swept, {held} are left");
    stage.finish().await;
}

#[tokio::test]
async fn a_sweep_finds_what_a_dead_core_left_behind() {
    let mut stage = Stage::new(200, config()).await;
    stage.map().await;
    // Placed faster than the first of them is due, however slow the machine: later ones would sweep it.
    let mut hold_ms = 1_000;
    let core = loop {
        let quick = HoldConfig { hold_ms, grace_ms: 0, ..config() };
        stage.store = stage.another_core(quick.clone());
        let start = Instant::now();
        for n in 0..150 {
            stage.hold(&format!("c{hold_ms}_{n}"), &[n]).await;
        }
        if start.elapsed() < Duration::from_millis(hold_ms) {
            break stage.another_core(quick);
        }
        until("all are due and over", async || {
            stage.store.sweep_once().await.unwrap();
            stage.map().await.1.iter().all(|status| status == SeatStatus::Available)
        })
        .await;
        hold_ms *= 4;
    };
    let swept = AtomicUsize::new(0);
    until("nothing held", || async {
        swept.fetch_add(core.sweep_once().await.unwrap(), Ordering::Relaxed);
        stage.map().await.1.iter().all(|status| status == SeatStatus::Available)
    })
    .await;
    // More than one script call ends.
    assert_eq!(swept.load(Ordering::Relaxed), 150);
    stage.finish().await;
}

#[tokio::test]
async fn the_sale_state_is_judged_and_opening_is_an_event() {
    let stage = Stage::running(4, config()).await;
    let ann = customer("ann");
    let try_hold = || async { stage.store.hold(stage.show, &ann, &key("k"), &seats(&[1]), None).await.unwrap() };
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let snapshot = || async { stage.store.snapshot(stage.show).await.unwrap().unwrap() };
    snapshot().await;

    stage.store.apply(&stage.ledger.change_sale(stage.show, SaleState::Before, Some(now() + 100_000))).await.unwrap();
    let refused = try_hold().await;
    let Err(Refusal::NotOnSale { opens_in_ms }) = refused else { panic!("{refused:?}") };
    assert!((90_000..=100_000).contains(&opens_in_ms));
    let mut feed = stage.feed().await;
    stage.store.apply(&stage.ledger.change_sale(stage.show, SaleState::Before, Some(now() + 2_000))).await.unwrap();
    let sale_of = |message| match message {
        seatwire_protocol::feed::FeedMessage::Batch { sale, seats, .. } => (sale, seats.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(sale_of(feed.next().await), (SaleState::Before, 0));
    assert_eq!(sale_of(feed.next().await), (SaleState::Open, 0));
    assert_eq!(snapshot().await.sale, SaleState::Open);
    assert!(try_hold().await.is_ok());

    let closed = stage.ledger.change_sale(stage.show, SaleState::Closed, None);
    stage.store.apply(&closed).await.unwrap();
    let refused = stage.store.hold(stage.show, &ann, &key("other"), &seats(&[2]), None).await.unwrap();
    assert_eq!(refused, Err(Refusal::SaleClosed));
    stage.finish().await;
}

#[tokio::test]
async fn best_available_takes_adjacent_seats_of_the_best_row() {
    let stage = Stage::new(20, config()).await;
    let run = |first, count, tier| SeatRun { first: SeatIndex(first), count, tier, joined: false };
    stage.ledger.set_rows(stage.show, vec![run(10, 4, 1), run(14, 6, 1), run(0, 10, 2)]);
    let best = |who: &'static str, count, tier| {
        let store = stage.store.clone();
        let wish = BestAvailable { count, tier };
        async move { store.hold(stage.show, &customer(who), &key("b"), &[], Some(&wish)).await.unwrap() }
    };
    assert_eq!(best("ann", 2, None).await.unwrap().seats, seats(&[11, 12]));
    // The first row has no two seats together any more.
    assert_eq!(best("ben", 2, None).await.unwrap().seats, seats(&[16, 17]));
    assert_eq!(best("cat", 4, Some(2)).await.unwrap().seats, seats(&[3, 4, 5, 6]));
    assert_eq!(best("dan", 4, None).await, Err(Refusal::NoneLeft));
    assert_eq!(best("dan", 4, Some(9)).await, Err(Refusal::NoneLeft));
    stage.finish().await;
}
