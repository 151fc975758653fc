//! Settlement: what becomes of a payment that the provider told us of. Driven by the inbox; one transaction an event,
//! which locks the event, then booking → payment → seats.
//!
//! A late payment gets its seats when they are free: before the transaction a hold is placed for the payer, so that
//! nobody else's hold is sold from under him. With Redis out of reach the ledger decides alone.

mod in_time;

use std::sync::Arc;

use futures_util::StreamExt;
use seatwire_protocol::command::{BookingState, HoldPhase};
use seatwire_protocol::{BookingId, CustomerId, HoldId, SeatIndex, ShowId};
use serde::Deserialize as _;

use super::effects::{Cause, Committed, record};
use super::state::{Decision, Facts, decide};
use super::{Saga, SagaError, booking_of_receipt};
use crate::db::bookings::{self, Booking};
use crate::db::inbox::{self, OpenEvent};
use crate::db::orders::{self, OrderRow};
use crate::db::outbox;
use crate::db::payments::{self, PaymentOutcome, Settled};
use crate::db::refunds;
use crate::db::seats::{SeatChange, change_seats, lock_seats, note_payer_hold};
use crate::db::shows::{self, Selling};
use crate::db::{Conn, DbError, End, TryError};
use crate::holds::Refusal;
use crate::holds::ledger::LedgerStatus;
use crate::payments::{Payment, PaymentProvider, PaymentStatus, ProviderEvent};

/// Events of one pass, and how many are worked on at a time.
const BATCH: i64 = 64;
const AT_ONCE: usize = 8;
/// A booking may change between a look and its lock; more often than this it does not.
const LOOKS_MAX: u32 = 4;
/// An event whose provider or database is out of reach waits so long.
const PUT_OFF_MS: u64 = 1_000;

/// A late payment waits so long for a seat map that is being loaded; then the ledger decides alone.
const LOADING_MAX_MS: u64 = 60_000;

/// Whether a late payment may have its seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rescue {
    /// Not asked for: the booking looked as if it needed none.
    NotTried,
    /// With the payer's hold, where Redis answered.
    Allowed(Option<HoldId>),
    /// Somebody else holds a seat.
    Refused,
}

/// What one settlement came to.
#[derive(Debug)]
enum Settlement {
    /// Another worker had the event.
    Skipped,
    /// The booking needs a rescue now: look again.
    LookAgain,
    /// Done, without seats.
    Done { refund: bool },
    /// Done, with seats.
    Confirmed(Committed),
}

impl Saga {
    /// Settles open events; answers how many it looked at. The workers run the two halves side by side: one may wait
    /// for the provider, and a payment in time must not wait with it.
    ///
    /// # Errors
    /// When the inbox can't be read.
    pub async fn settle_once(&self) -> Result<usize, SagaError> {
        Ok(self.settle_known_once().await? + self.settle_others_once().await?)
    }

    /// Settles open events about orders that we know.
    pub(super) async fn settle_known_once(&self) -> Result<usize, SagaError> {
        let events = inbox::open_events(self.db(), true, BATCH).await?;
        let count = events.len();
        let rest = self.settle_in_time(events).await?;
        let rest = self.settle_told_again(rest).await?;
        self.settle_each(rest).await;
        Ok(count)
    }

    /// Settles the other open events: refunds, and orders that have to be looked up at the provider.
    pub(super) async fn settle_others_once(&self) -> Result<usize, SagaError> {
        let events = inbox::open_events(self.db(), false, BATCH).await?;
        let count = events.len();
        self.settle_each(events).await;
        Ok(count)
    }

    async fn settle_each(&self, events: Vec<OpenEvent>) {
        futures_util::stream::iter(events)
            .for_each_concurrent(AT_ONCE, |event| async move {
                let result = self.settle_event(&event).await;
                if let Err(error) = result {
                    self.event_failed(event.id, &error).await;
                }
            })
            .await;
    }

    /// Only an event's own failures count; outages put it off.
    async fn event_failed(&self, event: i64, error: &SagaError) {
        let noted = match error {
            SagaError::Unavailable(_) => inbox::put_off(self.db(), event, PUT_OFF_MS).await,
            SagaError::Internal(text) => inbox::failed(self.db(), event, text).await.map(|parked| {
                if parked {
                    tracing::error!(event, "payment event parked, an operator has to look: {text}");
                } else {
                    tracing::warn!(event, "payment event failed: {text}");
                }
            }),
        };
        if let Err(error) = noted {
            tracing::debug!(event, "failure not noted: {error}");
        }
    }

