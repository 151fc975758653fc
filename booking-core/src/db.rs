//! PostgreSQL, the truth. One file per table family; rows stay here, callers get plain types.
//!
//! Nothing in here knows Redis or the payment provider. Every statement runs through [`transaction`]: in a task of its
//! own, with bounded retries, and with a name for logs. Seat rows are locked in [`seats`] and nowhere else.

pub mod availability;
pub mod bookings;
pub mod cancellations;
mod connect;
pub mod edges;
pub(crate) mod event_facts;
pub mod events;
pub mod history;
pub mod inbox;
pub mod keys;
pub mod logouts;
pub mod orders;
pub mod outbox;
pub mod parked;
pub mod payments;
pub mod pool;
mod queue;
pub mod reader;
pub mod refunds;
mod retry;
pub mod sales;
pub mod schema;
pub mod seats;
pub mod shows;
pub mod sql;
mod sqlstate;
#[cfg(test)]
mod tests;
pub mod transaction;

use diesel_async::AsyncPgConnection;

pub use pool::Db;
pub(crate) use transaction::End;

/// One connection, inside a transaction or a read.
pub type Conn = AsyncPgConnection;

/// What a caller of this layer can do something about.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// The server is out of reach or too busy, after all retries. Nothing was committed.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// The connection was lost while COMMIT was on its way, and no new one could be had to look: done or not, unknown.
    #[error("commit in doubt: {0}")]
    InDoubt(String),
    /// The time to commit had passed; nothing was committed.
    #[error("too late to commit")]
    TooLate,
    /// A named constraint said no.
    #[error("constraint {0} violated")]
    Constraint(String),
    /// Anything else: a fault of the program or of the data.
    #[error("database: {0}")]
    Fault(String),
}

/// A single try's failure, before retries.
#[derive(Debug)]
pub(crate) enum TryError {
    /// Another try may succeed; when `lost`, only on a new connection.
    Transient { text: String, lost: bool },
    /// Final.
    Final(DbError),
}

impl TryError {
    /// Another transaction held a lock for longer than this one waits.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Transient { text, .. } if sqlstate::code_of(text) == Some("55P03"))
    }
}

impl From<DbError> for TryError {
    fn from(error: DbError) -> Self {
        Self::Final(error)
    }
}

/// A number of the database that is never negative there, by constraint.
pub(crate) fn unsigned(value: i64) -> Result<u64, TryError> {
    u64::try_from(value).map_err(|_| DbError::Fault(format!("negative number {value}")).into())
}

/// A number that the database has as bigint; wire numbers stay below 2^53.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
