//! Mail to customers: when a booking is confirmed or cancelled, and when money went back. Driven by the rows of
//! `booking_events` with marks of their own.
//!
//! A row is a worker's own while it sends: taken for longer than a send may last. The message of an event is always the
//! same, byte for byte, with a Message-ID made of the event's id. So a mail is sent twice only when its first end stays
//! unknown: the core died, or the connection was lost, after the server took the message and before its answer was
//! marked. SMTP has no way to ask; the server or the reader may tell by the Message-ID. See docs/OPERATIONS.md.

mod compose;
mod post;
mod text;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lettre::message::Mailbox;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::post::Unsent;
pub use self::post::{Post, PostError};
use crate::db::events::{self, Consumer, EventRow};
use crate::db::{Db, DbError, event_facts};
use crate::events::EventWakes;
use crate::metrics as names;
use crate::worker;

/// Rows of one pass, all sent at a time. They are ours for longer than look and send may last.
const BATCH: i64 = 8;
const LOOK_WITHIN: Duration = Duration::from_secs(10);
const MARK_WITHIN: Duration = Duration::from_secs(10);
/// Rows of one pass when mail is off.
const OFF_BATCH: i64 = 256;
/// How long rows wait when the mail server went away.
const PUT_OFF_MS: u64 = 1_000;
/// A mail that a server put off for so long will not be read gladly any more.
const GIVE_UP_MS: u64 = 86_400_000;
const EVERY: Duration = Duration::from_secs(1);

/// From whom, and about which page.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The sender.
    pub from: Mailbox,
    /// The page, for links.
    pub public_url: String,
}

/// A pass could not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MailError {
    /// The server is out of reach.
    #[error("mail unavailable: {0}")]
    Away(String),
    /// The rows are out of reach.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Handle of the worker; cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    post: Post,
    config: MailConfig,
}

impl Mailer {
    /// A mailer whose worker does not run yet.
    #[must_use]
    pub fn new(config: MailConfig, db: Db, post: Post) -> Self {
        Self { inner: Arc::new(Inner { db, post, config }) }
    }

    /// Starts the worker; it ends with the token, and the tracker waits for it.
    pub fn spawn(&self, wakes: &EventWakes, tracker: &TaskTracker, shutdown: &CancellationToken) {
        let mailer = self.clone();
        let pace = worker::Pace { name: "mail", every: EVERY, wake: Some(Arc::clone(&wakes.mail)) };
        worker::spawn(tracker, shutdown, pace, move || {
            let mailer = mailer.clone();
            async move { mailer.mail_once().await }
        });
    }

    /// Mails about events whose turn it is; answers how many it took.
    ///
    /// # Errors
    /// When mail server or database are out of reach.
    pub async fn mail_once(&self) -> Result<usize, MailError> {
        let db = &self.inner.db;
        let lease = LOOK_WITHIN + self.inner.post.send_within() + MARK_WITHIN;
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        if matches!(self.inner.post, Post::Off) {
            let rows = events::take_due(db, Consumer::Mail, OFF_BATCH, lease_ms).await?;
            let count = rows.len();
            self.told("off", rows.into_iter().map(|row| row.id).collect()).await?;
            return Ok(count);
        }
        let rows = events::take_due(db, Consumer::Mail, BATCH, lease_ms).await?;
        let (count, ids) = (rows.len(), rows.iter().map(|row| row.id).collect::<Vec<_>>());
        if count == 0 {
            return Ok(0);
        }
        // Looked at before the first message: what fails here is no message's fault.
        let looking = tokio::time::timeout(LOOK_WITHIN, self.inner.post.look()).await;
        if let Err(error) = looking.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            events::put_off(db, Consumer::Mail, ids, PUT_OFF_MS).await?;
            return Err(MailError::Away(error));
        }
        let sending = futures_util::stream::iter(rows).map(|row| async move { self.mail(&row).await });
        // Those that were sent at the same time are marked in one commit; none waits for a slower one.
        let mut sent = sending.buffer_unordered(count).ready_chunks(count);
        let mut result = Ok(count);
        while let Some(some) = sent.next().await {
            let (some, errors): (Vec<_>, Vec<_>) = some.into_iter().partition(Result::is_ok);
            let marked = self.told("sent", some.into_iter().filter_map(Result::ok).flatten().collect()).await;
            let failure = errors.into_iter().filter_map(Result::err).chain(marked.err()).next();
            result = failure.map_or(result, |error| Err(error.into()));
        }
        result
    }

    /// Sends a mail; answers the event when it is to be marked.
    async fn mail(&self, row: &EventRow) -> Result<Option<Uuid>, DbError> {
        let facts = event_facts::mail_facts(&self.inner.db, row.booking).await?;
        let message = facts.ok_or_else(|| "the booking is not there".to_owned());
        let message = message.and_then(|facts| compose::message(&self.inner.config, row, &facts));
        let message = match message {
            Ok(message) => message,
            Err(error) => return self.failed(row.id, &error).await.map(|()| None),
        };
        failpoint!("mail.composed");
        let name = format!("{}-{}.eml", row.kind, row.id);
        let sending = tokio::time::timeout(self.inner.post.send_within(), self.inner.post.send(&name, message));
        match sending.await.unwrap_or_else(|_| Err(Unsent::Unknown("no answer in time".to_owned()))) {
            Ok(()) => {
                failpoint!("mail.sent");
                tracing::info!(event = %row.id, kind = row.kind, "mailed");
                Ok(Some(row.id))
            }
            Err(Unsent::Deferred(error)) => self.deferred(row.id, &error).await.map(|()| None),
            Err(Unsent::Refused(error) | Unsent::Unknown(error)) => self.failed(row.id, &error).await.map(|()| None),
        }
    }

    async fn told(&self, what: &'static str, events: Vec<Uuid>) -> Result<(), DbError> {
        if !events.is_empty() {
            metrics::counter!(names::MAILS, "result" => what).increment(u64::try_from(events.len()).unwrap_or(0));
            events::mailed(&self.inner.db, events).await?;
        }
        Ok(())
    }

    /// A definite no counts, and so does an end that stays unknown: each try may be one more copy.
    async fn failed(&self, event: Uuid, error: &str) -> Result<(), DbError> {
        metrics::counter!(names::MAILS, "result" => "refused").increment(1);
        let parked = events::failed(&self.inner.db, Consumer::Mail, event, error).await?;
        Self::noted(event, parked, error);
        Ok(())
    }

    async fn deferred(&self, event: Uuid, error: &str) -> Result<(), DbError> {
        metrics::counter!(names::MAILS, "result" => "deferred").increment(1);
        let parked = events::deferred(&self.inner.db, Consumer::Mail, event, error, GIVE_UP_MS).await?;
        Self::noted(event, parked, error);
        Ok(())
    }

    fn noted(event: Uuid, parked: bool, error: &str) {
        if parked {
            metrics::counter!(names::EVENTS_PARKED, "consumer" => "mail").increment(1);
            tracing::error!(%event, "mail parked, an operator has to look: {error}");
        } else {
            tracing::warn!(%event, "not mailed yet: {error}");
        }
    }
}
