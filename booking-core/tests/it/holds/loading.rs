//! The three guards of the seat map: generation (with the server's run id), version, complete.

use std::sync::atomic::Ordering;

use redis::aio::MultiplexedConnection;
use seatwire_core::holds::{Applied, HoldConfig, HoldError, HoldStore, LedgerStatus, Refusal};
use seatwire_loadtest::launcher::{Redis, RedisOptions};
use seatwire_protocol::feed::FeedMessage;
use seatwire_protocol::{Position, SeatStatus, ShowId};

use super::stage::{Stage, config, customer, key, seats, until};

async fn generation(store: &HoldStore, show: ShowId) -> Option<u64> {
    store.positions(&[show]).await.unwrap()[0].map(|position| position.generation)
}

#[tokio::test]
async fn a_cold_show_is_read_once_whoever_asks() {
    let patient = config();
    let stage = Stage::new(20_000, patient.clone()).await;
    stage.ledger.change(stage.show, &[19_998], LedgerStatus::Booked, None);
    let other = stage.another_core(patient);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let store = if n % 2 == 0 { stage.store.clone() } else { other.clone() };
        tasks.spawn(async move { store.snapshot(stage.show).await.unwrap().unwrap() });
    }
    let snapshots = tasks.join_all().await;
    assert!(snapshots.iter().all(|snapshot| snapshot == &snapshots[0]));
    assert_eq!(snapshots[0].position, Position::new(1, 0));
    assert_eq!((snapshots[0].seats, snapshots[0].layout_version, snapshots[0].statuses.len()), (20_000, 7, 5_000));
    assert_eq!(snapshots[0].statuses[4_999], 0b0000_1000);
    assert_eq!(stage.ledger.reads.load(Ordering::Relaxed), 1);
    let absent = stage.store.snapshot(ShowId::new(1).unwrap()).await.unwrap();
    assert_eq!(absent, Err(Refusal::NoSuchShow));
    stage.finish().await;
}

#[tokio::test]
async fn a_wiped_redis_starts_a_new_generation() {
    let stage = Stage::new(10, config()).await;
    let booked = stage.ledger.change(stage.show, &[3], LedgerStatus::Booked, None);
    let hold = stage.hold("ann", &[1]).await;
    let mut feed = stage.feed().await;
    let _: () = redis::cmd("FLUSHALL").query_async(&mut stage.connection().await).await.unwrap();
    assert_eq!(generation(&stage.store, stage.show).await, None);
    // Not loaded: the relay may mark the change, the next load reads it.
    assert_eq!(stage.store.apply(&booked).await.unwrap(), Applied::NotLoaded);
    let looks = stage.ledger.row_reads.load(Ordering::Relaxed);
    let (position, map) = stage.map().await;
    // Nobody else is about to load: who waited for a rival would look at the row again and again.
    assert_eq!(stage.ledger.row_reads.load(Ordering::Relaxed), looks + 1);
    assert_eq!(position, Position::new(2, 0));
    assert_eq!(map.get(seats(&[3])[0]), Some(SeatStatus::Booked));
    assert_eq!(map.get(seats(&[1])[0]), Some(SeatStatus::Available));
    assert_eq!(feed.next().await, FeedMessage::Reset { generation: 2 });
    assert_eq!(stage.store.release(stage.show, &customer("ann"), hold).await.unwrap(), Err(Refusal::NotOwner));
    stage.finish().await;
}

#[tokio::test]
async fn another_server_process_is_another_timeline_and_holds_that_it_kept_stay() {
    let folder = tempfile::tempdir().unwrap();
    let options = RedisOptions {
        append_only: true,
        folder: Some(folder.path().to_owned()),
        // Otherwise a kill may lose what was written while an earlier fsync ran.
        settings: vec![("appendfsync".to_owned(), "always".to_owned())],
        ..RedisOptions::default()
    };
    let mut stage = Stage::new(10, config()).await;
    stage.redis = Redis::start_with(options).await.unwrap();
    stage.store = stage.another_core(config());
    let hold = stage.hold("ann", &[1]).await;
    stage.hold("ben", &[2]).await;
    // What Redis missed while it was down.
    stage.redis.kill();
    let lost = stage.store.snapshot(stage.show).await;
    assert!(matches!(lost, Err(HoldError::Unavailable(_))), "{lost:?}");
    let other = customer("cat");
    stage.ledger.change(stage.show, &[2], LedgerStatus::Booked, Some((&other, None)));
    stage.redis.restart().await.unwrap();
    until("the map is served again", || async { matches!(stage.store.snapshot(stage.show).await, Ok(Ok(_))) }).await;
    assert_eq!(generation(&stage.store, stage.show).await, Some(2));
    assert_eq!(stage.status(1).await, SeatStatus::Held);
    assert_eq!(stage.status(2).await, SeatStatus::Booked);
    stage.store.release(stage.show, &customer("ann"), hold).await.unwrap().unwrap();
    let own = stage.store.own_holds(stage.show, &[customer("ben")]).await.unwrap().unwrap();
    assert_eq!(own, [(Vec::new(), 0)]);
    stage.finish().await;
}

