//! The gateway's one subscription to Redis: what it should cover, and the doubts about it. The connection itself is in
//! `link`, its protocol in `resp`, what is done with it in `subscriber`; what a room does when it lost the thread, in
//! `resync`; the check against the core, in `positions`.

pub mod link;
pub mod positions;
pub mod resp;
pub mod resync;
pub mod subscriber;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::gauge;
use seatwire_protocol::feed::{CONTROL_CHANNEL, customer_channel, feed_channel};
use seatwire_protocol::{CustomerId, Position, ShowId};
use tokio::sync::Notify;

use crate::metrics as names;
use crate::room::Room;

/// Something to subscribe to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    Control,
    Show(ShowId),
    Customer(CustomerId),
}

impl Topic {
    /// Its channel in Redis.
    pub fn channel(&self) -> String {
        match self {
            Self::Control => CONTROL_CHANNEL.to_owned(),
            Self::Show(show) => feed_channel(*show),
            Self::Customer(customer) => customer_channel(customer),
        }
    }

    /// The topic of a channel's name.
    pub fn of_channel(channel: &str) -> Option<Self> {
        if channel == CONTROL_CHANNEL {
            return Some(Self::Control);
        }
        let (kind, rest) = channel.split_once(':')?;
        match kind {
            "feed" => rest.rsplit_once(':').and_then(|(_, show)| show.parse().ok()).map(Self::Show),
            "customer" => rest.parse().ok().map(Self::Customer),
            _ => None,
        }
    }
}

/// What the subscriber is asked to do. It takes the lists whole at each of its turns, a turn lasts a second at most, and
/// without a connection nothing is listed: a new connection begins with everything that is watched.
#[derive(Default)]
pub struct Feed {
    wishes: Mutex<Wishes>,
    wake: Notify,
    up: AtomicBool,
}

/// Changes to the subscription, in the order that they were asked for.
#[derive(Default)]
pub struct Wishes {
    heeded: bool,
    pub changes: Vec<Change>,
    /// Rooms whose feed was silent although the core knows a later position.
    pub suspects: Vec<(Arc<Room>, Position)>,
}

/// One change.
pub enum Change {
    Add(Topic),
    Remove(Topic),
}

impl Feed {
    pub fn add(&self, topic: Topic) {
        self.wish(|wishes| wishes.changes.push(Change::Add(topic)));
    }

    pub fn remove(&self, topic: Topic) {
        self.wish(|wishes| wishes.changes.push(Change::Remove(topic)));
    }

    /// Asks whether the connection has nothing more for these rooms.
    pub fn suspect(&self, rooms: Vec<(Arc<Room>, Position)>) {
        if !rooms.is_empty() {
            // Only the latest suspicion counts: it is renewed every second for as long as it holds.
            self.wish(|wishes| wishes.suspects = rooms);
        }
    }

    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    fn set_up(&self, up: bool) {
        gauge!(names::FEED_UP).set(if up { 1.0 } else { 0.0 });
        self.up.store(up, Ordering::Release);
    }

    fn take_wishes(&self) -> Wishes {
        let mut wishes = self.lock();
        let heeded = wishes.heeded;
        std::mem::replace(&mut *wishes, Wishes { heeded, ..Wishes::default() })
    }

    /// From now on wishes are listed.
    fn heed_wishes(&self) {
        *self.lock() = Wishes { heeded: true, ..Wishes::default() };
    }

    /// From now on wishes are not listed.
    fn ignore_wishes(&self) {
        *self.lock() = Wishes::default();
    }

    fn wish(&self, wish: impl FnOnce(&mut Wishes)) {
        let mut wishes = self.lock();
        if wishes.heeded {
            wish(&mut wishes);
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_found_by_their_channel() {
        let topics = [
            Topic::Control,
            Topic::Show(ShowId::new(42).unwrap()),
            Topic::Customer(CustomerId::new("g_1.x-y").unwrap()),
        ];
        for topic in topics {
            assert_eq!(Topic::of_channel(&topic.channel()), Some(topic));
        }
        assert_eq!(Topic::of_channel("feed:{1}:x"), None);
    }
}
