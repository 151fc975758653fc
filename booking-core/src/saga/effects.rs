//! What follows a commit: the change goes into Redis at once, the owner is told, the outbox row is marked. All of it
//! may be lost: the relay and the owner's next question make up for it.

use std::time::Duration;

use seatwire_protocol::command::BookingInfo;
use seatwire_protocol::ws::Push;
use seatwire_protocol::{BookingId, CustomerId, HoldId, ShowId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Saga;
use crate::db::outbox::{self, AppliedRow};
use crate::db::seats::ChangedSeat;
use crate::db::{self, Conn, DbError, TryError};
use crate::holds::ledger::{Applied, LedgerChange, Sale};

/// Rows are marked together, at most so late.
const MARK_EVERY: Duration = Duration::from_millis(100);
const MARK_MAX: usize = 500;

/// A change that was committed with its outbox row.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    pub(crate) row: i64,
    pub(crate) change: LedgerChange,
}

/// Whose change it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cause {
    pub(crate) booking: Option<BookingId>,
    pub(crate) customer: Option<CustomerId>,
    /// The hold that ends without a word.
    pub(crate) hold: Option<HoldId>,
    pub(crate) operator: bool,
}

/// Writes the one outbox row of a transaction and show.
pub(crate) async fn record(
    conn: &mut Conn,
    show: ShowId,
    generation: u64,
    seats: Vec<ChangedSeat>,
    sale: Option<Sale>,
    cause: Cause,
) -> Result<Committed, TryError> {
    let Cause { booking, customer, hold, operator } = cause;
    let change = LedgerChange { show, generation, seats, hold, booking, customer, sale, operator };
    let row = outbox::insert(conn, &change).await?;
    Ok(Committed { row, change })
}

impl Saga {
    /// Brings a committed change into Redis. Failures are left to the relay.
    pub(crate) async fn apply_now(&self, committed: &Committed) {
        let LedgerChange { show, generation, .. } = committed.change;
        match self.inner.holds.apply(&committed.change).await {
            // Not loaded: whoever loads the show reads the ledger after this commit.
            Ok(Applied::Done | Applied::NotLoaded) => {
                // A full channel leaves the row to the relay.
                let _ = self.inner.marks.try_send(AppliedRow { id: committed.row, show, generation });
            }
            Ok(Applied::StaleGeneration(now)) => {
                tracing::debug!(%show, generation, now, "generation moved on; left to the relay");
            }
            Err(error) => tracing::debug!(%show, "not applied at once; left to the relay: {error}"),
        }
    }

    /// Reads a booking and tells its owner. Answers it, for a reply.
    pub(crate) async fn tell_owner(&self, booking: BookingId) -> Result<Option<BookingInfo>, DbError> {
        self.inner.wake.events.wake();
        let Some((customer, info)) = db::bookings::get(self.db(), booking).await? else { return Ok(None) };
        let info = self.with_checkout(info);
        self.inner.holds.push(&customer, &Push::Booking { booking: info.clone() }).await;
        Ok(Some(info))
    }

    /// As [`Self::tell_owner`] of a booking whose maker knows all about it.
    pub(crate) async fn tell_owner_what_is_known(&self, customer: &CustomerId, booking: BookingInfo) -> BookingInfo {
        self.inner.wake.events.wake();
        let booking = self.with_checkout(booking);
        self.inner.holds.push(customer, &Push::Booking { booking: booking.clone() }).await;
        booking
    }

    /// As [`Self::tell_owner`] for several.
    pub(crate) async fn tell_owners(&self, bookings: Vec<BookingId>) {
        if bookings.is_empty() {
            return;
        }
        self.inner.wake.events.wake();
        match db::bookings::get_all(self.db(), bookings).await {
            Ok(all) => {
                for (customer, info) in all {
                    let booking = self.with_checkout(info);
                    self.inner.holds.push(&customer, &Push::Booking { booking }).await;
                }
            }
            Err(error) => tracing::debug!("owners not told: {error}"),
        }
    }

    /// As [`Self::tell_owner`], for those who have nobody to answer to.
    pub(crate) async fn tell_owner_of(&self, booking: Option<BookingId>) {
        if let Some(booking) = booking
            && let Err(error) = self.tell_owner(booking).await
        {
            tracing::debug!(booking = %booking.short(), "owner not told: {error}");
        }
    }

    /// Marks applied rows in batches, until shutdown.
    pub(super) async fn mark_applied(self, mut rows: mpsc::Receiver<AppliedRow>, shutdown: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = rows.recv_many(&mut batch, MARK_MAX) => if count == 0 { return },
                () = shutdown.cancelled() => {
                    // What is in the channel is marked still, or the next start would apply it once more.
                    while let Ok(row) = rows.try_recv() {
                        batch.push(row);
                    }
                    self.mark(&mut batch).await;
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(MARK_EVERY) => {}
                () = shutdown.cancelled() => {}
            }
            while batch.len() < MARK_MAX
                && let Ok(row) = rows.try_recv()
            {
                batch.push(row);
            }
            self.mark(&mut batch).await;
        }
    }

    async fn mark(&self, batch: &mut Vec<AppliedRow>) {
        let batch = std::mem::take(batch);
        if !batch.is_empty()
            && let Err(error) = outbox::mark(self.db(), batch).await
        {
            tracing::warn!("outbox rows not marked; left to the relay: {error}");
        }
    }
}
