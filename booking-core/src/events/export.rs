//! The export worker: rows whose turn it is go to the bus in batches, and are marked when it has them.
//!
//! The bus is looked at first: while it is away no row is taken. A store that was not met before may have lost what an
//! earlier one had, so the events that were exported last go out again. Consumers see each event at least once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{BusAway, Document, EventBus, EventWakes, GroupLag, StreamId, document};
use crate::db::events::{self, Consumer, EventRow, Replay};
use crate::db::{Db, DbError, bookings, event_facts};
use crate::metrics as names;
use crate::worker;

/// Rows of one pass; how long they are ours; how long they wait when the bus went away.
const BATCH: i64 = 256;
const LEASE_MS: u64 = 12_000;
const PUT_OFF_MS: u64 = 500;
/// A batch that takes longer than its lease would be given to another worker as well.
const PUBLISH_WITHIN: Duration = Duration::from_secs(8);
/// The pause when there is nothing, and between passes: rows that come meanwhile share one batch.
const EVERY: Duration = Duration::from_millis(500);
const GATHER: Duration = Duration::from_millis(20);
/// A server that restarts may forget what it wrote last: with an append-only file a second, with none all.
const RUN_REPLAY_MS: u64 = 60_000;

/// How to export.
#[derive(Debug, Clone, Copy)]
pub struct ExportConfig {
    /// How far back events are exported again when the bus lost its data.
    pub replay_ms: u64,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self { replay_ms: 3_600_000 }
    }
}

/// A pass could not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExportError {
    /// The bus is out of reach.
    #[error(transparent)]
    Away(#[from] BusAway),
    /// The rows are out of reach.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Handle of the worker; cheap to clone.
#[derive(Clone)]
pub struct Exporter {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    bus: Arc<dyn EventBus>,
    config: ExportConfig,
    /// The store that the last pass met.
    met: Mutex<Option<StreamId>>,
}

impl Exporter {
    /// An exporter whose worker does not run yet.
    #[must_use]
    pub fn new(config: ExportConfig, db: Db, bus: Arc<dyn EventBus>) -> Self {
        Self { inner: Arc::new(Inner { db, bus, config, met: Mutex::default() }) }
    }

    /// Starts the worker; it ends with the token, and the tracker waits for it.
    pub fn spawn(&self, wakes: &EventWakes, tracker: &TaskTracker, shutdown: &CancellationToken) {
        let exporter = self.clone();
        let pace = worker::Pace { name: "export", every: EVERY, wake: Some(Arc::clone(&wakes.bus)) };
        worker::spawn(tracker, shutdown, pace, move || {
            let exporter = exporter.clone();
            async move {
                let exported = exporter.export_once().await;
                tokio::time::sleep(GATHER).await;
                exported
            }
        });
    }

    /// How far consumers have got, where the bus knows.
    ///
    /// # Errors
    /// [`BusAway`].
    pub async fn groups(&self) -> Result<Vec<GroupLag>, BusAway> {
        self.inner.bus.groups().await
    }

    /// Exports rows whose turn it is; answers how many the bus has now.
    ///
    /// # Errors
    /// When bus or database are out of reach.
    pub async fn export_once(&self) -> Result<usize, ExportError> {
        let stream = self.inner.bus.look().await?;
        self.meet(&stream).await?;
        let rows = events::take_due(&self.inner.db, Consumer::Bus, BATCH, LEASE_MS).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let documents = self.documents(rows).await?;
        if documents.is_empty() {
            return Ok(0);
        }
        let ids: Vec<Uuid> = documents.iter().map(|document| document.id).collect();
        failpoint!("export.documented");
        let publishing = tokio::time::timeout(PUBLISH_WITHIN, self.inner.bus.publish(&stream, &documents)).await;
        let published = match publishing.unwrap_or_else(|_| Err(BusAway("no answer in time".to_owned()))) {
            Ok(published) => published,
            Err(error) => {
                events::put_off(&self.inner.db, Consumer::Bus, ids, PUT_OFF_MS).await?;
                return Err(error.into());
            }
        };
        failpoint!("export.published");
        let mut done = Vec::new();
        for (document, result) in documents.iter().zip(published) {
            match result {
                Ok(()) => done.push(document.id),
                Err(error) => self.failed(document.id, &error).await?,
            }
        }
        let count = done.len();
        if count > 0 {
            events::exported(&self.inner.db, done, &events::stream_name(&stream.store, &stream.run)).await?;
            metrics::counter!(names::EVENTS_EXPORTED).increment(u64::try_from(count).unwrap_or(0));
        }
        Ok(count)
    }

    /// Puts back what a store that is gone may have lost.
    async fn meet(&self, stream: &StreamId) -> Result<(), DbError> {
        let mut met = self.inner.met.lock().await;
        if met.as_ref() == Some(stream) {
            return Ok(());
        }
        let replay = Replay { store_ms: self.inner.config.replay_ms, run_ms: RUN_REPLAY_MS };
        let again = events::meet_stream(&self.inner.db, &stream.store, &stream.run, replay).await?;
        if again > 0 {
            tracing::warn!(again, "the event bus may have lost its latest events; exporting them again");
            metrics::counter!(names::EVENTS_REPLAYED).increment(u64::try_from(again).unwrap_or(0));
        }
        *met = Some(stream.clone());
        Ok(())
    }

    /// The events as JSON; those that can't be written have failed by themselves.
    async fn documents(&self, rows: Vec<EventRow>) -> Result<Vec<Document>, DbError> {
        let mut named: Vec<Uuid> = rows.iter().map(|row| bookings::uuid(row.booking)).collect();
        named.sort_unstable();
        named.dedup();
        let about = event_facts::bookings(&self.inner.db, named).await?;
        let about: HashMap<_, _> = about.into_iter().map(|booking| (booking.booking, booking)).collect();
        let mut documents = Vec::with_capacity(rows.len());
        for row in rows {
            match document::write(&row, about.get(&row.booking)) {
                Ok(document) => documents.push(document),
                Err(error) => self.failed(row.id, &error).await?,
            }
        }
        Ok(documents)
    }

    async fn failed(&self, event: Uuid, error: &str) -> Result<(), DbError> {
        if events::failed(&self.inner.db, Consumer::Bus, event, error).await? {
            tracing::error!(%event, "event parked, an operator has to look: {error}");
            metrics::counter!(names::EVENTS_PARKED, "consumer" => "bus").increment(1);
        } else {
            tracing::warn!(%event, "event not exported: {error}");
        }
        Ok(())
    }
}
