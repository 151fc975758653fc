//! Events of bookings for other systems: each change is told, and no failure of the bus loses one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamReadOptions, StreamReadReply};
use seatwire_core::events::{
    BusAway, Document, EventBus, ExportConfig, Exporter, GroupLag, Published, RedisBus, RedisBusConfig, StreamId,
};
use seatwire_loadtest::launcher::Redis;
use seatwire_protocol::command::{BookingInfo, CancelBooking};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::rig::{Rig, customer, idempotency_key};

const STREAM: &str = "test.events";
const GROUP: &str = "tickets";
const UP: &str = include_str!("../../../../migrations/20261121170000_record_booking_events/up.sql");
const DOWN: &str = include_str!("../../../../migrations/20261121170000_record_booking_events/down.sql");

fn exporter(rig: &Rig, redis: &Redis) -> Exporter {
    exporter_to(rig, Arc::new(bus(redis)))
}

fn exporter_to(rig: &Rig, bus: Arc<dyn EventBus>) -> Exporter {
    Exporter::new(ExportConfig::default(), rig.db.clone(), bus)
}

fn bus(redis: &Redis) -> RedisBus {
    let (url, stream) = (redis.url(), STREAM.to_owned());
    RedisBus::new(RedisBusConfig { url, stream, length: 10_000, groups: vec![GROUP.to_owned()] }).unwrap()
}

/// The bus behind a gate: who publishes waits before it until somebody lets him through.
struct Gated {
    bus: RedisBus,
    waits: Notify,
    open: Notify,
}

impl EventBus for Gated {
    fn look(&self) -> BoxFuture<'_, Result<StreamId, BusAway>> {
        self.bus.look()
    }

    fn publish<'a>(
        &'a self,
        stream: &'a StreamId,
        events: &'a [Document],
    ) -> BoxFuture<'a, Result<Published, BusAway>> {
        Box::pin(async move {
            self.waits.notify_one();
            self.open.notified().await;
            self.bus.publish(stream, events).await
        })
    }

    fn groups(&self) -> BoxFuture<'_, Result<Vec<GroupLag>, BusAway>> {
        self.bus.groups()
    }
}

async fn export_all(exporter: &Exporter) -> usize {
    let mut all = 0;
    loop {
        match exporter.export_once().await.unwrap() {
            0 => return all,
            count => all += count,
        }
    }
}

async fn cancel(rig: &Rig, name: &str, booking: &BookingInfo) {
    let command = CancelBooking { customer: customer(name), booking: booking.booking, key: idempotency_key("cancel") };
    rig.saga.cancel(&command).await.unwrap().unwrap();
}

/// One member of a group. It keeps what it saw, as another system would: by id, and each booking's newest version.
#[derive(Default)]
struct Consumer {
    seen: BTreeSet<String>,
    newest: BTreeMap<String, Value>,
    deliveries: usize,
}

impl Consumer {
    /// Reads and acknowledges what there is.
    async fn read(&mut self, redis: &Redis) {
        let mut connection = connect(redis).await;
        let options = StreamReadOptions::default().group(GROUP, "one").count(7);
        loop {
            let reply: Option<StreamReadReply> = connection.xread_options(&[STREAM], &[">"], &options).await.unwrap();
            let entries: Vec<_> = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect();
            if entries.is_empty() {
                return;
            }
            for entry in entries {
                let body: Value = serde_json::from_str(&entry.get::<String>("body").unwrap()).unwrap();
                assert_eq!(entry.get::<String>("event").unwrap(), body["event"].as_str().unwrap());
                self.see(body);
                connection.xack::<_, _, _, ()>(STREAM, GROUP, &[entry.id]).await.unwrap();
            }
        }
    }

    fn see(&mut self, body: Value) {
        self.deliveries += 1;
        self.seen.insert(body["id"].as_str().unwrap().to_owned());
        let newest = self.newest.entry(body["booking"].as_str().unwrap().to_owned()).or_insert_with(|| body.clone());
        if newest["version"].as_u64() < body["version"].as_u64() {
            *newest = body;
        }
    }
}

