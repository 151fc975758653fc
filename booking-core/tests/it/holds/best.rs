//! The choice of adjacent seats: across tiers, without leaving one alone, and fought over.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seatwire_core::holds::ledger::SeatRun;
use seatwire_core::holds::{HoldConfig, HoldStore, Refusal};
use seatwire_protocol::command::BestAvailable;
use seatwire_protocol::feed::{FeedMessage, FeedReason};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{SeatIndex, SeatStatus, ShowId};

use super::stage::{Stage, config, customer, key, seats};

fn run(first: u32, count: u32, tier: u32, joined: bool) -> SeatRun {
    SeatRun { first: SeatIndex(first), count, tier, joined }
}

/// The seats chosen, each time for somebody new.
async fn best(stage: &Stage, count: u32, tier: Option<u32>) -> Result<Vec<u32>, Refusal> {
    let who = customer(&format!("c{}", rand::random::<u64>()));
    let wish = BestAvailable { count, tier };
    let held = stage.store.hold(stage.show, &who, &key("k"), &[], Some(&wish)).await.unwrap()?;
    Ok(held.seats.iter().map(|seat| seat.0).collect())
}

#[tokio::test]
async fn any_tier_crosses_the_border_of_tiers_and_a_tier_does_not() {
    let stage = Stage::new(20, config()).await;
    stage.ledger.set_rows(
        stage.show,
        vec![run(10, 2, 1, false), run(12, 3, 2, true), run(15, 2, 1, true), run(0, 10, 1, false)],
    );
    assert_eq!(best(&stage, 4, Some(2)).await, Err(Refusal::NoneLeft));
    assert_eq!(best(&stage, 3, Some(1)).await, Ok(vec![3, 4, 5]));
    assert_eq!(best(&stage, 5, None).await, Ok(vec![11, 12, 13, 14, 15]));
    assert_eq!(best(&stage, 2, Some(1)).await, Ok(vec![6, 7]));
    assert_eq!(best(&stage, 1, Some(1)).await, Ok(vec![10]), "the best row still has one");
    assert_eq!(best(&stage, 5, None).await, Err(Refusal::NoneLeft));
    stage.finish().await;
}

#[tokio::test]
async fn where_no_seat_may_be_left_alone_windows_that_leave_none_go_first() {
    let stage = Stage::new(8, config()).await;
    stage.ledger.set_rows(stage.show, vec![run(0, 3, 1, false), run(3, 5, 1, false)]);
    stage.ledger.set_no_orphan(stage.show, true);
    assert_eq!(best(&stage, 2, None).await, Ok(vec![3, 4]), "not the middle of the better row");
    assert_eq!(best(&stage, 2, None).await, Ok(vec![0, 1]), "each choice leaves one: the better row");
    assert_eq!(best(&stage, 3, None).await, Ok(vec![5, 6, 7]));
    assert_eq!(best(&stage, 1, None).await, Ok(vec![2]));
    assert_eq!(best(&stage, 1, None).await, Err(Refusal::NoneLeft));
    stage.finish().await;
}

#[tokio::test]
async fn due_holds_beyond_those_that_a_call_sweeps_are_counted_as_left() {
    let stage = Stage::new(100, HoldConfig { hold_ms: 500, grace_ms: 0, ..config() }).await;
    stage.ledger.set_rows(stage.show, vec![run(0, 100, 1, false)]);
    for seat in 0..100 {
        stage.hold(&format!("c{seat}"), &[seat]).await;
    }
    // No sweeper runs here.
    super::stage::until("the last one is due", || async {
        stage.store.own_holds(stage.show, &[customer("c99")]).await.unwrap().unwrap()[0].0.is_empty()
    })
    .await;
    assert!(best(&stage, 10, None).await.is_ok());
    stage.finish().await;
}

const TIERS: [Option<u32>; 3] = [None, Some(1), Some(2)];

