//! Payments that came in time, several to a commit: at most one a booking; all bookings by id, all payments by id, then
//! the seats of all bookings in (show, seat) order. What is not plainly right under lock leaves the batch and is settled
//! alone, and so is every event of a batch that failed.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;
use seatwire_protocol::{BookingId, SeatIndex, ShowId};
use serde::Deserialize as _;

use super::facts;
use crate::db::bookings::{self, Booking};
use crate::db::inbox::{self, OpenEvent};
use crate::db::orders;
use crate::db::outbox;
use crate::db::payments;
use crate::db::seats::{ChangedSeat, book_claimed, lock_seats};
use crate::db::shows;
use crate::db::{Conn, DbError, End, TryError};
use crate::holds::ledger::{LedgerChange, LedgerStatus};
use crate::metrics as names;
use crate::payments::{Payment, PaymentStatus, ProviderEvent};
use crate::saga::effects::Committed;
use crate::saga::state::{Decision, decide};
use crate::saga::{Saga, SagaError};

/// Bookings of one commit: bounds how long their rows are locked.
const BATCH_MAX: usize = 32;
/// Confirmed bookings that are brought into Redis at a time.
const APPLIES: usize = 16;

/// A captured payment whose booking was seen waiting for it.
#[derive(Clone)]
struct InTime {
    event: i64,
    provider: &'static str,
    payment: Payment,
    booking: BookingId,
}

/// What a batch came to: what was committed, and the events that it settled.
type Booked = (Vec<Committed>, HashSet<i64>);

impl Saga {
    /// Settles those of the events that are plainly in time, if more than one; answers the others.
    ///
    /// # Errors
    /// When the database is out of reach.
    pub(super) async fn settle_in_time(&self, events: Vec<OpenEvent>) -> Result<Vec<OpenEvent>, SagaError> {
        let wanted = self.in_time(&events).await?;
        let mut settled = HashSet::new();
        for batch in wanted.chunks(BATCH_MAX).filter(|batch| batch.len() > 1) {
            settled.extend(self.settle_batch(batch.to_vec()).await?);
        }
        Ok(events.into_iter().filter(|event| !settled.contains(&event.id)).collect())
    }

    /// Ends those of the events that tell of a captured payment once more; answers the others. A provider tells of most
    /// payments twice: of the payment, and of the order that it paid.
    ///
    /// # Errors
    /// When the database is out of reach.
    pub(super) async fn settle_told_again(&self, events: Vec<OpenEvent>) -> Result<Vec<OpenEvent>, SagaError> {
        let captured: Vec<i64> = self.captured(&events).into_iter().map(|(event, ..)| event).collect();
        if captured.is_empty() {
            return Ok(events);
        }
        let ended: HashSet<i64> = inbox::end_told_again(self.db(), captured).await?.into_iter().collect();
        Ok(events.into_iter().filter(|event| !ended.contains(&event.id)).collect())
    }

    /// Those of the events that tell of a captured payment.
    fn captured(&self, events: &[OpenEvent]) -> Vec<(i64, &'static str, Payment)> {
        let captured = |event: &OpenEvent| match ProviderEvent::deserialize(&event.body) {
            Ok(ProviderEvent::Payment(payment)) if payment.status == PaymentStatus::Captured => {
                Some((event.id, self.provider(&event.provider).ok()?.name(), payment))
            }
            _ => None,
        };
        events.iter().filter_map(captured).collect()
    }

    /// Answers the events that it settled.
    async fn settle_batch(&self, batch: Vec<InTime>) -> Result<HashSet<i64>, SagaError> {
        let booked = self
            .db()
            .write("settle_in_time", move |conn| {
                let batch = batch.clone();
                Box::pin(async move { transact(conn, batch).await })
            })
            .await;
        let (committed, settled) = match booked {
            Ok(booked) => booked,
            Err(DbError::Fault(text) | DbError::Constraint(text)) => {
                tracing::warn!("payments are settled one by one: {text}");
                return Ok(HashSet::new());
            }
            Err(error) => return Err(error.into()),
        };
        metrics::counter!(names::SETTLE_BATCHED).increment(settled.len() as u64);
        let bookings = committed.iter().filter_map(|committed| committed.change.booking).collect();
        futures_util::stream::iter(committed)
            .for_each_concurrent(APPLIES, |committed| async move {
                tracing::info!(show = %committed.change.show, "confirmed");
                self.apply_now(&committed).await;
            })
            .await;
        self.tell_owners(bookings).await;
        Ok(settled)
    }

