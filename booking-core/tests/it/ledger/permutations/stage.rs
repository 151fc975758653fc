//! What the scenes play on: one ledger; two Redis servers that know nothing of each other, so that two customers may
//! hold the same seat, as after a Redis that lost everything; and three cores, each behind a door of its own.

use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use seatwire_core::db::Db;
use seatwire_core::holds::ledger::{LedgerError, LedgerMap, LedgerReader, ShowRow};
use seatwire_core::holds::{HoldConfig, HoldStore};
use seatwire_core::saga::{Saga, SagaConfig};
use seatwire_loadtest::launcher::Redis;
use seatwire_protocol::command::{BookingInfo, CancelBooking};
use seatwire_protocol::{HoldId, SeatIndex, ShowId};
use tokio::sync::Notify;

use super::schedule::Session;
use super::wire::Door;
use crate::ledger::rig::{Rig, book, customer, idempotency_key, wait_for};
use crate::ledger::webhooks::{Sent, payment_event};

/// Seats that each schedule has to itself.
const SEATS: usize = 4;
const PEOPLE: [&str; 3] = ["ann", "bob", "cid"];

/// Which Redis a core has its holds in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

struct Core {
    door: Door,
    left: Saga,
    right: Saga,
}

pub(super) struct Stage {
    pub(super) rig: Rig,
    pub(super) moved: Arc<Notify>,
    /// Steps that sessions stop before; `None`: every named one.
    pub(super) steps: Option<&'static [&'static str]>,
    right: HoldStore,
    cores: Vec<Core>,
    free: Vec<u32>,
    number: AtomicU32,
    /// A show of the schedule's own, when it may be cancelled; with its map in the left Redis only.
    own_show: Mutex<Option<ShowId>>,
    _redis: Redis,
}

