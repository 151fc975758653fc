//! What one customer may do in a time: new holds, commands, and seats that were left to lapse.

use std::sync::Arc;
use std::time::{Duration, Instant};

use seatwire_core::holds::{Allowance, HoldConfig, HoldStore, Outcome, Refusal};
use seatwire_protocol::SeatStatus;
use seatwire_protocol::error::SeatConflictReason;

use super::stage::{Stage, config, customer, key, seats, until};

fn wait_for(answer: Outcome<()>, counted: Allowance) -> u64 {
    match answer.unwrap() {
        Err(Refusal::RateLimited { retry_after_ms, what }) if what == counted => retry_after_ms,
        other => panic!("{other:?}"),
    }
}

impl Stage {
    /// Asks one of the cores for a hold as `hold_seats` does: allowed, placed, and counted when it is granted.
    async fn ask(&self, core: &HoldStore, name: &str, key_text: &str, seat: u32) -> Outcome<()> {
        let (who, key) = (customer(name), key(key_text));
        if let Err(refusal) = core.allow_hold(self.show, &who, &key).await? {
            return Ok(Err(refusal));
        }
        match core.hold(self.show, &who, &key, &seats(&[seat]), None).await? {
            Ok(hold) => core.count_hold(&who, hold.hold).await,
            Err(refusal) => return Ok(Err(refusal)),
        }
        Ok(Ok(()))
    }
}

#[tokio::test]
async fn new_holds_are_limited_over_all_cores_and_the_same_key_counts_once() {
    let limits = HoldConfig { new_holds_max: 3, new_holds_window_ms: 60_000, holds_max: 10, ..config() };
    let stage = Stage::new(8, limits.clone()).await;
    let other = stage.another_core(limits);
    for _ in 0..5 {
        stage.ask(&stage.store, "ann", "k1", 1).await.unwrap().unwrap();
    }
    stage.ask(&other, "ben", "k0", 0).await.unwrap().unwrap();
    // A hold that is refused is not counted, however often it is asked for.
    for n in 0..5 {
        let refused = stage.ask(&other, "ann", &format!("taken{n}"), 0).await.unwrap();
        assert!(matches!(refused, Err(Refusal::Taken(_))), "{refused:?}");
    }
    stage.ask(&other, "ann", "k2", 2).await.unwrap().unwrap();
    stage.ask(&stage.store, "ann", "k3", 3).await.unwrap().unwrap();
    let wait = wait_for(stage.ask(&other, "ann", "k4", 4).await, Allowance::NewHolds);
    assert!((30_000..=60_000).contains(&wait), "{wait}");
    // What counts already goes on, others are not concerned, commands without a hold neither.
    stage.ask(&other, "ann", "k2", 2).await.unwrap().unwrap();
    stage.ask(&other, "ben", "k4", 4).await.unwrap().unwrap();
    other.allow(&customer("ann")).await.unwrap().unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn a_window_ends_and_nothing_is_left_of_it() {
    let limits = HoldConfig { new_holds_max: 1, new_holds_window_ms: 400, commands_per_second: 0, ..config() };
    let stage = Stage::new(100, limits).await;
    let connection = stage.connection().await;
    let mut tries = 0..50;
    let (who, seat) = loop {
        let n = tries.next().expect("two calls within the window");
        let (who, seat) = (format!("ann{n}"), 2 * n);
        stage.ask(&stage.store, &who, "k0", seat).await.unwrap().unwrap();
        match stage.ask(&stage.store, &who, "k1", seat + 1).await {
            // A starved machine takes longer than the window for one call.
            Ok(Ok(())) => {}
            refused => {
                let wait = wait_for(refused, Allowance::NewHolds);
                assert!((1..=400).contains(&wait), "{wait}");
                break (who, seat);
            }
        }
    };
    let asked = async || stage.ask(&stage.store, &who, "k1", seat + 1).await.unwrap().is_ok();
    until("the window ends", asked).await;
    let count = redis::cmd("EXISTS").arg(format!("tokens:{{{who}}}")).to_owned();
    until("it vanished", || async { count.query_async::<usize>(&mut connection.clone()).await.unwrap() == 0 }).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_hold_counts_for_its_window_however_long_its_customer_is_remembered() {
    let limits = HoldConfig { new_holds_max: 1, new_holds_window_ms: 200, commands_per_second: 1, ..config() };
    let stage = Stage::new(2, HoldConfig { commands_burst: 100, ..limits }).await;
    let ann = customer("ann");
    // It takes a minute and a half until the bucket is full again.
    for _ in 0..90 {
        stage.store.allow(&ann).await.unwrap().unwrap();
    }
    stage.ask(&stage.store, "ann", "k0", 0).await.unwrap().unwrap();
    until("the window ends", || async { stage.ask(&stage.store, "ann", "k1", 1).await.unwrap().is_ok() }).await;
    stage.finish().await;
}

#[tokio::test]
async fn commands_are_limited_over_all_cores() {
    let limits = HoldConfig { commands_per_second: 1, commands_burst: 4, ..config() };
    let stage = Stage::new(1, limits.clone()).await;
    let other = stage.another_core(limits);
    let mut tries = 0..20;
    let ann = loop {
        let ann = customer(&format!("ann{}", tries.next().expect("eight calls within four seconds")));
        let (start, mut refused) = (Instant::now(), 0);
        for _ in 0..4 {
            for core in [&stage.store, &other] {
                refused += usize::from(core.allow(&ann).await.unwrap().is_err());
            }
        }
        assert!(refused <= 4, "{refused}");
        // In more time all eight are allowed, as they should be.
        if start.elapsed() < Duration::from_secs(3) {
            assert!(refused >= 1, "each core counts by itself");
            break ann;
        }
    };
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
