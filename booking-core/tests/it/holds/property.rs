//! The scripts beside a plain model: random commands, and after each one the answer, every key and the feed are compared.
//!
//! Time is the test's own: the scripts run as they are but for where they read the server's clock, so that each end comes
//! to the millisecond. `SEATWIRE_TEST_CASES` lists of commands are tried; a failure is shortened and printed with its
//! seed, which `SEATWIRE_TEST_SEED` takes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures_util::StreamExt;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Value};
use seatwire_loadtest::launcher::Redis;
use seatwire_protocol::ShowId;
use seatwire_protocol::feed::{FeedMessage, feed_channel};
use seatwire_protocol::seat::PackedStatuses;

use super::stage::PATIENCE;
use keys::Keys;
use ops::Op;
use world::{Texts, World, code, readable};

mod calls;
mod customers;
mod keys;
mod ledger;
mod model;
mod ops;
#[path = "../../../src/holds/scripts.rs"]
#[allow(dead_code, reason = "the test needs the texts only")]
mod scripts;
mod world;

/// Lists of commands in a run by default, and commands in each at most.
const CASES: u32 = 200;
const COMMANDS: usize = 60;
const RUNS_MAX: u32 = 5;

/// Answers that a run has to have seen, to have tried enough.
const ANSWERS: [(&str, &[&str]); 9] = [
    ("hold", &["OK", "TAKEN", "KEY_REUSED", "SEATS_LIMIT", "HOLDS_LIMIT", "NONE_LEFT", "NO_SUCH_SEAT"]),
    ("hold", &["NOT_ON_SALE", "SALE_CLOSED", "NOT_READY", "NOT_LOADED", "BEHIND"]),
    ("extend", &["OK", "NOT_OWNER", "GONE", "IN_PAYMENT"]),
    ("release", &["OK", "NOT_OWNER", "GONE", "IN_PAYMENT"]),
    ("begin_book", &["OK", "NOT_OWNER", "GONE", "IN_PAYMENT"]),
    ("end_book", &["OK", "NOT_OWNER", "GONE"]),
    ("apply", &["OK", "BAD_SEAT", "STALE", "BEHIND", "NOT_LOADED"]),
    ("expire", &["OK"]),
    ("unload", &["OK", "STALE"]),
];

struct Bench {
    redis: Redis,
    connection: MultiplexedConnection,
    ear: PubSub,
    texts: Rc<Texts>,
    shows: [ShowId; 2],
    /// How often each script gave each answer.
    answers: BTreeMap<String, usize>,
}

impl Bench {
    async fn new() -> Self {
        let redis = Redis::start().await.unwrap();
        let client = redis::Client::open(redis.url()).unwrap();
        // A busy machine may be slow.
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let connect = client.get_multiplexed_async_connection_with_config(&patient);
        let mut connection = connect.await.unwrap();
        let texts = Rc::new(Texts::new());
        for (text, digest) in texts.0.values() {
            let loaded: String = redis::cmd("SCRIPT").arg("LOAD").arg(text).query_async(&mut connection).await.unwrap();
            assert_eq!(&loaded, digest);
        }
        // Two shows of one bucket, so that they share clock and due-set.
        let first = ShowId::new(47).unwrap();
        let shares = |n: &u64| ShowId::new(*n).unwrap().bucket() == first.bucket();
        let second = (48..).find(shares).unwrap();
        let shows = [first, ShowId::new(second).unwrap()];
        let mut ear = client.get_async_pubsub().await.unwrap();
        ear.subscribe(&[feed_channel(shows[0]), feed_channel(shows[1]), "marker".to_owned()]).await.unwrap();
        Self { redis, connection, ear, texts, shows, answers: BTreeMap::new() }
    }

    /// Runs one list of commands in one go; the error has all commands up to the one that failed.
    async fn try_all(&mut self, ops: &[Op]) -> Result<(), String> {
        let texts = self.texts.clone();
        let mut world = World::new(&texts, self.shows);
        for op in ops {
            world.run(op);
        }
        let mut pipe = redis::pipe();
        pipe.cmd("FLUSHALL");
        for command in world.steps.iter().flat_map(|step| &step.commands) {
            pipe.add_command(command.clone());
        }
        pipe.cmd("PUBLISH").arg("marker").arg("");
        pipe.ignore_errors();
        let mut replies = pipe.query_async::<Vec<Value>>(&mut self.connection).await.unwrap().into_iter().skip(1);
        let heard = self.hear().await;
        let mut told = Vec::new();
        let mut followers = [const { None }; 2];
        let mut from = 0;
        for step in &world.steps {
            let mut replies: Vec<Value> = replies.by_ref().take(step.commands.len()).collect();
            let (keys, reply) = (replies.pop().unwrap(), replies.pop().unwrap());
            told.push(format!("{}: {} {}", told.len(), step.told, readable(&reply)));
            let fail = |what: String| Err(format!("{}\n{what}", told.join("\n")));
            if let Some(expected) = &step.reply {
                *self.answers.entry(format!("{} {}", step.script, code(expected))).or_default() += 1;
                if reply != *expected {
                    return fail(format!("{} should have answered {}", step.script, readable(expected)));
                }
            }
            let keys = Keys::read(keys);
            if let Some(difference) = keys.difference(&step.keys) {
                return fail(difference);
            }
            let published = &world.model.published[from..step.published];
            if heard.get(from..step.published) != Some(published) {
                let heard = heard.get(from..).unwrap_or_default();
                return fail(format!("feed:\n  redis {:?}\n  model {published:?}", &heard[..heard.len().min(3)]));
            }
            from = step.published;
            if let Err(what) = follow(&mut followers, published, &keys, step.breaks) {
                return fail(what);
            }
        }
        if heard.len() == from {
            Ok(())
        } else {
            Err(format!("{}\nmore in the feed: {:?}", told.join("\n"), &heard[from..]))
        }
    }

