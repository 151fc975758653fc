//! Scripts called with what the store never sends: guards that only a core which was overtaken would need.

use redis::Value;
use redis::aio::MultiplexedConnection;
use seatwire_core::holds::{HoldConfig, Refusal};
use seatwire_protocol::feed::feed_channel;
use seatwire_protocol::{BookingId, SaleState};

use super::stage::{Stage, config, customer, key};

/// A connection, and the run id of the server behind it.
struct Raw {
    connection: MultiplexedConnection,
    run_id: String,
}

impl Raw {
    async fn new(stage: &Stage) -> Self {
        let mut connection = stage.connection().await;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.unwrap();
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap().to_owned();
        Self { connection, run_id }
    }

    /// Calls a script under a generation; answers its code.
    async fn call(&mut self, stage: &Stage, name: &str, generation: u64, arguments: &[&str]) -> String {
        let file = |name: &str| {
            let path = format!("{}/src/holds/scripts/{name}.lua", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        };
        let body = file(name);
        let text = format!("#!lua\n{}\n{}\n{}", file("clock"), file("show"), body.split_once('\n').unwrap().1);
        let of_show = ["show", "seat_version", "seat_status", "seat_lock", "hold", "held_by", "owned_by"];
        let bucket = stage.show.bucket();
        let mut keys: Vec<String> = of_show.iter().map(|what| stage.redis_key(what)).collect();
        keys.extend([format!("hold_expiry:{{{bucket}}}"), format!("clock:{{{bucket}}}")]);
        keys.extend([stage.redis_key("rows"), feed_channel(stage.show)]);
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(text).arg(keys.len()).arg(keys).arg(&self.run_id).arg(generation).arg(600_000).arg(600_000);
        let reply: Vec<Value> = cmd.arg(arguments).query_async(&mut self.connection).await.unwrap();
        redis::from_redis_value(reply.into_iter().next().unwrap()).unwrap()
    }

    async fn field(&mut self, stage: &Stage, name: &str) -> Option<u64> {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(stage.redis_key("show")).arg(name).query_async(&mut self.connection).await.unwrap()
    }
}

#[tokio::test]
async fn a_loader_that_was_overtaken_changes_nothing() {
    let stage = Stage::new(10, config()).await;
    let hold = stage.hold("ann", &[1]).await;
    stage.store.reload(stage.show).await.unwrap().unwrap();
    let (position, map) = stage.map().await;
    let mut raw = Raw::new(&stage).await;
    for generation in [1, 2] {
        // Seats, version of the layout, sale state, opening, version of the sale, rows.
        let loaded = raw.call(&stage, "load", generation, &["10", "7", "1", "0", "1", ""]).await;
        assert_eq!(loaded, "STALE", "generation {generation} over 2");
    }
    assert_eq!(stage.map().await, (position, map));

    // The rival is at work: its rows are all there, and it has not said so yet.
    let mut unset = redis::cmd("HSET");
    unset.arg(stage.redis_key("show")).arg("complete").arg(0);
    let _: () = unset.query_async(&mut raw.connection).await.unwrap();
    assert_eq!(raw.call(&stage, "complete", 1, &[]).await, "STALE");
    assert_eq!(raw.field(&stage, "complete").await, Some(0));
    assert_eq!(raw.call(&stage, "complete", 2, &[]).await, "OK");

    assert_eq!(raw.call(&stage, "unload", 1, &[]).await, "STALE");
    assert_eq!(raw.field(&stage, "generation").await, Some(2));
    stage.store.release(stage.show, &customer("ann"), hold).await.unwrap().unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn an_attempt_of_another_generation_is_not_taken_back() {
    let stage = Stage::new(10, config()).await;
    let ann = customer("ann");
    let hold = stage.hold("ann", &[1]).await;
    let begun = stage.store.begin_book(stage.show, &ann, hold, &key("pay"), BookingId([1; 16])).await.unwrap().unwrap();
    stage.store.reload(stage.show).await.unwrap().unwrap();
    stage.store.end_book(stage.show, &ann, hold, &begun).await.unwrap();
    assert_eq!(stage.store.release(stage.show, &ann, hold).await.unwrap(), Err(Refusal::InPayment));
    stage.finish().await;
}

#[tokio::test]
async fn a_hold_past_its_end_is_gone_before_anybody_swept_it() {
    let stage = Stage::new(10, HoldConfig { hold_ms: 0, grace_ms: 0, ..config() }).await;
    let ann = customer("ann");
    let hold = stage.hold("ann", &[1]).await;
    assert_eq!(stage.store.extend(stage.show, &ann, hold, &key("e")).await.unwrap(), Err(Refusal::Gone));
    let begun = stage.store.begin_book(stage.show, &ann, hold, &key("pay"), BookingId([1; 16])).await.unwrap();
    assert_eq!(begun.map(|begun| begun.booking), Err(Refusal::Gone));
    stage.finish().await;
}

#[tokio::test]
async fn old_news_of_the_sale_changes_nothing() {
    let stage = Stage::new(10, config()).await;
    stage.map().await;
    let closed = stage.ledger.change_sale(stage.show, SaleState::Closed, None);
    let opened = stage.ledger.change_sale(stage.show, SaleState::Open, None);
    for change in [&closed, &opened, &closed, &closed] {
        stage.store.apply(change).await.unwrap();
    }
    assert_eq!(stage.store.snapshot(stage.show).await.unwrap().unwrap().sale, SaleState::Open);
    stage.finish().await;
}
