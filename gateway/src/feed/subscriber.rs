//! The one connection to Redis. Connects, subscribes to everything that is watched, and hands messages on in order;
//! when it breaks, every room is stale until it has a new snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use metrics::counter;
use redis::Msg;
use redis::aio::{PubSubSink, PubSubStream};
use seatwire_protocol::close_code::CloseCode;
use seatwire_protocol::codec;
use seatwire_protocol::feed::{ControlMessage, FeedMessage, FeedReason};
use seatwire_protocol::{Position, ShowId};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::{Change, Topic, resync};
use crate::app::App;
use crate::clock;
use crate::fanout;
use crate::metrics as names;
use crate::room::Room;
use crate::room::sync::{Heard, Lost};

/// Channels in one SUBSCRIBE.
const CHANNELS_AT_A_TIME: usize = 512;
/// An answer of Redis that takes longer ends the connection.
const ANSWER_MAX: Duration = Duration::from_secs(1);
const CONNECT_MAX: Duration = Duration::from_secs(3);
const BACKOFF_MIN: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A room that is deaf again within this time is not helped by subscribing again.
const DEAF_AGAIN: Duration = Duration::from_secs(10);
/// Messages handled before other tasks and wishes get their turn.
const MESSAGES_AT_A_TIME: usize = 256;

/// Why the connection ended.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    #[error("no answer in time")]
    Silent,
    #[error("closed by the server")]
    Closed,
    #[error("a room stayed deaf although it was subscribed again")]
    Deaf,
}

