//! Checks of money: amounts, payments and refunds as our ledger has them, and the identity
//! captured = booked + refunded + open.

use tokio_postgres::Transaction;

use super::report::{Check, Money, SqlCheck};

pub(super) const CHECKS: &[SqlCheck] = &[
    SqlCheck {
        name: "amounts_are_one",
        invariants: "4",
        examined: "bookings",
        violations: "SELECT b.id, b.amount, b.currency, w.currency AS currency_of_show,
                (SELECT sum(price) FROM booking_seats s WHERE s.booking_id = b.id) AS seats_cost,
                (SELECT json_agg(json_build_array(o.id, o.amount, o.currency)) FROM orders o WHERE o.booking_id = b.id)
                    AS orders
            FROM bookings b LEFT JOIN shows w ON w.id = b.show_id
            WHERE w.currency IS DISTINCT FROM b.currency
               OR b.amount IS DISTINCT FROM (SELECT sum(price) FROM booking_seats s WHERE s.booking_id = b.id)
               OR NOT EXISTS (SELECT FROM orders o WHERE o.booking_id = b.id)
               OR EXISTS (SELECT FROM orders o WHERE o.booking_id = b.id
                          AND (o.amount, o.currency) IS DISTINCT FROM (b.amount, b.currency))",
    },
    SqlCheck {
        name: "captured_is_booked_or_given_back",
        invariants: "5",
        examined: "payments WHERE status = 'captured'",
        violations: "SELECT * FROM (
                SELECT p.id, p.amount, p.outcome, b.state, p.outcome = 'BOOKING' AND b.state = 'CONFIRMED' AS booked,
                    count(r.id) FILTER (WHERE r.state <> 'FAILED') AS refunds,
                    count(r.id) FILTER (WHERE r.state = 'PROCESSED' AND r.amount = p.amount) AS full_refunds
                FROM payments p
                LEFT JOIN bookings b ON b.id = p.booking_id
                LEFT JOIN refunds r ON r.payment_id = p.id
                WHERE p.status = 'captured'
                GROUP BY p.id, b.state) money
            WHERE CASE WHEN booked THEN refunds <> 0 ELSE refunds <> 1 OR full_refunds <> 1 END",
    },
    SqlCheck {
        name: "one_payment_settles_a_booking",
        invariants: "6",
        examined: "payments WHERE outcome = 'BOOKING'",
        violations: "SELECT booking_id, array_agg(id) AS payments
            FROM payments WHERE outcome = 'BOOKING'
            GROUP BY booking_id HAVING count(*) > 1 OR booking_id IS NULL",
    },
    SqlCheck {
        name: "refunds_stay_within_payments",
        invariants: "7",
        examined: "refunds",
        violations: "SELECT r.payment_id, p.amount, sum(r.amount) FILTER (WHERE r.state <> 'FAILED') AS refunded,
                count(*) FILTER (WHERE r.state <> 'FAILED') AS refunds, count(DISTINCT r.booking_id) AS bookings
            FROM refunds r LEFT JOIN payments p ON p.id = r.payment_id
            GROUP BY r.payment_id, p.amount, p.status, p.booking_id
            HAVING p.status IS DISTINCT FROM 'captured'
                OR sum(r.amount) FILTER (WHERE r.state <> 'FAILED') > p.amount
                OR count(*) FILTER (WHERE r.state <> 'FAILED') > 1
                OR bool_or(r.booking_id IS DISTINCT FROM p.booking_id)",
    },
    // Paid in full, through an order of this booking, by a payment that the provider told us of.
    SqlCheck {
        name: "confirmed_bookings_are_paid",
        invariants: "8",
        examined: "bookings WHERE state = 'CONFIRMED'",
        violations: "SELECT b.id, b.amount, b.currency
            FROM bookings b WHERE b.state = 'CONFIRMED' AND NOT EXISTS (
                SELECT FROM payments p JOIN orders o ON o.id = p.order_id
                WHERE p.booking_id = b.id AND o.booking_id = b.id
                  AND p.outcome = 'BOOKING' AND p.status = 'captured'
                  AND (p.amount, p.currency) = (b.amount, b.currency) AND (o.amount, o.currency) = (b.amount, b.currency)
                  AND EXISTS (SELECT FROM payment_events e
                              WHERE e.payment_id = p.id AND e.order_id = p.order_id AND e.processed_at IS NOT NULL))",
    },
    SqlCheck {
        name: "payments_belong_to_their_orders",
        invariants: "9",
        examined: "payments",
        violations: "SELECT p.id, p.order_id, p.booking_id, o.booking_id AS booking_of_order, o.receipt
            FROM payments p LEFT JOIN orders o ON o.id = p.order_id
            WHERE o.id IS NULL OR p.booking_id IS DISTINCT FROM o.booking_id OR p.provider <> o.provider
               OR (o.booking_id IS NOT NULL AND o.receipt <> 'sw_' || replace(o.booking_id::text, '-', ''))",
    },
];

/// One line a currency.
pub(super) async fn totals(ledger: &Transaction<'_>) -> anyhow::Result<Vec<Money>> {
    let rows = ledger.query(TOTALS, &[]).await?;
    let money = rows.iter().map(|row| {
        let (captured, booked, refunded) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let open = i64::wrapping_sub(captured, i64::wrapping_add(booked, refunded));
        Ok(Money { currency: row.try_get(0)?, captured, booked, refunded, open })
    });
    money.collect()
}

/// Nothing may be open.
pub(super) fn identity(money: &[Money]) -> Check {
    let mut check = Check::new("captured_is_booked_plus_refunded", "5 7");
    check.examined(money.len());
    for total in money {
        check.expect(total.open == 0, || format!("{total:?}"));
    }
    check
}

const TOTALS: &str = "
    SELECT p.currency,
        sum(p.amount)::bigint,
        coalesce(sum(p.amount) FILTER (WHERE p.outcome = 'BOOKING' AND b.state = 'CONFIRMED'), 0)::bigint,
        coalesce(sum((SELECT sum(r.amount) FROM refunds r WHERE r.payment_id = p.id AND r.state = 'PROCESSED')), 0)::bigint
    FROM payments p LEFT JOIN bookings b ON b.id = p.booking_id
    WHERE p.status = 'captured'
    GROUP BY p.currency ORDER BY p.currency";
