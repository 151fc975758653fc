//! What is planted, and which check has to find it.

use seatwire_loadtest::audit::AuditOptions;

pub(super) struct Plant {
    pub(super) check: &'static str,
    pub(super) how: Where,
}

pub(super) enum Where {
    /// As superuser, with triggers and foreign keys off. `booked`, `lapsed` and `kept` are views: the confirmed booking
    /// that was paid once, the expired one, and the confirmed one that was paid twice.
    Sql(&'static str),
    /// Lua with the show's keys as locals; `held` is the seat, `id` the hold and `customer` the holder of a live hold.
    Redis(&'static str),
    Options(fn(AuditOptions) -> AuditOptions),
}

impl std::fmt::Debug for Plant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.how {
            Where::Sql(text) | Where::Redis(text) => write!(f, "{}: {text}", self.check),
            Where::Options(_) => write!(f, "{}: by options", self.check),
        }
    }
}

const fn sql(check: &'static str, statements: &'static str) -> Plant {
    Plant { check, how: Where::Sql(statements) }
}

const fn lua(check: &'static str, script: &'static str) -> Plant {
    Plant { check, how: Where::Redis(script) }
}

pub(super) const PLANTS: &[Plant] = &[
    // Seats and bookings.
    sql(
        "one_active_booking_a_seat",
        "DROP INDEX booking_seats_show_id_seat_active_key;
         INSERT INTO booking_seats SELECT lapsed.id, s.show_id, s.seat, s.price, true
         FROM booking_seats s, lapsed, booked WHERE s.booking_id = booked.id",
    ),
    sql(
        "active_while_pending_or_confirmed",
        "UPDATE booking_seats SET active = false FROM booked WHERE booking_id = id",
    ),
    sql(
        "bookings_are_whole",
        "UPDATE show_seats SET status = 'available', booking_id = NULL WHERE (show_id, seat) IN (
             SELECT l.show_id, l.seat FROM booking_seats l JOIN booked ON l.booking_id = booked.id LIMIT 1)",
    ),
    sql(
        "bookings_are_whole",
        "UPDATE show_seats s SET status = 'booked', booking_id = lapsed.id FROM lapsed, booking_seats l
         WHERE l.booking_id = lapsed.id AND (l.show_id, l.seat) = (s.show_id, s.seat)",
    ),
    sql(
        "seats_agree_with_bookings",
        "UPDATE show_seats SET status = 'booked', booking_id = booked.id FROM booked
         WHERE show_seats.show_id = booked.show_id AND show_seats.seat = 0",
    ),
    sql("shows_have_all_their_seats", "DELETE FROM show_seats WHERE seat = 7"),
    sql("seat_history_has_no_holes", "DELETE FROM seat_history WHERE to_status = 'claimed'"),
    sql("seat_history_follows_the_edges", "UPDATE seat_history SET from_status = 'blocked' WHERE to_status = 'booked'"),
    sql("seat_history_ends_as_the_seat_is", "UPDATE show_seats SET version = version + 1 WHERE status = 'booked'"),
    sql("ever_confirmed_is_kept", "UPDATE bookings SET ever_confirmed = true WHERE state = 'EXPIRED'"),
    sql("idempotency_keys_have_one_effect", "DELETE FROM idempotency_keys WHERE operation = 'book'"),
    sql(
        "customers_stay_below_their_caps",
        "UPDATE bookings SET seats = 10, customer_id = 'one' WHERE state = 'CONFIRMED'",
    ),
    sql("indexes_and_triggers_guard", "DROP INDEX refunds_payment_id_live_key"),
    sql("indexes_and_triggers_guard", "ALTER TABLE show_seats DISABLE TRIGGER show_seats_guard"),
    // Money.
    sql("amounts_are_one", "UPDATE orders SET amount = amount + 1"),
    sql("amounts_are_one", "UPDATE booking_seats SET price = price + 1"),
    sql("captured_is_booked_or_given_back", "DELETE FROM refunds"),
    sql(
        "captured_is_booked_or_given_back",
        "UPDATE payments SET outcome = NULL, settled_at = NULL WHERE outcome = 'BOOKING'",
    ),
    sql(
        "captured_is_booked_or_given_back",
        "INSERT INTO refunds (id, payment_id, booking_id, amount, reason, state, idempotency_key)
         SELECT gen_random_uuid(), p.id, p.booking_id, p.amount, 'plant', 'PROCESSED', 'plant-' || p.id
         FROM payments p JOIN booked ON p.booking_id = booked.id",
    ),
    sql(
        "one_payment_settles_a_booking",
        "DROP INDEX payments_booking_id_booking_key; UPDATE payments SET outcome = 'BOOKING' WHERE outcome = 'REFUND'",
    ),
    sql("refunds_stay_within_payments", "UPDATE refunds SET amount = amount * 2"),
    sql("confirmed_bookings_are_paid", "UPDATE payment_events SET payment_id = 'pay_of_nobody'"),
    sql("confirmed_bookings_are_paid", "UPDATE payments SET amount = amount - 1 WHERE outcome = 'BOOKING'"),
    sql(
        "payments_belong_to_their_orders",
        "UPDATE payments p SET booking_id = lapsed.id FROM lapsed, booked WHERE p.booking_id = booked.id",
    ),
    sql("captured_is_booked_plus_refunded", "UPDATE refunds SET state = 'FAILED'"),
    // Work left.
    sql("no_booking_waits", "UPDATE bookings SET state = 'PENDING' WHERE state = 'EXPIRED'"),
    sql(
        "inbox_is_processed",
        "UPDATE payment_events SET processed_at = NULL, result = NULL WHERE result = 'confirmed'",
    ),
    sql("events_have_one_effect", "UPDATE payment_events SET result = 'confirmed' WHERE result = 'duplicate'"),
    sql("outbox_is_applied", "UPDATE outbox SET applied_at = NULL"),
    sql("refunds_are_done", "UPDATE refunds SET state = 'REQUESTED'"),
    // Events.
    sql("events_tell_every_change", "DELETE FROM booking_events WHERE kind = 'PaymentCompleted'"),
    sql(
        "events_tell_every_change",
        "UPDATE booking_events SET kind = 'BookingExpired' WHERE kind = 'BookingCancelled'",
    ),
    sql("events_are_numbered", "UPDATE booking_events SET version = version + 1 WHERE kind = 'Refunded'"),
    sql("events_are_exported", "UPDATE booking_events SET bus_done_at = NULL, bus_parked_at = now() WHERE version = 1"),
    sql(
        "mails_are_sent",
        "UPDATE booking_events SET mail_done_at = NULL, mail_next_try_at = now() WHERE kind = 'BookingConfirmed'",
    ),
    // The provider's books.
    sql("orders_are_the_providers", "UPDATE orders SET receipt = 'other'"),
    sql("captures_are_the_providers", "DELETE FROM payments WHERE outcome = 'REFUND'"),
    sql("captures_are_the_providers", "UPDATE payments SET id = 'pay_of_nobody' WHERE outcome = 'REFUND'"),
    sql("refunds_are_the_providers", "UPDATE refunds SET provider_refund_id = 'rfnd_of_nobody'"),
    sql("refunds_are_the_providers", "DELETE FROM refunds"),
    // The map.
    lua("maps_are_whole", "redis.call('HDEL', VERSION, '0')"),
    lua("maps_are_whole", "redis.call('HINCRBY', SHOW, 'generation', 1)"),
    lua("maps_are_the_ledger", "redis.call('HSET', VERSION, '0', '099:')"),
    lua("maps_are_the_ledger", "redis.call('HSET', VERSION, held, '21:' .. customer)"),
    lua("maps_know_the_sale", "redis.call('HSET', SHOW, 'sale', 2)"),
    lua("maps_know_the_sale", "redis.call('HINCRBY', SHOW, 'sale_version', 1)"),
    lua("statuses_are_ledger_and_holds", "redis.call('BITFIELD', STATUS, 'SET', 'u2', '#' .. held, 0)"),
    lua("statuses_are_ledger_and_holds", "redis.call('APPEND', STATUS, 'x')"),
    lua("locks_are_those_of_live_holds", "redis.call('HDEL', LOCK, held)"),
    lua("locks_are_those_of_live_holds", "redis.call('HSET', LOCK, '0', id .. customer)"),
    lua("locks_are_those_of_live_holds", "redis.call('HSET', LOCK, held, string.rep('x', 16) .. customer)"),
    lua("counters_are_those_of_live_holds", "redis.call('HSET', HELD_BY, customer, cmsgpack.pack({ 5, { id }, {} }))"),
    lua("counters_are_those_of_live_holds", "redis.call('HSET', HELD_BY, 'nobody', cmsgpack.pack({ 0, {}, {} }))"),
    lua("counters_are_those_of_live_holds", "redis.call('HDEL', HELD_BY, customer)"),
    lua("owned_seats_are_counted", "redis.call('HINCRBY', OWNED_BY, 'b' .. customer, 1)"),
    lua("holds_end_in_time", "redis.call('ZREM', DUE, MEMBER .. id)"),
    lua("holds_end_in_time", "redis.call('ZADD', DUE, 1, MEMBER .. id)"),
    lua(
        "holds_end_in_time",
        "local hold = cmsgpack.unpack(redis.call('HGET', HOLD, id))
         hold[5] = 1000
         redis.call('HSET', HOLD, id, cmsgpack.pack(hold))
         redis.call('ZADD', DUE, 1000, MEMBER .. id)",
    ),
    // The bus.
    lua(
        "the_bus_has_the_events",
        "local last = redis.call('XREVRANGE', 'seatwire.events', '+', '-', 'COUNT', 1)[1][1]
         redis.call('XDEL', 'seatwire.events', last)",
    ),
    lua("the_bus_has_the_events", "redis.call('DEL', 'seatwire.events', 'seatwire.events.epoch')"),
    // What is asked for.
    Plant {
        check: "holders_stay_below_the_cap",
        how: Where::Options(|options| AuditOptions { seats_max: 1, ..options }),
    },
    Plant {
        check: "customers_stay_below_their_caps",
        how: Where::Options(|options| AuditOptions { seats_max: 1, ..options }),
    },
    Plant { check: "as_much_as_required", how: Where::Options(|options| options.require("expired", 1000)) },
];
