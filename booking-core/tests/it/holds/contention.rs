//! Hundreds of buyers on few seats, two cores on one Redis, tiny lifetimes; then the feed is replayed and every counter
//! has to be back at zero.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};
use seatwire_core::holds::ledger::SeatRun;
use seatwire_core::holds::{HoldConfig, HoldStore, LedgerStatus};
use seatwire_protocol::command::BestAvailable;
use seatwire_protocol::feed::{FeedMessage, FeedReason};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{BookingId, HoldId, Position, SeatIndex, SeatStatus, ShowId};
use tokio::sync::Mutex;

use super::ledger::TestLedger;
use super::stage::{Stage, config, customer, key, seats, until};

const SEATS: u32 = 60;
const BUYERS: usize = 240;
const TRIES: usize = 20;
/// Buyers go on until every way to end was walked often enough, but not longer.
const LONG_ENOUGH: Duration = Duration::from_secs(120);

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Counts {
    granted: AtomicUsize,
    refused: AtomicUsize,
    released: AtomicUsize,
    left: AtomicUsize,
    claimed: AtomicUsize,
    given_back: AtomicUsize,
    extended: AtomicUsize,
    chosen: AtomicUsize,
    looks: AtomicUsize,
}

impl Counts {
    /// Whether every way to end was walked often enough to mean something.
    fn enough(&self) -> bool {
        let few = [&self.released, &self.left, &self.claimed, &self.given_back, &self.extended, &self.chosen];
        few.iter().all(|count| count.load(Ordering::Relaxed) > 60)
            && [&self.granted, &self.refused].iter().all(|count| count.load(Ordering::Relaxed) > 400)
            && self.looks.load(Ordering::Relaxed) > 20
    }
}

struct World {
    cores: [HoldStore; 2],
    ledger: Arc<TestLedger>,
    show: ShowId,
    counts: Counts,
    granted: Mutex<HashSet<HoldId>>,
}