async fn connect(redis: &Redis) -> MultiplexedConnection {
    redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// The kinds of each booking's events, in order.
async fn told(rig: &Rig) -> BTreeMap<String, String> {
    let query = "SELECT b.customer_id, string_agg(e.kind, ' ' ORDER BY e.version)
        FROM booking_events e JOIN bookings b ON b.id = e.booking_id GROUP BY 1";
    rig.sql.query(query, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_booking_is_told_in_order_also_of_what_was_before_the_table() {
    let rig = Rig::with(|config| config.claim_ms = 1_500).await;
    let kept = rig.buy("kept", &[0, 1]).await;
    let returned = rig.buy("returned", &[2]).await;
    cancel(&rig, "returned", &returned).await;
    let twice = rig.book("twice", &[3]).await;
    rig.pay(&twice, json!({ "double": true })).await;
    rig.settle().await;
    let given_up = rig.book("given-up", &[4]).await;
    cancel(&rig, "given-up", &given_up).await;
    let (rescued, late) = (rig.book("rescued", &[5]).await, rig.book("late", &[6]).await);
    rig.expire(rescued.booking).await;
    rig.expire(late.booking).await;
    rig.hold(&customer("other"), "hold", &[6]).await;
    rig.pay(&rescued, json!({})).await;
    rig.pay(&late, json!({})).await;
    rig.settle().await;
    rig.refund().await;
    rig.check().await;

    let events = told(&rig).await;
    let paid = "BookingPending PaymentCompleted BookingConfirmed";
    let back = "PaymentCompleted BookingFailed_InitiateRefund Refunded";
    let expected = BTreeMap::from(
        [
            ("kept", paid.to_owned()),
            ("returned", format!("{paid} BookingCancelled Refunded")),
            ("twice", format!("{paid} {back}")),
            ("given-up", "BookingPending BookingCancelled".to_owned()),
            ("rescued", "BookingPending BookingExpired PaymentCompleted BookingConfirmed".to_owned()),
            ("late", format!("BookingPending BookingExpired {back}")),
        ]
        .map(|(who, kinds)| (who.to_owned(), kinds)),
    );
    assert_eq!(events, expected);
    let facts = "SELECT facts::text FROM booking_events WHERE kind = 'Refunded' AND booking_id = ";
    let facts = rig.text(&format!("{facts}'{}'", late.booking.to_hex())).await;
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!((&facts["refund_amount"], &facts["reason"]), (&json!(late.amount), &json!("seats_taken")));
    let mailed = "SELECT count(*) FROM booking_events WHERE mail_next_try_at IS NOT NULL";
    assert_eq!(rig.count(mailed).await, 4 + 2 + 3, "confirmed, cancelled, refunded");

    // The table comes anew: the same events, and no mail about the past.
    let migrator = super::rig::connect(&rig.postgres.migrator_url()).await;
    for step in [DOWN, UP] {
        migrator.batch_execute(step).await.unwrap();
    }
    assert_eq!(told(&rig).await, expected);
    assert_eq!(rig.count(mailed).await, 0);
    let redis = Redis::start().await.unwrap();
    let mut consumer = Consumer::default();
    let all = export_all(&exporter(&rig, &redis)).await;
    consumer.read(&redis).await;
    assert_eq!(consumer.seen.len(), all);
    let newest = &consumer.newest[&kept.booking.to_hex()];
    assert_eq!((&newest["event"], &newest["version"]), (&json!("BookingConfirmed"), &json!(3)));
    assert_eq!((&newest["seats"], &newest["labels"]), (&json!([0, 1]), &json!(kept.labels)));
    assert_eq!((&newest["amount"], &newest["schema"]), (&json!(kept.amount), &json!(1)));
    assert!(!newest.to_string().contains('@'), "no contact in events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_dies_or_forgets_loses_no_event() {
    let rig = Rig::new().await;
    let mut redis = Redis::start().await.unwrap();
    let (exporter, mut consumer) = (exporter(&rig, &redis), Consumer::default());
    rig.buy("ann", &[0]).await;
    export_all(&exporter).await;
    consumer.read(&redis).await;
    assert_eq!(consumer.seen.len(), 3);

    // Exported, not read, and gone with the server; more happens while it is away.
    rig.buy("bob", &[1]).await;
    assert_eq!(export_all(&exporter).await, 3);
    let lag = exporter.groups().await.unwrap();
    assert_eq!((lag[0].group.as_str(), lag[0].lag, lag[0].pending), (GROUP, Some(3), 0));
    redis.kill();
    let cid = rig.buy("cid", &[2]).await;
    for _ in 0..7 {
        exporter.export_once().await.unwrap_err();
    }
    assert_eq!(rig.count("SELECT sum(bus_failures) FROM booking_events").await, 0, "an outage is no failure of a row");
    assert_eq!(rig.saga.backlog().await.unwrap().bus, 3);
    redis.restart().await.unwrap();
    assert_eq!(export_all(&exporter).await, 9, "all again");
    assert_eq!(exporter.export_once().await.unwrap(), 0, "once");
    consumer.read(&redis).await;

    // Another core finds nothing to repeat.
    assert_eq!(export_all(&self::exporter(&rig, &redis)).await, 0);

    // The data go without the server.
    cancel(&rig, "cid", &cid).await;
    export_all(&exporter).await;
    redis::cmd("FLUSHALL").query_async::<()>(&mut connect(&redis).await).await.unwrap();
    rig.refund().await;
    assert_eq!(export_all(&exporter).await, 11);
    consumer.read(&redis).await;

    let ids = rig.sql.query("SELECT id::text FROM booking_events", &[]).await.unwrap();
    let ids: BTreeSet<String> = ids.iter().map(|row| row.get(0)).collect();
    assert_eq!(consumer.seen, ids);
    assert!(consumer.deliveries > ids.len(), "some came twice");
    let newest = |booking: &BookingInfo| consumer.newest[&booking.booking.to_hex()]["event"].clone();
    assert_eq!(newest(&cid), "Refunded");
    assert_eq!(consumer.newest.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_one_exporter_has_taken_are_left_to_it_for_a_while() {
    let (rig, redis) = (Rig::new().await, Redis::start().await.unwrap());
    let gated = Arc::new(Gated { bus: bus(&redis), waits: Notify::new(), open: Notify::new() });
    let (slow, other) = (exporter_to(&rig, Arc::clone(&gated) as Arc<dyn EventBus>), exporter(&rig, &redis));
    let mut consumer = Consumer::default();

    rig.buy("ann", &[0]).await;
    let exporting = tokio::spawn({
        let slow = slow.clone();
        async move { slow.export_once().await }
    });
    gated.waits.notified().await;
    assert_eq!(other.export_once().await.unwrap(), 0, "all are taken");
    gated.open.notify_one();
    assert_eq!(exporting.await.unwrap().unwrap(), 3);
    consumer.read(&redis).await;
    assert_eq!((consumer.seen.len(), consumer.deliveries), (3, 3), "each once");

    // Who has taken them dies on the way to the bus: they are his no longer than a publication may last.
    rig.buy("bob", &[1]).await;
    let exporting = tokio::spawn(async move { slow.export_once().await });
    gated.waits.notified().await;
    exporting.abort();
    assert_eq!(other.export_once().await.unwrap(), 0, "still his");
    let over = "UPDATE booking_events SET bus_next_try_at = bus_next_try_at - interval '12 seconds'
        WHERE bus_next_try_at IS NOT NULL";
    assert_eq!(rig.sql.execute(over, &[]).await.unwrap(), 3);
    assert_eq!(export_all(&other).await, 3);
    consumer.read(&redis).await;
    assert_eq!((consumer.seen.len(), consumer.deliveries), (6, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_can_not_be_written_is_parked_and_the_rest_goes_on() {
    let (rig, redis) = (Rig::new().await, Redis::start().await.unwrap());
    let exporter = exporter(&rig, &redis);
    rig.buy("ann", &[0]).await;
    rig.sql.batch_execute("UPDATE booking_events SET facts = '{\"rescued\": 7}' WHERE version = 3").await.unwrap();
    assert_eq!(export_all(&exporter).await, 2);
    for _ in 0..4 {
        let due = "UPDATE booking_events SET bus_next_try_at = now() WHERE bus_next_try_at IS NOT NULL";
        assert_eq!(rig.sql.execute(due, &[]).await.unwrap(), 1);
        assert_eq!(exporter.export_once().await.unwrap(), 0);
    }
    let backlog = rig.saga.backlog().await.unwrap();
    assert_eq!((backlog.bus, backlog.bus_parked), (0, 1));
    rig.buy("bob", &[1]).await;
    assert_eq!(export_all(&exporter).await, 3);
    let parked = rig.text("SELECT id::text FROM booking_events WHERE bus_parked_at IS NOT NULL").await;
    rig.sql.batch_execute("UPDATE booking_events SET facts = '{}' WHERE bus_parked_at IS NOT NULL").await.unwrap();
    assert!(rig.saga.requeue(&format!("bus-{parked}")).await.unwrap());
    assert_eq!(export_all(&exporter).await, 1);
    assert_eq!(rig.saga.backlog().await.unwrap().bus_parked, 0);
}