    async fn hear(&mut self) -> Vec<(usize, FeedMessage)> {
        let mut out = Vec::new();
        loop {
            let message = self.ear.on_message().next().await.unwrap();
            let Some(show) = self.shows.iter().position(|show| feed_channel(*show) == message.get_channel_name())
            else {
                return out;
            };
            out.push((show, FeedMessage::parse(message.get_payload_bytes()).expect("a feed message")));
        }
    }
}

/// A viewer's map: position and statuses.
type Follower = Option<((u64, u64), PackedStatuses)>;

/// As a gateway would: from a snapshot on, each batch follows the one before, and leads to what is stored.
fn follow(
    followers: &mut [Follower; 2],
    published: &[(usize, FeedMessage)],
    keys: &Keys,
    breaks: bool,
) -> Result<(), String> {
    if breaks {
        *followers = [const { None }; 2];
    }
    for (show, message) in published {
        match message {
            FeedMessage::Reset { .. } => followers[*show] = None,
            FeedMessage::Batch { position, seats, .. } => {
                let Some((at, statuses)) = &mut followers[*show] else {
                    return Err("a batch of a map that nobody could read".to_owned());
                };
                if (position.generation, position.sequence) != (at.0, at.1 + 1) {
                    return Err(format!("{position:?} after {at:?}"));
                }
                at.1 += 1;
                if !seats.iter().all(|(seat, status)| statuses.set(*seat, *status)) {
                    return Err("a batch names a seat that there is not".to_owned());
                }
            }
        }
    }
    for (follower, stored) in followers.iter_mut().zip(&keys.shows) {
        let Some((position, statuses)) = stored.snapshot() else { continue };
        let seats = String::from_utf8_lossy(&stored.show[&b"seats"[..]]).parse().unwrap();
        let snapshot = (position, PackedStatuses::from_bytes(seats, statuses).unwrap());
        match follower {
            None => *follower = Some(snapshot),
            Some(followed) if *followed != snapshot => {
                return Err(format!("followed to {followed:?}, stored {snapshot:?}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().ok().unwrap_or_else(|| panic!("{name} is no number")))
}

#[test]
fn scripts_do_what_the_model_does() {
    let seed: u64 = setting("SEATWIRE_TEST_SEED").unwrap_or_else(rand::random);
    let cases: u32 = setting("SEATWIRE_TEST_CASES").unwrap_or(CASES);
    println!("SEATWIRE_TEST_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = RefCell::new(runtime.block_on(Bench::new()));
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    // Once more, with other lists, where a rare answer did not come up.
    for run in 1..=RUNS_MAX {
        let result = runner.run(&ops::ops(COMMANDS), |ops| {
            let tried = runtime.block_on(bench.borrow_mut().try_all(&ops));
            tried.map_err(TestCaseError::fail)
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(reason, ops)) => {
                let ops: Vec<String> = ops.iter().map(|op| format!("  {op:?}")).collect();
                panic!("SEATWIRE_TEST_SEED={seed}; shortest list:\n{}\nas it ran:\n{reason}", ops.join("\n"));
            }
            Err(TestError::Abort(reason)) => panic!("SEATWIRE_TEST_SEED={seed}: {reason}"),
        }
        let answers =
            ANSWERS.iter().flat_map(|(script, codes)| codes.iter().map(move |code| format!("{script} {code}")));
        let missing: Vec<String> = answers.filter(|answer| !bench.borrow().answers.contains_key(answer)).collect();
        if cases < CASES || missing.is_empty() {
            break;
        }
        assert!(run < RUNS_MAX, "never answered: {missing:?}: SEATWIRE_TEST_SEED={seed}");
    }
    let bench = bench.into_inner();
    println!("{cases} lists of up to {COMMANDS} commands: {:#?}", bench.answers);
    runtime.block_on(bench.redis.shutdown());
}
