//! One shop whose core dies and comes back, and what the routes need of it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatwire_loadtest::client::{ClientOptions, Http, ViewerClient, sign_token};
use seatwire_loadtest::launcher::{Addresses, Process, Stack};
use seatwire_protocol::command::ShowsReply;
use seatwire_protocol::{BookingId, CustomerId, SaleState, ShowId};

use crate::shop::Shop;
use crate::support;

pub(super) const PATIENCE: Duration = Duration::from_secs(40);

pub(super) struct Rig {
    pub(super) show: ShowId,
    /// A show on sale that nobody buys from.
    pub(super) other: ShowId,
    at: Addresses,
    ledger: tokio_postgres::Client,
    seats: Mutex<VecDeque<Vec<u32>>>,
    visitors: AtomicU64,
    told_confirmed: Mutex<Vec<BookingId>>,
    core: AtomicI32,
    killed: Mutex<Instant>,
}

pub(super) struct Visitor {
    pub(super) client: ViewerClient,
}

impl Rig {
    pub(super) async fn of(shop: &Shop) -> Self {
        let shows: ShowsReply =
            Http::default().get(&format!("{}/api/shows", shop.at.gateway), &[]).await.unwrap().json().unwrap();
        let other = shows.shows.iter().find(|info| info.show != shop.show && info.sale == SaleState::Open);
        let rows = std::iter::repeat_with(|| shop.seats(8).index).take(500);
        let seats = rows.flat_map(|row| row.chunks(2).map(<[u32]>::to_vec).collect::<Vec<_>>()).collect();
        Self {
            show: shop.show,
            other: other.expect("two shows on sale").show,
            at: shop.at.clone(),
            ledger: support::connect(&shop.at.postgres).await,
            seats: Mutex::new(seats),
            visitors: AtomicU64::new(0),
            told_confirmed: Mutex::default(),
            core: AtomicI32::new(support::pid(shop.stack.pid(Process::Core(0)))),
            killed: Mutex::new(Instant::now()),
        }
    }

    /// Starts the core again whenever it was killed; anything else that ends is a fault of the product.
    pub(super) async fn keep_up(&self, stack: &mut Stack) {
        loop {
            for (process, status) in stack.take_exited() {
                use std::os::unix::process::ExitStatusExt as _;
                assert_eq!((process, status.signal()), (Process::Core(0), Some(9)), "{process:?} ended: {status}");
                stack.restart(process).await.unwrap();
                self.core.store(support::pid(stack.pid(process)), Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Two neighbours that nobody else uses.
    pub(super) fn seats(&self) -> Vec<u32> {
        self.seats.lock().unwrap().pop_front().expect("seats are left")
    }

    /// Somebody new with a connection.
    pub(super) async fn visitor(&self) -> Visitor {
        let name = format!("visitor-{}", self.visitors.fetch_add(1, Ordering::Relaxed));
        let token = sign_token(&self.at.secrets.jwt, &CustomerId::new(&name).unwrap(), PATIENCE * 10).unwrap();
        let options = ClientOptions { timeout: Duration::from_secs(3), ..ClientOptions::new(&self.at.gateway, &token) };
        Visitor { client: ViewerClient::open(options).await.unwrap() }
    }

    pub(super) fn told_confirmed(&self, booking: BookingId) {
        self.told_confirmed.lock().unwrap().push(booking);
    }

    /// Bookings that were told as confirmed; none of them is lost.
    pub(super) async fn check_told(&self) -> usize {
        let told = self.told_confirmed.lock().unwrap().clone();
        let ids: Vec<uuid::Uuid> = told.iter().map(|booking| uuid::Uuid::from_bytes(booking.0)).collect();
        let sql = "SELECT count(*) FROM bookings WHERE state = 'CONFIRMED' AND id = ANY($1)";
        let kept: i64 = self.ledger.query_one(sql, &[&ids]).await.unwrap().get(0);
        assert_eq!(usize::try_from(kept).unwrap(), told.len(), "told as confirmed, and not so in the ledger");
        told.len()
    }

    pub(super) async fn sql(&self, statement: &str) {
        self.ledger.batch_execute(statement).await.unwrap();
    }

    pub(super) async fn count(&self, query: &str) -> i64 {
        self.ledger.query_one(query, &[]).await.unwrap().get(0)
    }

    pub(super) async fn now_ms(&self) -> i64 {
        self.count("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").await
    }

    pub(super) async fn eventually(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        while !condition().await {
            if Instant::now() > end {
                return Err(format!("never happened: {what}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// An operator's act, repeated until it is answered; one that is refused had taken effect before.
    pub(super) async fn admin(&self, path: &str, body: &serde_json::Value) -> Result<(), String> {
        let http = Http::default();
        let bearer = format!("Bearer {}", self.at.secrets.admin);
        let url = format!("{}/admin/shows/{path}", self.at.core_http);
        self.eventually(path, async || {
            let reply = http.post(&url, &[("authorization", &bearer)], body).await;
            reply.is_ok_and(|reply| reply.status < 500)
        })
        .await
    }

    pub(super) async fn empty_redis(&self) {
        let client = redis::Client::open(self.at.redis.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    }

    pub(super) fn kill_core(&self) {
        *self.killed.lock().unwrap() = Instant::now();
        // Gone already when the failpoint was faster.
        let _ = kill(Pid::from_raw(self.core.load(Ordering::Relaxed)), Signal::SIGKILL);
    }

    /// What happens at a core's start only is brought about by another start.
    pub(super) async fn kill_core_if_idle(&self) {
        if self.killed.lock().unwrap().elapsed() > Duration::from_secs(3) {
            self.kill_core();
        }
    }

    /// Waits until the core serves.
    pub(super) async fn core_is_ready(&self) {
        let url = format!("{}/ready", self.at.core_http);
        let pid = self.core.load(Ordering::Relaxed);
        support::eventually("a ready core", async || {
            let alive = kill(Pid::from_raw(self.core.load(Ordering::Relaxed)), None).is_ok();
            alive && support::get(&url).await == 200 && pid > 0
        })
        .await;
    }

    pub(super) async fn restart_core(&self) {
        let before = self.core.load(Ordering::Relaxed);
        self.kill_core();
        support::eventually("another core", async || self.core.load(Ordering::Relaxed) != before).await;
        self.core_is_ready().await;
    }
}