impl World {
    /// One try of one buyer.
    async fn attempt(&self, n: usize, round: usize, rng: &mut StdRng) {
        let core = &self.cores[rng.random_range(0..2)];
        let (show, buyer) = (self.show, customer(&format!("buyer{n}")));
        let count = rng.random_range(1..=4);
        let named: Vec<u32> = sample(rng, SEATS as usize, count).into_iter().map(|seat| seat as u32).collect();
        let body = key(&format!("{round}"));
        // One in three lets the core choose.
        let best = (rng.random_range(0..3) == 0).then_some(BestAvailable { count: count as u32, tier: None });
        let wanted = if best.is_some() { Vec::new() } else { seats(&named) };
        let Ok(hold) = core.hold(show, &buyer, &body, &wanted, best.as_ref()).await.unwrap() else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let named: Vec<u32> = hold.seats.iter().map(|seat| seat.0).collect();
        if best.is_some() {
            self.counts.chosen.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.granted.fetch_add(1, Ordering::Relaxed);
        assert!(self.granted.lock().await.insert(hold.hold), "a hold granted twice");
        let core = &self.cores[rng.random_range(0..2)];
        match rng.random_range(0..5) {
            0 => {
                if core.release(show, &buyer, hold.hold).await.unwrap().is_ok() {
                    self.counts.released.fetch_add(1, Ordering::Relaxed);
                }
            }
            1 => {
                self.counts.left.fetch_add(1, Ordering::Relaxed);
            }
            2 => {
                if core.extend(show, &buyer, hold.hold, &body).await.unwrap().is_ok() {
                    self.counts.extended.fetch_add(1, Ordering::Relaxed);
                }
            }
            choice => {
                let begun = core.begin_book(show, &buyer, hold.hold, &body, BookingId([1; 16])).await.unwrap();
                let Ok(begun) = begun else { return };
                let free = |seat: &u32| self.ledger.status(show, *seat) == LedgerStatus::Available;
                if choice == 3 || !named.iter().all(free) {
                    core.end_book(show, &buyer, hold.hold, &begun).await.unwrap();
                    self.counts.given_back.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                let owner = Some((&buyer, Some(hold.hold)));
                let claim = self.ledger.change(show, &named, LedgerStatus::Claimed, owner);
                let second = if rng.random() { LedgerStatus::Booked } else { LedgerStatus::Available };
                let end = self.ledger.change(show, &named, second, owner);
                let cancelled = self.ledger.change(show, &named, LedgerStatus::Available, owner);
                self.counts.claimed.fetch_add(1, Ordering::Relaxed);
                // As the relay may: in any order, more than once, by any core.
                let mut news = vec![&claim, &end, &cancelled, &claim, &end];
                if rng.random() {
                    news.reverse();
                }
                for change in news {
                    self.cores[rng.random_range(0..2)].apply(change).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_seat_is_held_twice_and_the_replayed_feed_is_the_map() {
    let seed: u64 = std::env::var("SEATWIRE_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("SEATWIRE_TEST_SEED={seed}");
    let tiny = HoldConfig {
        hold_ms: 200,
        grace_ms: 10,
        paying_ms: 300,
        resume_ms: 100,
        holds_max: 5,
        lapses_max: u32::MAX,
        lapse_window_ms: 0,
        ended_kept_ms: 2_000,
        ..config()
    };
    let stage = Stage::running(SEATS, tiny.clone()).await;
    let row = |n| SeatRun { first: SeatIndex(n * 6), count: 6, tier: 0, joined: false };
    stage.ledger.set_rows(stage.show, (0..SEATS / 6).map(row).collect());
    let mut feed = stage.feed().await;
    let other = stage.another_core(tiny);
    stage.run(&other);
    let world = Arc::new(World {
        cores: [stage.store.clone(), other],
        ledger: stage.ledger.clone(),
        show: stage.show,
        counts: Counts::default(),
        granted: Mutex::default(),
    });
    stage.map().await;
    let mut buyers = tokio::task::JoinSet::new();
    for n in 0..BUYERS {
        let world = world.clone();
        buyers.spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed ^ ((n as u64) << 32));
            let start = Instant::now();
            for round in 0.. {
                if round >= TRIES && (world.counts.enough() || start.elapsed() > LONG_ENOUGH) {
                    break;
                }
                world.attempt(n, round, &mut rng).await;
            }
        });
    }
    // While they fight: each look at locks and holds in one call finds them to agree.
    watch(&stage, &mut buyers, &world.counts.looks).await;

    let kept: Vec<Vec<u8>> =
        redis::cmd("HKEYS").arg(stage.redis_key("hold")).query_async(&mut stage.connection().await).await.unwrap();
    let granted = world.granted.lock().await.clone();
    assert!(kept.iter().all(|id| granted.contains(&HoldId::from_slice(id).unwrap())), "a trace of a refused hold");
    until("all holds are over", || async { stage.map().await.1.iter().all(|s| s == SeatStatus::Available) }).await;
    let heard = feed.drain().await;
    let (expired, releases) = replay(&heard, &world, stage.map().await).await;
    let counts = &world.counts;
    let reached = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!(
        "granted {}, refused {}, released {}, left alone {}, claimed {}, given back {}, extended {}, best {}, \
         expired {expired}",
        reached(&counts.granted),
        reached(&counts.refused),
        reached(&counts.released),
        reached(&counts.left),
        reached(&counts.claimed),
        reached(&counts.given_back),
        reached(&counts.extended),
        reached(&counts.chosen)
    );
    assert_eq!(releases, reached(&counts.released));
    assert!(counts.enough() && expired > 60, "{} looks", reached(&counts.looks));

    // Ended holds are forgotten in time; then nothing is left.
    let mut connection = stage.connection().await;
    for what in ["seat_lock", "owned_by"] {
        let left: usize = redis::cmd("HLEN").arg(stage.redis_key(what)).query_async(&mut connection).await.unwrap();
        assert_eq!(left, 0, "{what}");
    }
    for what in ["hold", "held_by"] {
        let command = redis::cmd("HLEN").arg(stage.redis_key(what)).to_owned();
        until(what, || async { command.query_async::<usize>(&mut connection.clone()).await.unwrap() == 0 }).await;
    }
    let due = redis::cmd("ZCARD").arg(format!("hold_expiry:{{{}}}", stage.show.bucket())).to_owned();
    until("an empty due-set", || async { due.query_async::<usize>(&mut connection.clone()).await.unwrap() == 0 }).await;
    stage.finish().await;
}

/// All locks and live holds at one moment: no lock without its hold, no held seat without its lock, so none is held twice;
/// and each holder's counters are those of his holds.
const LOOK: &str = r"
local function fail(what) return redis.error_reply('look: ' .. what) end
local locks, stored, live, seats = redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), {}, 0
local counted, lock_of = {}, {}
for i = 1, #locks, 2 do lock_of[tonumber(locks[i])] = locks[i + 1] end
for i = 1, #stored, 2 do
  local hold = cmsgpack.unpack(stored[i + 1])
  if hold[3] ~= 3 then
    counted[hold[1]] = (counted[hold[1]] or 0) + #hold[2]
    for _, seat in ipairs(hold[2]) do
      seats = seats + 1
      if lock_of[seat] ~= stored[i] .. hold[1] then return fail('a seat of a hold is not locked for it') end
    end
  end
end
if seats ~= #locks / 2 then return fail('a lock without a hold') end
local holders = redis.call('HGETALL', KEYS[3])
for i = 1, #holders, 2 do
  if cmsgpack.unpack(holders[i + 1])[1] ~= (counted[holders[i]] or 0) then return fail('a counter') end
  counted[holders[i]] = nil
end
if next(counted) then return fail('a customer without a counter') end
return redis.call('HKEYS', KEYS[2])
";

/// Looks again and again until all buyers are done, and counts how often.
async fn watch(stage: &Stage, buyers: &mut tokio::task::JoinSet<()>, looks: &AtomicUsize) {
    let mut connection = stage.connection().await;
    let mut look = redis::cmd("EVAL");
    look.arg(LOOK).arg(3).arg(["seat_lock", "hold", "held_by"].map(|what| stage.redis_key(what)).to_vec());
    while !buyers.is_empty() {
        look.query_async::<Vec<Vec<u8>>>(&mut connection).await.unwrap();
        looks.fetch_add(1, Ordering::Relaxed);
        while let Ok(Some(done)) = tokio::time::timeout(BETWEEN_LOOKS, buyers.join_next()).await {
            done.unwrap();
        }
    }
}

/// Follows the feed from the first batch: no hole, no seat taken that was not free, nothing of a refused hold; at the
/// end it is the map. Answers the ends by time and by release.
async fn replay(heard: &[Vec<u8>], world: &World, map: (Position, PackedStatuses)) -> (usize, usize) {
    let granted = world.granted.lock().await;
    let mut statuses = PackedStatuses::new(SEATS);
    let mut position = Position::new(1, 0);
    let mut held: HashMap<HoldId, usize> = HashMap::new();
    let (mut expired, mut released) = (0, 0);
    let batches = heard.iter().map(|bytes| {
        let message = FeedMessage::parse(bytes).expect("a feed message");
        assert_eq!(&message.to_bytes(), bytes);
        message
    });
    for message in batches.filter(|message| !matches!(message, FeedMessage::Reset { .. })) {
        let FeedMessage::Batch { position: at, reason, seats, holds, .. } = message else { panic!("a batch") };
        assert_eq!(at, position.next(), "a hole");
        position = at;
        for (seat, status) in &seats {
            if reason == Some(FeedReason::Held) {
                assert_eq!(statuses.get(*seat), Some(SeatStatus::Available), "held twice");
            }
            assert!(statuses.set(*seat, *status));
        }
        match reason {
            Some(FeedReason::Held) => {
                assert!(granted.contains(&holds[0]), "a trace of a refused hold");
                *held.entry(holds[0]).or_default() += 1;
            }
            Some(FeedReason::Expired) => expired += holds.len(),
            Some(FeedReason::Released) => released += holds.len(),
            _ => {}
        }
    }
    assert_eq!(held.len(), granted.len());
    assert!(held.values().all(|times| *times == 1));
    assert_eq!((position, statuses), map);
    (expired, released)
}
