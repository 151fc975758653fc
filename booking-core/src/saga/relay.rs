//! The outbox relay: applies committed changes that the core which made them did not get into Redis. Order does not
//! matter: each seat carries its version. A row is marked only when it was applied under the ledger's generation.

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
        let mut applied = Vec::new();
        let mut left = Vec::new();
        let mut outage = None;
        for row in taken.rows {
            if outage.is_some() {
                left.push(row.id);
                continue;
            }
            match self.relay(&row).await {
                Ok(Some(done)) => applied.push(done),
                Ok(None) => left.push(row.id),
                Err(SagaError::Unavailable(text)) => {
                    left.push(row.id);
                    outage = Some(text);
                }
                Err(SagaError::Internal(text)) => self.row_failed(row.id, &text).await?,
            }
        }
        failpoint!("relay.applied");
        let count = if applied.is_empty() { 0 } else { outbox::mark(self.db(), applied).await? };
        if !left.is_empty() {
            outbox::put_off(self.db(), left, PUT_OFF_MS).await?;
        }
        match outage {
            Some(text) => Err(SagaError::Unavailable(text)),
            None => Ok(count),
        }
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