    async fn settle_event(&self, event: &OpenEvent) -> Result<(), SagaError> {
        match ProviderEvent::deserialize(&event.body) {
            Ok(ProviderEvent::Payment(payment)) => {
                let provider = self.provider(&event.provider)?;
                match self.own_order(event.id, provider, &payment).await? {
                    Some(booking) if payment.status == PaymentStatus::Captured => {
                        self.settle_payment(event.id, provider.name(), &payment, booking).await
                    }
                    Some(booking) => self.note_failed(event.id, provider.name(), payment, booking).await,
                    None => Ok(()),
                }
            }
            Ok(ProviderEvent::Refund(refund)) => self.settle_refund(event.id, refund).await,
            Ok(ProviderEvent::Other) => self.finish(event.id, "ignored", false).await,
            Ok(ProviderEvent::Unreadable { why }) => {
                tracing::error!(event = event.id, "payment event can't be read, an operator has to look: {why}");
                self.finish(event.id, "unreadable", true).await
            }
            Err(error) => Err(SagaError::Internal(format!("stored event: {error}"))),
        }
    }

    /// The booking of a payment's order, anchored in what we stored. An order that we don't know is looked up at the
    /// provider: with a receipt of ours it is adopted; without, it belongs to another system that shares the merchant
    /// account, and its money is not ours to touch: quarantined, and `None`.
    async fn own_order(
        &self,
        event: i64,
        provider: &dyn PaymentProvider,
        payment: &Payment,
    ) -> Result<Option<Option<BookingId>>, SagaError> {
        if let Some((booking, _, _)) = orders::find(self.db(), provider.name(), &payment.order).await? {
            return Ok(Some(booking));
        }
        let order = provider.order(payment.order.clone()).await;
        let order = order.map_err(|e| SagaError::Unavailable(e.to_string()))?;
        let named = order.as_ref().and_then(|order| booking_of_receipt(order.receipt.as_deref()?));
        let (Some(order), Some(named)) = (order, named) else {
            tracing::error!(event, payment = payment.id, "payment of an unknown order, quarantined");
            self.finish(event, "quarantined", true).await?;
            return Ok(None);
        };
        let booking = bookings::peek(self.db(), named).await?.map(|booking| booking.id);
        tracing::error!(event, order = order.id, known = booking.is_some(), "adopted an order of ours");
        let row = OrderRow {
            id: order.id,
            provider: provider.name(),
            booking,
            receipt: order.receipt.unwrap_or_default(),
            amount: order.amount,
            currency: order.currency,
        };
        let check_ms = self.inner.config.reconcile_ms;
        self.db()
            .write("adopt_order", move |conn| {
                let row = row.clone();
                Box::pin(async move { Ok(End::Commit(orders::insert(conn, &row, check_ms).await?)) })
            })
            .await?;
        Ok(Some(booking))
    }

    async fn settle_payment(
        &self,
        event: i64,
        provider: &'static str,
        payment: &Payment,
        booking: Option<BookingId>,
    ) -> Result<(), SagaError> {
        let shared = Arc::new(payment.clone());
        for _ in 0..LOOKS_MAX {
            let (seen, rescue) = self.look(event, booking, payment).await?;
            failpoint!("settle.looked");
            let payment = Arc::clone(&shared);
            let settlement = self
                .db()
                .write("settle", move |conn| {
                    let payment = Arc::clone(&payment);
                    Box::pin(async move { transact(conn, event, provider, &payment, booking, rescue).await })
                })
                .await;
            // Given up only after a refund of our own: otherwise another worker may be at a rescue with this very hold.
            if let (Rescue::Allowed(Some(hold)), Some(seen)) = (rescue, &seen)
                && matches!(settlement, Ok(Settlement::Done { refund: true }))
            {
                let ended = self.inner.holds.end_payer_hold(seen.show, &seen.customer, hold).await;
                if let Err(error) = ended {
                    tracing::debug!(show = %seen.show, "payer's hold not ended: {error}");
                }
            }
            match settlement? {
                Settlement::Skipped => return Ok(()),
                Settlement::LookAgain => {}
                Settlement::Done { refund } => {
                    failpoint!("settle.refund_due");
                    if refund {
                        self.inner.wake.refunds.notify_one();
                    }
                    self.tell_owner_of(booking).await;
                    return Ok(());
                }
                Settlement::Confirmed(committed) => {
                    failpoint!("settle.confirmed");
                    tracing::info!(show = %committed.change.show, payment = shared.id, "confirmed");
                    self.apply_now(&committed).await;
                    failpoint!("settle.applied");
                    self.tell_owner_of(booking).await;
                    return Ok(());
                }
            }
        }
        Err(SagaError::Unavailable("the booking changes faster than it can be settled".to_owned()))
    }

