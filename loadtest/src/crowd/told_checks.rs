//! Looks in the ledger for everything that somebody was told: told and then lost is the one thing that a crash must
//! never do. Run at rest, after every server was killed.

use std::collections::BTreeMap;

use seatwire_protocol::BookingId;
use tokio_postgres::Row;

use super::Crowd;
use super::told::{Saying, Sayings};
use crate::audit::{Check, Sources};

impl Crowd {
    /// One check a kind of saying.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub async fn check_told(&self, sources: &Sources) -> anyhow::Result<Vec<Check>> {
        let ledger = sources.connect_postgres().await?;
        let mut rows = BTreeMap::new();
        for row in ledger.query(BOOKINGS, &[]).await? {
            let id: uuid::Uuid = row.try_get(0)?;
            rows.insert(BookingId(*id.as_bytes()), InLedger::read(&row)?);
        }
        let captured = ledger.query("SELECT id FROM payments WHERE status = 'captured'", &[]).await?;
        let captured = captured.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        let told = self.told.lock();
        let mut seen = Check::new("viewers_saw_no_gap", "20 21");
        seen.examined(usize::try_from(self.names.load(std::sync::atomic::Ordering::Relaxed))?);
        self.violations().into_iter().for_each(|violation| seen.violated(violation));
        Ok(vec![bookings(&told, &rows), ends(&told, &rows), payments(&told, &captured), seen])
    }
}

/// A booking as the ledger has it.
struct InLedger {
    customer: String,
    hold: Vec<u8>,
    amount: i64,
    state: String,
    ever_confirmed: bool,
    seats: Vec<i32>,
    refunded: Vec<i64>,
}

impl InLedger {
    fn read(row: &Row) -> anyhow::Result<Self> {
        Ok(Self {
            customer: row.try_get(1)?,
            hold: row.try_get(2)?,
            amount: row.try_get(3)?,
            state: row.try_get(4)?,
            ever_confirmed: row.try_get(5)?,
            seats: row.try_get(6)?,
            refunded: row.try_get(7)?,
        })
    }
}

/// Made of the hold that was granted, by its holder, for the seats and the amount that were said.
fn bookings(told: &Sayings, rows: &BTreeMap<BookingId, InLedger>) -> Check {
    let mut check = Check::new("told_bookings_are_in_the_ledger", "11 12");
    check.examined(told.bookings.len());
    for (id, saying) in &told.bookings {
        let same = rows.get(id).is_some_and(|row| {
            row.customer == saying.customer
                && row.hold == saying.hold.0
                && i64::try_from(saying.amount) == Ok(row.amount)
                && row.seats.iter().map(|seat| seat.cast_unsigned()).eq(saying.seats.iter().copied())
        });
        check.expect(same, || format!("booking {} of {}", id.to_hex(), saying.customer));
    }
    check
}

/// What a booking was said to have come to. Expired and cancelled ones may have been rescued since.
fn ends(told: &Sayings, rows: &BTreeMap<BookingId, InLedger>) -> Check {
    let mut check = Check::new("told_ends_are_in_the_ledger", "11");
    for (id, saying) in &told.bookings {
        let Saying { confirmed, expired, cancelled, refunded, .. } = saying;
        check.examined([*confirmed, *expired, *cancelled].into_iter().filter(|told| *told).count() + refunded.len());
        let Some(row) = rows.get(id) else { continue };
        let is = |states: &[&str]| states.contains(&row.state.as_str());
        let as_told = (!confirmed || row.ever_confirmed && is(&["CONFIRMED", "CANCELLED"]))
            && (!expired || is(&["EXPIRED", "CONFIRMED"]) || row.ever_confirmed)
            && (!cancelled || is(&["CANCELLED", "CONFIRMED"]))
            && contains(&row.refunded, refunded);
        check.expect(as_told, || format!("booking {} is {}, told {saying:?}", id.to_hex(), row.state));
    }
    check
}

fn payments(told: &Sayings, captured: &[String]) -> Check {
    let mut check = Check::new("told_payments_are_in_the_ledger", "5 11");
    check.examined(told.payments.len());
    let captured: std::collections::BTreeSet<&String> = captured.iter().collect();
    for payment in &told.payments {
        check.expect(captured.contains(payment), || payment.clone());
    }
    check
}

/// Whether every told refund is there, each once.
fn contains(there: &[i64], told: &[u64]) -> bool {
    let mut there = there.to_vec();
    told.iter().all(|amount| {
        let found = there.iter().position(|known| i64::try_from(*amount) == Ok(*known));
        found.map(|at| there.swap_remove(at)).is_some()
    })
}

const BOOKINGS: &str = "
    SELECT b.id, b.customer_id, b.hold_id, b.amount, b.state, b.ever_confirmed,
        ARRAY(SELECT s.seat FROM booking_seats s WHERE s.booking_id = b.id ORDER BY s.seat),
        ARRAY(SELECT r.amount FROM refunds r WHERE r.booking_id = b.id AND r.state = 'PROCESSED')
    FROM bookings b";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refund_that_was_told_is_looked_for_once_each() {
        assert!(contains(&[5, 7, 5], &[5, 5]));
        assert!(!contains(&[5, 7], &[5, 5]));
        assert!(contains(&[], &[]));
    }
}
