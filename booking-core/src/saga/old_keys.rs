//! The end of idempotency keys: a small batch every few seconds, so that a table that grew for long shrinks without
//! anybody noticing. Idle it costs one look at the oldest entry of an index.

use super::{Saga, SagaError};
use crate::db::keys;

/// Keys of one pass.
const BATCH: i32 = 1_000;

impl Saga {
    /// Ends keys whose time is over; answers how many.
    ///
    /// # Errors
    /// When the ledger is out of reach.
    pub async fn end_keys_once(&self) -> Result<u64, SagaError> {
        let ended = keys::end_old(self.db(), self.inner.config.key_hours, BATCH).await?;
        if ended > 0 {
            tracing::debug!(ended, "idempotency keys ended");
        }
        Ok(ended)
    }
}
