//! The event bus on Kafka: against a broker, and against librdkafka's mock cluster for errors that a broker gives
//! rarely. Only with the feature: `make test-kafka`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use seatwire_core::db::Db;
use seatwire_core::events::{EventBus, ExportConfig, Exporter, KafkaBus, KafkaConfig};
use seatwire_core::migrate::{self, Direction};
use seatwire_loadtest::launcher::{Kafka, Postgres};
use serde_json::Value;

use crate::support::PATIENCE;

const TOPIC: &str = "seatwire.events";

/// PostgreSQL with the schema, and events of bookings of nobody.
struct Rows {
    db: Db,
    sql: tokio_postgres::Client,
    _postgres: Postgres,
}

impl Rows {
    async fn start() -> Self {
        let postgres = Postgres::start().await.unwrap();
        migrate::run(&postgres.migrator_url(), Direction::Up).await.unwrap();
        let (sql, connection) =
            tokio_postgres::connect(&postgres.superuser_url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { db: Db::new(&postgres.core_url(), 4).unwrap(), sql, _postgres: postgres }
    }

    /// So many bookings of three events each.
    async fn add(&self, bookings: u32) {
        let add = format!(
            "INSERT INTO booking_events (booking_id, version, kind)
            SELECT b, v, (ARRAY['BookingPending', 'PaymentCompleted', 'BookingConfirmed'])[v]
            FROM (SELECT gen_random_uuid() AS b FROM generate_series(1, {bookings})) x, generate_series(1, 3) v"
        );
        self.sql.batch_execute(&add).await.unwrap();
    }

    async fn count(&self, query: &str) -> i64 {
        self.sql.query_one(query, &[]).await.unwrap().get(0)
    }

    fn exporter(&self, brokers: &str) -> Exporter {
        let config = KafkaConfig { brokers: brokers.to_owned(), topic: TOPIC.to_owned() };
        let bus: Arc<dyn EventBus> = Arc::new(KafkaBus::new(config).unwrap());
        Exporter::new(ExportConfig::default(), self.db.clone(), bus)
    }
}

async fn make_topic(brokers: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topic = NewTopic::new(TOPIC, 3, TopicReplication::Fixed(1));
    let made = admin.create_topics(&[topic], &AdminOptions::new().operation_timeout(Some(PATIENCE))).await.unwrap();
    assert!(made[0].is_ok(), "{made:?}");
}

/// What a consumer saw: bodies by event id, partitions and deliveries by booking.
#[derive(Default)]
struct Seen {
    events: BTreeMap<String, Value>,
    partitions: BTreeMap<String, BTreeSet<i32>>,
    messages: usize,
}

impl Seen {
    /// Reads the topic from its beginning until so many different events were seen.
    async fn read(self, brokers: &str, events: usize) -> Self {
        let brokers = brokers.to_owned();
        let reading = tokio::task::spawn_blocking(move || self.read_blocking(&brokers, events));
        reading.await.unwrap()
    }

    fn read_blocking(mut self, brokers: &str, events: usize) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "tickets")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[TOPIC]).unwrap();
        let deadline = Instant::now() + 3 * PATIENCE;
        while self.events.len() < events {
            assert!(Instant::now() < deadline, "{} of {events} events came", self.events.len());
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
            let body: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let key = std::str::from_utf8(message.key().unwrap()).unwrap().to_owned();
            assert_eq!(body["booking"], *key);
            let kind = message.headers().unwrap().iter().find(|header| header.key == "event").unwrap().value.unwrap();
            assert_eq!(body["event"].as_str().unwrap().as_bytes(), kind);
            self.partitions.entry(key).or_default().insert(message.partition());
            self.events.insert(body["id"].as_str().unwrap().to_owned(), body);
            self.messages += 1;
        }
        self
    }
}

/// Exports until so many events are out; those that an outage put off wait a moment for their turn.
async fn export_all(exporter: &Exporter, wanted: usize) {
    let (mut all, deadline) = (0, Instant::now() + 3 * PATIENCE);
    while all < wanted {
        match exporter.export_once().await {
            Ok(count) => all += count,
            // A broker that was just started, or a topic that was just made.
            Err(error) => println!("{error}"),
        }
        assert!(Instant::now() < deadline, "{all} of {wanted} events are out");
    }
    assert_eq!(all, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_kafka_by_booking_and_outlast_its_outage() {
    let (rows, mut kafka) = (Rows::start().await, Kafka::start().await.unwrap());
    let brokers = kafka.address().to_string();
    make_topic(&brokers).await;
    let exporter = rows.exporter(&brokers);
    rows.add(100).await;
    export_all(&exporter, 300).await;
    let seen = Seen::default().read(&brokers, 300).await;
    assert_eq!(seen.partitions.len(), 100);
    assert!(seen.partitions.values().all(|of_booking| of_booking.len() == 1), "a booking keeps to one partition");
    assert!(seen.partitions.values().flatten().collect::<BTreeSet<_>>().len() > 1, "bookings are spread");

    kafka.kill();
    rows.add(10).await;
    exporter.export_once().await.unwrap_err();
    assert_eq!(rows.count("SELECT count(*) FROM booking_events WHERE bus_next_try_at IS NOT NULL").await, 30);
    assert_eq!(rows.count("SELECT sum(bus_failures) FROM booking_events").await, 0);
    kafka.restart().await.unwrap();
    make_topic(&brokers).await;
    export_all(&exporter, 30).await;
    let seen = seen.read(&brokers, 330).await;
    let newest = seen.events.values().filter(|event| event["version"] == 3);
    assert_eq!(newest.count(), 110);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_brokers_are_told_apart() {
    let rows = Rows::start().await;
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic(TOPIC, 3, 3).unwrap();
    let brokers = cluster.bootstrap_servers();
    let exporter = rows.exporter(&brokers);
    // The leader moved: the producer tries again by itself, and nothing is written twice.
    rows.add(5).await;
    let moved = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    cluster.request_errors(RDKafkaApiKey::Produce, &[moved, moved]);
    export_all(&exporter, 15).await;
    let seen = Seen::default().read(&brokers, 15).await;
    assert_eq!(seen.messages, 15);

    // Too large: the event's own fault. Another exporter, because a refusal ends an idempotent producer's order.
    rows.add(1).await;
    rows.sql
        .batch_execute(
            "UPDATE booking_events SET bus_next_try_at = NULL, bus_parked_at = now()
        WHERE bus_next_try_at IS NOT NULL AND version > 1",
        )
        .await
        .unwrap();
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    assert_eq!(exporter.export_once().await.unwrap(), 0);
    assert_eq!(rows.count("SELECT sum(bus_failures) FROM booking_events").await, 1);
}
