//! What one customer may do in a time: new holds, commands, and seats that were left to lapse.

use std::sync::Arc;

use seatwire_core::holds::{Allowance, HoldConfig, Outcome, Refusal};
use seatwire_protocol::SeatStatus;
use seatwire_protocol::error::SeatConflictReason;

use super::stage::{Stage, config, customer, key, seats, until};

fn wait_for(answer: Outcome<()>, counted: Allowance) -> u64 {
    match answer.unwrap() {
        Err(Refusal::RateLimited { retry_after_ms, what }) if what == counted => retry_after_ms,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn new_holds_are_limited_over_all_cores_and_the_same_key_counts_once() {
    let limits = HoldConfig { new_holds_max: 3, new_holds_window_ms: 60_000, ..config() };
    let stage = Stage::new(1, limits.clone()).await;
    let (ann, other) = (customer("ann"), stage.another_core(limits));
    for _ in 0..5 {
        stage.store.allow_hold(stage.show, &ann, &key("k1")).await.unwrap().unwrap();
    }
    other.allow_hold(stage.show, &ann, &key("k2")).await.unwrap().unwrap();
    stage.store.allow_hold(stage.show, &ann, &key("k3")).await.unwrap().unwrap();
    let wait = wait_for(other.allow_hold(stage.show, &ann, &key("k4")).await, Allowance::NewHolds);
    assert!((30_000..=60_000).contains(&wait), "{wait}");
    // What counts already goes on, others are not concerned, commands without a hold neither.
    other.allow_hold(stage.show, &ann, &key("k2")).await.unwrap().unwrap();
    other.allow_hold(stage.show, &customer("ben"), &key("k4")).await.unwrap().unwrap();
    other.allow(&ann).await.unwrap().unwrap();
    // A refused hold is not counted.
    stage.store.forget_hold(stage.show, &ann, &key("k2")).await;
    stage.store.forget_hold(stage.show, &ann, &key("never")).await;
    other.allow_hold(stage.show, &ann, &key("k4")).await.unwrap().unwrap();
    wait_for(stage.store.allow_hold(stage.show, &ann, &key("k5")).await, Allowance::NewHolds);
    stage.finish().await;
}

#[tokio::test]
async fn a_window_ends_and_nothing_is_left_of_it() {
    let stage =
        Stage::new(1, HoldConfig { new_holds_max: 1, new_holds_window_ms: 200, commands_per_second: 0, ..config() })
            .await;
    let ann = customer("ann");
    stage.store.allow_hold(stage.show, &ann, &key("k0")).await.unwrap().unwrap();
    let wait = wait_for(stage.store.allow_hold(stage.show, &ann, &key("k1")).await, Allowance::NewHolds);
    assert!((1..=200).contains(&wait), "{wait}");
    until("the window ends", || async { stage.store.allow_hold(stage.show, &ann, &key("k1")).await.unwrap().is_ok() })
        .await;
    let count = redis::cmd("DBSIZE");
    let connection = stage.connection().await;
    until("it vanished", || async { count.query_async::<usize>(&mut connection.clone()).await.unwrap() == 0 }).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_hold_counts_for_its_window_however_long_its_customer_is_remembered() {
    let limits = HoldConfig { new_holds_max: 1, new_holds_window_ms: 200, commands_per_second: 1, ..config() };
    let stage = Stage::new(1, HoldConfig { commands_burst: 100, ..limits }).await;
    let ann = customer("ann");
    // It takes a minute and a half until the bucket is full again.
    for _ in 0..90 {
        stage.store.allow(&ann).await.unwrap().unwrap();
    }
    stage.store.allow_hold(stage.show, &ann, &key("k0")).await.unwrap().unwrap();
    until("the window ends", || async { stage.store.allow_hold(stage.show, &ann, &key("k1")).await.unwrap().is_ok() })
        .await;
    stage.finish().await;
}

#[tokio::test]
async fn commands_are_limited_over_all_cores() {
    let limits = HoldConfig { commands_per_second: 1, commands_burst: 4, ..config() };
    let stage = Stage::new(1, limits.clone()).await;
    let (ann, other) = (customer("ann"), stage.another_core(limits));
    let mut refused = 0;
    for _ in 0..4 {
        for core in [&stage.store, &other] {
            refused += usize::from(core.allow(&ann).await.unwrap().is_err());
        }
    }
    // A busy machine may take some seconds for these.
    assert!((1..=4).contains(&refused), "{refused}");
    stage.store.allow(&customer("ben")).await.unwrap().unwrap();
    let ben = Arc::new(customer("ben"));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (core, ben) = (if n % 2 == 0 { stage.store.clone() } else { other.clone() }, ben.clone());
        tasks.spawn(async move { core.allow(&ben).await.unwrap() });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() < 50);
    let longest = answers.into_iter().filter(Result::is_err).map(|no| wait_for(Ok(no), Allowance::Commands)).max();
    assert!(longest.is_some_and(|wait| (1..=1_000).contains(&wait)), "{longest:?}");
    until("a token comes back", || async { other.allow(&ann).await.unwrap().is_ok() }).await;
    stage.finish().await;
}

#[tokio::test]
async fn who_let_the_same_seat_lapse_twice_waits_for_that_seat() {
    let stage = Stage::new(8, HoldConfig { hold_ms: 1, grace_ms: 0, ..config() }).await;
    let (ann, patient) = (customer("ann"), stage.another_core(config()));
    for (round, named) in [[0, 5], [1, 5], [2, 6]].iter().enumerate() {
        stage.hold("ann", named).await;
        until("it lapsed", || async {
            stage.store.sweep_once().await.unwrap();
            stage.status(named[0]).await == SeatStatus::Available
        })
        .await;
        let hold = |named: &'static [u32], key_text: String| {
            let (patient, ann) = (patient.clone(), ann.clone());
            async move { patient.hold(stage.show, &ann, &key(&key_text), &seats(named), None).await.unwrap() }
        };
        let again = hold(&[5, 7], format!("again{round}")).await;
        if round == 0 {
            let held = again.unwrap();
            patient.release(stage.show, &ann, held.hold).await.unwrap().unwrap();
            continue;
        }
        let Err(Refusal::CoolDown { retry_after_ms, seats: named }) = again else { panic!("{again:?}") };
        assert!((1..=60_000).contains(&retry_after_ms));
        let named: Vec<_> = named.iter().map(|conflict| (conflict.seat.0, conflict.reason)).collect();
        assert_eq!(named, [(5, SeatConflictReason::CoolDown)]);
        // Seats that lapsed once, or never.
        let held = hold(&[0, 1, 2, 7], format!("others{round}")).await.unwrap();
        patient.release(stage.show, &ann, held.hold).await.unwrap().unwrap();
    }
    // Others may have it, and a late payment too.
    stage.store.place_payer_hold(stage.show, &ann, &seats(&[5]), "p1").await.unwrap().unwrap();
    stage.finish().await;
}