impl Stage {
    pub(super) async fn new(steps: Option<&'static [&'static str]>) -> Arc<Self> {
        let mut rig = Rig::new().await;
        rig.without_fsync().await;
        // The arena: every schedule gets seats that no other one touched.
        let show: i64 = rig.count("SELECT id FROM shows WHERE seats >= 20000 AND sale = 'open'").await;
        rig.show = ShowId::new(show.unsigned_abs()).unwrap();
        let query = "SELECT seat FROM show_seats WHERE show_id = $1 AND status = 'available' ORDER BY seat";
        let rows = rig.sql.query(query, &[&show]).await.unwrap();
        let free: Vec<u32> = rows.iter().map(|row| row.get::<_, i32>(0).unsigned_abs()).collect();
        let redis = Redis::start().await.unwrap();
        let config = HoldConfig { hold_secret: b"hold secret of the test".to_vec(), ..HoldConfig::default() };
        let apart = Apart { db: rig.db.clone(), generation: AtomicU64::new(0) };
        let right = HoldStore::new(config, &redis.url(), Arc::new(apart)).unwrap();
        let moved = Arc::new(Notify::new());
        let mut cores = Vec::new();
        for _ in PEOPLE {
            let door = Door::open(rig.postgres.address(), Arc::clone(&moved)).await;
            let url = rig.postgres.core_url().replace(&rig.postgres.address().to_string(), &door.address.to_string());
            // One connection: a session is one backend.
            let db = Db::new(&url, 1).unwrap();
            let saga = |holds: &HoldStore| rig.saga_with(SagaConfig::default(), &db, holds);
            cores.push(Core { left: saga(&rig.holds), right: saga(&right), door });
        }
        let stage = Self {
            rig,
            moved,
            steps,
            right,
            cores,
            free,
            number: AtomicU32::new(0),
            own_show: Mutex::default(),
            _redis: redis,
        };
        for holds in [&stage.rig.holds, &stage.right] {
            wait_for("the map", async || matches!(holds.snapshot(stage.rig.show).await, Ok(Ok(_)))).await;
        }
        Arc::new(stage)
    }

    /// The next schedule, in the arena.
    pub(super) fn next(&self) -> u32 {
        *self.own_show.lock().unwrap() = None;
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// The schedule gets a show of its own, like the seeded cinema.
    pub(super) async fn own_show(&self) {
        *self.own_show.lock().unwrap() = Some(self.rig.new_show().await);
    }

    fn show(&self) -> ShowId {
        self.own_show.lock().unwrap().unwrap_or(self.rig.show)
    }

    /// Seats of a schedule, by their place in it.
    fn seats(&self, number: u32, places: &[usize]) -> Vec<u32> {
        if self.own_show.lock().unwrap().is_some() {
            return places.iter().map(|place| u32::try_from(*place).unwrap()).collect();
        }
        places.iter().map(|place| self.free[number as usize * SEATS + place]).collect()
    }

    pub(super) async fn hold(&self, side: Side, who: &str, number: u32, places: &[usize]) -> HoldId {
        let seats: Vec<SeatIndex> = self.seats(number, places).into_iter().map(SeatIndex).collect();
        let holds = if side == Side::Left { &self.rig.holds } else { &self.right };
        let key = idempotency_key(&format!("h{}", places.len() + places[0] * 10));
        let held = holds.hold(self.show(), &customer(&named(who, number)), &key, &seats, None).await;
        held.unwrap().unwrap().hold
    }

    /// A pending booking.
    pub(super) async fn pending(&self, who: &str, number: u32, places: &[usize]) -> BookingInfo {
        let hold = self.hold(Side::Left, who, number, places).await;
        let command = book(self.show(), &customer(&named(who, number)), hold, "before");
        self.rig.saga.book(&command).await.unwrap().unwrap()
    }

    /// A pending booking whose time is over.
    pub(super) async fn overdue(&self, who: &str, number: u32, places: &[usize]) -> BookingInfo {
        let booking = self.pending(who, number, places).await;
        let id = booking.booking.to_hex();
        let late = format!("UPDATE bookings SET expires_at = now() - interval '1 s' WHERE id = '{id}'");
        self.rig.sql.batch_execute(&late).await.unwrap();
        booking
    }

    pub(super) async fn expired(&self, who: &str, number: u32, places: &[usize]) -> BookingInfo {
        let booking = self.overdue(who, number, places).await;
        self.rig.expire(booking.booking).await;
        // Applied, but no worker marks it: a late payment would wait for that.
        self.rig.sql.batch_execute("UPDATE outbox SET applied_at = now() WHERE applied_at IS NULL").await.unwrap();
        booking
    }

    pub(super) async fn confirmed(&self, who: &str, number: u32, places: &[usize]) -> BookingInfo {
        let booking = self.pending(who, number, places).await;
        self.paid(&booking, "first").await;
        self.rig.drain_inbox().await;
        booking
    }

    /// A webhook tells of a captured payment.
    pub(super) async fn paid(&self, booking: &BookingInfo, payment: &str) {
        self.told(booking, payment, "captured").await;
    }

    /// A webhook tells of a payment that was captured or has failed.
    pub(super) async fn told(&self, booking: &BookingInfo, payment: &str, status: &str) {
        let order = booking.order.as_deref().unwrap();
        let id = format!("pay_{payment}_{}", booking.booking.to_hex());
        let body = payment_event(order, &id, booking.amount, "INR", status);
        assert_eq!(Sent::of(&body).to(&self.rig).await, 200);
    }

    fn session<F>(&self, name: &'static str, core: usize, work: F) -> Session
    where
        F: Future<Output = String> + Send + 'static,
    {
        (name, self.cores[core].door.clone(), work.boxed())
    }

    pub(super) fn book(&self, core: usize, side: Side, who: &str, number: u32, hold: HoldId) -> Session {
        self.book_with(core, side, who, number, hold, "book")
    }

    pub(super) fn book_with(
        &self,
        core: usize,
        side: Side,
        who: &str,
        number: u32,
        hold: HoldId,
        key: &str,
    ) -> Session {
        let saga = if side == Side::Left { &self.cores[core].left } else { &self.cores[core].right }.clone();
        let command = book(self.show(), &customer(&named(who, number)), hold, key);
        self.session("book", core, async move {
            match saga.book(&command).await.unwrap() {
                Ok(booking) => format!("{:?}", booking.state),
                Err(refusal) => word(&refusal),
            }
        })
    }

    pub(super) fn expire(&self, core: usize) -> Session {
        let saga = self.cores[core].left.clone();
        self.session("expire", core, async move { format!("{} ended", saga.expire_once().await.unwrap()) })
    }

    pub(super) fn settle(&self, core: usize) -> Session {
        let saga = self.cores[core].left.clone();
        self.session("settle", core, async move {
            saga.settle_once().await.unwrap();
            "done".to_owned()
        })
    }

    /// The webhook comes as a step of its own, then the worker runs.
    pub(super) fn pay_and_settle(
        self: &Arc<Self>,
        core: usize,
        booking: &BookingInfo,
        payment: &'static str,
    ) -> Session {
        let (stage, booking) = (Arc::clone(self), booking.clone());
        self.session("settle", core, async move {
            stage.cores[core].door.step("webhook").await;
            stage.paid(&booking, payment).await;
            stage.cores[core].left.settle_once().await.unwrap();
            "done".to_owned()
        })
    }

    pub(super) fn cancel(&self, core: usize, who: &str, number: u32, booking: &BookingInfo, key: &str) -> Session {
        let saga = self.cores[core].left.clone();
        let customer = customer(&named(who, number));
        let command = CancelBooking { customer, booking: booking.booking, key: idempotency_key(key) };
        self.session("cancel", core, async move {
            match saga.cancel(&command).await.unwrap() {
                Ok(booking) => format!("{:?}", booking.state),
                Err(refusal) => word(&refusal),
            }
        })
    }

    pub(super) fn cancel_by_operator(&self, core: usize, booking: &BookingInfo) -> Session {
        let (saga, booking) = (self.cores[core].left.clone(), booking.booking);
        self.session("operator", core, async move {
            format!("{:?}", saga.cancel_by_operator(booking).await.unwrap().unwrap().state)
        })
    }

    /// The operator's command, and what the worker does then.
    pub(super) fn cancel_show(&self, core: usize) -> Session {
        let (saga, show) = (self.cores[core].left.clone(), self.show());
        self.session("cancel show", core, async move {
            saga.cancel_show(show).await.unwrap().unwrap();
            let mut ended = 0;
            loop {
                match saga.cancel_shows_once().await.unwrap() {
                    0 => break format!("{ended} ended"),
                    count => ended += count,
                }
            }
        })
    }

    /// Every booking of a schedule, with what became of each payment: kept, or why it goes back.
    pub(super) async fn end_of(&self, number: u32) -> String {
        let query = "SELECT coalesce(string_agg(line, ', ' ORDER BY line), 'nothing') FROM (
            SELECT concat_ws(' ', split_part(b.customer_id, '_', 1), b.state, (SELECT
                string_agg(coalesce(r.reason, CASE p.outcome WHEN 'BOOKING' THEN 'kept' END, 'open'), '+'
                    ORDER BY r.reason)
                FROM payments p LEFT JOIN refunds r ON r.payment_id = p.id AND r.state <> 'FAILED'
                WHERE p.booking_id = b.id)) AS line
            FROM bookings b WHERE b.customer_id = ANY($1)) x";
        self.rig.sql.query_one(query, &[&people(number)]).await.unwrap().get(0)
    }

    /// Bookings of a schedule that are not as the invariants want them: whole, in their seats or in none, and every
    /// captured payment either kept by a confirmed booking or going back once.
    pub(super) async fn violations(&self, number: u32) -> i64 {
        let query = "SELECT count(*) FROM bookings b, LATERAL (SELECT
                count(*) FILTER (WHERE s.booking_id = b.id AND s.status = 'claimed') AS claimed,
                count(*) FILTER (WHERE s.booking_id = b.id AND s.status = 'booked') AS booked,
                count(*) FILTER (WHERE c.active) AS active, count(*) AS listed, sum(c.price) AS price,
                count(*) FILTER (WHERE s.version <> 1 + (SELECT count(*) FROM seat_history h
                    WHERE h.show_id = s.show_id AND h.seat = s.seat)) AS unwritten
            FROM booking_seats c JOIN show_seats s ON s.show_id = c.show_id AND s.seat = c.seat
            WHERE c.booking_id = b.id) n
            WHERE b.customer_id = ANY($1) AND (
                n.claimed <> CASE b.state WHEN 'PENDING' THEN b.seats ELSE 0 END
                OR n.booked <> CASE b.state WHEN 'CONFIRMED' THEN b.seats ELSE 0 END
                OR n.active <> CASE WHEN b.state IN ('PENDING', 'CONFIRMED') THEN b.seats ELSE 0 END
                OR n.listed <> b.seats OR n.price <> b.amount OR n.unwritten > 0
                OR EXISTS (SELECT FROM payments p WHERE p.booking_id = b.id AND p.status = 'captured' AND
                    (p.outcome = 'BOOKING' AND b.state = 'CONFIRMED')::int + (SELECT count(*) FROM refunds r
                        WHERE r.payment_id = p.id AND r.state <> 'FAILED' AND r.amount = p.amount)
                    IS DISTINCT FROM 1)
                OR (b.state = 'CONFIRMED') IS DISTINCT FROM EXISTS (SELECT FROM payments p WHERE p.booking_id = b.id
                    AND p.outcome = 'BOOKING' AND p.amount = b.amount
                    AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id)))";
        self.rig.sql.query_one(query, &[&people(number)]).await.unwrap().get(0)
    }

    /// Settles what is still in the inbox: what was put off because the map did not have the end of a booking yet.
    pub(super) async fn settle_rest(&self) {
        if self.rig.count("SELECT count(*) FROM payment_events WHERE processed_at IS NULL").await > 0 {
            // Every session is over, so every change is applied; no worker marks that here.
            let marked = "UPDATE outbox SET applied_at = now() WHERE applied_at IS NULL;
                UPDATE payment_events SET next_try_at = now() WHERE processed_at IS NULL";
            self.rig.sql.batch_execute(marked).await.unwrap();
            self.rig.drain_inbox().await;
        }
    }

    /// Nothing of a schedule may be left for the workers of the next one.
    pub(super) async fn clear(&self) {
        self.settle_rest().await;
        let none = "SELECT count(*) FROM bookings WHERE state = 'PENDING' AND expires_at < now()";
        wait_for("expiry", async || {
            self.rig.count(none).await == 0 || self.rig.saga.expire_once().await.unwrap() > 1_000_000
        })
        .await;
    }

    /// How many of these backends wait for a lock of those.
    pub(super) async fn blocked(&self, waiting: &[i32], owners: &[i32]) -> usize {
        let query = "SELECT count(*) FROM unnest($1::int[]) p WHERE pg_blocking_pids(p) && $2";
        let count: i64 = self.rig.sql.query_one(query, &[&waiting, &owners]).await.unwrap().get(0);
        usize::try_from(count).unwrap()
    }
}

