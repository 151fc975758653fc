//! The one connection to Redis. Connects, subscribes to everything that is watched, and hands messages on in order;
//! when it breaks, every room is stale until it has a new snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use seatwire_protocol::codec;
use seatwire_protocol::feed::{ControlMessage, FeedMessage, FeedReason};
use seatwire_protocol::{Position, ShowId};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::link::{FeedError, Link};
use super::resp::Said;
use super::{Change, Topic, resync};
use crate::app::App;
use crate::metrics as names;
use crate::room::Room;
use crate::room::sync::{Heard, Lost};
use crate::{fanout, logouts};

/// Channels in one SUBSCRIBE.
const CHANNELS_AT_A_TIME: usize = 512;
const CONNECT_MAX: Duration = Duration::from_secs(3);
const BACKOFF_MIN: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A room that is deaf again within this time is not helped by subscribing again.
const DEAF_AGAIN: Duration = Duration::from_secs(10);
/// How often the server is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Keeps the connection for the life of the process.
pub async fn run(app: Arc<App>) {
    let mut wait = BACKOFF_MIN;
    app.feed.set_up(false);
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
    let link = timeout(CONNECT_MAX, Link::open(&app.config.redis_url)).await.map_err(|_| FeedError::Silent)??;
    let mut connection = Connected { ears: Ears { app }, link, deaf: HashMap::new() };
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
    ears: Ears<'a>,
    link: Link,
    /// Rooms that were found deaf, and when.
    deaf: HashMap<ShowId, Instant>,
}

impl Connected<'_> {
    async fn listen(&mut self) -> Result<std::convert::Infallible, FeedError> {
        let app = self.ears.app;
        let mut ping = tokio::time::interval(PING_EVERY);
        loop {
            tokio::select! {
                read = self.link.read() => {
                    read?;
                    self.link.take(&mut |said| self.ears.hear(said))?;
                }
                () = app.feed.wake.notified() => self.grant_wishes().await?,
                _ = ping.tick() => {
                    app.customers.reread_untold();
                    self.ping().await?;
                }
            }
            tokio::task::consume_budget().await;
        }
    }

    /// Asks for a sign of life. Answers and messages keep their order: once the answer is here, so is every message
    /// that Redis sent before it.
    async fn ping(&mut self) -> Result<(), FeedError> {
        self.link.send(["PING"].into_iter()).await?;
        let is_pong = &mut |said: Said<'_>| {
            let pong = said == Said::Pong;
            self.ears.hear(said);
            pong
        };
        self.link.wait_for(is_pong).await
    }

    async fn grant_wishes(&mut self) -> Result<(), FeedError> {
        let wishes = self.ears.app.feed.take_wishes();
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for change in wishes.changes {
            match change {
                Change::Add(topic) => add.push(topic),
                // It may have been wanted again in the meantime.
                Change::Remove(topic) if !self.is_wanted(&topic) => remove.push(topic),
                Change::Remove(_) => {}
            }
        }
        self.tell("UNSUBSCRIBE", &remove, |said| *said == Said::Unsubscribed).await?;
        self.subscribe(&add).await?;
        if !wishes.suspects.is_empty() {
            self.examine(wishes.suspects).await?;
        }
        Ok(())
    }

    fn is_wanted(&self, topic: &Topic) -> bool {
        match topic {
            Topic::Control => true,
            Topic::Show(show) => self.ears.app.registry.get(*show).is_some(),
            Topic::Customer(customer) => self.ears.app.customers.has(customer),
        }
    }

    async fn subscribe(&mut self, topics: &[Topic]) -> Result<(), FeedError> {
        self.tell("SUBSCRIBE", topics, |said| matches!(said, Said::Subscribed(_))).await
    }

    /// Sends a command about these topics, and waits until the server has confirmed each.
    async fn tell(
        &mut self,
        command: &'static str,
        topics: &[Topic],
        confirms: impl Fn(&Said<'_>) -> bool,
    ) -> Result<(), FeedError> {
        for some in topics.chunks(CHANNELS_AT_A_TIME) {
            let channels: Vec<String> = some.iter().map(Topic::channel).collect();
            let parts: Vec<&str> = std::iter::once(command).chain(channels.iter().map(String::as_str)).collect();
            self.link.send(parts.into_iter()).await?;
            let mut missing = some.len();
            let is_last = &mut |said: Said<'_>| {
                missing = missing.saturating_sub(usize::from(confirms(&said)));
                self.ears.hear(said);
                missing == 0
            };
            self.link.wait_for(is_last).await?;
        }
        Ok(())
    }

    /// The core knows a later position than these rooms. If that is still so when Redis has answered a ping, the
    /// messages are not merely late: they are lost, or the subscription is deaf.
    async fn examine(&mut self, suspects: Vec<(Arc<Room>, Position)>) -> Result<(), FeedError> {
        self.ping().await?;
        let app = self.ears.app;
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
            on_heard(app, &room, heard);
            if self.deaf.insert(room.show, now).is_some() {
                return Err(FeedError::Deaf);
            }
            again.push(Topic::Show(room.show));
        }
        self.subscribe(&again).await
    }
}

/// What is done about what the server says.
struct Ears<'a> {
    app: &'a Arc<App>,
}

impl Ears<'_> {
    fn hear(&self, said: Said<'_>) {
        match said {
            Said::Message { channel, payload } => self.on_message(channel, payload),
            Said::Subscribed(channel) => self.on_subscribed(channel),
            Said::Unsubscribed | Said::Pong | Said::Ok | Said::Refused(_) => {}
        }
    }

    /// From here on nothing is missed.
    fn on_subscribed(&self, channel: &str) {
        match Topic::of_channel(channel) {
            Some(Topic::Control) => self.app.logouts.on_subscribed(),
            Some(Topic::Show(show)) => {
                if let Some(room) = self.app.registry.get(show) {
                    room.state().on_subscribed();
                    resync::start(self.app, &room);
                }
            }
            Some(Topic::Customer(_)) | None => {}
        }
    }

    fn on_message(&self, channel: &str, payload: &[u8]) {
        match Topic::of_channel(channel) {
            Some(Topic::Show(show)) => {
                if let Some(room) = self.app.registry.get(show) {
                    let message = FeedMessage::parse(payload);
                    self.on_holds(message.as_ref());
                    let heard = room.state().on_feed(message);
                    on_heard(self.app, &room, heard);
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
            None => debug!(channel, "message of an unknown channel"),
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
}

fn on_heard(app: &Arc<App>, room: &Arc<Room>, heard: Heard) {
    match heard {
        Heard::Applied => {
            counter!(names::BATCHES).increment(1);
            fanout::mark_dirty(app, room);
        }
        Heard::Nothing => {}
        Heard::Lost(why) => resync::on_lost(app, room, why),
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
    if let ControlMessage::Logout { customer, before_ms } = control {
        logouts::on_logout(app, customer.clone(), *before_ms);
    }
}
