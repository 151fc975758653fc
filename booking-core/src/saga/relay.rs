//! The outbox relay: applies committed changes that the core which made them did not get into Redis. Order does not
//! matter: each seat carries its version. A row is marked only when it was applied under the ledger's generation.

use std::sync::OnceLock;

use futures_util::StreamExt;

use super::{Saga, SagaError};
use crate::db::outbox::{self, AppliedRow, OutboxRow};
use crate::db::shows;
use crate::holds::HoldError;
use crate::holds::ledger::Applied;

/// Rows of one pass.
const BATCH: i64 = 256;
/// How long they are ours. Short, because a core that dies with them leaves the map behind the ledger for so long; and
/// when a pass takes longer, another core applies the same rows once more, which changes nothing.
const LEASE_MS: u64 = 1_000;
/// Rows that are applied side by side: behind a server that was away for a while there are hundreds, and each waits for
/// an answer of Redis.
const AT_ONCE: usize = 16;
/// How long they wait when Redis is out of reach.
const PUT_OFF_MS: u64 = 500;

impl Saga {
    /// Applies rows that were left; answers how many it marked.
    ///
    /// # Errors
    /// When the outbox can't be read, or Redis is out of reach.
    pub async fn relay_once(&self) -> Result<usize, SagaError> {
        let taken = outbox::take_due(self.db(), BATCH, self.inner.config.relay_age_ms, LEASE_MS).await?;
        for (row, error) in taken.unreadable {
            self.row_failed(row, &error).await?;
        }
        failpoint!("relay.taken");
        let outage = OnceLock::new();
        let results: Vec<_> = futures_util::stream::iter(taken.rows)
            .map(|row| self.relay_unless(&outage, row))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut applied = Vec::new();
        let mut left = Vec::new();
        for (row, result) in results {
            match result {
                Ok(Some(done)) => applied.push(done),
                Ok(None) | Err(SagaError::Unavailable(_)) => left.push(row),
                Err(SagaError::Internal(text)) => self.row_failed(row, &text).await?,
            }
        }
        failpoint!("relay.applied");
        let count = if applied.is_empty() { 0 } else { outbox::mark(self.db(), applied).await? };
        if !left.is_empty() {
            outbox::put_off(self.db(), left, PUT_OFF_MS).await?;
        }
        match outage.into_inner() {
            Some(text) => Err(SagaError::Unavailable(text)),
            None => Ok(count),
        }
    }

    /// Leaves a row once Redis was found to be out of reach.
    async fn relay_unless(
        &self,
        outage: &OnceLock<String>,
        row: OutboxRow,
    ) -> (i64, Result<Option<AppliedRow>, SagaError>) {
        if outage.get().is_some() {
            return (row.id, Ok(None));
        }
        let result = self.relay(&row).await;
        if let Err(SagaError::Unavailable(text)) = &result {
            outage.get_or_init(|| text.clone());
        }
        (row.id, result)
    }

    /// Applies one row, once more when its generation has moved on; `None` when it moved again.
    async fn relay(&self, row: &OutboxRow) -> Result<Option<AppliedRow>, SagaError> {
        let mut change = row.change.clone();
        for _ in 0..2 {
            match self.inner.holds.apply(&change).await.map_err(hold_error)? {
                Applied::Done | Applied::NotLoaded => {
                    return Ok(Some(AppliedRow { id: row.id, show: change.show, generation: change.generation }));
                }
                Applied::StaleGeneration(_) => {
                    let show = shows::load_show(self.db(), change.show).await?;
                    change.generation = show.map_or(0, |show| show.generation);
                }
            }
        }
        Ok(None)
    }

    async fn row_failed(&self, row: i64, error: &str) -> Result<(), SagaError> {
        if outbox::failed(self.db(), row, error).await? {
            tracing::error!(row, "outbox row parked, an operator has to look: {error}");
        } else {
            tracing::warn!(row, "outbox row failed: {error}");
        }
        Ok(())
    }
}

fn hold_error(error: HoldError) -> SagaError {
    error.into()
}
