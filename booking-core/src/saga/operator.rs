//! What operators do: sale state, blocked seats, backlog, requeueing what was parked. And the worker that opens sales
//! whose time has come, so that the ledger says so as well (Redis opens by itself, on time).

use serde::Serialize;

use seatwire_protocol::{SaleState, SeatIndex, ShowId};

use super::effects::{Cause, Committed, record};
use super::{Saga, SagaError};
use crate::db::events::{self, Consumer};
use crate::db::parked::{self, Parked, ParkedRow};
use crate::db::seats::{LockedSeat, SeatChange, change_seats, conflicts, lock_seats};
use crate::db::{Conn, DbError, End, TryError, inbox, outbox, refunds, shows};
use crate::holds::Refusal;
use crate::holds::ledger::{LedgerStatus, Sale};

/// What waits, and what waits for an operator (the target is 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Events to settle.
    pub inbox: u64,
    /// Events parked or quarantined.
    pub inbox_parked: u64,
    /// Changes not in Redis yet.
    pub outbox: u64,
    /// Changes parked.
    pub outbox_parked: u64,
    /// Refunds not finished.
    pub refunds: u64,
    /// Refunds parked.
    pub refunds_parked: u64,
    /// Events that the bus does not have yet.
    pub bus: u64,
    /// Events parked on their way to the bus.
    pub bus_parked: u64,
    /// Age of the oldest event that the bus does not have, milliseconds.
    pub bus_oldest_ms: u64,
    /// Mails not sent yet.
    pub mail: u64,
    /// Mails parked.
    pub mail_parked: u64,
    /// Age of the oldest event that is to be mailed, milliseconds.
    pub mail_oldest_ms: u64,
}

impl Backlog {
    /// The counts by name.
    #[must_use]
    pub const fn queues(&self) -> [(&'static str, u64); 10] {
        [
            ("inbox", self.inbox),
            ("inbox_parked", self.inbox_parked),
            ("outbox", self.outbox),
            ("outbox_parked", self.outbox_parked),
            ("refunds", self.refunds),
            ("refunds_parked", self.refunds_parked),
            ("bus", self.bus),
            ("bus_parked", self.bus_parked),
            ("mail", self.mail),
            ("mail_parked", self.mail_parked),
        ]
    }
}

impl Saga {
    /// Changes the sale state of a show.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn set_sale(
        &self,
        show: ShowId,
        state: SaleState,
        opens_at_ms: Option<i64>,
    ) -> Result<Result<Sale, Refusal>, SagaError> {
        let result = self.db().write("set_sale", move |conn| {
            Box::pin(async move {
                let Some(sale) = shows::set_sale(conn, show, state, opens_at_ms).await? else {
                    return Ok(End::Rollback(None));
                };
                Ok(End::Commit(Some((sale, record_sale(conn, show, sale).await?))))
            })
        });
        let found = match result.await {
            // A cancelled show stays closed.
            Err(DbError::Constraint(name)) if name == "shows_cancelled_at_check" => {
                return Ok(Err(Refusal::SaleClosed));
            }
            found => found?,
        };
        let Some((sale, committed)) = found else { return Ok(Err(Refusal::NoSuchShow)) };
        self.apply_now(&committed).await;
        Ok(Ok(sale))
    }