#[tokio::test]
async fn versions_decide_whatever_the_order() {
    let stage = Stage::new(10, config()).await;
    stage.map().await;
    let ann = customer("ann");
    let claimed = stage.ledger.change(stage.show, &[1, 2], LedgerStatus::Claimed, Some((&ann, None)));
    let freed = stage.ledger.change(stage.show, &[1, 2], LedgerStatus::Available, Some((&ann, None)));
    let booked = stage.ledger.change(stage.show, &[2], LedgerStatus::Booked, Some((&ann, None)));
    for change in [&booked, &claimed, &freed, &claimed, &booked, &freed] {
        assert_eq!(stage.store.apply(change).await.unwrap(), Applied::Done);
    }
    assert_eq!((stage.status(1).await, stage.status(2).await), (SeatStatus::Available, SeatStatus::Booked));
    let pending = || async { stage.store.own_holds(stage.show, &[customer("ann")]).await.unwrap().unwrap()[0].1 };
    assert_eq!(pending().await, 0);
    // A load counts anew.
    stage
        .store
        .apply(&stage.ledger.change(stage.show, &[5, 6], LedgerStatus::Claimed, Some((&ann, None))))
        .await
        .unwrap();
    stage.store.reload(stage.show).await.unwrap().unwrap();
    assert_eq!(pending().await, 2);
    stage.finish().await;
}

#[tokio::test]
async fn news_of_another_generation_are_not_taken() {
    let stage = Stage::new(10, config()).await;
    stage.map().await;
    let old = stage.ledger.change(stage.show, &[1], LedgerStatus::Booked, None);
    assert_eq!(stage.store.reload(stage.show).await.unwrap(), Ok(Position::new(2, 0)));
    assert_eq!(stage.store.apply(&old).await.unwrap(), Applied::StaleGeneration(2));

    // A generation was handed out, and its loader died: what Redis has is a dead timeline.
    let lost = stage.ledger.lose_a_generation(stage.show);
    let news = stage.ledger.change(stage.show, &[2], LedgerStatus::Booked, None);
    assert_eq!(stage.store.apply(&news).await.unwrap(), Applied::StaleGeneration(2));
    assert_eq!(stage.status(2).await, SeatStatus::Booked);
    assert!(generation(&stage.store, stage.show).await.unwrap() > lost);
    stage.finish().await;
}

#[tokio::test]
async fn a_map_that_lacks_a_seat_is_never_whole() {
    let stage = Stage::new(10, config()).await;
    stage.ledger.forgets_a_seat.store(true, Ordering::Relaxed);
    let refused = stage.store.snapshot(stage.show).await;
    assert!(matches!(refused, Err(HoldError::Internal(_))), "{refused:?}");
    assert_eq!(generation(&stage.store, stage.show).await, None);
    stage.ledger.forgets_a_seat.store(false, Ordering::Relaxed);
    assert_eq!(stage.map().await.0, Position::new(2, 0));
    stage.finish().await;
}

#[tokio::test]
async fn a_loader_that_was_overtaken_abandons_its_generation() {
    let stage = Stage::new(10, config()).await;
    stage.ledger.is_overtaken.store(true, Ordering::Relaxed);
    assert_eq!(stage.map().await.0, Position::new(3, 0));
    assert_eq!(stage.ledger.reads.load(Ordering::Relaxed), 2);
    stage.finish().await;
}

#[tokio::test]
async fn a_partial_map_is_never_served_and_is_taken_over() {
    let stage = Stage::new(10, config()).await;
    stage.map().await;
    let mut connection = stage.connection().await;
    // As if the loader had died between load and complete.
    let hset = |field: &'static str, value: u64| {
        let mut cmd = redis::cmd("HSET");
        cmd.arg(stage.redis_key("show")).arg(field).arg(value);
        cmd
    };
    let _: () = hset("complete", 0).query_async(&mut connection).await.unwrap();
    let clock: String =
        redis::cmd("GET").arg(format!("clock:{{{}}}", stage.show.bucket())).query_async(&mut connection).await.unwrap();
    // The loader is at work for as long as it takes to look.
    let (died, alive) = (clock.parse::<u64>().unwrap(), clock.parse::<u64>().unwrap() + 600_000);
    let _: () = hset("touched_at", alive).query_async(&mut connection).await.unwrap();
    assert_eq!(generation(&stage.store, stage.show).await, None);
    let impatient = stage.another_core(HoldConfig { load_wait_ms: 50, ..config() });
    let refused = impatient.hold(stage.show, &customer("ann"), &key("k"), &seats(&[1]), None).await.unwrap();
    assert!(matches!(refused, Err(Refusal::NotReady { .. })), "{refused:?}");
    let refused = impatient.snapshot(stage.show).await.unwrap();
    assert!(matches!(refused, Err(Refusal::NotReady { .. })), "{refused:?}");
    // It died: who waits gets a whole one, under a new generation.
    let _: () = hset("touched_at", died).query_async(&mut connection).await.unwrap();
    assert_eq!(stage.map().await.0, Position::new(2, 0));
    stage.finish().await;
}

