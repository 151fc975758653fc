//! Kafka as the event bus: one topic, the booking's id as key, an idempotent producer that waits for all replicas.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;

use super::{BusAway, Document, EventBus, GroupLag, Published, StreamId};

/// How long a look and a message may take, waits in the producer's queue included.
const LOOK_WITHIN: Duration = Duration::from_secs(3);
const SEND_WITHIN: Duration = Duration::from_secs(6);

/// Where the topic is.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Addresses to start from, separated by commas.
    pub brokers: String,
    /// The topic; made by an operator, or by the brokers where they make topics by themselves.
    pub topic: String,
}

/// See the module's text.
pub struct KafkaBus {
    /// Another one after each failure: an idempotent producer that the brokers have forgotten gets no message through
    /// for ever, and what it had queued is sent again by the next pass anyway.
    producer: ArcSwap<FutureProducer>,
    config: KafkaConfig,
}

impl KafkaBus {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When the settings are not those of a producer.
    pub fn new(config: KafkaConfig) -> Result<Self, KafkaError> {
        Ok(Self { producer: ArcSwap::from_pointee(Self::producer(&config)?), config })
    }

    fn producer(config: &KafkaConfig) -> Result<FutureProducer, KafkaError> {
        ClientConfig::new()
            .set("bootstrap.servers", &config.brokers)
            .set("client.id", "seatwire-core")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "5")
            .set("message.timeout.ms", SEND_WITHIN.as_millis().to_string())
            .create()
    }

    async fn send(&self, producer: &FutureProducer, event: &Document) -> Result<Result<(), String>, BusAway> {
        let key = event.booking.to_hex();
        let (id, version) = (event.id.to_string(), event.version.to_string());
        let header = |key, value| Header { key, value: Some(value) };
        let headers = OwnedHeaders::new()
            .insert(header("event", &event.kind))
            .insert(header("id", &id))
            .insert(header("version", &version));
        let record = FutureRecord::to(&self.config.topic).key(&key).payload(&event.body).headers(headers);
        match producer.send(record, Timeout::After(SEND_WITHIN)).await {
            Ok(_) => Ok(Ok(())),
            Err((error, _)) if is_own_fault(&error) => Ok(Err(error.to_string())),
            Err((error, _)) => Err(BusAway(format!("kafka: {error}"))),
        }
    }
}

/// What a broker says against one message; everything else is about the topic or the cluster.
fn is_own_fault(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{InvalidMessage, InvalidMessageSize, MessageSizeTooLarge};
    let code = error.rdkafka_error_code();
    matches!(code, Some(MessageSizeTooLarge | InvalidMessage | InvalidMessageSize))
}

impl EventBus for KafkaBus {
    /// Asks for the topic; brokers keep what they acknowledged, so there is one store and one run of it.
    fn look(&self) -> BoxFuture<'_, Result<StreamId, BusAway>> {
        let (producer, topic) = (self.producer.load_full(), self.config.topic.clone());
        async move {
            // librdkafka's call blocks.
            let asking = tokio::task::spawn_blocking(move || {
                let metadata = producer.client().fetch_metadata(Some(&topic), LOOK_WITHIN)?;
                let error = metadata.topics().iter().find_map(|topic| topic.error());
                Ok(error.map(|error| KafkaError::MetadataFetch(error.into())))
            });
            let answer: Result<Option<KafkaError>, KafkaError> =
                asking.await.map_err(|e| BusAway(format!("kafka: {e}")))?;
            match answer {
                Ok(None) => Ok(StreamId { store: "kafka".to_owned(), run: self.config.topic.clone() }),
                Ok(Some(error)) | Err(error) => Err(BusAway(format!("kafka: {error}"))),
            }
        }
        .boxed()
    }

    fn publish<'a>(&'a self, _: &'a StreamId, events: &'a [Document]) -> BoxFuture<'a, Result<Published, BusAway>> {
        async move {
            let producer = self.producer.load_full();
            let sent = join_all(events.iter().map(|event| self.send(&producer, event))).await;
            let published: Result<Published, BusAway> = sent.into_iter().collect();
            if published.is_err()
                && let Ok(fresh) = Self::producer(&self.config)
            {
                self.producer.store(Arc::new(fresh));
            }
            published
        }
        .boxed()
    }

    /// Kafka's own tools tell the lag of groups.
    fn groups(&self) -> BoxFuture<'_, Result<Vec<GroupLag>, BusAway>> {
        async { Ok(Vec::new()) }.boxed()
    }
}
