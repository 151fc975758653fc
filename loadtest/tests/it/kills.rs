//! `kill -9` of every process at random moments of running purchases. Afterwards nothing that was told is lost, nobody
//! has half a booking, and every payment ended in a booking or in a refund.
//!
//! `SEATWIRE_TEST_SEED` repeats a run's choices, `SEATWIRE_TEST_KILLS` sets how many there are, and
//! `SEATWIRE_TEST_PROVIDER=stripe` lets the provider speak Stripe's shapes.

pub(crate) mod buyer;
pub(crate) mod tally;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use seatwire_loadtest::launcher::{Process, Service, StackOptions};
use seatwire_loadtest::provider::Shapes;
use tokio_util::sync::CancellationToken;

use crate::shop::Shop;
use crate::support;
use buyer::Market;
use tally::Tally;

const KILLS: usize = 20;
const BUYERS: u64 = 24;
const VICTIMS: [Process; 5] =
    [Process::Gateway(0), Process::Core(0), Process::Redis, Process::Postgres, Process::Provider];

/// Short lives, so that a run of a minute sees many ends.
const OPTIONS: [(&str, &str); 4] = [
    ("SEATWIRE_HOLD_MS", "2500"),
    ("SEATWIRE_HOLD_GRACE_MS", "500"),
    ("SEATWIRE_CLAIM_MS", "5000"),
    ("SEATWIRE_PAYING_MS", "5000"),
];

pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_of_each_process_at_random_moments_of_running_purchases_loses_nothing() {
    let seed = number("SEATWIRE_TEST_SEED", rand::rng().random_range(0..1_000_000));
    let kills = usize::try_from(number("SEATWIRE_TEST_KILLS", KILLS as u64)).unwrap();
    println!("SEATWIRE_TEST_SEED={seed} SEATWIRE_TEST_KILLS={kills}");
    let by_stripe = std::env::var("SEATWIRE_TEST_PROVIDER").is_ok_and(|name| name == "stripe");
    let options = StackOptions::new().provider(if by_stripe { Shapes::Stripe } else { Shapes::Razorpay });
    let options = OPTIONS.iter().fold(options, |options, (name, value)| options.env(Service::Core, *name, value));
    let mut shop = Shop::open(options).await;

    let (stop, tally) = (CancellationToken::new(), Arc::new(Tally::default()));
    let market = Arc::new(Market::of(&shop, &buyer::PLANS));
    let buyers: Vec<_> = (0..BUYERS)
        .map(|buyer| {
            let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(buyer));
            tokio::spawn(buyer::shop_until(stop.clone(), Arc::clone(&market), Arc::clone(&tally), buyer, rng))
        })
        .collect();
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..kills.div_ceil(VICTIMS.len()) {
        let mut victims = VICTIMS;
        victims.shuffle(&mut rng);
        for victim in victims.into_iter().take(kills - round * VICTIMS.len()) {
            purchases_go_on(&tally).await;
            // The moments are random on purpose; nothing is waited for here.
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..700))).await;
            let start = Instant::now();
            shop.stack.kill(victim);
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..600))).await;
            shop.stack.restart(victim).await.unwrap();
            let away = start.elapsed().as_secs_f32();
            purchases_go_on(&tally).await;
            println!("{victim:?} away {away:.1} s, purchases after {:.1} s: {tally}", start.elapsed().as_secs_f32());
        }
    }
    stop.cancel();
    for buyer in buyers {
        buyer.await.unwrap();
    }
    println!("{tally}");
    tally.check();
    shop.audit(&[("confirmed", 30), ("expired", 3), ("cancelled", 1), ("refunds", 1)]).await;
    tally.check_told(&shop).await;
    shop.stack.shutdown().await;
}

/// Whole purchases, from hold to confirmation, come through now.
async fn purchases_go_on(tally: &Tally) {
    let before = tally.confirmed();
    support::eventually("purchases", async || tally.confirmed() >= before + 3).await;
}
