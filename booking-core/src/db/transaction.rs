//! How statements run: in a task of their own, so that a client that hangs up can't leave a transaction open; at READ
//! COMMITTED; with bounded, jittered retries. Bodies are run again as a whole, so each starts from what it finds:
//! that also settles a COMMIT in doubt, because the next run looks, on a new connection, and finds the work done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager};
use futures_util::future::BoxFuture;
use rand::Rng;
use tracing::Instrument;

use super::{Conn, Db, DbError, TryError};
use crate::metrics as names;

/// Tries of one transaction, and the time that they may take together.
const TRIES: u32 = 12;
const PATIENCE: Duration = Duration::from_secs(10);

/// What a body answers.
pub(crate) type Step<'c, T> = BoxFuture<'c, Result<T, TryError>>;

/// How a transaction ends when its body succeeded.
#[derive(Debug)]
pub(crate) enum End<T> {
    /// Keep the changes.
    Commit(T),
    /// A refusal: no change is kept.
    Rollback(T),
}

/// Counters for metrics.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    retries: AtomicU64,
}

enum Mode {
    Read,
    Write { commit_by: Option<Instant> },
}

impl Db {
    /// Runs a transaction. The body must do the same thing when run twice.
    ///
    /// # Errors
    /// [`DbError`], after retries.
    pub(crate) async fn write<T, F>(&self, name: &'static str, body: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Conn) -> Step<'c, End<T>> + Send + Sync + 'static,
    {
        self.spawn(name, Mode::Write { commit_by: None }, body).await
    }

    /// As [`Self::write`], but sends COMMIT only before `commit_by`.
    ///
    /// # Errors
    /// [`DbError::TooLate`], and those of [`Self::write`].
    pub(crate) async fn write_by<T, F>(&self, name: &'static str, commit_by: Instant, body: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Conn) -> Step<'c, End<T>> + Send + Sync + 'static,
    {
        self.spawn(name, Mode::Write { commit_by: Some(commit_by) }, body).await
    }

    /// Runs statements that change nothing, or one statement that may be repeated, without BEGIN and COMMIT.
    ///
    /// # Errors
    /// [`DbError`], after retries.
    pub(crate) async fn read<T, F>(&self, name: &'static str, body: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Conn) -> Step<'c, T> + Send + Sync + 'static,
    {
        self.spawn(name, Mode::Read, move |conn| {
            let step = body(conn);
            Box::pin(async move { step.await.map(End::Commit) })
        })
        .await
    }

    /// Retries so far, for metrics.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.waits.retries.load(Ordering::Relaxed)
    }

    async fn spawn<T, F>(&self, name: &'static str, mode: Mode, body: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Conn) -> Step<'c, End<T>> + Send + Sync + 'static,
    {
        let db = self.clone();
        // With the span of the command, so that its trace id is in the lines written here.
        let task = self.tasks().spawn(async move { db.attempts(name, &mode, &body).await }.in_current_span());
        task.await.unwrap_or_else(|e| Err(DbError::Fault(format!("{name}: task failed: {e}"))))
    }

    async fn attempts<T, F>(&self, name: &'static str, mode: &Mode, body: &F) -> Result<T, DbError>
    where
        F: for<'c> Fn(&'c mut Conn) -> Step<'c, End<T>>,
    {
        let started = Instant::now();
        let mut in_doubt = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.attempt(name, mode, body, &mut in_doubt).await {
                Ok(value) => {
                    metrics::histogram!(names::TRANSACTION_SECONDS, "name" => name).record(started.elapsed());
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            match failure {
                TryError::Transient { text, .. } => {
                    if tries >= TRIES || started.elapsed() >= PATIENCE {
                        tracing::warn!(name, tries, in_doubt, "database gave up: {text}");
                        return Err(if in_doubt { DbError::InDoubt(text) } else { DbError::Unavailable(text) });
                    }
                    self.waits.retries.fetch_add(1, Ordering::Relaxed);
                    metrics::counter!(names::TRANSACTION_RETRIES, "name" => name).increment(1);
                    tracing::debug!(name, tries, "database retry: {text}");
                    let cap = 10_u64 << tries.min(6);
                    let pause = rand::rng().random_range(1..=cap);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                // An earlier COMMIT in doubt outweighs a later refusal to look.
                TryError::Final(DbError::TooLate) if in_doubt => {
                    return Err(DbError::InDoubt("too late to look".to_owned()));
                }
                TryError::Final(error) => return Err(error),
            }
        }
    }

    async fn attempt<T, F>(&self, name: &'static str, mode: &Mode, body: &F, in_doubt: &mut bool) -> Result<T, TryError>
    where
        F: for<'c> Fn(&'c mut Conn) -> Step<'c, End<T>>,
    {
        failpoint!("{name}.begin");
        let mut conn = self.connection().await?;
        let result = match mode {
            Mode::Read => body(&mut conn).await.map(|end| match end {
                End::Commit(value) | End::Rollback(value) => value,
            }),
            Mode::Write { commit_by } => transact(&mut conn, name, *commit_by, body, in_doubt).await,
        };
        if matches!((mode, &result), (Mode::Read, Ok(_))) {
            failpoint!("{name}.done");
        }
        if matches!(result, Err(TryError::Transient { lost: true, .. })) {
            self.discard(conn);
        }
        result
    }
}

async fn transact<T, F>(
    conn: &mut AsyncPgConnection,
    name: &'static str,
    commit_by: Option<Instant>,
    body: &F,
    in_doubt: &mut bool,
) -> Result<T, TryError>
where
    F: for<'c> Fn(&'c mut Conn) -> Step<'c, End<T>>,
{
    AnsiTransactionManager::begin_transaction(conn).await?;
    let end = match body(conn).await {
        Ok(End::Commit(_)) if commit_by.is_some_and(|by| Instant::now() >= by) => Err(DbError::TooLate.into()),
        end => end,
    };
    let end = end.and_then(|end| before_commit(name, end));
    match end {
        Ok(End::Commit(value)) => {
            if let Err(error) = AnsiTransactionManager::commit_transaction(conn).await {
                let rolled_back =
                    matches!(&error, DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _));
                let error = TryError::from(error);
                *in_doubt |= !rolled_back && matches!(error, TryError::Transient { .. });
                return Err(error);
            }
            after_commit(name, in_doubt)?;
            Ok(value)
        }
        Ok(End::Rollback(value)) => {
            AnsiTransactionManager::rollback_transaction(conn).await?;
            Ok(value)
        }
        Err(error) => {
            // A connection that can't roll back is given up; the server ends its transaction with it.
            if AnsiTransactionManager::rollback_transaction(conn).await.is_err()
                && let TryError::Transient { text, .. } = error
            {
                return Err(TryError::Transient { text, lost: true });
            }
            Err(error)
        }
    }
}

/// The last moment at which nothing has happened.
fn before_commit<T>(name: &'static str, end: End<T>) -> Result<End<T>, TryError> {
    failpoint!("{name}.commit");
    Ok(end)
}

/// A COMMIT that took effect and whose answer is lost: given up, or looked at again.
#[cfg(feature = "failpoints")]
fn after_commit(name: &'static str, in_doubt: &mut bool) -> Result<(), TryError> {
    use crate::failpoints::{Fault, reach};
    let text = || "failpoint".to_owned();
    match reach(&format!("{name}.done")) {
        None => Ok(()),
        Some(Fault::Fail) => Err(DbError::InDoubt(text()).into()),
        Some(Fault::Repeat) => {
            *in_doubt = true;
            Err(TryError::Transient { text: text(), lost: true })
        }
    }
}

#[cfg(not(feature = "failpoints"))]
#[expect(clippy::unnecessary_wraps, reason = "as with failpoints")]
fn after_commit(_: &'static str, _: &mut bool) -> Result<(), TryError> {
    Ok(())
}