/// The longest free window inside a run, for any tier and for each.
fn longest(rows: &[SeatRun], statuses: &PackedStatuses) -> [u32; 3] {
    let mut most = [0; 3];
    let mut open = [0; 3];
    for piece in rows {
        for (at, tier) in TIERS.iter().enumerate() {
            if !piece.joined || tier.is_some() {
                open[at] = 0;
            }
        }
        for seat in piece.first.0..piece.first.0 + piece.count {
            let free = statuses.get(SeatIndex(seat)) == Some(SeatStatus::Available);
            for (at, tier) in TIERS.iter().enumerate() {
                open[at] = if free && tier.is_none_or(|tier| tier == piece.tier) { open[at] + 1 } else { 0 };
                most[at] = most[at].max(open[at]);
            }
        }
    }
    most
}

/// A wish that was refused, and the sequences before and after the call.
struct NoneLeft {
    tier: usize,
    count: u32,
    from: u64,
    to: u64,
}

#[derive(Default)]
struct Fight {
    grants: Vec<(Vec<SeatIndex>, u32, usize)>,
    none_left: Vec<NoneLeft>,
    released: usize,
}

async fn fight(core: HoldStore, show: ShowId, n: usize, seed: u64) -> Fight {
    let mut rng = StdRng::seed_from_u64(seed ^ ((n as u64) << 32));
    let mut out = Fight::default();
    let sequence = async || core.positions(&[show]).await.unwrap()[0].unwrap().sequence;
    for round in 0..8 {
        let (who, count) = (customer(&format!("b{n}-{round}")), rng.random_range(1..=5));
        let tier = rng.random_range(0..3);
        let wish = BestAvailable { count, tier: TIERS[tier] };
        let from = sequence().await;
        match core.hold(show, &who, &key("k"), &[], Some(&wish)).await.unwrap() {
            Ok(hold) => {
                out.grants.push((hold.seats, count, tier));
                // Often enough that the house is not full for good before all have met.
                if rng.random_bool(0.85) {
                    core.release(show, &who, hold.hold).await.unwrap().unwrap();
                    out.released += 1;
                }
            }
            Err(Refusal::NoneLeft) => out.none_left.push(NoneLeft { tier, count, from, to: sequence().await }),
            Err(other) => panic!("{other:?}"),
        }
    }
    out
}