    /// Looks at the booking, and places the payer's hold where a rescue will be needed.
    async fn look(
        &self,
        event: i64,
        booking: Option<BookingId>,
        payment: &Payment,
    ) -> Result<(Option<Booking>, Rescue), SagaError> {
        let Some(id) = booking else { return Ok((None, Rescue::NotTried)) };
        let Some(seen) = bookings::peek(self.db(), id).await? else {
            return Err(SagaError::Internal("an order's booking is not there".to_owned()));
        };
        if decide(facts(&seen, payment)) != Decision::Rescue || payments::is_settled(self.db(), &payment.id).await? {
            return Ok((Some(seen), Rescue::NotTried));
        }
        let seats = self.db().read("seats_of", move |conn| Box::pin(bookings::seats_of(conn, id))).await?;
        let placed = self.inner.holds.place_payer_hold(seen.show, &seen.customer, &seats, &payment.id).await;
        let rescue = match placed {
            Ok(Ok(hold)) => Rescue::Allowed(Some(hold)),
            Ok(Err(Refusal::NotReady { .. })) if inbox::is_younger(self.db(), event, LOADING_MAX_MS).await? => {
                return Err(SagaError::Unavailable("the seat map is being loaded".to_owned()));
            }
            Ok(Err(Refusal::NotReady { .. })) => {
                tracing::warn!(booking = %id.short(), "late payment settled by the ledger alone: no map for too long");
                Rescue::Allowed(None)
            }
            Ok(Err(refusal)) => {
                // A core that died may have left its end to the relay: until then the map has its own seats as claimed.
                if outbox::has_open(self.db(), id).await? {
                    return Err(SagaError::Unavailable("the end of the booking is not on the map yet".to_owned()));
                }
                // Else the second of two payments would be told that somebody has the seats, and it was the first.
                if self.has_paying_hold(seen.show, &seen.customer, &seats).await? {
                    return Err(SagaError::Unavailable("another payment has the seats at this moment".to_owned()));
                }
                tracing::info!(booking = %id.short(), ?refusal, "late payment: no hold for the payer");
                Rescue::Refused
            }
            Err(error) => {
                tracing::warn!(booking = %id.short(), "late payment settled by the ledger alone: {error}");
                Rescue::Allowed(None)
            }
        };
        Ok((Some(seen), rescue))
    }

    /// Whether one of the seats is the payer's own at this moment: another late payment of his is being settled, or he
    /// is booking anew. Either is over within the life of such a hold.
    async fn has_paying_hold(
        &self,
        show: ShowId,
        customer: &CustomerId,
        seats: &[SeatIndex],
    ) -> Result<bool, SagaError> {
        let own = self.inner.holds.own_holds(show, std::slice::from_ref(customer)).await?.unwrap_or_default();
        let mut paying = own.iter().flat_map(|(holds, _)| holds).filter(|hold| hold.phase == HoldPhase::Paying);
        Ok(paying.any(|hold| hold.seats.iter().any(|seat| seats.contains(seat))))
    }

    /// A payment failed: it may still be captured, so nothing else happens.
    async fn note_failed(
        &self,
        event: i64,
        provider: &'static str,
        payment: Payment,
        booking: Option<BookingId>,
    ) -> Result<(), SagaError> {
        let noted = self.db().write("note_failed", move |conn| {
            let payment = payment.clone();
            Box::pin(async move {
                if !inbox::lock(conn, event).await? {
                    return Ok(End::Rollback(()));
                }
                // Storing a payment locks its booking as well, by the foreign key: first, as everywhere.
                if let Some(booking) = booking {
                    bookings::lock(conn, booking).await?;
                }
                payments::upsert_and_lock(conn, provider, &payment, booking).await?;
                inbox::done(conn, event, "payment_failed", false).await?;
                Ok(End::Commit(()))
            })
        });
        Ok(noted.await?)
    }

    /// Ends an event that changes nothing.
    pub(super) async fn finish(&self, event: i64, result: &'static str, parked: bool) -> Result<(), SagaError> {
        let finished = self.db().write("finish_event", move |conn| {
            Box::pin(async move {
                if inbox::lock(conn, event).await? {
                    inbox::done(conn, event, result, parked).await?;
                }
                Ok(End::Commit(()))
            })
        });
        Ok(finished.await?)
    }
}

fn facts(booking: &Booking, payment: &Payment) -> Facts {
    Facts {
        state: booking.state,
        ever_confirmed: booking.ever_confirmed,
        ended_by_operator: booking.ended_by_operator,
        amount_matches: booking.amount == payment.amount && booking.currency == payment.currency,
    }
}