/// Keeps the connection for the life of the process.
pub async fn run(app: Arc<App>) {
    let mut wait = BACKOFF_MIN;
    loop {
        let started = Instant::now();
        let Err(error) = connect_and_listen(&app).await;
        app.feed.ignore_wishes();
        if app.feed.is_up() {
            app.feed.set_up(false);
            counter!(names::FEED_DISCONNECTS).increment(1);
        }
        // Also after a connection that broke before it was up: some rooms may have been subscribed already.
        lose_all(&app);
        warn!(%error, "feed connection to Redis lost");
        wait = if started.elapsed() > BACKOFF_MAX { BACKOFF_MIN } else { (wait * 2).min(BACKOFF_MAX) };
        tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

async fn connect_and_listen(app: &Arc<App>) -> Result<std::convert::Infallible, FeedError> {
    let client = redis::Client::open(app.config.redis_url.as_str())?;
    let pubsub = timeout(CONNECT_MAX, client.get_async_pubsub()).await.map_err(|_| FeedError::Silent)??;
    let (sink, stream) = pubsub.split();
    let mut connection = Connected { app, sink, stream, deaf: HashMap::new() };
    // What was wished for until now is in the registry, which is read after this.
    app.feed.heed_wishes();
    let shows = app.registry.rooms().into_iter().map(|room| Topic::Show(room.show));
    let customers = app.customers.all().into_iter().map(Topic::Customer);
    let topics: Vec<Topic> = std::iter::once(Topic::Control).chain(shows).chain(customers).collect();
    connection.subscribe(&topics).await?;
    info!(topics = topics.len(), "feed connection to Redis is up");
    app.feed.set_up(true);
    app.customers.reread_all(app);
    connection.listen().await
}

struct Connected<'a> {
    app: &'a Arc<App>,
    sink: PubSubSink,
    /// Filled by the client's own task without a bound of its own; this task only updates maps in memory and so is
    /// never behind for long, and Redis cuts a subscriber off whose output exceeds its limit.
    stream: PubSubStream,
    /// Rooms that were found deaf, and when.
    deaf: HashMap<ShowId, Instant>,
}

impl Connected<'_> {
    async fn listen(&mut self) -> Result<std::convert::Infallible, FeedError> {
        let mut ping = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                biased;
                message = self.stream.next() => {
                    self.on_message(&message.ok_or(FeedError::Closed)?);
                    self.drain()?;
                }
                () = self.app.feed.wake.notified() => self.grant_wishes().await?,
                _ = ping.tick() => {
                    self.app.customers.reread_untold();
                    self.ping().await?;
                }
            }
            tokio::task::consume_budget().await;
        }
    }

    /// Handles what has arrived.
    fn drain(&mut self) -> Result<bool, FeedError> {
        for _ in 0..MESSAGES_AT_A_TIME {
            match self.stream.next().now_or_never() {
                Some(message) => self.on_message(&message.ok_or(FeedError::Closed)?),
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Asks for a sign of life. Answers and messages keep their order: once the answer is here, so is every message
    /// that Redis sent before it.
    async fn ping(&mut self) -> Result<(), FeedError> {
        timeout(ANSWER_MAX, self.sink.ping::<redis::Value>()).await.map_err(|_| FeedError::Silent)??;
        while !self.drain()? {}
        Ok(())
    }

    async fn grant_wishes(&mut self) -> Result<(), FeedError> {
        let wishes = self.app.feed.take_wishes();
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for change in wishes.changes {
            match change {
                Change::Add(topic) => add.push(topic),
                // It may have been wanted again in the meantime.
                Change::Remove(topic) if !self.is_wanted(&topic) => remove.push(topic.channel()),
                Change::Remove(_) => {}
            }
        }
        for channels in remove.chunks(CHANNELS_AT_A_TIME) {
            timeout(ANSWER_MAX, self.sink.unsubscribe(channels)).await.map_err(|_| FeedError::Silent)??;
        }
        self.subscribe(&add).await?;
        if !wishes.suspects.is_empty() {
            self.examine(wishes.suspects).await?;
        }
        Ok(())
    }

    fn is_wanted(&self, topic: &Topic) -> bool {
        match topic {
            Topic::Control => true,
            Topic::Show(show) => self.app.registry.get(*show).is_some(),
            Topic::Customer(customer) => self.app.customers.has(customer),
        }
    }

    async fn subscribe(&mut self, topics: &[Topic]) -> Result<(), FeedError> {
        for some in topics.chunks(CHANNELS_AT_A_TIME) {
            let channels: Vec<String> = some.iter().map(Topic::channel).collect();
            timeout(ANSWER_MAX, self.sink.subscribe(&channels)).await.map_err(|_| FeedError::Silent)??;
            for topic in some {
                let Topic::Show(show) = topic else { continue };
                if let Some(room) = self.app.registry.get(*show) {
                    room.state().on_subscribed();
                    resync::start(self.app, &room);
                }
            }
        }
        Ok(())
    }

    /// The core knows a later position than these rooms. If that is still so when Redis has answered a ping, the
    /// messages are not merely late: they are lost, or the subscription is deaf.
    async fn examine(&mut self, suspects: Vec<(Arc<Room>, Position)>) -> Result<(), FeedError> {
        self.ping().await?;
        let behind = |(room, answered): &(Arc<Room>, Position)| {
            let state = room.state();
            state.is_live() && state.position().is_some_and(|here| here < *answered)
        };
        let now = Instant::now();
        self.deaf.retain(|_, at| now.duration_since(*at) < DEAF_AGAIN);
        let mut again = Vec::new();
        for (room, answered) in suspects.into_iter().filter(behind) {
            warn!(show = %room.show, here = ?room.position(), %answered, "feed was silent: resubscribing");
            counter!(names::FEED_DEAF).increment(1);
            let heard = room.state().lose(Lost::Deaf);
            self.on_heard(&room, heard);
            if self.deaf.insert(room.show, now).is_some() {
                return Err(FeedError::Deaf);
            }
            again.push(Topic::Show(room.show));
        }
        self.subscribe(&again).await
    }

    fn on_message(&mut self, message: &Msg) {
        let payload = message.get_payload_bytes();
        match Topic::of_channel(message.get_channel_name()) {
            Some(Topic::Show(show)) => {
                if let Some(room) = self.app.registry.get(show) {
                    let message = FeedMessage::parse(payload);
                    self.on_holds(message.as_ref());
                    let heard = room.state().on_feed(message);
                    self.on_heard(&room, heard);
                }
            }
            Some(Topic::Customer(customer)) => match codec::decode(payload) {
                Ok(push) => self.app.customers.push(&customer, &push),
                Err(error) => warn!(%error, "unreadable push"),
            },
            Some(Topic::Control) => match codec::decode(payload) {
                Ok(control) => on_control(self.app, &control),
                Err(error) => warn!(%error, "unreadable control message"),
            },
            None => debug!(channel = message.get_channel_name(), "message of an unknown channel"),
        }
    }

    /// Owners are told by their own channel; a message there may be lost.
    fn on_holds(&self, message: Option<&FeedMessage>) {
        if let Some(FeedMessage::Batch { reason, holds, .. }) = message
            && *reason != Some(FeedReason::Held)
            && !holds.is_empty()
        {
            self.app.customers.holds_ended(holds);
        }
    }

    fn on_heard(&self, room: &Arc<Room>, heard: Heard) {
        match heard {
            Heard::Applied => {
                counter!(names::BATCHES).increment(1);
                fanout::mark_dirty(self.app, room);
            }
            Heard::Nothing => {}
            Heard::Lost(why) => resync::on_lost(self.app, room, why),
        }
    }
}

/// Nothing heard from now on joins up with what was heard before.
fn lose_all(app: &Arc<App>) {
    for room in app.registry.rooms() {
        let heard = room.state().on_unsubscribed();
        if let Heard::Lost(why) = heard {
            resync::on_lost(app, &room, why);
        }
    }
}

/// Control messages of a later version are ignored.
fn on_control(app: &App, control: &ControlMessage) {
    let ControlMessage::Logout { customer, before_ms } = control else { return };
    app.tokens.revoke(customer.clone(), *before_ms, clock::unix_ms());
    for connection in app.connections.all() {
        let identity = connection.identity();
        if identity.is_some_and(|who| who.customer == *customer && who.issued_at_ms < *before_ms) {
            connection.close(CloseCode::Unauthenticated, "logged out");
        }
    }
}
