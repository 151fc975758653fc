//! A core whose servers fail, that is flooded, and that is killed under its clients.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use seatwire_loadtest::launcher::{Port, Postgres, Redis};
use seatwire_protocol::client::CoreClient;
use seatwire_protocol::codec::{self, Frame, KIND_ERROR};
use seatwire_protocol::command::{Command, GetPositions, GetSnapshot, HoldInfo, HoldSeats, ListShows};
use seatwire_protocol::limits::COMMANDS_IN_FLIGHT_PER_CORE_CONNECTION_MAX as IN_FLIGHT_MAX;
use seatwire_protocol::{ErrorBody, ErrorCode, SaleState, SeatIndex, ShowId};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::http_listener::request;
use crate::support::{Connection, PATIENCE, SECRET};
use crate::world::{World, client, customer, key, stores, until};

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
    let too_many = 100;
    // The core gives a command up after a second without an answer of Redis. A machine that takes longer than that to read
    // them all shows nothing: then once more.
    let mut tries = 0..20;
    while overload(&world, &mut port, show, too_many).await != too_many {
        tries.next().expect("as many are refused as do not fit");
    }
    port.works().await;
    world.end().await;
}

/// Sends so many commands more than fit; answers how many were refused before any other answer came.
async fn overload(world: &World, port: &mut Connection, show: ShowId, too_many: usize) -> usize {
    // Redis hangs, so that no command can be answered and give its place back.
    world.redis.stop();
    let mut out = BytesMut::new();
    let last = IN_FLIGHT_MAX + too_many;
    for id in 0..last {
        Frame::new(GetSnapshot::OP, id as u64, codec::encode(&GetSnapshot { show })).put(&mut out);
    }
    port.stream.write_all(&out).await.unwrap();
    let (mut answers, mut refused, mut in_front, mut hangs) = (HashSet::new(), 0, true, true);
    while answers.len() < last {
        let frame = port.next().await.unwrap();
        let error = (frame.kind == KIND_ERROR).then(|| codec::decode::<ErrorBody>(&frame.body).unwrap());
        in_front &= error.as_ref().is_some_and(|error| error.code == ErrorCode::Overloaded);
        if in_front {
            assert!(error.is_some_and(|error| error.retry_after_ms.is_some()));
            refused += 1;
        }
        if hangs && (!in_front || refused == too_many) {
            world.redis.cont();
            hangs = false;
        }
        assert!(answers.insert(frame.request_id), "answered twice");
    }
    refused
}

/// `seatwire-core serve` as a process of its own.
struct CoreProcess {
    child: Child,
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
        Self { child }
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
    // Its own also while nobody listens there.
    let port = Port::any().unwrap();
    let mut core = CoreProcess::start(&redis, &postgres, port.address());
    let client = client(port.address());
    let shows = client.call(&ListShows::default(), PATIENCE, 0).await.unwrap().shows;
    let arena = shows.iter().filter(|show| show.sale == SaleState::Open).max_by_key(|show| show.seats).unwrap();
    let (show, seats) = (arena.show, 2_000);
    client.call(&GetSnapshot { show }, PATIENCE, 0).await.unwrap();
    let answered = Arc::new(AtomicU32::new(0));
    let ask = |n: u32| {
        let (client, answered) = (client.clone(), Arc::clone(&answered));
        let seats = vec![SeatIndex(n * 2)];
        let hold = HoldSeats { show, customer: customer(&format!("c{n}")), key: key("k1"), seats, best: None };
        tokio::spawn(async move {
            let answer = persist(&client, &hold).await;
            answered.fetch_add(1, Ordering::Relaxed);
            (hold, answer)
        })
    };
    let mut calls: Vec<_> = (0..seats / 2).map(ask).collect();
    // Some are answered by now. Redis hangs, so that none of those who ask from here on is, however fast the machine.
    until("the first answers", || async { answered.load(Ordering::Relaxed) > 0 }).await;
    redis.stop();
    calls.extend((seats / 2..seats).map(ask));
    until("a command at the core", || async { client.status().iter().any(|link| link.in_flight > 0) }).await;
    core.kill();
    redis.cont();
    assert!(answered.load(Ordering::Relaxed) <= seats / 2, "killed while many waited");
    let _restarted = CoreProcess::start(&redis, &postgres, port.address());
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
    let port = Port::any().unwrap();
    let mut core = CoreProcess::start(&redis, &postgres, port.address());
    let client = client(port.address());
    let positions = GetPositions { shows: Vec::new(), viewers: None };
    client.call(&positions, PATIENCE, 0).await.unwrap();
    let pid = core.child.id().to_string();
    assert!(Process::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || core.child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    let gone = client.call(&positions, Duration::from_millis(200), 0).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::Unavailable);
}
