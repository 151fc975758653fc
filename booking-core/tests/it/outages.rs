//! A core whose servers fail, that is flooded, and that is killed under its clients.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use seatwire_loadtest::launcher::{Postgres, Redis};
use seatwire_protocol::client::CoreClient;
use seatwire_protocol::codec::{self, Frame, KIND_ERROR};
use seatwire_protocol::command::{Command, GetPositions, GetSnapshot, HoldInfo, HoldSeats, ListShows};
use seatwire_protocol::limits::COMMANDS_IN_FLIGHT_PER_CORE_CONNECTION_MAX as IN_FLIGHT_MAX;
use seatwire_protocol::{ErrorBody, ErrorCode, SaleState, SeatIndex};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::http_listener::request;
use crate::support::{PATIENCE, SECRET};
use crate::world::{World, client, customer, free_address, key, stores, until};

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_or_postgres_it_says_so_and_goes_on_when_they_are_back() {
    let mut world = World::start().await;
    let (show, _) = world.open_show().await;
    let ready = |core: SocketAddr| async move { request(core, "GET", "/ready", "", "").await };
    let http = world.core.http;
    until("ready at first", || async { ready(http).await.0 == 200 }).await;
    world.redis.kill();
    let (status, body) = ready(http).await;
    assert_eq!((status, &body["postgres"]), (503, &json!("ok")), "{body}");
    assert_ne!(body["redis"], "ok");
    let refused = world.hold("ann", show, "k1", &[1]).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert!(refused.retry_after_ms.is_some() && !refused.message.contains("127.0.0.1"), "{refused}");
    world.call(&ListShows::default()).await.unwrap();
    world.redis.restart().await.unwrap();
    until("holds again", || async { world.hold("ann", show, "k2", &[1]).await.is_ok() }).await;

    world.postgres.kill();
    until("postgres is missed", || async { ready(http).await.1["postgres"] != "ok" }).await;
    // What is loaded lives on without the ledger.
    world.hold("bob", show, "k1", &[5]).await.unwrap();
    let refused = world.client.call(&ListShows::default(), PATIENCE, 0).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable, "{refused}");
    world.postgres.restart().await.unwrap();
    until("ready at last", || async { ready(http).await.0 == 200 }).await;
    world.call(&ListShows::default()).await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_commands_than_fit_are_answered_overloaded_and_the_rest_all_the_same() {
    let world = World::start().await;
    let (show, _) = world.open_show().await;
    let mut port = world.core.session().await;
    // Redis hangs, so that no command can be answered and give its place back.
    world.redis.stop();
    let mut out = BytesMut::new();
    let too_many = 100;
    let last = IN_FLIGHT_MAX + too_many;
    for id in 0..last {
        Frame::new(GetSnapshot::OP, id as u64, codec::encode(&GetSnapshot { show })).put(&mut out);
    }
    port.stream.write_all(&out).await.unwrap();
    let mut answers = HashMap::new();
    for _ in 0..too_many {
        let frame = port.next().await.unwrap();
        let error: ErrorBody = codec::decode(&frame.body).unwrap();
        assert_eq!((frame.kind, &error.code), (KIND_ERROR, &ErrorCode::Overloaded));
        assert!(error.retry_after_ms.is_some());
        answers.insert(frame.request_id, ());
    }
    world.redis.cont();
    while answers.len() < last {
        let frame = port.next().await.unwrap();
        assert!(answers.insert(frame.request_id, ()).is_none(), "answered twice");
    }
    port.works().await;
    world.end().await;
}

/// `seatwire-core serve` as a process of its own.
struct CoreProcess {
    child: Child,
    listen: SocketAddr,
}

