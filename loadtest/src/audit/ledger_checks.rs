//! Checks of seats, bookings and history: what only the ledger's own rows decide.

use super::report::SqlCheck;

pub(super) const CHECKS: &[SqlCheck] = &[
    SqlCheck {
        name: "one_active_booking_a_seat",
        invariants: "1",
        examined: "booking_seats WHERE active",
        violations: "SELECT show_id, seat, array_agg(booking_id) AS bookings
            FROM booking_seats WHERE active GROUP BY show_id, seat HAVING count(*) > 1",
    },
    SqlCheck {
        name: "active_while_pending_or_confirmed",
        invariants: "1 2",
        examined: "booking_seats",
        violations: "SELECT s.booking_id, s.show_id, s.seat, s.active, b.state, b.show_id AS show_of_booking
            FROM booking_seats s LEFT JOIN bookings b ON b.id = s.booking_id
            WHERE b.id IS NULL OR s.active <> (b.state IN ('PENDING', 'CONFIRMED')) OR s.show_id <> b.show_id",
    },
    // Whole or nothing: a pending booking has claimed all its seats, a confirmed one owns them, an ended one has none.
    SqlCheck {
        name: "bookings_are_whole",
        invariants: "2",
        examined: "bookings",
        violations: "SELECT * FROM (
                SELECT b.id, b.state, b.seats, coalesce(l.seats, 0) AS listed,
                    coalesce(s.claimed, 0) AS claimed, coalesce(s.booked, 0) AS booked
                FROM bookings b
                LEFT JOIN (SELECT booking_id, count(*) AS seats FROM booking_seats GROUP BY booking_id) l
                    ON l.booking_id = b.id
                LEFT JOIN (
                    SELECT booking_id, count(*) FILTER (WHERE status = 'claimed') AS claimed,
                        count(*) FILTER (WHERE status = 'booked') AS booked
                    FROM show_seats WHERE booking_id IS NOT NULL GROUP BY booking_id) s ON s.booking_id = b.id) counted
            WHERE listed <> seats
               OR claimed <> CASE state WHEN 'PENDING' THEN seats ELSE 0 END
               OR booked <> CASE state WHEN 'CONFIRMED' THEN seats ELSE 0 END",
    },
    SqlCheck {
        name: "seats_agree_with_bookings",
        invariants: "3",
        examined: "show_seats",
        violations: "SELECT s.show_id, s.seat, s.status, s.booking_id, b.state, l.seat IS NOT NULL AS listed
            FROM show_seats s
            LEFT JOIN bookings b ON b.id = s.booking_id
            LEFT JOIN booking_seats l
                ON l.booking_id = s.booking_id AND l.show_id = s.show_id AND l.seat = s.seat AND l.active
            WHERE CASE s.status
                WHEN 'claimed' THEN b.state IS DISTINCT FROM 'PENDING' OR l.seat IS NULL
                WHEN 'booked' THEN b.state IS DISTINCT FROM 'CONFIRMED' OR l.seat IS NULL
                ELSE s.booking_id IS NOT NULL END",
    },
    SqlCheck {
        name: "shows_have_all_their_seats",
        invariants: "24",
        examined: "shows",
        violations: "SELECT w.id, w.seats, count(s.seat) AS found, min(s.seat) AS first, max(s.seat) AS last
            FROM shows w LEFT JOIN show_seats s ON s.show_id = w.id
            GROUP BY w.id
            HAVING count(s.seat) <> w.seats OR min(s.seat) <> 0 OR max(s.seat) <> w.seats - 1",
    },
    // Each change of a seat is one row: versions without holes, each beginning where the last one ended.
    SqlCheck {
        name: "seat_history_has_no_holes",
        invariants: "10 23",
        examined: "seat_history",
        violations: "SELECT show_id, seat, version, from_status, to_status, version_before, status_before
            FROM (SELECT *, lag(version) OVER seat AS version_before, lag(to_status) OVER seat AS status_before
                  FROM seat_history WINDOW seat AS (PARTITION BY show_id, seat ORDER BY version)) h
            WHERE version <> coalesce(version_before, 1) + 1 OR from_status <> coalesce(status_before, from_status)",
    },
    SqlCheck {
        name: "seat_history_follows_the_edges",
        invariants: "10",
        examined: "seat_history",
        violations: "SELECT h.show_id, h.seat, h.version, h.from_status, h.to_status
            FROM seat_history h LEFT JOIN state_edges e
                ON e.subject = 'seat' AND e.from_state = h.from_status AND e.to_state = h.to_status
            WHERE e.subject IS NULL",
    },
    SqlCheck {
        name: "seat_history_ends_as_the_seat_is",
        invariants: "10 23",
        examined: "show_seats",
        violations: "SELECT s.show_id, s.seat, s.status, s.version, h.to_status, h.version AS last_version
            FROM show_seats s LEFT JOIN LATERAL (
                SELECT to_status, version FROM seat_history h
                WHERE h.show_id = s.show_id AND h.seat = s.seat ORDER BY version DESC LIMIT 1) h ON true
            WHERE s.version <> coalesce(h.version, 1) OR s.status <> coalesce(h.to_status, s.status)",
    },
    SqlCheck {
        name: "ever_confirmed_is_kept",
        invariants: "10",
        examined: "bookings",
        violations: "SELECT b.id, b.state, b.ever_confirmed
            FROM bookings b
            WHERE b.ever_confirmed <> EXISTS (
                SELECT FROM payments p WHERE p.booking_id = b.id AND p.outcome = 'BOOKING')",
    },
    // A key may end after a day, when its booking is at its end or paid for.
    SqlCheck {
        name: "idempotency_keys_have_one_effect",
        invariants: "12",
        examined: "idempotency_keys",
        violations: "SELECT b.id AS booking, b.customer_id, count(k.key) AS book_keys,
                count(*) FILTER (WHERE k.customer_id <> b.customer_id) AS keys_of_others
            FROM bookings b LEFT JOIN idempotency_keys k ON k.booking_id = b.id AND k.operation = 'book'
            GROUP BY b.id
            HAVING count(k.key) > 1
                OR count(k.key) = 0 AND (b.state = 'PENDING' OR b.created_at > now() - interval '24 hours')
                OR count(*) FILTER (WHERE k.customer_id <> b.customer_id) > 0",
    },
    // A late payment that saved its booking may exceed the cap of seats: its money counts more.
    SqlCheck {
        name: "customers_stay_below_their_caps",
        invariants: "16",
        examined: "bookings WHERE state IN ('PENDING', 'CONFIRMED')",
        violations: "SELECT show_id, customer_id, count(*) FILTER (WHERE state = 'PENDING') AS pending,
                sum(seats) FILTER (WHERE NOT rescued) AS seats
            FROM (SELECT b.show_id, b.customer_id, b.state, b.seats, EXISTS (
                      SELECT FROM seat_history h
                      JOIN booking_seats l ON l.show_id = h.show_id AND l.seat = h.seat
                      WHERE l.booking_id = b.id AND h.booking_id = b.id AND h.reason = 'rescue') AS rescued
                  FROM bookings b WHERE b.state IN ('PENDING', 'CONFIRMED')) active
            GROUP BY show_id, customer_id
            HAVING count(*) FILTER (WHERE state = 'PENDING') > 1
                OR sum(seats) FILTER (WHERE NOT rescued) > {seats_max}",
    },
    // The last line of defence has to be there, whole and switched on.
    SqlCheck {
        name: "indexes_and_triggers_guard",
        invariants: "1 6 7 10 12 13",
        examined: "(VALUES ('guards')) guards",
        violations: "SELECT wanted.name, wanted.kind
            FROM (VALUES
                ('booking_seats_show_id_seat_active_key', 'index'),
                ('bookings_customer_id_show_id_pending_key', 'index'),
                ('payments_id_pk', 'index'),
                ('payments_booking_id_booking_key', 'index'),
                ('refunds_payment_id_live_key', 'index'),
                ('payment_events_provider_body_hash_key', 'index'),
                ('idempotency_keys_customer_id_operation_key_pk', 'index'),
                ('booking_events_booking_id_version_key', 'index'),
                ('bookings_record_pending', 'trigger'),
                ('bookings_record_state', 'trigger'),
                ('payments_record_new', 'trigger'),
                ('payments_record_change', 'trigger'),
                ('refunds_record', 'trigger'),
                ('bookings_guard', 'trigger'),
                ('show_seats_guard', 'trigger'),
                ('payments_guard', 'trigger'),
                ('refunds_guard', 'trigger')) AS wanted (name, kind)
            WHERE NOT CASE kind
                WHEN 'index' THEN EXISTS (
                    SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                    WHERE c.relname = wanted.name AND i.indisunique AND i.indisvalid AND i.indisready)
                ELSE EXISTS (
                    SELECT FROM pg_trigger t WHERE t.tgname = wanted.name AND t.tgenabled IN ('O', 'A')) END",
    },
];
