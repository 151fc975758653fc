//! What must hold of the ledger at rest, whatever happened. Each check says how many rows it looked at; a test that
//! bought something knows that there are some.

use super::rig::Rig;

const CHECKS: &[(&str, &str, &str)] = &[
    (
        "a seat in two active bookings",
        "SELECT count(*) FROM booking_seats",
        "SELECT count(*) FROM (SELECT 1 FROM booking_seats WHERE active GROUP BY show_id, seat HAVING count(*) > 1) x",
    ),
    (
        "a booking that is not whole",
        "SELECT count(*) FROM bookings",
        "SELECT count(*) FROM bookings b WHERE (SELECT count(*) FROM show_seats s WHERE s.booking_id = b.id
            AND s.status = CASE b.state WHEN 'PENDING' THEN 'claimed' ELSE 'booked' END)
            <> CASE WHEN b.state IN ('PENDING', 'CONFIRMED') THEN b.seats ELSE 0 END
            OR b.amount <> (SELECT sum(price) FROM booking_seats c WHERE c.booking_id = b.id)
            OR b.seats <> (SELECT count(*) FROM booking_seats c WHERE c.booking_id = b.id)",
    ),
    (
        "a seat and its booking that disagree",
        "SELECT count(*) FROM show_seats",
        "SELECT count(*) FROM show_seats s LEFT JOIN bookings b ON b.id = s.booking_id
            LEFT JOIN booking_seats c ON c.booking_id = b.id AND c.show_id = s.show_id AND c.seat = s.seat
            WHERE (s.status = 'booked' AND (b.state IS DISTINCT FROM 'CONFIRMED' OR c.active IS NOT TRUE))
               OR (s.status = 'claimed' AND (b.state IS DISTINCT FROM 'PENDING' OR c.active IS NOT TRUE))",
    ),
    (
        "a captured payment without exactly one end",
        "SELECT count(*) FROM bookings",
        "SELECT count(*) FROM payments p LEFT JOIN bookings b ON b.id = p.booking_id WHERE p.status = 'captured' AND
            (p.outcome = 'BOOKING' AND b.state = 'CONFIRMED')::int + (SELECT count(*) FROM refunds r
                WHERE r.payment_id = p.id AND r.state = 'PROCESSED' AND r.amount = p.amount) IS DISTINCT FROM 1",
    ),
    (
        "a booking settled by two payments",
        "SELECT count(*) FROM bookings",
        "SELECT count(*) FROM (SELECT 1 FROM payments WHERE outcome = 'BOOKING' GROUP BY booking_id HAVING count(*) > 1) x",
    ),
    (
        "a payment refunded beyond its amount",
        "SELECT count(*) FROM bookings",
        "SELECT count(*) FROM payments p WHERE p.amount <
            (SELECT sum(amount) FROM refunds r WHERE r.payment_id = p.id AND r.state <> 'FAILED')",
    ),
    (
        "a confirmed booking without its payment",
        "SELECT count(*) FROM bookings",
        "SELECT count(*) FROM bookings b WHERE b.state = 'CONFIRMED' AND NOT EXISTS (SELECT FROM payments p
            JOIN orders o ON o.id = p.order_id WHERE p.booking_id = b.id AND o.booking_id = b.id
            AND p.outcome = 'BOOKING' AND p.amount = b.amount AND p.currency = b.currency)",
    ),
    (
        "a seat whose version is not its history",
        "SELECT count(*) FROM seat_history",
        "SELECT count(*) FROM show_seats s WHERE s.version <> 1 + (SELECT count(*) FROM seat_history h
            WHERE h.show_id = s.show_id AND h.seat = s.seat)",
    ),
    (
        "a deadlock",
        "SELECT count(*) FROM bookings",
        "SELECT deadlocks FROM pg_stat_database WHERE datname = 'seatwire'",
    ),
];

impl Rig {
    /// Runs every check, and compares the provider's books with ours.
    pub(super) async fn check(&self) {
        for (what, examined, violations) in CHECKS {
            assert!(self.count(examined).await > 0, "{what}: nothing to look at");
            assert_eq!(self.count(violations).await, 0, "{what}");
        }
        let ledger = self.provider_ledger().await;
        let captured = ledger["payments"].as_array().unwrap().iter().filter(|payment| payment["status"] != "failed");
        assert_eq!(
            i64::try_from(captured.count()).unwrap(),
            self.count("SELECT count(*) FROM payments WHERE status = 'captured'").await,
            "payments that the provider captured and we know"
        );
        let made = ledger["refunds"].as_array().unwrap().iter().filter(|refund| refund["status"] != "failed");
        assert_eq!(
            i64::try_from(made.count()).unwrap(),
            self.count("SELECT count(*) FROM refunds WHERE state = 'PROCESSED'").await,
            "refunds that the provider made and we know"
        );
    }
}
