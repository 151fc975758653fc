//! The connection pool. Connections are made when needed: the core starts and stays up while PostgreSQL is out of reach.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use tokio_util::task::TaskTracker;

use super::connect::{CONNECT, connect};
use super::{DbError, TryError};

/// Waiting for a free connection, or for a new one; longer means overload or an outage, and the caller is told.
const WAIT: Duration = Duration::from_secs(2);

/// Handle of the database; cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool<AsyncPgConnection>,
    tasks: TaskTracker,
    pub(crate) waits: Arc<super::transaction::Waits>,
}

impl Db {
    /// A pool of at most `connections`. Checks the URL, but connects to nothing yet.
    ///
    /// # Errors
    /// When the pool can't be built.
    pub fn new(url: &str, connections: usize) -> Result<Self, DbError> {
        let mut config = ManagerConfig::default();
        // The check by a query costs a round trip per use; a lost connection is seen by its first statement instead.
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(|url| connect(url.to_owned()).boxed());
        let manager = AsyncDieselConnectionManager::new_with_config(url, config);
        let pool = Pool::builder(manager).max_size(connections).build().map_err(|e| DbError::Fault(e.to_string()))?;
        Ok(Self { pool, tasks: TaskTracker::new(), waits: Arc::default() })
    }

    /// A connection.
    pub(crate) async fn connection(&self) -> Result<Object<AsyncPgConnection>, TryError> {
        let failed = |text| TryError::Transient { text, lost: false };
        let pool = self.pool.clone();
        // In a task of its own: a connection that takes longer than its caller waits is there for the next one. Given
        // up with each caller, a slow server would never be connected to.
        let getting = tokio::spawn(async move { tokio::time::timeout(WAIT + CONNECT, pool.get()).await });
        match tokio::time::timeout(WAIT, getting).await {
            Ok(Ok(Ok(connection))) => connection.map_err(|e| failed(e.to_string())),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Ok(Ok(Err(_))) | Err(_) => Err(failed("no connection in time".to_owned())),
        }
    }

    /// Gives up a connection that failed, and all idle ones: they met the same fate more often than not, and a retry
    /// must not find one dead connection after the other.
    pub(crate) fn discard(&self, connection: Object<AsyncPgConnection>) {
        drop(Object::take(connection));
        self.pool.retain(|_, _| false);
    }

    /// Transactions run in tasks of their own; a drain waits for them here.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.read("ping", |conn| Box::pin(async move { Ok(conn.batch_execute("SELECT 1").await?) })).await
    }

    /// Connections in use and in the pool.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.size)
    }
}