    /// Changes whether holds of a show may leave a single seat alone. Carried and versioned like the sale state, so no
    /// order of news can bring the old rule back.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn set_no_orphan(&self, show: ShowId, no_orphan: bool) -> Result<Result<Sale, Refusal>, SagaError> {
        let result = self.db().write("set_no_orphan", move |conn| {
            Box::pin(async move {
                let Some(sale) = shows::set_no_orphan(conn, show, no_orphan).await? else {
                    return Ok(End::Rollback(None));
                };
                Ok(End::Commit(Some((sale, record_sale(conn, show, sale).await?))))
            })
        });
        let Some((sale, committed)) = result.await? else { return Ok(Err(Refusal::NoSuchShow)) };
        self.apply_now(&committed).await;
        Ok(Ok(sale))
    }

    /// Takes seats off sale; all or none, and only available ones.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn block_seats(&self, show: ShowId, seats: Vec<SeatIndex>) -> Result<Result<(), Refusal>, SagaError> {
        self.change_by_operator(show, seats, LedgerStatus::Available, LedgerStatus::Blocked, "block").await
    }

    /// Puts blocked seats on sale again; all or none.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn unblock_seats(&self, show: ShowId, seats: Vec<SeatIndex>) -> Result<Result<(), Refusal>, SagaError> {
        self.change_by_operator(show, seats, LedgerStatus::Blocked, LedgerStatus::Available, "unblock").await
    }

    async fn change_by_operator(
        &self,
        show: ShowId,
        mut seats: Vec<SeatIndex>,
        from: LedgerStatus,
        to: LedgerStatus,
        reason: &'static str,
    ) -> Result<Result<(), Refusal>, SagaError> {
        seats.sort_unstable();
        seats.dedup();
        let result = self.db().write("change_by_operator", move |conn| {
            let seats = seats.clone();
            Box::pin(async move {
                let locked = lock_seats(conn, show, &seats).await?;
                if let Some(refusal) = refusal(&seats, &locked, from) {
                    return Ok(End::Rollback(Err(refusal)));
                }
                let change = SeatChange { show, seats: &seats, from, to, booking: None, actor: "operator", reason };
                let changed = change_seats(conn, &change).await?;
                let (_, generation) = shows::selling(conn, show).await?;
                let cause = Cause { operator: true, ..Cause::default() };
                Ok(End::Commit(Ok(record(conn, show, generation, changed, None, cause).await?)))
            })
        });
        match result.await? {
            Ok(committed) => {
                self.apply_now(&committed).await;
                Ok(Ok(()))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Opens sales whose time has come; answers how many.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn open_sales_once(&self) -> Result<usize, SagaError> {
        let opened = self
            .db()
            .write("open_sale", |conn| {
                Box::pin(async move {
                    let Some((show, sale)) = shows::open_due(conn).await? else { return Ok(End::Rollback(None)) };
                    Ok(End::Commit(Some(record_sale(conn, show, sale).await?)))
                })
            })
            .await?;
        let Some(committed) = opened else { return Ok(0) };
        tracing::info!(show = %committed.change.show, "sale opened");
        self.apply_now(&committed).await;
        Ok(1)
    }

    /// Removes shows that are over from Redis, unless somebody watches them; answers how many. They are loaded again
    /// when somebody touches them.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn unload_once(&self) -> Result<usize, SagaError> {
        let mut unloaded = 0;
        for (show, generation) in shows::ended(self.db()).await? {
            if self.inner.holds.is_watched(show).await? {
                continue;
            }
            self.inner.holds.unload(show).await?;
            failpoint!("unload.removed");
            if shows::mark_unloaded(self.db(), show, generation).await? {
                tracing::info!(%show, generation, "unloaded a show that is over");
                unloaded += 1;
            }
        }
        Ok(unloaded)
    }

    /// What waits.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn backlog(&self) -> Result<Backlog, DbError> {
        self.db()
            .read("backlog", |conn| {
                Box::pin(async move {
                    let (inbox, inbox_parked) = inbox::backlog(conn).await?;
                    let (outbox, outbox_parked) = outbox::backlog(conn).await?;
                    let (refunds, refunds_parked) = refunds::backlog(conn).await?;
                    let bus = events::backlog(conn, Consumer::Bus).await?;
                    let mail = events::backlog(conn, Consumer::Mail).await?;
                    Ok(Backlog {
                        inbox,
                        inbox_parked,
                        outbox,
                        outbox_parked,
                        refunds,
                        refunds_parked,
                        bus: bus.open,
                        bus_parked: bus.parked,
                        bus_oldest_ms: bus.oldest_ms,
                        mail: mail.open,
                        mail_parked: mail.parked,
                        mail_oldest_ms: mail.oldest_ms,
                    })
                })
            })
            .await
    }

    /// Rows that wait for an operator, the oldest first.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn parked(&self, limit: i64) -> Result<Vec<Parked>, DbError> {
        parked::list(self.db(), limit).await
    }

    /// Gives a parked row a fresh start, by its name in [`Self::parked`]. `false` when there is no such parked row.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn requeue(&self, name: &str) -> Result<bool, DbError> {
        let Ok(row) = name.parse::<ParkedRow>() else { return Ok(false) };
        let requeued = self
            .db()
            .write("requeue", move |conn| Box::pin(async move { Ok(End::Commit(parked::requeue(conn, row).await?)) }))
            .await?;
        self.inner.wake.settle.notify_one();
        self.inner.wake.refunds.notify_one();
        self.inner.wake.events.wake();
        Ok(requeued)
    }

    /// Ends the wait of a parked row that no money or seat depends on. `false` when there is none of this name.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn dismiss(&self, name: &str) -> Result<bool, DbError> {
        let Ok(row) = name.parse::<ParkedRow>() else { return Ok(false) };
        self.db()
            .write("dismiss", move |conn| Box::pin(async move { Ok(End::Commit(parked::dismiss(conn, row).await?)) }))
            .await
    }
}

fn refusal(seats: &[SeatIndex], locked: &[LockedSeat], from: LedgerStatus) -> Option<Refusal> {
    if locked.len() != seats.len() {
        return Some(Refusal::NoSuchSeat(conflicts(seats, locked)));
    }
    if locked.iter().all(|seat| seat.status == from) {
        return None;
    }
    if from == LedgerStatus::Available {
        return Some(Refusal::Taken(conflicts(seats, locked)));
    }
    Some(Refusal::Invalid { field: "seats", message: "every seat must be blocked" })
}

async fn record_sale(conn: &mut Conn, show: ShowId, sale: Sale) -> Result<Committed, TryError> {
    let (_, generation) = shows::selling(conn, show).await?;
    let cause = Cause { operator: true, ..Cause::default() };
    record(conn, show, generation, Vec::new(), Some(sale), cause).await
}