async fn dumps(connection: &mut MultiplexedConnection, keys: &[String]) -> Vec<Option<Vec<u8>>> {
    let mut dumps = redis::pipe();
    for key in keys {
        dumps.cmd("DUMP").arg(key);
    }
    dumps.query_async(connection).await.unwrap()
}

#[tokio::test]
async fn scripts_come_back_after_a_flush_and_check_types_before_they_write() {
    let stage = Stage::new(10, config()).await;
    stage.map().await;
    let mut connection = stage.connection().await;
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut connection).await.unwrap();
    stage.hold("ann", &[1]).await;

    let what = ["seat_status", "seat_lock", "hold", "held_by", "owned_by", "seat_version"];
    let keys = what.map(|what| stage.redis_key(what));
    for broken in &keys {
        let spare = format!("{broken}:spare");
        // The key may not exist.
        let _ = redis::cmd("RENAME").arg(broken).arg(&spare).query_async::<()>(&mut connection).await;
        let _: () = redis::cmd("LPUSH").arg(broken).arg("x").query_async(&mut connection).await.unwrap();
        let before = dumps(&mut connection, &keys).await;
        let failed = stage.store.hold(stage.show, &customer("ben"), &key("k"), &seats(&[4, 5]), None).await;
        assert!(matches!(failed, Err(HoldError::Internal(_))), "{broken}: {failed:?}");
        assert_eq!(dumps(&mut connection, &keys).await, before, "{broken}");
        let _: () = redis::cmd("DEL").arg(broken).query_async(&mut connection).await.unwrap();
        let _ = redis::cmd("RENAME").arg(&spare).arg(broken).query_async::<()>(&mut connection).await;
    }
    stage.hold("ben", &[4, 5]).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_stopped_redis_is_unavailable_and_comes_back() {
    let stage = Stage::new(10, config()).await;
    stage.map().await;
    stage.redis.stop();
    let refused = stage.store.hold(stage.show, &customer("ann"), &key("k"), &seats(&[1]), None).await;
    assert!(matches!(refused, Err(HoldError::Unavailable(_))), "{refused:?}");
    stage.redis.cont();
    until("Redis answers", || async { stage.store.ping().await.is_ok() }).await;
    // The same key: whatever became of the first call, there is one hold.
    let held = stage.store.hold(stage.show, &customer("ann"), &key("k"), &seats(&[1]), None).await.unwrap();
    assert!(held.is_ok());
    let own = stage.store.own_holds(stage.show, &[customer("ann")]).await.unwrap().unwrap();
    assert_eq!(own[0].0.len(), 1);
    stage.finish().await;
}

#[tokio::test]
async fn tokens_run_out_and_come_back() {
    let stage = Stage::new(1, config()).await;
    for _ in 0..3 {
        assert_eq!(stage.store.take_tokens("hold:ann", 3, 0.01, 1).await.unwrap(), 0);
    }
    let wait = stage.store.take_tokens("hold:ann", 3, 0.01, 1).await.unwrap();
    assert!((50_000..=100_000).contains(&wait), "{wait}");
    assert_eq!(stage.store.take_tokens("hold:ben", 3, 0.01, 1).await.unwrap(), 0);
    until("a token", || async { stage.store.take_tokens("hold:cat", 1, 50.0, 1).await.unwrap() == 0 }).await;
    stage.finish().await;
}

#[tokio::test]
async fn an_unloaded_show_leaves_nothing_but_the_clock() {
    let stage = Stage::new(10, config()).await;
    stage.hold("ann", &[1]).await;
    stage.store.unload(stage.show).await.unwrap();
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut stage.connection().await).await.unwrap();
    keys.sort();
    assert_eq!(keys, [format!("clock:{{{}}}", stage.show.bucket())]);
    // And it can be loaded again.
    assert_eq!(stage.map().await.0.generation, 2);
    stage.finish().await;
}