impl CoreProcess {
    fn start(redis: &Redis, postgres: &Postgres, listen: SocketAddr) -> Self {
        let mut child = Process::new(env!("CARGO_BIN_EXE_seatwire-core"))
            .arg("serve")
            .env("SEATWIRE_CORE_LISTEN", listen.to_string())
            .env("SEATWIRE_CORE_HTTP_LISTEN", "127.0.0.1:0")
            .env("SEATWIRE_REDIS_URL", redis.url())
            .env("SEATWIRE_DATABASE_URL", postgres.core_url())
            .env("SEATWIRE_CORE_SECRET", SECRET)
            .env("SEATWIRE_HOLD_SECRET", SECRET)
            .env("SEATWIRE_ADMIN_TOKEN", SECRET)
            .env("SEATWIRE_RAZORPAY_URL", "http://127.0.0.1:1")
            .env("SEATWIRE_RAZORPAY_KEY_ID", "id")
            .env("SEATWIRE_RAZORPAY_KEY_SECRET", "secret")
            .env("SEATWIRE_RAZORPAY_WEBHOOK_SECRETS", "secret")
            .env("SEATWIRE_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&ready["ready"], &ready["core"]), (&json!(true), &json!(listen.to_string())));
        assert_eq!(ready["pid"], json!(child.id()));
        Self { child, listen }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for CoreProcess {
    fn drop(&mut self) {
        // Dead already, where the test killed it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As a customer's gateway does: what may be repeated is repeated with the same key, here because a busy machine lets
/// Redis answer late.
async fn persist(client: &CoreClient, hold: &HoldSeats) -> Result<HoldInfo, ErrorBody> {
    let end = Instant::now() + PATIENCE;
    loop {
        match client.call(hold, PATIENCE, 0).await {
            Err(error) if error.code.is_retryable() && Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(error.retry_after_ms.unwrap_or(100))).await;
            }
            answer => return answer,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_when_a_core_is_killed_are_repeated_by_key_and_act_once() {
    let (redis, postgres) = stores().await;
    let mut core = CoreProcess::start(&redis, &postgres, free_address());
    let client = client(core.listen);
    let shows = client.call(&ListShows::default(), PATIENCE, 0).await.unwrap().shows;
    let arena = shows.iter().filter(|show| show.sale == SaleState::Open).max_by_key(|show| show.seats).unwrap();
    let (show, seats) = (arena.show, 2_000);
    client.call(&GetSnapshot { show }, PATIENCE, 0).await.unwrap();
    let answered = Arc::new(AtomicU32::new(0));
    let calls: Vec<_> = (0..seats)
        .map(|n| {
            let (client, answered) = (client.clone(), Arc::clone(&answered));
            let seats = vec![SeatIndex(n * 2)];
            let hold = HoldSeats { show, customer: customer(&format!("c{n}")), key: key("k1"), seats, best: None };
            tokio::spawn(async move {
                let answer = persist(&client, &hold).await;
                answered.fetch_add(1, Ordering::Relaxed);
                (hold, answer)
            })
        })
        .collect();
    // Some are answered by now, and many more are on their way.
    until("the first answers", || async { answered.load(Ordering::Relaxed) > 0 }).await;
    core.kill();
    let before = answered.load(Ordering::Relaxed);
    assert!(before < seats, "killed too late to show anything");
    let listen = core.listen;
    let _restarted = CoreProcess::start(&redis, &postgres, listen);
    let mut granted = 0;
    for call in calls {
        let (command, answer) = call.await.unwrap();
        match answer {
            Ok(hold) => {
                // Said again, it is the same hold: it acted once, whichever attempt it was.
                let again = persist(&client, &command).await.unwrap();
                assert_eq!((again.hold, again.position), (hold.hold, hold.position));
                granted += 1;
            }
            Err(error) => assert_eq!(error.code, ErrorCode::Taken, "a blocked seat of the demo: {error}"),
        }
    }
    assert!(granted > seats / 2, "{granted} of {seats}");
    let snapshot = client.call(&GetSnapshot { show }, PATIENCE, 0).await.unwrap();
    let statuses = seatwire_protocol::seat::PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).unwrap();
    let held = statuses.iter().filter(|status| *status == seatwire_protocol::SeatStatus::Held).count();
    assert_eq!(held, usize::try_from(granted).unwrap(), "each granted hold has its one seat and nobody another");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_answers_what_it_has_begun_and_exits_cleanly() {
    let (redis, postgres) = stores().await;
    let mut core = CoreProcess::start(&redis, &postgres, free_address());
    let client = client(core.listen);
    let positions = GetPositions { shows: Vec::new(), viewers: None };
    client.call(&positions, PATIENCE, 0).await.unwrap();
    let pid = core.child.id().to_string();
    assert!(Process::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || core.child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    let gone = client.call(&positions, Duration::from_millis(200), 0).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::Unavailable);
}
