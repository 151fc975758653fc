//! A stack in which everything happened once: a purchase, one paid twice, one that expired, one that was cancelled, and
//! a hold that lives on.

use std::sync::atomic::{AtomicU32, Ordering};

use redis::AsyncCommands as _;
use seatwire_loadtest::client::{Guest, Http, PayOptions, guest, new_key, pay};
use seatwire_loadtest::launcher::{Addresses, Service, Stack, StackOptions};
use seatwire_protocol::ShowId;
use seatwire_protocol::command::{BookingInfo, BookingState, HoldInfo, ShowsReply};
use serde_json::json;

use crate::support::{connect, eventually};

pub(super) struct World {
    pub(super) stack: Stack,
    show: ShowId,
    held: HoldInfo,
    holder: Guest,
    copies: AtomicU32,
}

impl World {
    pub(super) async fn start() -> Self {
        let options = StackOptions::new().env(Service::Core, "SEATWIRE_CLAIM_MS", 3000);
        let stack = Stack::start(options).await.unwrap();
        let gateway = stack.addresses().gateway;
        let shows: ShowsReply =
            Http::default().get(&format!("{gateway}/api/shows"), &[]).await.unwrap().json().unwrap();
        let open = |show: &&seatwire_protocol::catalogue::ShowInfo| show.seats < 1000 && show.opens_in_ms == 0;
        let show = shows.shows.iter().find(open).expect("a small show on sale").show;
        let shop = Shop { gateway, show };

        let (paid_once, paid_twice, lapsed, cancelled) =
            (shop.buyer().await, shop.buyer().await, shop.buyer().await, shop.buyer().await);
        let once = shop.book(&paid_once, &[10, 11]).await;
        pay(once.checkout_url.as_deref().unwrap(), &PayOptions::default()).await.unwrap();
        let twice = shop.book(&paid_twice, &[20]).await;
        let double = PayOptions { double: true, ..PayOptions::default() };
        pay(twice.checkout_url.as_deref().unwrap(), &double).await.unwrap();
        let late = shop.book(&lapsed, &[30, 31, 32]).await;
        let given_up = shop.book(&cancelled, &[40]).await;
        shop.cancel(&cancelled, &given_up).await;
        shop.wait(&paid_once, &once, BookingState::Confirmed).await;
        shop.wait(&paid_twice, &twice, BookingState::Confirmed).await;
        shop.wait(&lapsed, &late, BookingState::Expired).await;
        let holder = shop.buyer().await;
        let held = shop.hold(&holder, &[60, 61]).await;
        Self { stack, show, held, holder, copies: AtomicU32::new(0) }
    }

    pub(super) fn show(&self) -> ShowId {
        self.show
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.stack.addresses()
    }

    /// Copies of the database are many and need not last: without the shows that nobody looked at, without syncing.
    pub(super) async fn make_copying_cheap(&self) {
        let server = connect(&self.addresses().postgres).await;
        let show = self.show;
        let statements = format!(
            "SET session_replication_role = replica; DELETE FROM show_seats WHERE show_id <> {show}; \
             DELETE FROM shows WHERE id <> {show}; DELETE FROM seats"
        );
        server.batch_execute(&statements).await.unwrap();
        for statement in ["VACUUM FULL", "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"] {
            server.batch_execute(statement).await.unwrap();
        }
    }

    /// A database of its own with the same rows; its URL.
    pub(super) async fn copy_of_database(&self) -> String {
        let original = self.addresses().postgres;
        let elsewhere = |database: &str| format!("{}/{database}", original.trim_end_matches("/seatwire"));
        let name = format!("copy_{}", self.copies.fetch_add(1, Ordering::Relaxed));
        let server = connect(&elsewhere("postgres")).await;
        // Sessions of killed cores and of the last audit may take a moment to end.
        let create = format!("CREATE DATABASE {name} TEMPLATE seatwire");
        eventually("the database is free to be copied", async || server.batch_execute(&create).await.is_ok()).await;
        elsewhere(&name)
    }

