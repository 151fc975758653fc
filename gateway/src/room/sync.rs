//! Whether a room knows its show's present state: follows the feed, notices what is missing, and takes a snapshot in.
//! Pure: the caller listens, fetches and tells the time.
//!
//! A room is opening (no map yet), live, or stale (it has a map, but something was missed). Unless it is live, what the
//! feed says is kept until a snapshot fetched after the subscription was confirmed covers it or joins up with it.

use std::collections::VecDeque;

use seatwire_protocol::command::SnapshotReply;
use seatwire_protocol::feed::{FeedMessage, FeedReason};
use seatwire_protocol::{Position, SaleState, ShowId};

use super::seat_map::SeatMap;

/// Messages kept while a snapshot is fetched; one more drops all, and the snapshot is fetched again.
const BACKLOG_MAX: usize = 8_192;

/// Why a room lost the thread; the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// A sequence is missing.
    Hole,
    /// The map starts anew under a higher generation.
    Generation,
    /// A feed message that can't be read.
    Malformed,
    /// The opening time may have changed, which only a snapshot tells.
    Opening,
    /// The connection to Redis was lost.
    Disconnected,
    /// The core knows a later position, and the feed was silent.
    Deaf,
    /// The core has no map of the show loaded.
    NotLoaded,
}

impl Lost {
    pub fn label(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::Generation => "generation",
            Self::Malformed => "malformed",
            Self::Opening => "opening",
            Self::Disconnected => "disconnected",
            Self::Deaf => "deaf",
            Self::NotLoaded => "not_loaded",
        }
    }
}

/// What a feed message did.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// The map changed.
    Applied,
    /// Nothing new, or kept for later.
    Nothing,
    /// The room has just become stale.
    Lost(Lost),
}

/// What a snapshot did.
#[derive(Debug, PartialEq, Eq)]
pub enum Installed {
    /// The room is live.
    Live,
    /// The snapshot does not join up with the feed: fetch another.
    Again,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Live,
    Stale,
}

/// A permission to fetch a snapshot; void once the subscription it was given under is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch(u64);

pub struct Sync {
    show: ShowId,
    phase: Phase,
    /// The core can't be asked whether the room is right.
    unsure: bool,
    map: Option<SeatMap>,
    backlog: VecDeque<FeedMessage>,
    overflowed: bool,
    subscribed: bool,
    /// Grows whenever the subscription is lost or made.
    link: u64,
    fetching: bool,
}

impl Sync {
    pub fn new(show: ShowId) -> Self {
        Self {
            show,
            phase: Phase::Opening,
            unsure: false,
            map: None,
            backlog: VecDeque::new(),
            overflowed: false,
            subscribed: false,
            link: 0,
            fetching: false,
        }
    }

    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Whether viewers must not take the map for the present state.
    pub fn is_doubtful(&self) -> bool {
        self.phase == Phase::Stale || self.unsure
    }

    pub fn map(&self) -> Option<&SeatMap> {
        self.map.as_ref()
    }

    pub fn map_mut(&mut self) -> Option<&mut SeatMap> {
        self.map.as_mut()
    }

    pub fn position(&self) -> Option<Position> {
        self.map.as_ref().map(SeatMap::position)
    }

    /// Sets or clears the doubt that comes from a core that can't be asked; `true` when viewers must be told.
    pub fn set_unsure(&mut self, unsure: bool) -> bool {
        let before = self.is_doubtful();
        self.unsure = unsure;
        before != self.is_doubtful()
    }

