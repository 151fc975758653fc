//! Checks that nothing is left to do, and that what was done had one effect.

use super::report::SqlCheck;

/// Left out when bookings may still wait for their payment.
pub(super) const NO_PENDING: &str = "no_booking_waits";

pub(super) const CHECKS: &[SqlCheck] = &[
    SqlCheck {
        name: NO_PENDING,
        invariants: "2 5",
        examined: "bookings",
        violations: "SELECT id, show_id, expires_at FROM bookings WHERE state = 'PENDING'",
    },
    SqlCheck {
        name: "inbox_is_processed",
        invariants: "13 29",
        examined: "payment_events",
        violations: "SELECT id, kind, payment_id, failures, last_error, parked_at
            FROM payment_events WHERE processed_at IS NULL",
    },
    SqlCheck {
        name: "events_have_one_effect",
        invariants: "6 13",
        examined: "payment_events",
        violations: "SELECT payment_id, array_agg(id) AS events, array_agg(result) AS results
            FROM payment_events WHERE result IN ('confirmed', 'rescued', 'refund')
            GROUP BY payment_id HAVING count(*) > 1",
    },
    SqlCheck {
        name: "outbox_is_applied",
        invariants: "22 29",
        examined: "outbox",
        violations: "SELECT id, show_id, booking_id, failures, last_error, parked_at
            FROM outbox WHERE applied_at IS NULL",
    },
    SqlCheck {
        name: "refunds_are_done",
        invariants: "5",
        examined: "refunds",
        violations: "SELECT id, payment_id, state, attempt, tries, last_error, parked_at
            FROM refunds WHERE state IN ('DUE', 'REQUESTED') OR parked_at IS NOT NULL",
    },
];
