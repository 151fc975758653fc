//! The refund worker: asks the provider for each refund that is due, with the attempt's own key. While the outcome is
//! unknown the same key is sent again. After a definite failure the payment's refunds are listed: one that worked is
//! ours; else the next attempt gets a new key. A key whose stored failure the provider repeats is spent in the same way.

use futures_util::StreamExt;

use super::refund_events::ASK_AGAIN_MS;
use super::{Saga, SagaError};
use crate::db::refunds::{self, DueRefund, Fault};
use crate::db::{End, bookings};
use crate::payments::{PaymentProvider, ProviderError, Refund, RefundStatus};

/// Refunds of one pass, and how many are asked for at a time.
const BATCH: i64 = 32;
const AT_ONCE: usize = 4;
/// A worker that took a refund has so long; longer than a call's deadline and its follow-up.
const LEASE_MS: u64 = 30_000;
/// Longest pause between calls while the outcome is unknown.
const PAUSE_MAX_MS: u64 = 30_000;

/// What a call came to.
enum Told {
    Processed(String),
    Pending(String),
    Failed(String),
    /// Nothing more will come of this key, through no fault of the refund.
    Spent(String),
    Unknown(String),
}

impl Saga {
    /// Asks for refunds that are due; answers how many.
    ///
    /// # Errors
    /// When they can't be taken.
    pub async fn refund_once(&self) -> Result<usize, SagaError> {
        let due = refunds::take_due(self.db(), self.providers().names(), BATCH, LEASE_MS).await?;
        let count = due.len();
        futures_util::stream::iter(due)
            .for_each_concurrent(AT_ONCE, |refund| async move {
                if let Err(error) = self.refund(&refund).await {
                    tracing::warn!(payment = refund.payment, "refund not recorded, asked again: {error}");
                }
            })
            .await;
        Ok(count)
    }

    async fn refund(&self, due: &DueRefund) -> Result<(), SagaError> {
        let provider = self.provider(&due.provider)?;
        if repeats!("refund.call") {
            let _ = ask_to_refund(provider, due).await;
        }
        let told = match &due.provider_id {
            Some(id) => ask_about(provider, id).await,
            None => ask_to_refund(provider, due).await,
        };
        failpoint!("refund.called");
        let (id, booking, tries) = (due.id, due.booking, due.tries);
        let payment = &due.payment;
        match &told {
            Told::Processed(_) => tracing::info!(payment, "refunded"),
            Told::Pending(_) => tracing::debug!(payment, "refund pending"),
            Told::Failed(text) => tracing::warn!(payment, "refund failed: {text}"),
            Told::Spent(text) => tracing::info!(payment, "refund asked for anew: {text}"),
            Told::Unknown(text) => tracing::debug!(payment, tries, "refund's outcome unknown: {text}"),
        }
        let told = std::sync::Arc::new(told);
        let parked = self
            .db()
            .write("record_refund", move |conn| {
                let told = std::sync::Arc::clone(&told);
                Box::pin(async move {
                    if let Some(booking) = booking {
                        bookings::lock(conn, booking).await?;
                    }
                    let mut parked = None;
                    match &*told {
                        Told::Processed(provider_id) => {
                            refunds::processed(conn, id, provider_id).await?;
                        }
                        Told::Pending(provider_id) => {
                            refunds::put_off(conn, id, Some(provider_id), ASK_AGAIN_MS, None).await?;
                        }
                        Told::Failed(text) => {
                            parked = refunds::failed(conn, id, text, Fault::Own).await?;
                        }
                        Told::Spent(text) => {
                            refunds::failed(conn, id, text, Fault::Providers { wait_ms: pause_ms(tries) }).await?;
                        }
                        Told::Unknown(text) => {
                            refunds::put_off(conn, id, None, pause_ms(tries), Some(text)).await?;
                        }
                    }
                    failpoint!("refund.row_changed");
                    if let (Some(booking), Told::Processed(_) | Told::Failed(_)) = (booking, &*told) {
                        bookings::touch(conn, booking).await?;
                    }
                    Ok(End::Commit(parked))
                })
            })
            .await?;
        failpoint!("refund.recorded");
        if parked == Some(true) {
            tracing::error!(payment, "refund attempts used up, an operator has to look");
        }
        self.tell_owner_of(booking).await;
        Ok(())
    }
}

async fn ask_to_refund(provider: &dyn PaymentProvider, due: &DueRefund) -> Told {
    let failure = match provider.refund(due.payment.clone(), due.amount, due.key.clone()).await {
        Ok(refund) => return told(refund, due.amount),
        Err(ProviderError::Unknown(text)) => return Told::Unknown(text),
        Err(ProviderError::Refused { status, text }) => Told::Failed(format!("{status}: {text}")),
        Err(ProviderError::Spent(text)) => Told::Spent(text),
    };
    // "Fully refunded already" is a success of an earlier attempt: look before trying anew.
    match provider.refunds_of(due.payment.clone()).await {
        Ok(list) => list
            .into_iter()
            .find(|refund| refund.amount == due.amount && refund.status != RefundStatus::Failed)
            .map_or(failure, |found| told(found, due.amount)),
        Err(error) => Told::Unknown(error.to_string()),
    }
}

async fn ask_about(provider: &dyn PaymentProvider, provider_id: &str) -> Told {
    match provider.refund_status(provider_id.to_owned()).await {
        Ok(Some(refund)) => {
            let amount = refund.amount;
            told(refund, amount)
        }
        Ok(None) => Told::Failed("the provider does not know it any more".to_owned()),
        Err(error) => Told::Unknown(error.to_string()),
    }
}

fn told(refund: Refund, amount: u64) -> Told {
    if refund.amount != amount {
        return Told::Unknown(format!("refund {} is of another amount", refund.id));
    }
    match refund.status {
        RefundStatus::Processed => Told::Processed(refund.id),
        RefundStatus::Pending => Told::Pending(refund.id),
        RefundStatus::Failed => Told::Failed(format!("refund {} failed", refund.id)),
    }
}

fn pause_ms(tries: i32) -> u64 {
    let doublings = u32::try_from(tries).unwrap_or(0).min(6);
    (500 * 2_u64.pow(doublings)).min(PAUSE_MAX_MS)
}
