//! The saga beside a plain model: random lists of what customers, operators and the provider do, each on a show of its
//! own, on real servers. Every answer is compared, and at the end of a list every booking, payment, refund and seat.
//!
//! `SEATWIRE_TEST_CASES` lists are tried, several at a time. A failure is shortened and printed with its seed, which
//! `SEATWIRE_TEST_SEED` takes as the first one.

mod model;
mod ops;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures_util::StreamExt as _;

use super::rig::Rig;
use ops::Op;
use world::World;

/// Lists in a run by default, steps of each at most, and how many lists at a time.
const CASES: u64 = 100;
const STEPS: usize = 24;
const AT_ONCE: usize = 8;

/// A run of the default length goes on until it has seen what it has to, for so many lists at most.
const CASES_MAX: u64 = 1_000;

/// What a run of the default length has to have seen, to have tried enough.
const SEEN: [&str; 9] = [
    "confirmed",
    "rescued",
    "refund late",
    "refund second_payment",
    "refund wrong_amount",
    "refund booking_cancelled",
    "refund cancel",
    "expired",
    "show cancelled",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number is wanted")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_the_books_are_those_of_the_model() {
    let rig = Rig::with(|config| config.lapses_max = 1_000).await;
    rig.without_fsync().await;
    let (cases, first) = (number("SEATWIRE_TEST_CASES").unwrap_or(CASES), number("SEATWIRE_TEST_SEED"));
    let first = first.unwrap_or_else(|| rand::random::<u32>().into());
    let seen: Mutex<BTreeMap<&'static str, usize>> = Mutex::default();
    let missing = || SEEN.iter().filter(|fact| !seen.lock().unwrap().contains_key(*fact)).collect::<Vec<_>>();
    let more = |n: &u64| *n < cases || (CASES..CASES_MAX).contains(n) && !missing().is_empty();
    let lists = futures_util::stream::iter((0..).take_while(more).map(|n| first + n));
    let mut results = lists
        .map(|seed| {
            let rig = &rig;
            async move { (seed, World::run(rig, &Op::list(seed, STEPS)).await) }
        })
        .buffer_unordered(AT_ONCE);
    let mut failure = None;
    while let Some((seed, result)) = results.next().await {
        match result {
            Ok(facts) => facts.into_iter().for_each(|fact| *seen.lock().unwrap().entry(fact).or_default() += 1),
            Err(error) => {
                failure = Some((seed, error));
                break;
            }
        }
    }
    drop(results);
    if let Some((seed, error)) = failure {
        let (ops, error) = shortest(&rig, Op::list(seed, STEPS), error).await;
        panic!("SEATWIRE_TEST_SEED={seed}: {error}\n{ops:#?}");
    }
    println!("{cases} lists from seed {first}: {:?}", seen.lock().unwrap());
    assert!(cases < CASES || missing().is_empty(), "never seen: {:?}", missing());
    let wrong = "SELECT count(*) FROM seat_history h WHERE NOT EXISTS (SELECT FROM state_edges e
        WHERE e.subject = 'seat' AND e.from_state = h.from_status AND e.to_state = h.to_status)";
    assert_eq!(rig.count(wrong).await, 0, "changes of seats that are no edges");
    rig.check().await;
}

/// Leaves out one step after the other, as long as the list still fails.
async fn shortest(rig: &Rig, mut ops: Vec<Op>, mut error: String) -> (Vec<Op>, String) {
    let mut at = ops.len();
    while at > 0 {
        at -= 1;
        let mut fewer = ops.clone();
        fewer.remove(at);
        if let Err(found) = World::run(rig, &fewer).await {
            (ops, error) = (fewer, found);
        }
    }
    (ops, error)
}