    /// Captured payments of pending bookings, the first of each booking and of each payment.
    async fn in_time(&self, events: &[OpenEvent]) -> Result<Vec<InTime>, SagaError> {
        let captured = self.captured(events);
        if captured.len() < 2 {
            return Ok(Vec::new());
        }
        let key = |provider: &str, order: &str| (provider.to_owned(), order.to_owned());
        let asked = captured.iter().map(|(_, provider, payment)| key(provider, &payment.order)).collect();
        let pending: HashMap<(String, String), BookingId> =
            orders::pending(self.db(), asked).await?.into_iter().collect();
        let (mut bookings, mut payments) = (HashSet::new(), HashSet::new());
        let in_time = captured.into_iter().filter_map(|(event, provider, payment)| {
            let booking = *pending.get(&key(provider, &payment.order))?;
            let first = payments.insert(payment.id.clone()) & bookings.insert(booking);
            first.then_some(InTime { event, provider, payment, booking })
        });
        Ok(in_time.collect())
    }
}

/// Run again after a COMMIT in doubt, it finds its events done and books nothing.
async fn transact(conn: &mut Conn, mut wanted: Vec<InTime>) -> Result<End<Booked>, TryError> {
    let open: HashSet<i64> =
        inbox::lock_all(conn, wanted.iter().map(|one| one.event).collect()).await?.into_iter().collect();
    wanted.retain(|one| open.contains(&one.event));
    let ids: Vec<BookingId> = wanted.iter().map(|one| one.booking).collect();
    let locked: HashMap<BookingId, Booking> =
        bookings::lock_all(conn, &ids).await?.into_iter().map(|booking| (booking.id, booking)).collect();
    wanted.retain(|one| {
        let found = locked.get(&one.booking);
        found.is_some_and(|booking| decide(facts(booking, &one.payment)) == Decision::Confirm)
    });
    let captured: Vec<_> = wanted.iter().map(|one| (one.provider, &one.payment, Some(one.booking))).collect();
    let stored: HashMap<String, _> = payments::upsert_and_lock_all(conn, &captured).await?.into_iter().collect();
    wanted.retain(|InTime { payment, .. }| {
        stored.get(&payment.id).is_some_and(|stored| {
            !stored.settled
                && stored.order == payment.order
                && stored.amount == payment.amount
                && stored.currency == payment.currency
        })
    });
    if wanted.is_empty() {
        return Ok(End::Rollback(Booked::default()));
    }

    let ids: Vec<BookingId> = wanted.iter().map(|one| one.booking).collect();
    let mut changes: HashMap<BookingId, LedgerChange> = HashMap::new();
    let seats = bookings::seats_of_all(conn, &ids).await?;
    for of_show in seats.chunk_by(|a, b| a.0 == b.0) {
        let Some((show, ..)) = of_show.first() else { continue };
        for ((seat, generation), booking) in book_show(conn, *show, of_show).await? {
            let booking = locked.get(&booking).ok_or_else(|| DbError::Fault("a seat of another booking".to_owned()))?;
            let change = changes.entry(booking.id).or_insert_with(|| confirmed(booking, generation));
            change.seats.push(seat);
        }
    }
    bookings::confirm_pending(conn, &ids).await?;
    payments::book_all(conn, wanted.iter().map(|one| one.payment.id.clone()).collect()).await?;
    let settled: HashSet<i64> = wanted.iter().map(|one| one.event).collect();
    inbox::done_all(conn, settled.iter().copied().collect(), "confirmed").await?;
    let changes: Vec<LedgerChange> = changes.into_values().collect();
    let rows = outbox::insert_all(conn, &changes).await?;
    let committed = rows.into_iter().zip(changes).map(|(row, change)| Committed { row, change }).collect();
    Ok(End::Commit((committed, settled)))
}

/// Locks the seats of one show, sees that each is claimed by its own booking, and books them; answers each with the
/// show's generation and its booking.
async fn book_show(
    conn: &mut Conn,
    show: ShowId,
    seats: &[(ShowId, SeatIndex, BookingId)],
) -> Result<Vec<((ChangedSeat, u64), BookingId)>, TryError> {
    let wanted: Vec<SeatIndex> = seats.iter().map(|(_, seat, _)| *seat).collect();
    let locked = lock_seats(conn, show, &wanted).await?;
    let whole = locked.len() == seats.len()
        && locked.iter().zip(seats).all(|(row, (_, seat, booking))| {
            row.seat == *seat && row.status == LedgerStatus::Claimed && row.booking == Some(bookings::uuid(*booking))
        });
    if !whole {
        return Err(DbError::Fault("a pending booking does not have its seats".to_owned()).into());
    }
    let (_, generation) = shows::selling(conn, show).await?;
    let changed = book_claimed(conn, show, &wanted).await?;
    Ok(changed.into_iter().map(|(seat, booking)| ((seat, generation), booking)).collect())
}

fn confirmed(booking: &Booking, generation: u64) -> LedgerChange {
    LedgerChange {
        show: booking.show,
        generation,
        seats: Vec::new(),
        hold: Some(booking.hold),
        booking: Some(booking.id),
        customer: Some(booking.customer.clone()),
        sale: None,
        operator: false,
    }
}
