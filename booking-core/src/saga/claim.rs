//! `book`: a hold becomes a pending booking whose seats are claimed in the ledger, before any money moves.
//!
//! Key looked up → hold asked to pay (`begin_book`) → order at the provider → the claim, one transaction → applied in
//! Redis at once. What is known not to have committed is taken back (`end_book`); a COMMIT in doubt is not: the hold
//! stays paying until the key is looked up, or its end. Of two requests under one key the second waits for the first one's
//! transaction, and answers as it does; after the lock timeout it says IN_PROGRESS.

use std::time::Instant;

use seatwire_protocol::command::{Book, BookingInfo, BookingState};
use seatwire_protocol::{BookingId, CustomerId, IdempotencyKey, SeatIndex};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::effects::{Cause, Committed, record};
use super::{Saga, SagaError, receipt};
use crate::db::bookings::{self, NewBooking, PENDING_TAKEN};
use crate::db::keys::{self, KEY_TAKEN, KeyRow, Operation};
use crate::db::orders::{self, OrderRow};
use crate::db::seats::{self, LockedSeat, SeatChange, change_seats, conflicts, lock_seats};
use crate::db::shows::{self, Selling};
use crate::db::{Conn, DbError, End, TryError};
use crate::holds::ledger::LedgerStatus;
use crate::holds::{BegunBook, LimitKind, Refusal};
use crate::payments::NewOrder;

/// Everything that the claim transaction stores and checks.
struct Claim {
    booking: NewBooking,
    seats: Vec<SeatIndex>,
    key: IdempotencyKey,
    key_row: KeyRow,
    order: OrderRow,
    caps: Caps,
}

#[derive(Clone, Copy)]
struct Caps {
    seats_max: u64,
    lapses_max: u64,
    lapse_window_ms: u64,
    cool_down_ms: u64,
    check_ms: u64,
}

#[derive(Debug)]
enum Claimed {
    /// With what its owner is told.
    New(Committed, Box<BookingInfo>),
    /// The key took effect before, or in another request at this moment.
    Replay(KeyRow),
    Refused(Refusal),
    /// The prices on the locked rows are not those that the order was made for.
    Repriced,
}

impl Saga {
    /// Books: the same key and body make one booking, and answer it in its current state.
    ///
    /// # Errors
    /// [`SagaError`]; whether a booking was made is told by the same key.
    pub async fn book(&self, command: &Book) -> Result<Result<BookingInfo, Refusal>, SagaError> {
        let body_hash = body_hash(command);
        if let Some(row) = keys::find(self.db(), &command.customer, Operation::Book, &command.key).await? {
            return self.replay(&row, body_hash).await;
        }
        let fresh = BookingId(*Uuid::new_v4().as_bytes());
        let commit_by = Instant::now() + self.inner.config.commit_within;
        let (show, customer, hold) = (command.show, &command.customer, command.hold);
        let begun = match self.inner.holds.begin_book(show, customer, hold, &command.key, fresh).await? {
            Ok(begun) => begun,
            Err(refusal) => {
                // The hold may be gone because this very key took effect a moment ago.
                return match keys::find(self.db(), customer, Operation::Book, &command.key).await? {
                    Some(row) => self.replay(&row, body_hash).await,
                    None => Ok(Err(refusal)),
                };
            }
        };
        failpoint!("book.begun");
        let result = self.order_and_claim(command, body_hash, &begun, commit_by).await;
        let (committed, booking) = match result {
            Ok(Claimed::New(committed, booking)) => (committed, *booking),
            Ok(Claimed::Replay(row)) => return self.replay(&row, body_hash).await,
            Ok(Claimed::Refused(refusal)) => {
                self.take_back(command, &begun).await;
                return Ok(Err(refusal));
            }
            Ok(Claimed::Repriced) => {
                self.take_back(command, &begun).await;
                return Err(SagaError::Unavailable("a price changed meanwhile".to_owned()));
            }
            Err(ClaimError::NotCommitted(error)) => {
                self.take_back(command, &begun).await;
                return Err(error);
            }
            Err(ClaimError::InDoubt(error)) => return Err(error),
        };
        failpoint!("book.claimed");
        self.apply_now(&committed).await;
        failpoint!("book.applied");
        tracing::info!(%show, booking = %begun.booking.short(), seats = begun.seats.len(), "claimed");
        Ok(Ok(self.tell_owner_what_is_known(customer, booking).await))
    }

    async fn replay(&self, row: &KeyRow, body_hash: [u8; 32]) -> Result<Result<BookingInfo, Refusal>, SagaError> {
        if row.body_hash != body_hash {
            return Ok(Err(Refusal::KeyReused));
        }
        match bookings::get(self.db(), row.booking).await? {
            Some((_, info)) => Ok(Ok(self.with_checkout(info))),
            None => Err(SagaError::Internal("the booking of a key is not there".to_owned())),
        }
    }