async fn transact(
    conn: &mut Conn,
    event: i64,
    provider: &'static str,
    payment: &Payment,
    booking: Option<BookingId>,
    rescue: Rescue,
) -> Result<End<Settlement>, TryError> {
    if !inbox::lock(conn, event).await? {
        return Ok(End::Rollback(Settlement::Skipped));
    }
    failpoint!("settle.event_locked");
    let booking = match booking {
        Some(id) => bookings::lock(conn, id).await?,
        None => None,
    };
    let stored = payments::upsert_and_lock(conn, provider, payment, booking.as_ref().map(|booking| booking.id)).await?;
    failpoint!("settle.payment_stored");
    if stored.order != payment.order {
        let text = format!("payment {} is known with another order", payment.id);
        return Err(DbError::Fault(text).into());
    }
    if stored.settled {
        inbox::done(conn, event, "duplicate", false).await?;
        return Ok(End::Commit(Settlement::Done { refund: false }));
    }
    let payment = Payment { amount: stored.amount, currency: stored.currency, ..payment.clone() };
    let Some(booking) = booking else {
        return refund(conn, event, &payment, None, "no_booking").await;
    };
    match (decide(facts(&booking, &payment)), rescue) {
        (Decision::Confirm, _) => confirm(conn, event, &payment, &booking, LedgerStatus::Claimed, booking.hold).await,
        (Decision::Rescue, Rescue::NotTried) => Ok(End::Rollback(Settlement::LookAgain)),
        (Decision::Rescue, Rescue::Refused) => refund(conn, event, &payment, Some(&booking), "seats_taken").await,
        (Decision::Rescue, Rescue::Allowed(hold)) => {
            let hold = hold.unwrap_or(booking.hold);
            confirm(conn, event, &payment, &booking, LedgerStatus::Available, hold).await
        }
        (Decision::Refund(reason), _) => refund(conn, event, &payment, Some(&booking), reason).await,
    }
}

/// The seats become booked: from claimed in time, from available in a rescue. A rescue also needs an open sale, read
/// after the seats are locked, and every seat free; else the money goes back.
async fn confirm(
    conn: &mut Conn,
    event: i64,
    payment: &Payment,
    booking: &Booking,
    from: LedgerStatus,
    hold: HoldId,
) -> Result<End<Settlement>, TryError> {
    let is_rescue = from == LedgerStatus::Available;
    let seats = bookings::seats_of(conn, booking.id).await?;
    let locked = lock_seats(conn, booking.show, &seats).await?;
    let (selling, generation) = shows::selling(conn, booking.show).await?;
    let owner = (!is_rescue).then(|| bookings::uuid(booking.id));
    let whole = locked.len() == seats.len() && locked.iter().all(|s| s.status == from && s.booking == owner);
    if !whole && !is_rescue {
        return Err(DbError::Fault("a pending booking does not have its seats".to_owned()).into());
    }
    if is_rescue && selling != Selling::Open {
        return refund(conn, event, payment, Some(booking), "sale_closed").await;
    }
    if !whole {
        return refund(conn, event, payment, Some(booking), "seats_taken").await;
    }
    failpoint!("settle.seats_locked");
    let reason = if is_rescue { "rescue" } else { "settle" };
    let change = SeatChange {
        show: booking.show,
        seats: &seats,
        from,
        to: LedgerStatus::Booked,
        booking: Some(booking.id),
        actor: booking.customer.as_str(),
        reason,
    };
    let changed = change_seats(conn, &change).await?;
    failpoint!("settle.seats_changed");
    bookings::confirm(conn, booking.id).await?;
    failpoint!("settle.booking_confirmed");
    if hold != booking.hold {
        note_payer_hold(conn, booking.id, hold).await?;
    }
    payments::set_outcome(conn, &payment.id, PaymentOutcome::Booking).await?;
    failpoint!("settle.outcome_set");
    inbox::done(conn, event, if is_rescue { "rescued" } else { "confirmed" }, false).await?;
    failpoint!("settle.event_done");
    let cause = Cause {
        booking: Some(booking.id),
        customer: Some(booking.customer.clone()),
        hold: Some(hold),
        operator: false,
    };
    Ok(End::Commit(Settlement::Confirmed(record(conn, booking.show, generation, changed, None, cause).await?)))
}

async fn refund(
    conn: &mut Conn,
    event: i64,
    payment: &Payment,
    booking: Option<&Booking>,
    reason: &'static str,
) -> Result<End<Settlement>, TryError> {
    payments::set_outcome(conn, &payment.id, PaymentOutcome::Refund(reason)).await?;
    failpoint!("settle.refund_chosen");
    let paid =
        Settled { payment: payment.id.clone(), booking: booking.map(|booking| booking.id), amount: payment.amount };
    refunds::insert(conn, &paid, reason).await?;
    failpoint!("settle.refund_inserted");
    if let Some(booking) = booking {
        bookings::touch(conn, booking.id).await?;
    }
    inbox::done(conn, event, "refund", false).await?;
    let pending = booking.is_some_and(|booking| booking.state == BookingState::Pending);
    tracing::warn!(payment = payment.id, reason, pending, "payment will be refunded");
    Ok(End::Commit(Settlement::Done { refund: true }))
}
