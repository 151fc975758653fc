//! What every test here needs: a Redis, a ledger with a show, a store, and an ear on the channels.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSub};
use seatwire_core::holds::{HoldConfig, HoldStore};
use seatwire_loadtest::launcher::Redis;
use seatwire_protocol::codec::decode;
use seatwire_protocol::feed::{FeedMessage, customer_channel, feed_channel};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::ws::Push;
use seatwire_protocol::{CustomerId, HoldId, IdempotencyKey, Position, SeatIndex, SeatStatus, ShowId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ledger::TestLedger;

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Stage {
    pub(super) redis: Redis,
    pub(super) ledger: Arc<TestLedger>,
    pub(super) store: HoldStore,
    pub(super) show: ShowId,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

pub(super) fn config() -> HoldConfig {
    // Patience for a machine that is busy with other tests.
    HoldConfig { hold_secret: b"a secret of the test".to_vec(), load_wait_ms: 60_000, ..HoldConfig::default() }
}

pub(super) fn customer(name: &str) -> CustomerId {
    CustomerId::new(name).unwrap()
}

pub(super) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

pub(super) fn seats(indexes: &[u32]) -> Vec<SeatIndex> {
    indexes.iter().copied().map(SeatIndex).collect()
}

impl Stage {
    /// A show of so many seats; the background tasks of the store do not run.
    pub(super) async fn new(seats: u32, config: HoldConfig) -> Self {
        let redis = Redis::start().await.unwrap();
        let ledger = Arc::new(TestLedger::default());
        let show = ShowId::new(4711).unwrap();
        ledger.add(show, seats);
        let store = HoldStore::new(config, &redis.url(), ledger.clone()).unwrap();
        Self { redis, ledger, store, show, tasks: TaskTracker::new(), shutdown: CancellationToken::new() }
    }

    /// With the background tasks.
    pub(super) async fn running(seats: u32, config: HoldConfig) -> Self {
        let stage = Self::new(seats, config).await;
        stage.run(&stage.store);
        stage
    }

    pub(super) fn run(&self, store: &HoldStore) {
        store.spawn(&self.tasks, &self.shutdown);
    }

    /// Another core on the same Redis and ledger.
    pub(super) fn another_core(&self, config: HoldConfig) -> HoldStore {
        HoldStore::new(config, &self.redis.url(), self.ledger.clone()).unwrap()
    }

    pub(super) async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    pub(super) fn redis_key(&self, what: &str) -> String {
        format!("{what}:{{{}}}:{}", self.show.bucket(), self.show)
    }

    /// Listens to the show's feed from now on.
    pub(super) async fn feed(&self) -> Ear {
        Ear::on(&self.redis.url(), &feed_channel(self.show)).await
    }

    /// Listens to a customer's pushes from now on.
    pub(super) async fn pushes(&self, customer: &CustomerId) -> Ear {
        Ear::on(&self.redis.url(), &customer_channel(customer)).await
    }

    pub(super) async fn map(&self) -> (Position, PackedStatuses) {
        let snapshot = self.store.snapshot(self.show).await.unwrap().unwrap();
        (snapshot.position, PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).unwrap())
    }

    pub(super) async fn status(&self, seat: u32) -> SeatStatus {
        self.map().await.1.get(SeatIndex(seat)).unwrap()
    }

    /// A hold that has to be granted.
    pub(super) async fn hold(&self, who: &str, named: &[u32]) -> HoldId {
        let (who, key) = (customer(who), key(&format!("{who}-{named:?}").replace(' ', "")));
        self.store.hold(self.show, &who, &key, &seats(named), None).await.unwrap().unwrap().hold
    }

    pub(super) async fn finish(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.redis.shutdown().await;
    }
}

/// A subscription that a test reads from.
pub(super) struct Ear {
    pubsub: PubSub,
    url: String,
    channel: String,
    heard: VecDeque<Vec<u8>>,
}

impl Ear {
    async fn on(url: &str, channel: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        let mut pubsub = client.get_async_pubsub().await.unwrap();
        pubsub.subscribe(channel).await.unwrap();
        Self { pubsub, url: url.to_owned(), channel: channel.to_owned(), heard: VecDeque::new() }
    }

    pub(super) async fn next_bytes(&mut self) -> Vec<u8> {
        if let Some(heard) = self.heard.pop_front() {
            return heard;
        }
        let message = tokio::time::timeout(PATIENCE, self.pubsub.on_message().next()).await;
        message.expect("a message within the patience").unwrap().get_payload_bytes().to_vec()
    }

    pub(super) async fn next(&mut self) -> FeedMessage {
        FeedMessage::parse(&self.next_bytes().await).expect("a feed message")
    }

    pub(super) async fn push(&mut self) -> Push {
        decode(&self.next_bytes().await).expect("a push")
    }

    /// Everything published up to now: Redis delivers in order, so a marker tells when all has come.
    pub(super) async fn drain(&mut self) -> Vec<Vec<u8>> {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let marker = b"marker".to_vec();
        let _: () = redis::cmd("PUBLISH").arg(&self.channel).arg(&marker).query_async(&mut connection).await.unwrap();
        let mut out = Vec::new();
        loop {
            let bytes = self.next_bytes().await;
            if bytes == marker {
                return out;
            }
            out.push(bytes);
        }
    }
}

/// Asks again and again until the answer is yes.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
