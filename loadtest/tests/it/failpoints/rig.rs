//! One shop whose core dies and comes back, and what the routes need of it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatwire_loadtest::client::{ClientOptions, Http, ViewerClient, sign_token};
use seatwire_loadtest::launcher::{Addresses, Process, Stack};
use seatwire_protocol::command::ShowsReply;
use seatwire_protocol::{BookingId, CustomerId, SaleState, ShowId};

use crate::shop::Shop;
use crate::support;

pub(super) const PATIENCE: Duration = Duration::from_secs(40);
const NUDGE_AFTER: Duration = Duration::from_secs(4);

pub(super) struct Rig {
    pub(super) show: ShowId,
    /// A show on sale that nobody buys from.
    pub(super) other: ShowId,
    pub(super) at: Addresses,
    ledger: tokio_postgres::Client,
    seats: Mutex<VecDeque<Vec<u32>>>,
    visitors: AtomicU64,
    told_confirmed: Mutex<Vec<BookingId>>,
    core: AtomicI32,
    killed: Mutex<Instant>,
    mail: PathBuf,
}

/// Mail is broken for so long; then its folder is a folder again.
pub(super) struct BrokenMail<'a>(&'a Path);

impl Drop for BrokenMail<'_> {
    fn drop(&mut self) {
        let (aside, folder) = (self.0.with_extension("aside"), self.0);
        std::fs::remove_file(folder).and_then(|()| std::fs::rename(aside, folder)).unwrap();
    }
}

pub(super) struct Visitor {
    pub(super) client: ViewerClient,
    token: String,
}

