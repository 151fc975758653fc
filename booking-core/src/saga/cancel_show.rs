//! Cancelling by an operator: one booking, or a whole show. A show is closed and its available seats are blocked in one
//! commit; after that no booking of it can become active, and a worker cancels and refunds those that are, until none is
//! left. The work is in rows: a core that dies in the middle leaves the rest to any other.

use futures_util::StreamExt;
use seatwire_protocol::command::{BookingInfo, BookingState};
use seatwire_protocol::{BookingId, SeatIndex, ShowId};

use super::cancel::end_booking;
use super::effects::{Cause, Committed, record};
use super::{Saga, SagaError};
use crate::db::bookings::{self, EndedBy};
use crate::db::cancellations;
use crate::db::seats::{SeatChange, change_seats, lock_seats};
use crate::db::{Conn, End, TryError, shows};
use crate::holds::Refusal;
use crate::holds::ledger::LedgerStatus;

/// Who, in the history of seats.
const ACTOR: &str = "operator";
/// Shows and bookings of one pass, and how many are worked on at a time.
const SHOWS: i64 = 16;
const BATCH: i64 = 64;
const AT_ONCE: usize = 4;

impl Saga {
    /// Cancels a booking for its customer: a confirmed one with its refund, whenever its show starts; a payment that
    /// comes later is refunded too. One that is over is answered as it is; `None` when there is none.
    ///
    /// # Errors
    /// [`SagaError`]; the same call again does no harm.
    pub async fn cancel_by_operator(&self, booking: BookingId) -> Result<Option<BookingInfo>, SagaError> {
        if self.end_by_operator(booking).await? {
            tracing::info!(booking = %booking.short(), "cancelled by an operator");
        }
        Ok(self.tell_owner(booking).await?)
    }

    /// Cancels a show: the sale is closed for good, its available seats are blocked, and its bookings are cancelled and
    /// refunded by the worker. Answers how many seats were blocked; none when the show was cancelled before.
    ///
    /// # Errors
    /// [`SagaError`]; the same call again does no harm.
    pub async fn cancel_show(&self, show: ShowId) -> Result<Result<usize, Refusal>, SagaError> {
        let result = self.db().write("cancel_show", move |conn| Box::pin(close_for_good(conn, show)));
        let committed = match result.await? {
            Ok(Some(committed)) => committed,
            Ok(None) => return Ok(Ok(0)),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let blocked = committed.change.seats.len();
        tracing::warn!(%show, blocked, "show cancelled");
        self.inner.wake.cancellations.notify_one();
        self.apply_now(&committed).await;
        Ok(Ok(blocked))
    }

    /// Cancels bookings of cancelled shows; answers how many.
    ///
    /// # Errors
    /// When they can't be listed, or none could be ended and one failed.
    pub async fn cancel_shows_once(&self) -> Result<usize, SagaError> {
        let mut count = 0;
        let mut failed = None;
        for show in cancellations::open(self.db(), SHOWS).await? {
            let active = cancellations::active_bookings(self.db(), show, BATCH).await?;
            if active.is_empty() {
                if cancellations::finish(self.db(), show).await? {
                    tracing::info!(%show, "every booking of the cancelled show is cancelled");
                }
                continue;
            }
            let results: Vec<_> = futures_util::stream::iter(active)
                .map(|booking| async move {
                    let ended = self.end_by_operator(booking).await?;
                    self.tell_owner_of(Some(booking)).await;
                    Ok::<_, SagaError>(ended)
                })
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            for result in results {
                match result {
                    Ok(ended) => count += usize::from(ended),
                    Err(error) => {
                        tracing::warn!(%show, "a booking of a cancelled show was not cancelled: {error}");
                        failed = Some(error);
                    }
                }
            }
        }
        match failed {
            Some(error) if count == 0 => Err(error),
            _ => Ok(count),
        }
    }

    /// Ends a booking that is not over; `false` when there is nothing to end.
    async fn end_by_operator(&self, id: BookingId) -> Result<bool, SagaError> {
        let ended = self.db().write("cancel_by_operator", move |conn| Box::pin(end_one(conn, id)));
        let Some((committed, refund)) = ended.await? else { return Ok(false) };
        if refund {
            self.inner.wake.refunds.notify_one();
        }
        self.apply_now(&committed).await;
        Ok(true)
    }
}

async fn end_one(conn: &mut Conn, id: BookingId) -> Result<End<Option<(Committed, bool)>>, TryError> {
    let Some(booking) = bookings::lock(conn, id).await? else { return Ok(End::Rollback(None)) };
    if !matches!(booking.state, BookingState::Pending | BookingState::Confirmed) {
        return Ok(End::Rollback(None));
    }
    Ok(End::Commit(Some(end_booking(conn, &booking, EndedBy::Operator, ACTOR).await?)))
}

/// Every seat is locked, not only those that look available: one that a claim or a rescue is about to take is seen as
/// it is after that, and a claim or rescue that comes later finds it blocked.
async fn close_for_good(conn: &mut Conn, show: ShowId) -> Result<End<Result<Option<Committed>, Refusal>>, TryError> {
    let Some((seats, cancelled)) = cancellations::seats_of(conn, show).await? else {
        return Ok(End::Rollback(Err(Refusal::NoSuchShow)));
    };
    if cancelled {
        return Ok(End::Rollback(Ok(None)));
    }
    let locked = lock_seats(conn, show, &seats).await?;
    let available = locked.iter().filter(|seat| seat.status == LedgerStatus::Available);
    let available: Vec<SeatIndex> = available.map(|seat| seat.seat).collect();
    let Some(sale) = cancellations::cancel(conn, show).await? else { return Ok(End::Rollback(Ok(None))) };
    let change = SeatChange {
        show,
        seats: &available,
        from: LedgerStatus::Available,
        to: LedgerStatus::Blocked,
        booking: None,
        actor: ACTOR,
        reason: "cancel_show",
    };
    let changed = change_seats(conn, &change).await?;
    let (_, generation) = shows::selling(conn, show).await?;
    let cause = Cause { operator: true, ..Cause::default() };
    Ok(End::Commit(Ok(Some(record(conn, show, generation, changed, Some(sale), cause).await?))))
}
