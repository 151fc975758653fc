//! The test's ledger: seats, versions and generations in memory.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use seatwire_core::holds::ledger::{LedgerError, LedgerMap, Sale, SeatRow, SeatRun, ShowRow};
use seatwire_core::holds::{LedgerChange, LedgerReader, LedgerStatus};
use seatwire_protocol::{BookingId, CustomerId, HoldId, SaleState, SeatIndex, ShowId};

/// The booking of every change that has an owner.
pub(super) const BOOKING: BookingId = BookingId([1; 16]);

#[derive(Default)]
pub(super) struct TestLedger {
    shows: Mutex<HashMap<ShowId, Show>>,
    pub(super) reads: AtomicUsize,
    /// Looks at a show's row.
    pub(super) row_reads: AtomicUsize,
    /// As if a broken statement forgot the first seat.
    pub(super) forgets_a_seat: AtomicBool,
    /// Somebody takes a generation just before the next read.
    pub(super) is_overtaken: AtomicBool,
}

struct Show {
    seats: Vec<SeatRow>,
    generation: u64,
    run_id: String,
    sale: Sale,
    rows: Vec<SeatRun>,
}

impl TestLedger {
    pub(super) fn add(&self, show: ShowId, seats: u32) {
        let row = |seat| SeatRow {
            seat: SeatIndex(seat),
            status: LedgerStatus::Available,
            version: 1,
            hold: None,
            customer: None,
        };
        let sale = Sale { state: SaleState::Open, opens_at_ms: None, no_orphan: false, version: 1 };
        let show_row =
            Show { seats: (0..seats).map(row).collect(), generation: 0, run_id: String::new(), sale, rows: Vec::new() };
        self.shows.lock().unwrap().insert(show, show_row);
    }

    pub(super) fn set_rows(&self, show: ShowId, rows: Vec<SeatRun>) {
        self.shows.lock().unwrap().get_mut(&show).unwrap().rows = rows;
    }

    /// Hands out a generation that nobody loads.
    pub(super) fn lose_a_generation(&self, show: ShowId) -> u64 {
        let mut shows = self.shows.lock().unwrap();
        let row = shows.get_mut(&show).unwrap();
        row.generation += 1;
        row.generation
    }

    pub(super) fn status(&self, show: ShowId, seat: u32) -> LedgerStatus {
        self.shows.lock().unwrap()[&show].seats[seat as usize].status
    }

    /// "Commits" a change of seats; the answer is what the saga would apply.
    pub(super) fn change(
        &self,
        show: ShowId,
        seats: &[u32],
        status: LedgerStatus,
        owner: Option<(&CustomerId, Option<HoldId>)>,
    ) -> LedgerChange {
        let mut shows = self.shows.lock().unwrap();
        let row = shows.get_mut(&show).unwrap();
        let mut changed = Vec::new();
        for seat in seats {
            let seat = &mut row.seats[*seat as usize];
            seat.status = status;
            seat.version += 1;
            let owned = matches!(status, LedgerStatus::Claimed | LedgerStatus::Booked);
            seat.customer = owner.filter(|_| owned).map(|(customer, _)| customer.clone());
            seat.hold = owner.filter(|_| owned).and_then(|(_, hold)| hold);
            changed.push((seat.seat, status, seat.version));
        }
        LedgerChange {
            show,
            generation: row.generation,
            seats: changed,
            hold: owner.and_then(|(_, hold)| hold),
            booking: owner.map(|_| BOOKING),
            customer: owner.map(|(customer, _)| customer.clone()),
            sale: None,
            operator: false,
        }
    }

    /// Claims the seats of a hold in one step, if all are free.
    pub(super) fn claim_if_free(
        &self,
        show: ShowId,
        seats: &[u32],
        customer: &CustomerId,
        hold: HoldId,
    ) -> Option<LedgerChange> {
        let free = {
            let shows = self.shows.lock().unwrap();
            seats.iter().all(|seat| shows[&show].seats[*seat as usize].status == LedgerStatus::Available)
        };
        // Only the hold's owner claims its seats, so nobody else does in between; an expired hold makes no difference.
        free.then(|| self.change(show, seats, LedgerStatus::Claimed, Some((customer, Some(hold)))))
    }

    pub(super) fn change_sale(&self, show: ShowId, state: SaleState, opens_at_ms: Option<i64>) -> LedgerChange {
        let mut change = self.change(show, &[], LedgerStatus::Available, None);
        let mut shows = self.shows.lock().unwrap();
        let row = shows.get_mut(&show).unwrap();
        row.sale = Sale { state, opens_at_ms, version: row.sale.version + 1, ..row.sale };
        change.sale = Some(row.sale);
        change
    }
}

impl TestLedger {
    pub(super) fn set_no_orphan(&self, show: ShowId, no_orphan: bool) -> LedgerChange {
        let mut change = self.change(show, &[], LedgerStatus::Available, None);
        let mut shows = self.shows.lock().unwrap();
        let row = shows.get_mut(&show).unwrap();
        row.sale = Sale { no_orphan, version: row.sale.version + 1, ..row.sale };
        change.sale = Some(row.sale);
        change
    }
}

impl LedgerReader for TestLedger {
    fn load_show(&self, show: ShowId) -> BoxFuture<'_, Result<Option<ShowRow>, LedgerError>> {
        self.row_reads.fetch_add(1, Ordering::Relaxed);
        let shows = self.shows.lock().unwrap();
        let row = shows.get(&show).map(|row| ShowRow {
            show,
            seats: row.seats.len() as u32,
            sale: row.sale,
            layout_version: 7,
            generation: row.generation,
            run_id: row.run_id.clone(),
            rows: row.rows.clone(),
        });
        async { Ok(row) }.boxed()
    }

    fn bump_generation<'a>(
        &'a self,
        show: ShowId,
        expected: u64,
        seen: u64,
        run_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        let mut shows = self.shows.lock().unwrap();
        let row = shows.get_mut(&show).unwrap();
        let won = row.generation == expected;
        if won {
            row.generation = expected.max(seen) + 1;
            run_id.clone_into(&mut row.run_id);
        }
        let taken = won.then_some(row.generation);
        async move { Ok(taken) }.boxed()
    }

    fn read_map(&self, show: ShowId) -> BoxFuture<'_, Result<Option<LedgerMap>, LedgerError>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.is_overtaken.swap(false, Ordering::Relaxed) {
            self.lose_a_generation(show);
        }
        let shows = self.shows.lock().unwrap();
        let map = shows.get(&show).map(|row| LedgerMap {
            generation: row.generation,
            sale: row.sale,
            seats: row.seats.iter().skip(usize::from(self.forgets_a_seat.load(Ordering::Relaxed))).cloned().collect(),
        });
        async { Ok(map) }.boxed()
    }
}
