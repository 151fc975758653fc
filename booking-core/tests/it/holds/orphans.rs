//! No single seat left alone: the rule of `scripts/orphan.lua`, its exceptions, and how a show comes by it.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};
use seatwire_core::holds::ledger::SeatRun;
use seatwire_core::holds::{Applied, LedgerStatus, Refusal};
use seatwire_protocol::error::SeatConflictReason;
use seatwire_protocol::{SeatIndex, SeatStatus};

use super::stage::{Stage, config, customer, key, seats};

/// A show with these runs (first, count) and the rule.
async fn strict(runs: &[(u32, u32)]) -> Stage {
    let count = runs.iter().map(|(first, count)| first + count).max().unwrap();
    let stage = Stage::new(count, config()).await;
    let run = |&(first, count)| SeatRun { first: SeatIndex(first), count, tier: 1, joined: false };
    stage.ledger.set_rows(stage.show, runs.iter().map(run).collect());
    stage.ledger.set_no_orphan(stage.show, true);
    stage
}

/// Holds for a customer of its own; the seats that would be left alone, when refused.
async fn stranded(stage: &Stage, named: &[u32]) -> Vec<u32> {
    let who = customer(&format!("c{}", rand::random::<u64>()));
    match stage.store.hold(stage.show, &who, &key("k"), &seats(named), None).await.unwrap() {
        Ok(_) => Vec::new(),
        Err(Refusal::Orphan(conflicts)) => {
            assert!(!conflicts.is_empty());
            assert!(conflicts.iter().all(|conflict| conflict.reason == SeatConflictReason::Orphan));
            conflicts.iter().map(|conflict| conflict.seat.0).collect()
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_hold_that_leaves_a_seat_alone_is_refused_and_names_it() {
    let stage = strict(&[(0, 6), (6, 6)]).await;
    // The row's end counts as taken.
    assert_eq!(stranded(&stage, &[1, 2]).await, [0]);
    assert_eq!(stranded(&stage, &[1, 4]).await, [0, 5]);
    assert_eq!(stranded(&stage, &[1, 3, 5]).await, [0, 2, 4]);
    assert_eq!(stage.map().await.1.iter().filter(|s| *s != SeatStatus::Available).count(), 0);
    assert_eq!(stranded(&stage, &[0, 1]).await, [0; 0]);
    assert_eq!(stranded(&stage, &[3, 4]).await, [2, 5]);
    // Three of four: one is left whichever they are.
    assert_eq!(stranded(&stage, &[2, 3, 4]).await, [0; 0]);
    // What was alone before may be taken, and may stay.
    assert_eq!(stranded(&stage, &[5, 6]).await, [0; 0]);
    // Blocked in the middle: 7 to 8 and 10 to 11 are left.
    stage.store.apply(&stage.ledger.change(stage.show, &[9], LedgerStatus::Blocked, None)).await.unwrap();
    assert_eq!(stranded(&stage, &[7]).await, [0; 0], "one of two, and no better place in this run");
    assert_eq!(stranded(&stage, &[10]).await, [11], "the single seat 8 can be had");
    assert_eq!(stranded(&stage, &[8, 10]).await, [0; 0], "once it is part of the choice");
    assert_eq!(stranded(&stage, &[11]).await, [0; 0]);
    stage.finish().await;
}

#[tokio::test]
async fn who_wants_one_of_two_is_sent_to_where_none_is_left_alone() {
    let stage = strict(&[(0, 6), (6, 3)]).await;
    stage.map().await;
    stage.store.apply(&stage.ledger.change(stage.show, &[2], LedgerStatus::Booked, None)).await.unwrap();
    // Another run's room is no reason: only this one, where 3 to 5 can give one from an end.
    assert_eq!(stranded(&stage, &[0]).await, [1]);
    assert_eq!(stranded(&stage, &[4]).await, [3, 5]);
    assert_eq!(stranded(&stage, &[5]).await, [0; 0]);
    assert_eq!(stranded(&stage, &[0]).await, [0; 0]);
    // Two of three, and the run has no other room for two.
    assert_eq!(stranded(&stage, &[7, 8]).await, [0; 0]);
    // A late payment gets its seats whatever they leave.
    let stage_two = strict(&[(0, 6)]).await;
    stage_two.store.place_payer_hold(stage_two.show, &customer("pay"), &seats(&[1, 2]), "p1").await.unwrap().unwrap();
    stage_two.finish().await;
    stage.finish().await;
}

#[tokio::test]
async fn the_rule_comes_with_the_sale_and_old_news_do_not_bring_it_back() {
    let stage = strict(&[(0, 6)]).await;
    assert_eq!(stranded(&stage, &[1]).await, [0]);
    let off = stage.ledger.set_no_orphan(stage.show, false);
    let on = stage.ledger.set_no_orphan(stage.show, true);
    let off_again = stage.ledger.set_no_orphan(stage.show, false);
    let before = stage.map().await.0;
    assert_eq!(stage.store.apply(&off).await.unwrap(), Applied::Done);
    assert_eq!(stranded(&stage, &[1]).await, [0; 0]);
    assert_eq!(stage.store.apply(&off_again).await.unwrap(), Applied::Done);
    assert_eq!(stage.store.apply(&on).await.unwrap(), Applied::Done);
    assert_eq!(stranded(&stage, &[4]).await, [0; 0]);
    assert_eq!(stage.map().await.0.sequence, before.sequence + 2, "viewers hear of the holds alone");
    stage.ledger.set_no_orphan(stage.show, true);
    stage.store.reload(stage.show).await.unwrap().unwrap();
    // 0, 2, 3 and 5 are free, 2 and 3 together.
    assert_eq!(stranded(&stage, &[2]).await, [3], "0 and 5 are there for one");
    stage.finish().await;
}

/// The rule, said once more: the seats that the choice would leave alone without need.
fn judge(runs: &[(u32, u32)], free: &BTreeSet<u32>, wanted: &BTreeSet<u32>) -> Vec<u32> {
    let mut out = Vec::new();
    for &(first, count) in runs {
        let mut gaps: Vec<Vec<u32>> = vec![Vec::new()];
        for seat in first..first + count {
            if free.contains(&seat) {
                gaps.last_mut().unwrap().push(seat);
            } else {
                gaps.push(Vec::new());
            }
        }
        let taken = |gap: &[u32]| gap.iter().filter(|seat| wanted.contains(seat)).count();
        for (at, gap) in gaps.iter().enumerate() {
            let k = taken(gap);
            let stays = |seat: Option<&u32>| seat.is_some_and(|seat| !wanted.contains(seat));
            let stranded = (0..gap.len()).filter(|&i| {
                let left = i.checked_sub(1).and_then(|i| gap.get(i));
                gap.len() > 1 && stays(gap.get(i)) && !stays(left) && !stays(gap.get(i + 1))
            });
            let fits = |other: &[u32]| taken(other) == 0 && other.len() >= k && other.len() != k + 1;
            let elsewhere = gaps.iter().enumerate().any(|(o, other)| o != at && fits(other));
            if k > 0 && (gap.len() != k + 1 || elsewhere) {
                out.extend(stranded.map(|i| gap[i]));
            }
        }
    }
    out.sort_unstable();
    out
}

#[tokio::test]
async fn random_choices_are_judged_as_the_rule_says_and_some_of_each_size_can_be_had() {
    let seed: u64 = std::env::var("SEATWIRE_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("SEATWIRE_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let runs = [(7, 9), (0, 7), (16, 12)];
    let stage = strict(&runs).await;
    stage.map().await;
    let (mut refused, mut granted) = (0, 0);
    for round in 0..400 {
        let share = rng.random_range(0.2..0.9);
        let (free, taken): (Vec<u32>, Vec<u32>) = (0..28).partition(|_| rng.random_bool(share));
        for (named, status) in [(&free, LedgerStatus::Available), (&taken, LedgerStatus::Blocked)] {
            stage.store.apply(&stage.ledger.change(stage.show, named, status, None)).await.unwrap();
        }
        if free.is_empty() {
            continue;
        }
        let wanted = sample(&mut rng, free.len(), free.len().min(1 + round % 6));
        let mut wanted: Vec<u32> = wanted.into_iter().map(|at| free[at]).collect();
        wanted.sort_unstable();
        let free: BTreeSet<u32> = free.into_iter().collect();
        let expected = judge(&runs, &free, &wanted.iter().copied().collect());
        let who = customer(&format!("r{round}"));
        match stage.store.hold(stage.show, &who, &key("k"), &seats(&wanted), None).await.unwrap() {
            Ok(hold) => {
                granted += 1;
                assert!(expected.is_empty(), "{free:?} {wanted:?}: {expected:?}");
                stage.store.release(stage.show, &who, hold.hold).await.unwrap().unwrap();
            }
            Err(Refusal::Orphan(conflicts)) => {
                refused += 1;
                let named: Vec<u32> = conflicts.iter().map(|conflict| conflict.seat.0).collect();
                assert_eq!(named, expected, "{free:?} {wanted:?}");
            }
            Err(other) => panic!("{other:?}"),
        }
        // Nothing becomes unsellable: of each size that fits somewhere in a run, some window is good.
        for &(first, count) in &runs {
            for size in 1..=count {
                let windows: Vec<BTreeSet<u32>> =
                    (first..=first + count - size).map(|low| (low..low + size).collect()).collect();
                let mut open = windows.iter().filter(|window| window.is_subset(&free)).peekable();
                let any = open.peek().is_some();
                assert!(!any || open.any(|window| judge(&runs, &free, window).is_empty()), "{free:?} {size}");
            }
        }
    }
    assert!(refused > 50 && granted > 50, "{refused} {granted}");
    stage.finish().await;
}