fn named(who: &str, number: u32) -> String {
    format!("{who}_{number}")
}

fn people(number: u32) -> Vec<String> {
    PEOPLE.iter().map(|who| named(who, number)).collect()
}

fn word(refusal: &impl std::fmt::Debug) -> String {
    format!("{refusal:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// The ledger, with a generation of its own for each Redis: the two sides don't take turns at loading the show.
struct Apart {
    db: Db,
    generation: AtomicU64,
}

impl LedgerReader for Apart {
    fn load_show(&self, show: ShowId) -> BoxFuture<'_, Result<Option<ShowRow>, LedgerError>> {
        async move {
            let row = LedgerReader::load_show(&self.db, show).await?;
            Ok(row.map(|row| ShowRow { generation: self.generation.load(Ordering::Relaxed), ..row }))
        }
        .boxed()
    }

    fn bump_generation<'a>(
        &'a self,
        _show: ShowId,
        expected: u64,
        seen: u64,
        _run_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        let next = expected.max(seen) + 1;
        let swapped = self.generation.compare_exchange(expected, next, Ordering::Relaxed, Ordering::Relaxed);
        async move { Ok(swapped.is_ok().then_some(next)) }.boxed()
    }

    fn read_map(&self, show: ShowId) -> BoxFuture<'_, Result<Option<LedgerMap>, LedgerError>> {
        async move {
            let map = LedgerReader::read_map(&self.db, show).await?;
            Ok(map.map(|map| LedgerMap { generation: self.generation.load(Ordering::Relaxed), ..map }))
        }
        .boxed()
    }
}
