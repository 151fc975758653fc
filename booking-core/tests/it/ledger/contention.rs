//! Many buyers, few seats, and cores whose Redis servers know nothing of each other: the ledger alone decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};
use seatwire_core::holds::{HoldStore, Refusal};
use seatwire_core::saga::Saga;
use seatwire_loadtest::launcher::Redis;
use seatwire_protocol::SeatIndex;
use serde_json::json;

use super::rig::{Rig, book, connect, customer, idempotency_key};

const BUYERS: u32 = 24;
const ROUNDS: u32 = 12;
/// All buyers want seats out of these.
const SEATS: usize = 100;

#[derive(Default)]
struct Tally {
    claimed: AtomicU32,
    taken_in_ledger: AtomicU32,
    refused: AtomicU32,
    failed: AtomicU32,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_seat_is_sold_twice_while_connections_die() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let rig = Arc::new(Rig::new().await);
    let redis = Redis::start().await.unwrap();
    let other = rig.another(&redis);
    let cores = [(rig.holds.clone(), rig.saga.clone()), other];
    // Both maps are loaded before anybody buys: a core that came late would have every sold seat from the ledger.
    for (holds, _) in &cores {
        let early = customer("early");
        let held = rig.hold_at(holds, &early, "h", &[0]).await;
        holds.release(rig.show, &early, held).await.unwrap().unwrap();
    }
    let tally = Arc::new(Tally::default());
    let buyers: Vec<_> = (0..BUYERS)
        .map(|buyer| {
            let core = cores[buyer as usize % 2].clone();
            tokio::spawn(buy(Arc::clone(&rig), core, buyer, seed, Arc::clone(&tally)))
        })
        .collect();
    let killer = tokio::spawn(kill_backends(rig.postgres.superuser_url(), seed));
    for buyer in buyers {
        buyer.await.unwrap();
    }
    killer.abort();
    rig.settle().await;
    rig.refund().await;

    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    let (claimed, taken) = (count(&tally.claimed), count(&tally.taken_in_ledger));
    println!(
        "claimed {claimed}, taken in ledger {taken}, refused {}, failed {}, tried again {}",
        count(&tally.refused),
        count(&tally.failed),
        rig.db.retries()
    );
    assert!(claimed > 0 && taken > 0, "there was contention");
    assert!(rig.db.retries() > 0, "connections were killed in use");
    assert!(rig.count("SELECT count(*) FROM bookings WHERE state = 'CONFIRMED'").await > 0);
    rig.check().await;
}

async fn buy(rig: Arc<Rig>, (holds, saga): (HoldStore, Saga), buyer: u32, seed: u64, tally: Arc<Tally>) {
    let mut rng = StdRng::seed_from_u64(seed ^ u64::from(buyer));
    for round in 0..ROUNDS {
        // A new customer each round: caps are tested elsewhere.
        let who = customer(&format!("c{buyer}_{round}"));
        let count = rng.random_range(1..=4);
        let seats: Vec<SeatIndex> =
            sample(&mut rng, SEATS, count).into_iter().map(|seat| SeatIndex(u32::try_from(seat).unwrap())).collect();
        let held = holds.hold(rig.show, &who, &idempotency_key("h"), &seats, None).await;
        let Ok(Ok(held)) = held else {
            tally.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let command = book(rig.show, &who, held.hold, "k");
        let booking = match saga.book(&command).await {
            Ok(Ok(booking)) => booking,
            Ok(Err(Refusal::Taken(conflicts))) => {
                assert!(!conflicts.is_empty());
                tally.taken_in_ledger.fetch_add(1, Ordering::Relaxed);
                let _ = holds.release(rig.show, &who, held.hold).await;
                continue;
            }
            Ok(Err(_)) => {
                tally.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Err(error) => {
                println!("failed: {error}");
                tally.failed.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        tally.claimed.fetch_add(1, Ordering::Relaxed);
        match rng.random_range(0..10) {
            0 => {}
            1 => rig.pay(&booking, json!({"double": 1})).await,
            2 => rig.pay(&booking, json!({"amount": 177})).await,
            _ => rig.pay(&booking, json!({"copies": 2})).await,
        }
        // Both cores settle what is there.
        let _ = saga.settle_once().await;
    }
}

/// Ends a random connection of the core every now and then.
async fn kill_backends(url: String, seed: u64) {
    let sql = connect(&url).await;
    let mut rng = StdRng::seed_from_u64(seed);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let query = "SELECT pid FROM pg_stat_activity WHERE usename = 'seatwire_core'";
        let rows = sql.query(query, &[]).await.unwrap();
        if !rows.is_empty() {
            let pid: i32 = rows[rng.random_range(0..rows.len())].get(0);
            sql.execute("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
        }
    }
}