/// Seats stay sold only while somebody holds them: who hears "none left" must have asked while none was.
async fn a_hundred_fight(no_orphan: bool, seed: u64) {
    let rows = vec![
        run(60, 4, 1, false),
        run(64, 5, 2, true),
        run(69, 3, 1, true),
        run(0, 14, 1, false),
        run(14, 3, 2, false),
        run(30, 11, 2, false),
        run(41, 1, 1, true),
        run(17, 13, 1, false),
        run(42, 18, 2, false),
        run(72, 8, 1, false),
    ];
    let stage = Stage::new(80, config()).await;
    stage.ledger.set_rows(stage.show, rows.clone());
    stage.ledger.set_no_orphan(stage.show, no_orphan);
    stage.map().await;
    let mut feed = stage.feed().await;
    let cores = [stage.store.clone(), stage.another_core(config())];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        tasks.spawn(fight(cores[n % 2].clone(), stage.show, n, seed));
    }
    let fights = tasks.join_all().await;
    let (_, last) = stage.map().await;

    // The feed, step by step: nothing is held twice, and what was free after each step.
    let mut statuses = PackedStatuses::new(80);
    let mut free = HashMap::from([(0, longest(&rows, &statuses))]);
    for bytes in feed.drain().await {
        let Some(FeedMessage::Batch { position, reason, seats, .. }) = FeedMessage::parse(&bytes) else {
            panic!("a batch")
        };
        for (seat, status) in seats {
            if reason == Some(FeedReason::Held) {
                assert_eq!(statuses.get(seat), Some(SeatStatus::Available), "held twice");
            }
            assert!(statuses.set(seat, status));
        }
        assert!(free.insert(position.sequence, longest(&rows, &statuses)).is_none(), "a sequence given twice");
    }
    assert!(statuses.iter().eq(last.iter()), "the replayed feed is not the map");

    let mut run_of = HashMap::new();
    let mut runs = 0_u32;
    for piece in &rows {
        runs += u32::from(!piece.joined);
        run_of.extend((piece.first.0..piece.first.0 + piece.count).map(|seat| (seat, (runs, piece.tier))));
    }
    let all = || fights.iter().flat_map(|fight| &fight.grants);
    for (seats, count, tier) in all() {
        assert_eq!(seats.len(), *count as usize);
        assert!(seats.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{seats:?}");
        assert!(seats.iter().all(|seat| run_of[&seat.0].0 == run_of[&seats[0].0].0), "across an aisle: {seats:?}");
        assert!(TIERS[*tier].is_none_or(|tier| seats.iter().all(|seat| run_of[&seat.0].1 == tier)), "{seats:?}");
    }
    let refused: Vec<&NoneLeft> = fights.iter().flat_map(|fight| &fight.none_left).collect();
    for wish in &refused {
        let none = (wish.from..=wish.to).any(|sequence| free[&sequence][wish.tier] < wish.count);
        assert!(none, "{} of tier {:?} could be had all the time", wish.count, TIERS[wish.tier]);
    }
    let released: usize = fights.iter().map(|fight| fight.released).sum();
    println!("granted {}, none left {}, released {released}", all().count(), refused.len());
    assert!(all().count() > 60 && refused.len() > 60 && released > 30);

    // Whoever comes afterwards, one at a time, gets what is left, down to the last window.
    for (tier, count) in (0..3).flat_map(|tier| (1..=5).map(move |count| (tier, count))).rev() {
        loop {
            let room = longest(&rows, &stage.map().await.1)[tier];
            let chosen = best(&stage, count, TIERS[tier]).await;
            assert_eq!(chosen.is_ok(), room >= count, "{room} for {count} of {:?}", TIERS[tier]);
            if chosen.is_err() {
                break;
            }
        }
    }
    assert!(stage.map().await.1.iter().all(|status| status == SeatStatus::Held));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tasks_fight_over_the_last_blocks() {
    let seed: u64 = std::env::var("SEATWIRE_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("SEATWIRE_TEST_SEED={seed}");
    a_hundred_fight(false, seed).await;
    a_hundred_fight(true, seed).await;
}

#[tokio::test]
async fn seats_that_a_customer_has_to_wait_for_are_passed_over_and_told_when_nothing_else_is_left() {
    let stage = Stage::new(4, HoldConfig { hold_ms: 1, grace_ms: 0, ..config() }).await;
    stage.ledger.set_rows(stage.show, vec![run(0, 4, 1, false)]);
    let ann = customer("ann");
    let wish = BestAvailable { count: 2, tier: None };
    let patient = stage.another_core(config());
    for round in 0..2 {
        let lost = stage.store.hold(stage.show, &ann, &key(&format!("{round}")), &[], Some(&wish)).await.unwrap();
        assert_eq!(lost.unwrap().seats, seats(&[1, 2]));
        super::stage::until("it lapsed", || async {
            stage.store.sweep_once().await.unwrap();
            stage.status(1).await == SeatStatus::Available
        })
        .await;
    }
    let refused = patient.hold(stage.show, &ann, &key("again"), &[], Some(&wish)).await.unwrap();
    let Err(Refusal::CoolDown { seats: named, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(named.iter().map(|conflict| conflict.seat.0).collect::<Vec<_>>(), [1, 2]);
    let one = BestAvailable { count: 1, tier: None };
    let held = patient.hold(stage.show, &ann, &key("one"), &[], Some(&one)).await.unwrap().unwrap();
    assert_eq!(held.seats, seats(&[0]));
    stage.finish().await;
}
