//! What the provider tells of refunds: the refund of that id, or the live one of that payment, gets its end. One that
//! we never decided is somebody else's act: an operator has to look.

use super::{Saga, SagaError};
use crate::db::{Conn, End, TryError, bookings, inbox, payments, refunds};
use crate::payments::{Refund, RefundStatus};

/// The provider has accepted and will tell; it is asked all the same after so long.
pub(super) const ASK_AGAIN_MS: u64 = 30_000;

impl Saga {
    pub(super) async fn settle_refund(&self, event: i64, refund: Refund) -> Result<(), SagaError> {
        let told = self.db().write("settle_refund", move |conn| {
            let refund = refund.clone();
            Box::pin(async move { transact(conn, event, &refund).await })
        });
        let booking = told.await?;
        failpoint!("refund_event.settled");
        self.inner.wake.refunds.notify_one();
        self.tell_owner_of(booking).await;
        Ok(())
    }
}

type Told = Option<seatwire_protocol::BookingId>;

async fn transact(conn: &mut Conn, event: i64, refund: &Refund) -> Result<End<Told>, TryError> {
    if !inbox::lock(conn, event).await? {
        return Ok(End::Rollback(None));
    }
    // Booking first, as everywhere.
    let booking = payments::booking_of(conn, &refund.payment).await?.flatten();
    if let Some(booking) = booking {
        bookings::lock(conn, booking).await?;
    }
    let Some((id, state)) = refunds::lock_for_event(conn, &refund.id, &refund.payment, refund.amount).await? else {
        tracing::error!(event, refund = refund.id, "refund that we did not decide, an operator has to look");
        inbox::done(conn, event, "unknown_refund", true).await?;
        return Ok(End::Commit(None));
    };
    failpoint!("refund_event.locked");
    let open = matches!(state.as_str(), "DUE" | "REQUESTED");
    let result = match (refund.status, open) {
        (RefundStatus::Pending, true) => {
            refunds::put_off(conn, id, Some(&refund.id), ASK_AGAIN_MS, None).await?;
            "refund_pending"
        }
        (RefundStatus::Processed, true) => {
            refunds::processed(conn, id, &refund.id).await?;
            "refund_processed"
        }
        (RefundStatus::Failed, true) => {
            refunds::put_off(conn, id, Some(&refund.id), 0, None).await?;
            let error = "the provider says that it failed";
            refunds::failed(conn, id, error, refunds::Fault::Own).await?;
            "refund_failed"
        }
        (RefundStatus::Failed, false) if state == "PROCESSED" => {
            tracing::error!(event, refund = refund.id, "a processed refund failed, an operator has to look");
            inbox::done(conn, event, "refund_failed_late", true).await?;
            return Ok(End::Commit(None));
        }
        (_, false) => "duplicate",
    };
    if let Some(booking) = booking.filter(|_| open) {
        bookings::touch(conn, booking).await?;
    }
    failpoint!("refund_event.row_changed");
    inbox::done(conn, event, result, false).await?;
    Ok(End::Commit(booking))
}
