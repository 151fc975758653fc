//! Group commit of the inbox. Webhooks that arrive while a commit is under way share the next one: at most
//! [`LANES`] commits run at a time, and each takes all that waits. An event alone is stored at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::Saga;
use crate::db::inbox::{self, NewEvent};
use crate::db::{Db, DbError};
use crate::metrics as names;

/// Commits at a time: while one waits for the disk, the next is made ready.
const LANES: usize = 2;
/// Events of one commit.
const BATCH_MAX: usize = 64;
/// Events that wait. When full, the webhook is answered 503, and the provider sends it again.
const WAITING_MAX: usize = 2_048;

/// The events that wait, and the permits to store them.
pub(super) struct Intake {
    waiting: Mutex<VecDeque<Waiting>>,
    lanes: Arc<Semaphore>,
}

struct Waiting {
    event: NewEvent,
    answer: oneshot::Sender<Result<bool, DbError>>,
}

impl Default for Intake {
    fn default() -> Self {
        Self { waiting: Mutex::default(), lanes: Arc::new(Semaphore::new(LANES)) }
    }
}

impl Intake {
    /// Queues an event; `None` when the queue is full.
    fn push(&self, event: NewEvent) -> Option<oneshot::Receiver<Result<bool, DbError>>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            return None;
        }
        let (answer, told) = oneshot::channel();
        waiting.push_back(Waiting { event, answer });
        Some(told)
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(BATCH_MAX);
        waiting.drain(..count).collect()
    }
}

impl Saga {
    /// Stores a webhook's event durably, in a commit that it may share; `false` when it was there before.
    ///
    /// # Errors
    /// [`DbError`]; whether the event was stored may then be unknown, and the provider sends it again.
    pub(crate) async fn take_in(&self, event: NewEvent) -> Result<bool, DbError> {
        let Some(told) = self.inner.intake.push(event) else {
            return Err(DbError::Unavailable(format!("{WAITING_MAX} events wait to be stored")));
        };
        self.start_lane();
        told.await.unwrap_or_else(|_| Err(DbError::Unavailable("the task that stores events ended".to_owned())))
    }

    /// Starts a lane when one is free and something waits. It runs in a task of its own: a provider that hangs up must
    /// not take the events of others with it.
    fn start_lane(&self) {
        let Ok(permit) = Arc::clone(&self.inner.intake.lanes).try_acquire_owned() else { return };
        let saga = self.clone();
        self.db().tasks().spawn(async move {
            loop {
                let batch = saga.inner.intake.take();
                if batch.is_empty() {
                    break;
                }
                store(saga.db(), batch).await;
            }
            drop(permit);
            // What came between the last look and the permit's return found no lane free.
            if !saga.inner.intake.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                saga.start_lane();
            }
        });
    }
}

async fn store(db: &Db, batch: Vec<Waiting>) {
    let events: Vec<NewEvent> = batch.iter().map(|waiting| waiting.event.clone()).collect();
    let count = events.len() as u64;
    match inbox::store_all(db, events).await {
        Ok(new) => {
            metrics::counter!(names::WEBHOOKS_STORED).increment(count);
            metrics::counter!(names::WEBHOOK_COMMITS).increment(1);
            for (waiting, new) in batch.into_iter().zip(new) {
                // Nobody listens any more: the provider hung up.
                let _ = waiting.answer.send(Ok(new));
            }
        }
        // One event that PostgreSQL does not take must not keep the others out.
        Err(DbError::Fault(_) | DbError::Constraint(_)) if batch.len() > 1 => {
            for waiting in batch {
                let _ = waiting.answer.send(inbox::store(db, waiting.event).await);
            }
        }
        Err(error) => {
            for waiting in batch {
                let _ = waiting.answer.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