    /// Takes a message of the feed; `None` is one that could not be read.
    pub fn on_feed(&mut self, message: Option<FeedMessage>) -> Heard {
        let Some(message) = message else { return self.lose(Lost::Malformed) };
        let (Phase::Live, Some(map)) = (self.phase, self.map.as_mut()) else {
            self.keep(message);
            return Heard::Nothing;
        };
        let here = map.position();
        match &message {
            FeedMessage::Reset { generation } if *generation <= here.generation => Heard::Nothing,
            FeedMessage::Batch { position, .. } if *position <= here => Heard::Nothing,
            FeedMessage::Batch { position, sale, reason, .. }
                if *position == here.next() && moves_opening(*sale, *reason) =>
            {
                // Not applied: viewers who had it as a delta would be at the snapshot's position, and not get that.
                self.keep(message);
                self.lose(Lost::Opening)
            }
            FeedMessage::Batch { position, sale, seats, .. } if *position == here.next() => {
                map.apply(*sale, seats);
                Heard::Applied
            }
            FeedMessage::Batch { position, .. } if position.generation == here.generation => {
                self.keep(message);
                self.lose(Lost::Hole)
            }
            FeedMessage::Batch { .. } | FeedMessage::Reset { .. } => {
                self.keep(message);
                self.lose(Lost::Generation)
            }
        }
    }

    /// The room can't be trusted any more; harmless when it was not.
    pub fn lose(&mut self, why: Lost) -> Heard {
        if self.phase != Phase::Live {
            return Heard::Nothing;
        }
        self.phase = Phase::Stale;
        Heard::Lost(why)
    }

    /// The subscription is gone, and everything heard is unconnected to what comes next.
    pub fn on_unsubscribed(&mut self) -> Heard {
        self.subscribed = false;
        self.link = self.link.wrapping_add(1);
        self.backlog.clear();
        self.overflowed = false;
        self.lose(Lost::Disconnected)
    }

    /// The server confirmed the subscription.
    pub fn on_subscribed(&mut self) {
        self.subscribed = true;
        self.link = self.link.wrapping_add(1);
    }

    /// Asks to fetch a snapshot: given when one is needed, can help, and nobody else is fetching.
    pub fn begin_fetch(&mut self) -> Option<Fetch> {
        if self.fetching || self.phase == Phase::Live || !self.subscribed {
            return None;
        }
        self.fetching = true;
        Some(Fetch(self.link))
    }

    /// Ends a fetch that brought nothing.
    pub fn abandon_fetch(&mut self) {
        self.fetching = false;
    }

    /// Ends a fetch: the snapshot, and what was heard since that it does not cover. The room's floor becomes the
    /// snapshot's position: what changed before it is not known seat by seat.
    pub fn install(&mut self, fetch: Fetch, snapshot: &SnapshotReply, now_ms: u64) -> Installed {
        self.fetching = false;
        let overflowed = std::mem::take(&mut self.overflowed);
        let outdated = self.position().is_some_and(|here| snapshot.position < here);
        if fetch.0 != self.link || overflowed || outdated {
            return Installed::Again;
        }
        let Some(mut map) = SeatMap::new(self.show, snapshot, now_ms) else { return Installed::Again };
        self.backlog.retain(|message| match message {
            FeedMessage::Batch { position, .. } => *position > snapshot.position,
            FeedMessage::Reset { generation } => *generation > snapshot.position.generation,
        });
        // A repeated message is dropped by going through in order: one at or below the position is old news.
        for message in &self.backlog {
            match message {
                FeedMessage::Batch { position, .. } if *position <= map.position() => {}
                FeedMessage::Batch { position, sale, reason, seats, .. }
                    if *position == map.position().next() && !moves_opening(*sale, *reason) =>
                {
                    map.apply(*sale, seats);
                }
                FeedMessage::Batch { .. } | FeedMessage::Reset { .. } => return Installed::Again,
            }
        }
        self.backlog = VecDeque::new();
        self.map = Some(map);
        self.phase = Phase::Live;
        Installed::Live
    }

    fn keep(&mut self, message: FeedMessage) {
        if self.backlog.len() >= BACKLOG_MAX {
            self.backlog.clear();
            self.overflowed = true;
        }
        self.backlog.push_back(message);
    }
}

/// Whether a batch may carry another opening time, which a feed message has no room for.
fn moves_opening(sale: SaleState, reason: Option<FeedReason>) -> bool {
    reason == Some(FeedReason::Sale) && sale == SaleState::Before
}

#[cfg(test)]
mod tests;
