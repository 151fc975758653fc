//! Redis Streams as the event bus: one stream, trimmed to about a length; consumers read it in groups.
//!
//! The stream has an epoch, a key beside it. Both vanish together with the data; epoch and run id of the server, read
//! on the very connection that events are sent on, say which store has an event.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoGroupsReply;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisError, Script, Value};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{BusAway, Document, EventBus, GroupLag, Published, StreamId};

/// Longer than any healthy answer, a batch included.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Where the stream is.
#[derive(Clone)]
pub struct RedisBusConfig {
    /// With the password, if it has one.
    pub url: String,
    /// Key of the stream; its epoch is kept beside it.
    pub stream: String,
    /// About so many events are kept.
    pub length: u64,
    /// Groups that are made with the stream, so that a consumer's first start misses nothing.
    pub groups: Vec<String>,
}

/// See the module's text.
pub struct RedisBus {
    client: Client,
    config: RedisBusConfig,
    open: Script,
    connected: Mutex<Option<Arc<Connected>>>,
}

struct Connected {
    connection: MultiplexedConnection,
    /// Of the server behind this very connection.
    run: String,
}

impl RedisBus {
    /// Checks the URL; connects to nothing yet.
    ///
    /// # Errors
    /// When the URL is not one of Redis.
    pub fn new(config: RedisBusConfig) -> Result<Self, RedisError> {
        let client = Client::open(config.url.as_str())?;
        let open = Script::new(include_str!("open_stream.lua"));
        Ok(Self { client, config, open, connected: Mutex::default() })
    }

    async fn connected(&self) -> Result<Arc<Connected>, BusAway> {
        let mut current = self.connected.lock().await;
        if let Some(connected) = &*current {
            return Ok(Arc::clone(connected));
        }
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.connect());
        let connected = connecting.await.map_err(|_| BusAway("connect timed out".to_owned()))?;
        let connected = Arc::new(connected.map_err(away)?);
        *current = Some(Arc::clone(&connected));
        Ok(connected)
    }

    async fn connect(&self) -> Result<Connected, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().to_owned();
        Ok(Connected { connection, run })
    }

    /// After any failure the next caller connects anew: what is behind the address may be another server by then.
    async fn failed(&self, error: BusAway) -> BusAway {
        *self.connected.lock().await = None;
        error
    }

    async fn stream_id(&self, connected: &Connected) -> Result<StreamId, BusAway> {
        let mut call = self.open.prepare_invoke();
        call.key(&self.config.stream).key(format!("{}.epoch", self.config.stream)).arg(Uuid::new_v4().to_string());
        for group in &self.config.groups {
            call.arg(group);
        }
        let store: String = call.invoke_async(&mut connected.connection.clone()).await.map_err(away)?;
        Ok(StreamId { store, run: connected.run.clone() })
    }

    async fn add(&self, connected: &Connected, events: &[Document]) -> Result<Published, BusAway> {
        let mut pipe = redis::pipe();
        for event in events {
            pipe.cmd("XADD")
                .arg(&self.config.stream)
                .arg("NOMKSTREAM")
                .arg(&["MAXLEN", "~"])
                .arg(self.config.length)
                .arg("*")
                .arg(&["event", &event.kind, "booking", &event.booking.to_hex()])
                .arg("version")
                .arg(event.version)
                .arg(&["id", &event.id.to_string(), "body", &event.body]);
        }
        pipe.ignore_errors();
        let answers: Vec<Value> = pipe.query_async(&mut connected.connection.clone()).await.map_err(away)?;
        answers.into_iter().map(added).map(|answer| answer.map(Ok)).collect()
    }
}

/// Whatever a server says against an XADD of ours (full, read-only, loading, a key of another type), it says of the
/// stream and not of the event.
fn added(answer: Value) -> Result<(), BusAway> {
    match answer {
        Value::Nil => Err(BusAway("the stream is gone".to_owned())),
        Value::ServerError(error) => Err(BusAway(format!("redis: {error:?}"))),
        _ => Ok(()),
    }
}

fn away(error: RedisError) -> BusAway {
    BusAway(format!("redis: {error}"))
}

impl EventBus for RedisBus {
    fn look(&self) -> BoxFuture<'_, Result<StreamId, BusAway>> {
        async move {
            let connected = self.connected().await?;
            match self.stream_id(&connected).await {
                Ok(id) => Ok(id),
                Err(error) => Err(self.failed(error).await),
            }
        }
        .boxed()
    }

    fn publish<'a>(
        &'a self,
        stream: &'a StreamId,
        events: &'a [Document],
    ) -> BoxFuture<'a, Result<Published, BusAway>> {
        async move {
            let connected = self.connected().await?;
            if connected.run != stream.run {
                return Err(BusAway("another server meanwhile".to_owned()));
            }
            match self.add(&connected, events).await {
                Ok(published) => Ok(published),
                Err(error) => Err(self.failed(error).await),
            }
        }
        .boxed()
    }

    fn groups(&self) -> BoxFuture<'_, Result<Vec<GroupLag>, BusAway>> {
        async move {
            let connected = self.connected().await?;
            let answer = connected.connection.clone().xinfo_groups(&self.config.stream).await;
            let reply: StreamInfoGroupsReply = match answer {
                Ok(reply) => reply,
                Err(error) => return Err(self.failed(away(error)).await),
            };
            let lag = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let group = |group: redis::streams::StreamInfoGroup| GroupLag {
                group: group.name,
                lag: group.lag.map(lag),
                pending: lag(group.pending),
            };
            Ok(reply.groups.into_iter().map(group).collect())
        }
        .boxed()
    }
}
