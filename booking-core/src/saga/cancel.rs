//! Cancelling by the customer: a pending booking frees its seats; a confirmed one frees them and refunds the payment in
//! full, in one transaction, until its show starts.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;
use seatwire_protocol::ShowId;
use seatwire_protocol::command::{BookingInfo, BookingState, CancelBooking};
use sha2::{Digest, Sha256};

use super::effects::{Cause, Committed};
use super::expire::{Freed, free_seats};
use super::{Saga, SagaError};
use crate::db::bookings::{self, Booking, EndedBy};
use crate::db::keys::{self, KEY_TAKEN, KeyRow, Operation};
use crate::db::sql::sql;
use crate::db::{Conn, DbError, End, TryError, payments, refunds};
use crate::holds::Refusal;
use crate::holds::ledger::LedgerStatus;

#[derive(Debug)]
enum Cancelled {
    /// It ended now; whether a refund is due.
    Now(Committed, bool),
    /// There was nothing to end.
    Before,
    Refused(Refusal),
}

impl Saga {
    /// Cancels a booking of its customer. One that is over already is answered as it is.
    ///
    /// # Errors
    /// [`SagaError`]; whether it was cancelled is told by the same key.
    pub async fn cancel(&self, command: &CancelBooking) -> Result<Result<BookingInfo, Refusal>, SagaError> {
        let body_hash: [u8; 32] = Sha256::digest(command.booking.0).into();
        if let Some(row) = keys::find(self.db(), &command.customer, Operation::Cancel, &command.key).await? {
            return self.cancelled_before(command, &row, body_hash).await;
        }
        let row = KeyRow { booking: command.booking, body_hash };
        let shared = Arc::new((command.clone(), row));
        let result = self
            .db()
            .write("cancel", move |conn| {
                let shared = Arc::clone(&shared);
                Box::pin(async move { transact(conn, &shared.0, &shared.1).await })
            })
            .await;
        match result {
            Ok(Cancelled::Now(committed, refund)) => {
                tracing::info!(booking = %command.booking.short(), refund, "cancelled by its customer");
                if refund {
                    self.inner.wake.refunds.notify_one();
                }
                failpoint!("cancel.ended");
                self.apply_now(&committed).await;
                failpoint!("cancel.applied");
            }
            Ok(Cancelled::Before) => {}
            Ok(Cancelled::Refused(refusal)) => return Ok(Err(refusal)),
            // The same key was used at this moment.
            Err(DbError::Constraint(name)) if name == KEY_TAKEN => {
                let row = keys::find(self.db(), &command.customer, Operation::Cancel, &command.key).await?;
                let row = row.ok_or_else(|| SagaError::Unavailable("a key that was there is gone".to_owned()))?;
                return self.cancelled_before(command, &row, body_hash).await;
            }
            Err(error) => return Err(error.into()),
        }
        match self.tell_owner(command.booking).await? {
            Some(info) => Ok(Ok(info)),
            None => Ok(Err(Refusal::NotOwner)),
        }
    }

    /// The key took effect: the booking as it is now, which a late payment may have brought back.
    async fn cancelled_before(
        &self,
        command: &CancelBooking,
        row: &KeyRow,
        body_hash: [u8; 32],
    ) -> Result<Result<BookingInfo, Refusal>, SagaError> {
        if row.body_hash != body_hash {
            return Ok(Err(Refusal::KeyReused));
        }
        let known = bookings::get(self.db(), command.booking).await?;
        Ok(known.map(|(_, info)| self.with_checkout(info)).ok_or(Refusal::NotOwner))
    }
}

async fn transact(conn: &mut Conn, command: &CancelBooking, row: &KeyRow) -> Result<End<Cancelled>, TryError> {
    let booking = bookings::lock(conn, command.booking).await?;
    let Some(booking) = booking.filter(|booking| booking.customer == command.customer) else {
        return Ok(End::Rollback(Cancelled::Refused(Refusal::NotOwner)));
    };
    match booking.state {
        BookingState::Pending => {}
        BookingState::Confirmed if has_started(conn, booking.show).await? => {
            return Ok(End::Rollback(Cancelled::Refused(Refusal::SaleClosed)));
        }
        BookingState::Confirmed => {}
        _ => return Ok(End::Rollback(Cancelled::Before)),
    }
    keys::insert(conn, &command.customer, Operation::Cancel, &command.key, row).await?;
    failpoint!("cancel.key_inserted");
    let (committed, refund) = end_booking(conn, &booking, EndedBy::Customer, command.customer.as_str()).await?;
    Ok(End::Commit(Cancelled::Now(committed, refund)))
}

/// Ends a locked booking that is pending or confirmed, the latter with its refund; answers whether there is one.
pub(super) async fn end_booking(
    conn: &mut Conn,
    booking: &Booking,
    by: EndedBy,
    actor: &str,
) -> Result<(Committed, bool), TryError> {
    let is_confirmed = booking.state == BookingState::Confirmed;
    if is_confirmed {
        refund(conn, booking).await?;
        failpoint!("cancel.refund_inserted");
    }
    let from = if is_confirmed { LedgerStatus::Booked } else { LedgerStatus::Claimed };
    let cause = Cause {
        booking: Some(booking.id),
        customer: Some(booking.customer.clone()),
        hold: Some(booking.hold),
        operator: by == EndedBy::Operator,
    };
    let freed = Freed { from, actor, reason: "cancel", cause };
    Ok((free_seats(conn, booking, by, freed).await?, is_confirmed))
}

async fn refund(conn: &mut Conn, booking: &Booking) -> Result<(), TryError> {
    let Some(paid) = payments::lock_settling(conn, booking.id).await? else {
        return Err(DbError::Fault("a confirmed booking has no payment".to_owned()).into());
    };
    refunds::insert(conn, &paid, "cancel").await
}

async fn has_started(conn: &mut Conn, show: ShowId) -> Result<bool, TryError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        started: bool,
    }
    let row: Row = sql("SELECT starts_at <= clock_timestamp() AS started FROM shows WHERE id = $1")
        .bind::<BigInt, _>(show.as_i64())
        .get_result(conn)
        .await?;
    Ok(row.started)
}
