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
        let windows = usize::try_from(self.names.load(std::sync::atomic::Ordering::Relaxed))?;
        let seen = no_gap(windows, self.violations());
        Ok(vec![bookings(&told, &rows), ends(&told, &rows), payments(&told, &captured), seen])
    }
}

/// A booking as the ledger has it.
#[derive(Clone)]
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
        check.expect(same, || {
            let Saying { customer, seats, amount, .. } = saying;
            let told = format!("booking {} was told to {customer}: seats {seats:?}, amount {amount}", id.to_hex());
            match rows.get(id) {
                None => format!("{told}; it is not in the ledger"),
                Some(row) => {
                    let InLedger { customer, seats, amount, .. } = row;
                    let hold = if row.hold == saying.hold.0 { "the same hold" } else { "another hold" };
                    format!("{told}; in the ledger it is of {customer}: seats {seats:?}, amount {amount}, {hold}")
                }
            }
        });
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
        check.expect(as_told, || {
            let (id, InLedger { state, refunded: given, .. }) = (id.to_hex(), row);
            let told = [(*confirmed, "CONFIRMED"), (*expired, "EXPIRED"), (*cancelled, "CANCELLED")];
            let told: Vec<&str> = told.into_iter().filter(|(told, _)| *told).map(|(_, state)| state).collect();
            let (who, seats) = (&saying.customer, &saying.seats);
            format!(
                "booking {id} of {who}, seats {seats:?}, is {state} with refunds {given:?}; told {} with refunds {refunded:?}",
                told.join(", ")
            )
        });
    }
    check
}

fn payments(told: &Sayings, captured: &[String]) -> Check {
    let mut check = Check::new("told_payments_are_in_the_ledger", "5 11");
    check.examined(told.payments.len());
    let captured: std::collections::BTreeSet<&String> = captured.iter().collect();
    for payment in &told.payments {
        check.expect(captured.contains(payment), || {
            format!("payment {payment}: its captured money is not in the ledger")
        });
    }
    check
}

/// What customers' windows saw and may never see.
fn no_gap(windows: usize, violations: Vec<String>) -> Check {
    let mut check = Check::new("viewers_saw_no_gap", "20 21");
    check.examined(windows);
    violations.into_iter().for_each(|violation| check.violated(violation));
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
    use seatwire_protocol::HoldId;

    use super::*;

    const BOOKING: BookingId = BookingId([7; 16]);

    fn told() -> Sayings {
        let saying = Saying {
            customer: "buyer-1".to_owned(),
            hold: HoldId([3; 16]),
            seats: vec![4, 5],
            amount: 900,
            confirmed: true,
            expired: false,
            cancelled: true,
            refunded: vec![900],
        };
        let payments = ["pay_1".to_owned()].into();
        Sayings { bookings: BTreeMap::from([(BOOKING, saying)]), payments }
    }

    fn right() -> InLedger {
        InLedger {
            customer: "buyer-1".to_owned(),
            hold: vec![3; 16],
            amount: 900,
            state: "CANCELLED".to_owned(),
            ever_confirmed: true,
            seats: vec![4, 5],
            refunded: vec![900],
        }
    }

    /// Whether the check finds this, and what it says.
    fn found(check: impl Fn(&Sayings, &BTreeMap<BookingId, InLedger>) -> Check, rows: &[InLedger]) -> Option<String> {
        let rows = rows.iter().map(|row| (BOOKING, row.clone())).collect();
        let check = check(&told(), &rows);
        assert!(check.examined > 0);
        (check.violations > 0).then(|| check.rows[0].clone())
    }

    #[test]
    fn a_booking_that_was_told_and_is_not_there_or_is_another_is_found_with_its_seats() {
        assert_eq!(found(bookings, &[right()]), None);
        let id = BOOKING.to_hex();
        let text = found(bookings, &[]).unwrap();
        assert_eq!(
            text,
            format!("booking {id} was told to buyer-1: seats [4, 5], amount 900; it is not in the ledger")
        );
        let planted = [
            InLedger { customer: "buyer-2".to_owned(), ..right() },
            InLedger { seats: vec![4, 6], ..right() },
            InLedger { amount: 901, ..right() },
            InLedger { hold: vec![9; 16], ..right() },
        ];
        let words = ["of buyer-2", "seats [4, 6]", "amount 901", "another hold"];
        for (planted, words) in planted.into_iter().zip(words) {
            let text = found(bookings, &[planted]).unwrap();
            assert!(text.contains(&id) && text.contains(words), "{text}");
        }
    }

    #[test]
    fn an_end_that_was_told_and_is_another_is_found_with_both() {
        assert_eq!(found(ends, &[right()]), None);
        let planted = [
            InLedger { state: "EXPIRED".to_owned(), ..right() },
            InLedger { ever_confirmed: false, ..right() },
            InLedger { refunded: Vec::new(), ..right() },
        ];
        let words = [
            "is EXPIRED with refunds [900]; told CONFIRMED, CANCELLED",
            "of buyer-1, seats [4, 5]",
            "refunds []; told",
        ];
        for (planted, words) in planted.into_iter().zip(words) {
            let text = found(ends, &[planted]).unwrap();
            assert!(text.contains(&BOOKING.to_hex()) && text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_payment_that_was_told_and_is_not_there_and_a_gap_that_somebody_saw_are_found() {
        assert_eq!(payments(&told(), &["pay_1".to_owned()]).violations, 0);
        let check = payments(&told(), &["pay_2".to_owned()]);
        assert!(check.violations == 1 && check.rows[0].contains("pay_1"), "{:?}", check.rows);
        assert_eq!(no_gap(3, Vec::new()).violations, 0);
        let check = no_gap(3, vec!["buyer-1 saw a gap".to_owned()]);
        assert_eq!((check.examined, check.violations, &check.rows[0][..]), (3, 1, "buyer-1 saw a gap"));
    }

    #[test]
    fn a_refund_that_was_told_is_looked_for_once_each() {
        assert!(contains(&[5, 7, 5], &[5, 5]));
        assert!(!contains(&[5, 7], &[5, 5]));
        assert!(contains(&[], &[]));
    }
}