    /// Nothing was committed: the hold may be used again. Lost, it ends by itself.
    async fn take_back(&self, command: &Book, begun: &BegunBook) {
        let taken_back = self.inner.holds.end_book(command.show, &command.customer, command.hold, begun).await;
        if let Err(error) = taken_back {
            tracing::debug!(show = %command.show, "hold not given back: {error}");
        }
    }

    async fn order_and_claim(
        &self,
        command: &Book,
        body_hash: [u8; 32],
        begun: &BegunBook,
        commit_by: Instant,
    ) -> Result<Claimed, ClaimError> {
        let config = &self.inner.config;
        let Some((amount, currency)) = seats::quote(self.db(), command.show, &begun.seats).await? else {
            let none = begun.seats.clone();
            return Ok(Claimed::Refused(Refusal::NoSuchSeat(conflicts(&none, &[]))));
        };
        let booking = begun.booking;
        let new = NewOrder { receipt: receipt(booking), amount, currency: currency.clone() };
        let provider = self.providers().for_new_orders();
        if repeats!("book.order") {
            let _ = provider.create_order(new.clone()).await;
        }
        let order = provider.create_order(new).await.map_err(|e| {
            tracing::warn!(show = %command.show, "no order: {e}");
            ClaimError::NotCommitted(SagaError::Unavailable(e.to_string()))
        })?;
        let order = OrderRow {
            id: order.id,
            provider: provider.name(),
            booking: Some(booking),
            receipt: receipt(booking),
            amount,
            currency: currency.clone(),
        };
        failpoint!("book.ordered");
        let claim = std::sync::Arc::new(Claim {
            booking: NewBooking {
                id: booking,
                show: command.show,
                customer: command.customer.clone(),
                hold: command.hold,
                seats: u32::try_from(begun.seats.len()).unwrap_or(u32::MAX),
                amount,
                currency,
                email: command.email.clone(),
                claim_ms: config.claim_ms,
            },
            seats: begun.seats.clone(),
            key: command.key.clone(),
            key_row: KeyRow { booking, body_hash },
            order,
            caps: Caps {
                seats_max: config.seats_max,
                lapses_max: config.lapses_max,
                lapse_window_ms: config.lapse_window_ms,
                cool_down_ms: config.cool_down_ms,
                check_ms: config.reconcile_ms,
            },
        });
        let body = std::sync::Arc::clone(&claim);
        let result = self
            .db()
            .write_by("claim", commit_by, move |conn| {
                let claim = std::sync::Arc::clone(&body);
                Box::pin(async move { transact(conn, &claim).await })
            })
            .await;
        match result {
            Err(DbError::Constraint(name)) if name == PENDING_TAKEN || name == KEY_TAKEN => {
                self.second(&claim.booking.customer, &claim.key).await
            }
            result => Ok(result?),
        }
    }

    /// A unique index says that another request was first: the same key's, or another booking of this customer.
    async fn second(&self, customer: &CustomerId, key: &IdempotencyKey) -> Result<Claimed, ClaimError> {
        let found = keys::find(self.db(), customer, Operation::Book, key).await;
        Ok(match found.map_err(|e| ClaimError::InDoubt(e.into()))? {
            Some(row) => Claimed::Replay(row),
            None => Claimed::Refused(Refusal::Limit { kind: LimitKind::Pending, cap: 1 }),
        })
    }
}

/// The same key, or another booking of this customer here, is at work in another transaction.
const IN_PROGRESS: End<Claimed> = End::Rollback(Claimed::Refused(Refusal::InProgress));

