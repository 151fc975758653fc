//! Domain events for other systems: what happened to a booking, exported to a bus, at least once each.
//!
//! Triggers write an event's row in the transaction of what it tells of (`booking_events`); `export` takes rows whose
//! turn it is, gives them to the [`EventBus`], and marks what the bus has. The rows are the truth: while the bus is away
//! they wait, and when it lost its data they are exported again. docs/EVENTS.md is the reference for consumers.

mod document;
mod export;
#[cfg(feature = "kafka")]
mod kafka;
mod redis;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use seatwire_protocol::BookingId;
use tokio::sync::Notify;
use uuid::Uuid;

pub use self::export::{ExportConfig, ExportError, Exporter};
#[cfg(feature = "kafka")]
pub use self::kafka::{KafkaBus, KafkaConfig};
pub use self::redis::{RedisBus, RedisBusConfig};

/// An event as the bus gets it.
#[derive(Debug, Clone)]
pub struct Document {
    /// The event.
    pub id: Uuid,
    /// Events of one booking keep together where the bus has partitions.
    pub booking: BookingId,
    /// Of the event within its booking.
    pub version: u32,
    /// What happened.
    pub kind: String,
    /// JSON.
    pub body: String,
}

/// Which store of events the bus is now. Another store, or another run of it, may have lost what the one before had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamId {
    /// The data.
    pub store: String,
    /// The server's life that serves them.
    pub run: String,
}

/// The bus is out of reach, or takes nothing at the moment; no event is to blame.
#[derive(Debug, Clone, thiserror::Error)]
#[error("event bus unavailable: {0}")]
pub struct BusAway(pub String);

/// How far a group of consumers has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLag {
    /// Its name.
    pub group: String,
    /// Events that it was not given yet; `None` when the bus can't tell.
    pub lag: Option<u64>,
    /// Events that it was given and has not acknowledged.
    pub pending: u64,
}

/// What each event of a batch came to; an error is the event's own fault.
pub type Published = Vec<Result<(), String>>;

/// Where events go.
pub trait EventBus: Send + Sync {
    /// Connects where needed, and tells which store is there.
    fn look(&self) -> BoxFuture<'_, Result<StreamId, BusAway>>;

    /// Gives events to this store; one result each. Nothing is known of any of them when it fails as a whole.
    fn publish<'a>(&'a self, stream: &'a StreamId, events: &'a [Document])
    -> BoxFuture<'a, Result<Published, BusAway>>;

    /// How far consumers have got, where the bus knows.
    fn groups(&self) -> BoxFuture<'_, Result<Vec<GroupLag>, BusAway>>;
}

/// The workers on events, woken when some were committed in this process; polling is the net.
#[derive(Debug, Clone, Default)]
pub struct EventWakes {
    pub(crate) bus: Arc<Notify>,
    pub(crate) mail: Arc<Notify>,
}

impl EventWakes {
    pub(crate) fn wake(&self) {
        self.bus.notify_one();
        self.mail.notify_one();
    }
}
