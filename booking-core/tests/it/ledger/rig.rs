//! What every test here needs: the servers, a saga whose workers are called by hand, and a payer.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seatwire_core::db::Db;
use seatwire_core::holds::{HoldConfig, HoldStore, Refusal};
use seatwire_core::migrate::{self, Direction};
use seatwire_core::payments::{PaymentProvider, Providers, Razorpay, Stripe};
use seatwire_core::saga::{Saga, SagaConfig};
use seatwire_core::{seed, webhook};
use seatwire_loadtest::launcher::{Postgres, Redis};
use seatwire_loadtest::provider::Shapes;
use seatwire_protocol::command::{Book, BookingInfo, BookingState};
use seatwire_protocol::{BookingId, CustomerId, HoldId, IdempotencyKey, SeatIndex, ShowId};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const WEBHOOK_SECRET: &str = "webhook secret of the test";

pub(super) struct Rig {
    pub(super) postgres: Postgres,
    pub(super) redis: Redis,
    pub(super) db: Db,
    pub(super) holds: HoldStore,
    pub(super) saga: Saga,
    pub(super) sql: tokio_postgres::Client,
    /// The seeded cinema show: open, 204 seats.
    pub(super) show: ShowId,
    pub(super) webhooks: SocketAddr,
    /// Whose API the provider speaks.
    pub(super) shapes: Shapes,
    provider: String,
    _provider: Child,
    _folder: tempfile::TempDir,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut SagaConfig)) -> Self {
        Self::of(Shapes::Razorpay, change).await
    }

    pub(super) async fn of(shapes: Shapes, change: impl FnOnce(&mut SagaConfig)) -> Self {
        let (postgres, redis) = tokio::join!(Postgres::start(), Redis::start());
        let (postgres, redis) = (postgres.unwrap(), redis.unwrap());
        migrate::run(&postgres.migrator_url(), Direction::Up).await.unwrap();
        let db = Db::new(&postgres.core_url(), 16).unwrap();
        assert_eq!(seed::run(&db, 3_600_000).await.unwrap(), 4);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webhooks = listener.local_addr().unwrap();
        let folder = tempfile::TempDir::new().unwrap();
        let (child, provider) = start_provider(shapes, folder.path(), webhooks).await;
        let holds = hold_store(&redis, &db);
        let mut config = SagaConfig {
            checkout_url: provider.clone(),
            public_url: "http://127.0.0.1:7000".to_owned(),
            ..SagaConfig::default()
        };
        change(&mut config);
        let saga = saga(config, &db, &holds, shapes, &provider);
        tokio::spawn(axum::serve(listener, webhook::routes(saga.clone())).into_future());
        let sql = connect(&postgres.superuser_url()).await;
        let show = ShowId::new(1).unwrap();
        let (_provider, _folder) = (child, folder);
        Self { postgres, redis, db, holds, saga, sql, show, webhooks, shapes, provider, _provider, _folder }
    }

    /// For tests in which nothing is killed.
    pub(super) async fn without_fsync(&self) {
        for setting in ["fsync", "synchronous_commit"] {
            self.sql.batch_execute(&format!("ALTER SYSTEM SET {setting} = off")).await.unwrap();
        }
        self.sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// A show of its own like the seeded cinema, all its seats free.
    pub(super) async fn new_show(&self) -> ShowId {
        // The catalogue's columns are many and may grow; those that must differ are few.
        let columns = "SELECT string_agg(column_name, ', ') FROM information_schema.columns
            WHERE table_name = 'shows' AND column_name NOT IN ('id', 'starts_at', 'sale', 'cancelled_at', 'cancel_done_at')";
        let columns = self.text(columns).await;
        let show = format!(
            "INSERT INTO shows ({columns}, starts_at, sale)
            SELECT {columns}, (SELECT max(starts_at) FROM shows) + interval '1 minute', 'open' FROM shows WHERE id = 1
            RETURNING id"
        );
        let id = self.count(&show).await;
        let rest = format!(
            "INSERT INTO show_seats (show_id, seat, label, tier, price)
                SELECT {id}, seat, label, tier, price FROM show_seats WHERE show_id = 1;
            INSERT INTO show_streams (show_id) VALUES ({id})"
        );
        self.sql.batch_execute(&rest).await.unwrap();
        ShowId::new(id.unsigned_abs()).unwrap()
    }

    /// Another core with holds of its own, on the same ledger.
    pub(super) fn another(&self, redis: &Redis) -> (HoldStore, Saga) {
        let holds = hold_store(redis, &self.db);
        let saga = saga(SagaConfig::default(), &self.db, &holds, self.shapes, &self.provider);
        (holds, saga)
    }

    /// A saga of its own on this database and these holds.
    pub(super) fn saga_with(&self, config: SagaConfig, db: &Db, holds: &HoldStore) -> Saga {
        saga(config, db, holds, self.shapes, &self.provider)
    }

    pub(super) async fn hold(&self, customer: &CustomerId, key: &str, seats: &[u32]) -> HoldId {
        self.hold_at(&self.holds, customer, key, seats).await
    }

    /// A hold at a store that need not be the rig's own.
    pub(super) async fn hold_at(&self, holds: &HoldStore, customer: &CustomerId, key: &str, seats: &[u32]) -> HoldId {
        let seats: Vec<SeatIndex> = seats.iter().copied().map(SeatIndex).collect();
        let key = idempotency_key(key);
        loop {
            match holds.hold(self.show, customer, &key, &seats, None).await.unwrap() {
                // The first hold of a show loads it.
                Err(Refusal::NotReady { retry_after_ms }) => {
                    tokio::time::sleep(Duration::from_millis(retry_after_ms)).await;
                }
                held => return held.unwrap().hold,
            }
        }
    }

    /// A pending booking.
    pub(super) async fn book(&self, name: &str, seats: &[u32]) -> BookingInfo {
        let customer = customer(name);
        let hold = self.hold(&customer, "hold", seats).await;
        self.saga.book(&book(self.show, &customer, hold, "book")).await.unwrap().unwrap()
    }

    /// A confirmed booking.
    pub(super) async fn buy(&self, name: &str, seats: &[u32]) -> BookingInfo {
        let booking = self.book(name, seats).await;
        self.pay(&booking, json!({})).await;
        self.settle().await;
        let booking = self.booking(booking.booking).await;
        assert_eq!(booking.state, BookingState::Confirmed);
        booking
    }

    /// Pays at the checkout; the fields are the provider's switches.
    pub(super) async fn pay(&self, booking: &BookingInfo, mut fields: Value) {
        fields.as_object_mut().unwrap().entry("outcome").or_insert_with(|| json!("success"));
        let order = booking.order.as_deref().unwrap();
        let (status, answer) = self.call(Method::POST, &format!("/checkout/{order}/pay"), Some(fields)).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub(super) async fn control(&self, switches: Value) {
        let (status, answer) = self.call(Method::POST, "/control", Some(switches)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// What the provider has: orders, payments, refunds.
    pub(super) async fn provider_ledger(&self) -> Value {
        self.call(Method::GET, "/control/ledger", None).await.1
    }

    /// Waits until the provider has told everything, then settles all of it.
    pub(super) async fn settle(&self) {
        let told = async || {
            let ledger = self.provider_ledger().await;
            ledger["webhooks_pending"] == 0 && ledger["late_pending"] == 0
        };
        wait_for("webhooks", told).await;
        self.drain_inbox().await;
    }

    pub(super) async fn drain_inbox(&self) {
        let empty = async || {
            self.saga.settle_once().await.unwrap();
            self.saga.backlog().await.unwrap().inbox == 0
        };
        wait_for("the inbox", empty).await;
    }

    /// Refunds all that is due.
    pub(super) async fn refund(&self) {
        let done = async || {
            self.saga.refund_once().await.unwrap();
            self.saga.settle_once().await.unwrap();
            self.saga.backlog().await.unwrap().refunds == 0
        };
        wait_for("refunds", done).await;
        self.settle().await;
    }

    pub(super) async fn expire(&self, booking: BookingId) {
        let expired = async || {
            self.saga.expire_once().await.unwrap();
            self.booking(booking).await.state == BookingState::Expired
        };
        wait_for("expiry", expired).await;
    }

    pub(super) async fn booking(&self, booking: BookingId) -> BookingInfo {
        seatwire_core::db::bookings::get(&self.db, booking).await.unwrap().unwrap().1
    }

    /// One number out of the database.
    pub(super) async fn count(&self, query: &str) -> i64 {
        self.sql.query_one(query, &[]).await.unwrap().get(0)
    }

    /// One text out of the database.
    pub(super) async fn text(&self, query: &str) -> String {
        self.sql.query_one(query, &[]).await.unwrap().get(0)
    }

    pub(super) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder().method(method).uri(format!("{}{path}", self.provider));
        let request = request.header("content-type", "application/json").header("accept", "application/json");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request.body(Full::new(Bytes::from(text))).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

fn hold_store(redis: &Redis, db: &Db) -> HoldStore {
    let config = HoldConfig { hold_secret: b"hold secret of the test".to_vec(), ..HoldConfig::default() };
    HoldStore::new(config, &redis.url(), Arc::new(db.clone())).unwrap()
}

fn saga(config: SagaConfig, db: &Db, holds: &HoldStore, shapes: Shapes, url: &str) -> Saga {
    let secrets = vec![b"an older one".to_vec(), WEBHOOK_SECRET.as_bytes().to_vec()];
    let provider: Arc<dyn PaymentProvider> = match shapes {
        Shapes::Razorpay => Arc::new(Razorpay::new(url, "key", "secret").unwrap().with_webhook_secrets(secrets)),
        Shapes::Stripe => Arc::new(Stripe::new(url, "secret").unwrap().with_webhook_secrets(secrets)),
    };
    Saga::new(config, db.clone(), holds.clone(), Providers::new(provider, Vec::new()))
}

pub(super) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn start_provider(shapes: Shapes, folder: &std::path::Path, webhooks: SocketAddr) -> (Child, String) {
    let here = std::env::current_exe().unwrap();
    let program = here.parent().unwrap().parent().unwrap().join("loadtest");
    let mut child = Command::new(&program)
        .args(["provider", "--listen", "127.0.0.1:0", "--key-id", "key", "--key-secret", "secret"])
        .args(["--shapes", shapes.name(), "--webhook-secret", WEBHOOK_SECRET])
        .args(["--webhook-url", &format!("http://{webhooks}/webhooks/{}", shapes.name())])
        .arg("--data-dir")
        .arg(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}; run `cargo build --workspace` first", program.display()));
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).await.unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    (child, format!("http://{}", ready["provider"].as_str().unwrap()))
}

pub(super) fn customer(name: &str) -> CustomerId {
    CustomerId::new(name).unwrap()
}

pub(super) fn idempotency_key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

pub(super) fn book(show: ShowId, customer: &CustomerId, hold: HoldId, key: &str) -> Book {
    Book { show, customer: customer.clone(), hold, key: idempotency_key(key), email: "ann@example.org".to_owned() }
}

/// Waits for a condition, with a deadline.
pub(super) async fn wait_for(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