/// The claim. Run again after a COMMIT in doubt, it finds its own booking and answers a replay.
async fn transact(conn: &mut Conn, claim: &Claim) -> Result<End<Claimed>, TryError> {
    let NewBooking { id, show, customer, .. } = &claim.booking;
    let began = Instant::now();
    // What others insert at this moment is waited for; whoever takes longer is told of, instead of a time-out.
    let created_at_ms = match bookings::insert(conn, &claim.booking).await {
        Err(error) if error.is_lock_timeout() => return Ok(IN_PROGRESS),
        inserted => inserted?,
    };
    let Some(created_at_ms) = created_at_ms else {
        return match keys::look(conn, customer, Operation::Book, &claim.key).await? {
            Some(row) => Ok(End::Rollback(Claimed::Replay(row))),
            None => Err(DbError::Fault("a booking of this id was made under another key".to_owned()).into()),
        };
    };
    failpoint!("claim.booking_inserted");
    match keys::insert(conn, customer, Operation::Book, &claim.key, &claim.key_row).await {
        Err(error) if error.is_lock_timeout() => return Ok(IN_PROGRESS),
        inserted => inserted?,
    }
    failpoint!("claim.key_inserted");
    let locked = lock_seats(conn, *show, &claim.seats).await?;
    let taken = conflicts(&claim.seats, &locked);
    if locked.len() != claim.seats.len() {
        return Ok(End::Rollback(Claimed::Refused(Refusal::NoSuchSeat(taken))));
    }
    if !taken.is_empty() {
        return Ok(End::Rollback(Claimed::Refused(Refusal::Taken(taken))));
    }
    if locked.iter().map(|seat| seat.price).sum::<u64>() != claim.booking.amount {
        return Ok(End::Rollback(Claimed::Repriced));
    }
    let (selling, generation) = shows::selling(conn, *show).await?;
    let refusal = match selling {
        Selling::Open => over_the_cap(conn, claim).await?,
        Selling::Before { opens_in_ms } => Some(Refusal::NotOnSale { opens_in_ms }),
        Selling::Closed => Some(Refusal::SaleClosed),
    };
    if let Some(refusal) = refusal {
        return Ok(End::Rollback(Claimed::Refused(refusal)));
    }

    failpoint!("claim.seats_locked");
    let change = SeatChange {
        show: *show,
        seats: &claim.seats,
        from: LedgerStatus::Available,
        to: LedgerStatus::Claimed,
        booking: Some(*id),
        actor: customer.as_str(),
        reason: "claim",
    };
    let changed = change_seats(conn, &change).await?;
    failpoint!("claim.seats_changed");
    bookings::insert_seats(conn, *id, *show, &claim.seats).await?;
    failpoint!("claim.seats_inserted");
    orders::insert(conn, &claim.order, claim.caps.check_ms).await?;
    failpoint!("claim.order_inserted");
    let cause =
        Cause { booking: Some(*id), customer: Some(customer.clone()), hold: Some(claim.booking.hold), operator: false };
    let committed = record(conn, *show, generation, changed, None, cause).await?;
    Ok(End::Commit(Claimed::New(committed, Box::new(pending(claim, &locked, created_at_ms, began)))))
}

/// What its owner sees of a booking that was just made.
fn pending(claim: &Claim, locked: &[LockedSeat], created_at_ms: u64, began: Instant) -> BookingInfo {
    let NewBooking { id, show, amount, currency, claim_ms, .. } = &claim.booking;
    let passed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    BookingInfo {
        booking: *id,
        show: *show,
        seats: locked.iter().map(|seat| seat.seat).collect(),
        labels: locked.iter().map(|seat| seat.label.clone()).collect(),
        state: BookingState::Pending,
        version: 1,
        amount: *amount,
        currency: currency.clone(),
        remaining_ms: claim_ms.saturating_sub(passed),
        order: Some(claim.order.id.clone()),
        checkout_url: None,
        refunds: Vec::new(),
        created_at_ms,
    }
}

async fn over_the_cap(conn: &mut Conn, claim: &Claim) -> Result<Option<Refusal>, TryError> {
    let NewBooking { id, show, customer, seats, .. } = &claim.booking;
    let caps = &claim.caps;
    let standing = bookings::standing(conn, customer, *show, *id, caps.lapse_window_ms).await?;
    if standing.seats + u64::from(*seats) > caps.seats_max {
        return Ok(Some(Refusal::Limit { kind: LimitKind::Seats, cap: caps.seats_max }));
    }
    let waited = standing.since_lapse_ms;
    if standing.lapses >= caps.lapses_max && waited < caps.cool_down_ms {
        return Ok(Some(Refusal::CoolDown { retry_after_ms: caps.cool_down_ms - waited, seats: Vec::new() }));
    }
    Ok(None)
}

/// The same key with another of these is another command.
fn body_hash(command: &Book) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(command.show.get().to_be_bytes());
    hash.update(command.hold.0);
    hash.update(command.email.as_bytes());
    hash.finalize().into()
}

/// Whether the claim may have been committed decides what becomes of the hold.
enum ClaimError {
    NotCommitted(SagaError),
    InDoubt(SagaError),
}

#[cfg(feature = "failpoints")]
impl From<crate::failpoints::Fault> for ClaimError {
    fn from(fault: crate::failpoints::Fault) -> Self {
        Self::NotCommitted(fault.into())
    }
}

impl From<DbError> for ClaimError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::InDoubt(_) => Self::InDoubt(error.into()),
            error => Self::NotCommitted(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