impl Rig {
    pub(super) async fn of(shop: &Shop, mail: PathBuf) -> Self {
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
            mail,
        }
    }

    /// A copy of the smallest show on sale, all its seats free.
    pub(super) async fn new_show(&self) -> ShowId {
        // The catalogue's columns are many and may grow; those that must differ are few.
        let columns = "SELECT string_agg(column_name, ', ') FROM information_schema.columns
            WHERE table_name = 'shows' AND column_name NOT IN ('id', 'starts_at')";
        let columns: String = self.ledger.query_one(columns, &[]).await.unwrap().get(0);
        let id = self
            .count(&format!(
                "INSERT INTO shows ({columns}, starts_at)
                SELECT {columns}, (SELECT max(starts_at) FROM shows) + interval '1 minute'
                FROM shows WHERE sale = 'open' ORDER BY seats LIMIT 1 RETURNING id"
            ))
            .await;
        self.sql(&format!(
            "INSERT INTO show_seats (show_id, seat, label, tier, price)
                SELECT {id}, seat, label, tier, price FROM show_seats WHERE show_id =
                    (SELECT min(o.id) FROM shows o JOIN shows n USING (screen_id) WHERE n.id = {id});
            INSERT INTO show_streams (show_id) VALUES ({id})"
        ))
        .await;
        ShowId::new(id.unsigned_abs()).unwrap()
    }

    pub(super) fn mail_folder(&self) -> &Path {
        &self.mail
    }

    /// Something else is in the folder's place.
    pub(super) fn break_mail(&self, instead: impl FnOnce(&Path) -> std::io::Result<()>) -> BrokenMail<'_> {
        std::fs::rename(&self.mail, self.mail.with_extension("aside")).unwrap();
        instead(&self.mail).unwrap();
        BrokenMail(&self.mail)
    }

    pub(super) fn provider_url(&self) -> &str {
        &self.at.provider
    }

    /// The provider's switches for what goes wrong.
    pub(super) async fn provider(&self, switches: &serde_json::Value) -> Result<(), String> {
        let reply = Http::default().post(&format!("{}/control", self.at.provider), &[], switches).await;
        reply.map(drop).map_err(|error| error.to_string())
    }

    /// An order under a receipt of ours that no claim stands behind.
    pub(super) async fn stray_order(&self) -> Result<String, String> {
        let secrets = &self.at.secrets;
        let pair = format!("{}:{}", secrets.provider_key_id, secrets.provider_key_secret);
        let basic = format!("Basic {}", STANDARD.encode(pair));
        let receipt = format!("sw_{}", uuid::Uuid::new_v4().simple());
        let order = serde_json::json!({ "amount": 50_000, "currency": "INR", "receipt": receipt });
        let url = format!("{}/v1/orders", self.at.provider);
        let reply = Http::default().post(&url, &[("authorization", &basic)], &order).await;
        let order: serde_json::Value = reply.and_then(|reply| reply.json()).map_err(|error| error.to_string())?;
        order["id"].as_str().map(str::to_owned).ok_or_else(|| format!("no order: {order}"))
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
        Visitor { client: ViewerClient::open(options).await.unwrap(), token }
    }

    /// The status of a logout.
    pub(super) async fn log_out(&self, who: &Visitor) -> Result<u16, String> {
        let (url, bearer) = (format!("{}/api/logout", self.at.gateway), format!("Bearer {}", who.token));
        let reply = Http::default().post(&url, &[("authorization", &bearer)], &serde_json::json!({})).await;
        reply.map(|reply| reply.status).map_err(|error| error.to_string())
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

    /// Waits until nothing is under way any more: all events told, all changes on the map, no hold left.
    pub(super) async fn comes_to_rest(&self) -> Result<(), String> {
        let open = "SELECT (SELECT count(*) FROM outbox WHERE applied_at IS NULL AND parked_at IS NULL)
            + (SELECT count(*) FROM booking_events WHERE bus_next_try_at IS NOT NULL OR mail_next_try_at IS NOT NULL)";
        let locks = [self.show, self.other].map(|show| format!("seat_lock:{{{}}}:{show}", show.bucket()));
        self.eventually("rest", async || {
            self.count(open).await == 0 && self.redis::<i64>(redis::cmd("EXISTS").arg(&locks)).await == 0
        })
        .await
    }

    pub(super) async fn now_ms(&self) -> i64 {
        self.count("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").await
    }

    pub(super) async fn eventually(&self, what: &str, condition: impl AsyncFnMut() -> bool) -> Result<(), String> {
        self.within(PATIENCE, what, condition).await
    }

    async fn within(
        &self,
        patience: Duration,
        what: &str,
        mut condition: impl AsyncFnMut() -> bool,
    ) -> Result<(), String> {
        let end = Instant::now() + patience;
        while !condition().await {
            if Instant::now() > end {
                return Err(format!("never happened: {what}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// As [`Self::eventually`] with more patience; the condition is told at first, and every few seconds, to ask for it
    /// anew: who was about to do it may have died.
    pub(super) async fn nudged(&self, what: &str, mut condition: impl AsyncFnMut(bool) -> bool) -> Result<(), String> {
        let mut last: Option<Instant> = None;
        self.within(PATIENCE * 2, what, async || {
            let nudge = last.is_none_or(|last| last.elapsed() > NUDGE_AFTER);
            if nudge {
                last = Some(Instant::now());
            }
            condition(nudge).await
        })
        .await
    }

    /// An operator's act, repeated until it is answered; one that is refused had taken effect before.
    pub(super) async fn admin(&self, path: &str, body: &serde_json::Value) -> Result<(), String> {
        let http = Http::default();
        let bearer = format!("Bearer {}", self.at.secrets.admin);
        let url = format!("{}/admin/{path}", self.at.core_http);
        self.eventually(path, async || {
            let reply = http.post(&url, &[("authorization", &bearer)], body).await;
            reply.is_ok_and(|reply| reply.status < 500)
        })
        .await
    }

    pub(super) async fn redis<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let client = redis::Client::open(self.at.redis.as_str()).unwrap();
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }

    pub(super) fn kill_core(&self) {
        *self.killed.lock().unwrap() = Instant::now();
        // Gone already when the failpoint was faster.
        let _ = kill(Pid::from_raw(self.core.load(Ordering::Relaxed)), Signal::SIGKILL);
    }

    /// What happens at a core's start only is brought about by another start, once this one has had its time.
    pub(super) async fn kill_core_if_idle(&self) {
        if support::get(&format!("{}/ready", self.at.core_http)).await != 200 {
            *self.killed.lock().unwrap() = Instant::now();
        } else if self.killed.lock().unwrap().elapsed() > Duration::from_secs(3) {
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