    /// Database 1 of the same Redis with the same keys; its URL.
    pub(super) async fn copy_of_redis(&self) -> String {
        let original = self.addresses().redis;
        let client = redis::Client::open(original.as_str()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = redis.keys("*").await.unwrap();
        for key in keys {
            redis.copy::<_, _, _, ()>(&key, &key, redis::CopyOptions::default().db(1).replace(true)).await.unwrap();
        }
        format!("{original}/1")
    }

    /// Runs Lua that knows the show's keys by name, and a live hold.
    pub(super) async fn eval(&self, url: &str, script: &str) {
        let (show, bucket) = (self.show, self.show.bucket());
        let of_show = |what: &str| format!("{what}:{{{bucket}}}:{show}");
        let whole = format!(
            "local SHOW, VERSION, STATUS, LOCK, HOLD, HELD_BY, OWNED_BY, DUE = unpack(KEYS)\n\
             local held, id, customer, MEMBER = ARGV[1], ARGV[2], ARGV[3], ARGV[4]\n{script}"
        );
        let mut command = redis::cmd("EVAL");
        command.arg(whole).arg(8);
        for what in ["show", "seat_version", "seat_status", "seat_lock", "hold", "held_by", "owned_by"] {
            command.arg(of_show(what));
        }
        command.arg(format!("hold_expiry:{{{bucket}}}"));
        command.arg(self.held.seats[0].0).arg(&self.held.hold.0[..]).arg(self.holder.customer.as_str());
        command.arg(format!("{show}:"));
        let client = redis::Client::open(url).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        command.query_async::<()>(&mut redis).await.unwrap();
    }
}

/// Runs statements with triggers and foreign keys off.
pub(super) async fn execute(url: &str, statements: &str) {
    let database = connect(url).await;
    let views = "
        CREATE TEMP VIEW kept AS SELECT b.* FROM bookings b
            WHERE b.state = 'CONFIRMED' AND EXISTS (SELECT FROM refunds r WHERE r.booking_id = b.id);
        CREATE TEMP VIEW booked AS SELECT b.* FROM bookings b
            WHERE b.state = 'CONFIRMED' AND NOT EXISTS (SELECT FROM refunds r WHERE r.booking_id = b.id);
        CREATE TEMP VIEW lapsed AS SELECT * FROM bookings WHERE state = 'EXPIRED'";
    database.batch_execute(views).await.unwrap();
    database.batch_execute("SET session_replication_role = replica").await.unwrap();
    database.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
}

/// One show as customers reach it.
struct Shop {
    gateway: String,
    show: ShowId,
}

impl Shop {
    async fn buyer(&self) -> Guest {
        guest(&self.gateway).await.unwrap()
    }

    async fn hold(&self, buyer: &Guest, seats: &[u32]) -> HoldInfo {
        let url = format!("{}/api/shows/{}/holds", self.gateway, self.show);
        self.post(buyer, &url, json!({"key": new_key(), "seats": seats})).await
    }

    async fn book(&self, buyer: &Guest, seats: &[u32]) -> BookingInfo {
        let hold = self.hold(buyer, seats).await;
        let body = json!({"show": self.show, "hold": hold.hold, "key": new_key(), "email": "buyer@example.org"});
        self.post(buyer, &format!("{}/api/bookings", self.gateway), body).await
    }

    async fn cancel(&self, buyer: &Guest, booking: &BookingInfo) {
        let url = format!("{}/api/bookings/{}/cancel", self.gateway, booking.booking.to_hex());
        let cancelled: BookingInfo = self.post(buyer, &url, json!({"key": new_key()})).await;
        assert_eq!(cancelled.state, BookingState::Cancelled);
    }

    async fn wait(&self, buyer: &Guest, booking: &BookingInfo, state: BookingState) {
        let url = format!("{}/api/bookings/{}", self.gateway, booking.booking.to_hex());
        let http = Http::default();
        eventually("the booking's state", async || {
            let reply = http.get(&url, &[("authorization", &buyer.bearer())]).await.unwrap();
            reply.json::<BookingInfo>().is_ok_and(|info| info.state == state)
        })
        .await;
    }

    async fn post<T: serde::de::DeserializeOwned>(&self, buyer: &Guest, url: &str, body: serde_json::Value) -> T {
        let reply = Http::default().post(url, &[("authorization", &buyer.bearer())], &body).await.unwrap();
        reply.json().unwrap_or_else(|error| panic!("{url}: {error}"))
    }
}
