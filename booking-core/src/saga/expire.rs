//! Expiry of unpaid bookings: their seats are free again. The provider is asked first, outside the transaction: a
//! payment that was captured in time but not told yet is written to the inbox like a webhook, and settles the booking.

use futures_util::StreamExt;
use seatwire_protocol::BookingId;
use seatwire_protocol::command::BookingState;

use super::effects::{Cause, Committed, record};
use super::{Saga, SagaError};
use crate::db::bookings::{self, EndedBy};
use crate::db::seats::{SeatChange, change_seats, lock_seats};
use crate::db::{Conn, DbError, End, TryError, shows};
use crate::holds::ledger::LedgerStatus;

/// Bookings of one pass, and how many questions to the provider are open at a time.
const BATCH: i64 = 64;
const AT_ONCE: usize = 4;

impl Saga {
    /// Ends overdue bookings; answers how many.
    ///
    /// # Errors
    /// When they can't be listed, or none could be ended and one failed.
    pub async fn expire_once(&self) -> Result<usize, SagaError> {
        let overdue = bookings::overdue(self.db(), BATCH).await?;
        let results: Vec<Result<bool, SagaError>> = futures_util::stream::iter(overdue)
            .map(|(booking, order, overdue_ms)| self.expire(booking, order, overdue_ms))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let ended = results.iter().filter(|result| matches!(result, Ok(true))).count();
        match results.into_iter().find_map(Result::err) {
            // The loop backs off: the provider is asked at a bounded rate while it is down.
            Some(error) if ended == 0 => Err(error),
            Some(error) => {
                tracing::warn!("not every overdue booking was ended: {error}");
                Ok(ended)
            }
            None => Ok(ended),
        }
    }

    async fn expire(
        &self,
        booking: BookingId,
        order: Option<(String, String)>,
        overdue_ms: u64,
    ) -> Result<bool, SagaError> {
        if let Some((provider, order)) = order {
            match self.ask_for(&provider, &order).await {
                Ok(0) => {}
                // The inbox has it now; settlement decides.
                Ok(_) if overdue_ms < self.inner.config.ask_ms => return Ok(false),
                Err(error) if overdue_ms < self.inner.config.ask_ms => return Err(error),
                // Waited for long enough, for the provider or for an event that is parked: whoever paid gets the
                // seats if they are still free then, else the money back.
                Ok(_) => tracing::warn!(booking = %booking.short(), "expires with a payment that is parked"),
                Err(error) => {
                    tracing::warn!(booking = %booking.short(), "expires without the provider's word: {error}");
                }
            }
        }
        failpoint!("expire.asked");
        let ended = self.db().write("expire", move |conn| Box::pin(transact(conn, booking))).await?;
        let Some(committed) = ended else { return Ok(false) };
        tracing::info!(show = %committed.change.show, booking = %booking.short(), "expired");
        failpoint!("expire.ended");
        self.apply_now(&committed).await;
        failpoint!("expire.applied");
        self.tell_owner_of(Some(booking)).await;
        Ok(true)
    }
}

async fn transact(conn: &mut Conn, id: BookingId) -> Result<End<Option<Committed>>, TryError> {
    let Some(booking) = bookings::lock(conn, id).await? else { return Ok(End::Rollback(None)) };
    let due = booking.state == BookingState::Pending && booking.overdue;
    if !due || bookings::has_open_event(conn, id).await? {
        return Ok(End::Rollback(None));
    }
    let cause = Cause {
        booking: Some(id),
        customer: Some(booking.customer.clone()),
        hold: Some(booking.hold),
        operator: false,
    };
    let freed = Freed { from: LedgerStatus::Claimed, actor: "expiry", reason: "expire", cause };
    Ok(End::Commit(Some(free_seats(conn, &booking, EndedBy::Time, freed).await?)))
}

/// How the seats of a booking that is over become free.
pub(super) struct Freed<'a> {
    pub(super) from: LedgerStatus,
    pub(super) actor: &'a str,
    pub(super) reason: &'static str,
    pub(super) cause: Cause,
}

/// Ends a locked booking and frees its seats.
pub(super) async fn free_seats(
    conn: &mut Conn,
    booking: &bookings::Booking,
    by: EndedBy,
    freed: Freed<'_>,
) -> Result<Committed, TryError> {
    let seats = bookings::seats_of(conn, booking.id).await?;
    let locked = lock_seats(conn, booking.show, &seats).await?;
    let owner = Some(bookings::uuid(booking.id));
    if locked.len() != seats.len() || locked.iter().any(|s| s.status != freed.from || s.booking != owner) {
        return Err(DbError::Fault("a booking does not have its seats".to_owned()).into());
    }
    failpoint!("free.seats_locked");
    let change = SeatChange {
        show: booking.show,
        seats: &seats,
        from: freed.from,
        to: LedgerStatus::Available,
        booking: Some(booking.id),
        actor: freed.actor,
        reason: freed.reason,
    };
    let changed = change_seats(conn, &change).await?;
    failpoint!("free.seats_changed");
    bookings::end(conn, booking.id, by).await?;
    failpoint!("free.booking_ended");
    let (_, generation) = shows::selling(conn, booking.show).await?;
    record(conn, booking.show, generation, changed, None, freed.cause).await
}
