//! Reconciliation: orders are asked for at the provider, with growing pauses, for some days. A payment that we did not
//! hear of is written to the inbox like a webhook: fetched by us, it counts as verified.

use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::{Saga, SagaError};
use crate::db::inbox::{self, NewEvent};
use crate::db::{orders, payments};
use crate::payments::{PaymentStatus, ProviderEvent};

/// Orders of one pass, and how many are asked for at a time.
const BATCH: i64 = 32;
const AT_ONCE: usize = 4;
/// An order waits so long when the provider did not answer.
const ASK_AGAIN_MS: u64 = 5_000;

impl Saga {
    /// Asks for orders whose turn it is; answers for how many it could.
    ///
    /// # Errors
    /// When they can't be taken, or none of them could be asked for.
    pub async fn reconcile_once(&self) -> Result<usize, SagaError> {
        let config = &self.inner.config;
        let names = self.providers().names();
        let due = orders::take_due(self.db(), names, BATCH, config.reconcile_ms, config.reconcile_days).await?;
        let count = due.len();
        let failures: Vec<(String, SagaError)> =
            futures_util::stream::iter(due)
                .map(|(provider, order)| async move {
                    self.ask_for(&provider, &order).await.err().map(|error| (order, error))
                })
                .buffer_unordered(AT_ONCE)
                .filter_map(|failure| async move { failure })
                .collect()
                .await;
        let (unasked, mut errors): (Vec<String>, Vec<SagaError>) = failures.into_iter().unzip();
        let Some(error) = errors.pop() else { return Ok(count) };
        // A question that could not be asked does not count.
        let asked = count - unasked.len();
        orders::ask_again(self.db(), unasked, ASK_AGAIN_MS).await?;
        if asked == 0 {
            return Err(error);
        }
        // The others are not kept waiting: a provider with bad moments would leave more behind than it is asked for.
        tracing::warn!("not every order was asked for: {error}");
        Ok(asked)
    }

    /// Asks the provider for the payments of an order; answers how many captured ones are not settled yet. Those are
    /// in the inbox when this returns.
    pub(super) async fn ask_for(&self, provider: &str, order: &str) -> Result<usize, SagaError> {
        let provider = self.provider(provider)?;
        let found = provider.payments_of(order.to_owned()).await;
        let found = found.map_err(|e| SagaError::Unavailable(e.to_string()))?;
        failpoint!("reconcile.answered");
        let mut unsettled = 0;
        for payment in found.into_iter().filter(|payment| payment.status == PaymentStatus::Captured) {
            if payments::is_settled(self.db(), &payment.id).await? {
                continue;
            }
            unsettled += 1;
            let (id, order) = (payment.id.clone(), payment.order.clone());
            let event = ProviderEvent::Payment(payment);
            let body = serde_json::to_value(&event).map_err(|e| SagaError::Internal(e.to_string()))?;
            // The same finding again is the same event.
            let mut hash = Sha256::new();
            hash.update(b"fetched payment ");
            hash.update(body.to_string().as_bytes());
            let event = NewEvent {
                provider: provider.name(),
                body_hash: hash.finalize().into(),
                event_id: None,
                fetched: true,
                kind: "payment.fetched".to_owned(),
                order: Some(order),
                payment: Some(id.clone()),
                body,
            };
            if inbox::store(self.db(), event).await? {
                tracing::info!(payment = id, "found a payment that no webhook told of");
            }
            failpoint!("reconcile.stored");
            self.wake_settle();
        }
        Ok(unsettled)
    }
}
