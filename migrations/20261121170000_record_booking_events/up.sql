-- What happened to bookings, told to other systems (event bus) and to customers (mail). Triggers write the rows, so each
-- is in the transaction of what it tells of, and no path of the code can forget one.

CREATE TABLE booking_events (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    booking_id uuid NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    facts jsonb NOT NULL DEFAULT '{}',
    bus_next_try_at timestamptz DEFAULT clock_timestamp(),
    bus_done_at timestamptz,
    bus_failures integer NOT NULL DEFAULT 0,
    bus_parked_at timestamptz,
    bus_stream text,
    mail_next_try_at timestamptz,
    mail_done_at timestamptz,
    mail_failures integer NOT NULL DEFAULT 0,
    mail_parked_at timestamptz,
    last_error text,
    CONSTRAINT booking_events_id_pk PRIMARY KEY (id),
    CONSTRAINT booking_events_booking_id_version_key UNIQUE (booking_id, version),
    CONSTRAINT booking_events_version_check CHECK (version > 0),
    CONSTRAINT booking_events_kind_check CHECK (kind IN ('BookingPending', 'PaymentCompleted', 'BookingConfirmed',
        'BookingExpired', 'BookingCancelled', 'BookingFailed_InitiateRefund', 'Refunded')),
    CONSTRAINT booking_events_bus_check CHECK (num_nonnulls(bus_next_try_at, bus_done_at, bus_parked_at) = 1),
    CONSTRAINT booking_events_mail_check CHECK (num_nonnulls(mail_next_try_at, mail_done_at, mail_parked_at) <= 1)
);
CREATE INDEX booking_events_bus_next_try_at_idx ON booking_events (bus_next_try_at) WHERE bus_next_try_at IS NOT NULL;
CREATE INDEX booking_events_mail_next_try_at_idx ON booking_events (mail_next_try_at) WHERE mail_next_try_at IS NOT NULL;
CREATE INDEX booking_events_bus_done_at_idx ON booking_events (bus_done_at) WHERE bus_done_at IS NOT NULL;
CREATE INDEX booking_events_parked_idx ON booking_events (id) WHERE bus_parked_at IS NOT NULL OR mail_parked_at IS NOT NULL;
COMMENT ON TABLE booking_events IS 'Domain events, one row each, with a done mark per consumer: the bus for other systems, and mail.';
COMMENT ON COLUMN booking_events.id IS 'The event''s id, for consumers that want to see each once; also in the mail''s Message-ID.';
COMMENT ON COLUMN booking_events.booking_id IS 'The booking, or the one that an order was made for whose claim never committed: no foreign key.';
COMMENT ON COLUMN booking_events.version IS '1, 2, 3 … within the booking.';
COMMENT ON COLUMN booking_events.kind IS 'What happened.';
COMMENT ON COLUMN booking_events.occurred_at IS 'When.';
COMMENT ON COLUMN booking_events.facts IS 'What is told beside the booking''s own columns, such as payment, refund, reason.';
COMMENT ON COLUMN booking_events.bus_next_try_at IS 'To be exported, not before this; null: nothing to do.';
COMMENT ON COLUMN booking_events.bus_done_at IS 'When the bus had it.';
COMMENT ON COLUMN booking_events.bus_failures IS 'Failures of its own; outages do not count.';
COMMENT ON COLUMN booking_events.bus_parked_at IS 'Set after 5 failures: an operator has to look.';
COMMENT ON COLUMN booking_events.bus_stream IS 'Which store of the bus has it; when that lost its data, the event is exported again.';
COMMENT ON COLUMN booking_events.mail_next_try_at IS 'To be mailed, not before this; null: nothing to do.';
COMMENT ON COLUMN booking_events.mail_done_at IS 'When the mail server took it, or mail was found to be off.';
COMMENT ON COLUMN booking_events.mail_failures IS 'Failures of its own; outages do not count.';
COMMENT ON COLUMN booking_events.mail_parked_at IS 'Set after 5 failures, or a day of being put off: an operator has to look.';
COMMENT ON COLUMN booking_events.last_error IS 'Whose last try failed, and why; never an address.';

CREATE TABLE event_streams (
    stream text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    replay_from timestamptz NOT NULL,
    CONSTRAINT event_streams_stream_pk PRIMARY KEY (stream)
);
COMMENT ON TABLE event_streams IS 'Stores of the bus that were met: a new one means that the one before may have lost events.';
COMMENT ON COLUMN event_streams.stream IS 'Store and run, such as the epoch of a Redis stream and the run id of its server.';
COMMENT ON COLUMN event_streams.seen_at IS 'When it was met first.';
COMMENT ON COLUMN event_streams.replay_from IS 'Events that another stream got since then are exported again.';

-- Every writer has the booking locked (or, without one, its order), so the next number is nobody else's; the unique
-- key stands behind that.
CREATE FUNCTION record_booking_event(booking uuid, what text, facts jsonb, mailed boolean) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO booking_events (booking_id, version, kind, facts, mail_next_try_at)
    VALUES (booking, (SELECT coalesce(max(e.version), 0) + 1 FROM booking_events e WHERE e.booking_id = booking),
        what, facts, CASE WHEN mailed THEN clock_timestamp() END);
END $$;
COMMENT ON FUNCTION record_booking_event IS 'Adds the next event of a booking; whether it is also mailed.';

CREATE FUNCTION record_booking_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE NEW.state
    WHEN 'PENDING' THEN
        PERFORM record_booking_event(NEW.id, 'BookingPending', jsonb_build_object('expires_at', NEW.expires_at), false);
    WHEN 'CONFIRMED' THEN
        PERFORM record_booking_event(NEW.id, 'BookingConfirmed', jsonb_build_object('rescued', OLD.state <> 'PENDING'), true);
    WHEN 'EXPIRED' THEN
        PERFORM record_booking_event(NEW.id, 'BookingExpired', '{}', false);
    WHEN 'CANCELLED' THEN
        PERFORM record_booking_event(NEW.id, 'BookingCancelled', jsonb_strip_nulls(jsonb_build_object(
            'cancelled_by', NEW.ended_by, 'refund_follows', OLD.state = 'CONFIRMED')), true);
    END CASE;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION record_booking_state IS 'Tells of a booking''s new state.';
CREATE TRIGGER bookings_record_pending AFTER INSERT ON bookings FOR EACH ROW
    EXECUTE FUNCTION record_booking_state();
CREATE TRIGGER bookings_record_state AFTER UPDATE OF state ON bookings FOR EACH ROW
    WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION record_booking_state();

CREATE FUNCTION booking_of_order(order_id text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    SELECT o.booking_id, o.receipt INTO found FROM orders o WHERE o.id = order_id FOR NO KEY UPDATE;
    IF found.booking_id IS NULL AND found.receipt ~ '^sw_[0-9a-f]{32}$' THEN
        RETURN substr(found.receipt, 4)::uuid;
    END IF;
    RETURN found.booking_id;
END $$;
COMMENT ON FUNCTION booking_of_order IS 'The booking that an order was made for, also where its claim never committed; locks the order.';

CREATE FUNCTION record_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    booking uuid := coalesce(NEW.booking_id, booking_of_order(NEW.order_id));
    facts jsonb := jsonb_build_object('payment', NEW.id, 'order', NEW.order_id,
        'paid_amount', NEW.amount, 'paid_currency', NEW.currency);
BEGIN
    IF booking IS NULL THEN
        RETURN NULL;
    END IF;
    IF NEW.status = 'captured' AND (TG_OP = 'INSERT' OR OLD.status <> 'captured') THEN
        PERFORM record_booking_event(booking, 'PaymentCompleted', facts, false);
    END IF;
    IF NEW.outcome = 'REFUND' AND (TG_OP = 'INSERT' OR OLD.outcome IS NULL) THEN
        PERFORM record_booking_event(booking, 'BookingFailed_InitiateRefund',
            facts || jsonb_build_object('reason', NEW.outcome_reason), false);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION record_payment IS 'Tells of a captured payment, and of one whose money goes back.';
CREATE TRIGGER payments_record_new AFTER INSERT ON payments FOR EACH ROW
    WHEN (NEW.status = 'captured') EXECUTE FUNCTION record_payment();
CREATE TRIGGER payments_record_change AFTER UPDATE OF status, outcome ON payments FOR EACH ROW
    WHEN (NEW.status <> OLD.status OR (OLD.outcome IS NULL AND NEW.outcome = 'REFUND')) EXECUTE FUNCTION record_payment();

CREATE FUNCTION record_refund() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    paid record;
    booking uuid := NEW.booking_id;
BEGIN
    SELECT p.order_id, p.currency INTO paid FROM payments p WHERE p.id = NEW.payment_id;
    booking := coalesce(booking, booking_of_order(paid.order_id));
    IF booking IS NOT NULL THEN
        PERFORM record_booking_event(booking, 'Refunded', jsonb_strip_nulls(jsonb_build_object(
            'payment', NEW.payment_id, 'refund', NEW.provider_refund_id, 'refund_amount', NEW.amount,
            'refund_currency', paid.currency, 'reason', NEW.reason)), NEW.booking_id IS NOT NULL);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION record_refund IS 'Tells of money that went back.';
CREATE TRIGGER refunds_record AFTER UPDATE OF state ON refunds FOR EACH ROW
    WHEN (NEW.state = 'PROCESSED' AND OLD.state <> 'PROCESSED') EXECUTE FUNCTION record_refund();

-- What happened before this step: the same events, exported once; no mail about the past. A booking changes state with
-- all its seats, so the history of its first seat is its own.
INSERT INTO booking_events (booking_id, version, kind, occurred_at, facts)
SELECT booking_id, row_number() OVER (PARTITION BY booking_id ORDER BY at, rank), kind, at, facts FROM (
    SELECT b.id AS booking_id, h.changed_at AS at, 1 AS rank,
        CASE WHEN h.to_status = 'claimed' THEN 'BookingPending' WHEN h.to_status = 'booked' THEN 'BookingConfirmed'
            WHEN h.reason = 'expire' THEN 'BookingExpired' ELSE 'BookingCancelled' END AS kind,
        CASE WHEN h.to_status = 'claimed' THEN jsonb_build_object('expires_at', b.expires_at)
            WHEN h.to_status = 'booked' THEN jsonb_build_object('rescued', h.from_status = 'available')
            WHEN h.reason = 'expire' THEN '{}'
            ELSE jsonb_strip_nulls(jsonb_build_object('cancelled_by', b.ended_by, 'refund_follows', h.from_status = 'booked')) END AS facts
    FROM bookings b
    JOIN LATERAL (SELECT s.seat FROM booking_seats s WHERE s.booking_id = b.id ORDER BY s.seat LIMIT 1) first ON true
    JOIN seat_history h ON h.show_id = b.show_id AND h.seat = first.seat AND h.booking_id = b.id
    UNION ALL
    SELECT booking_id, created_at, 0, 'PaymentCompleted', facts FROM (
        SELECT coalesce(p.booking_id, booking_of_order(p.order_id)) AS booking_id, p.created_at,
            jsonb_build_object('payment', p.id, 'order', p.order_id, 'paid_amount', p.amount, 'paid_currency', p.currency) AS facts
        FROM payments p WHERE p.status = 'captured') captured
    UNION ALL
    SELECT booking_id, settled_at, 2, 'BookingFailed_InitiateRefund', facts FROM (
        SELECT coalesce(p.booking_id, booking_of_order(p.order_id)) AS booking_id, p.settled_at,
            jsonb_build_object('payment', p.id, 'order', p.order_id, 'paid_amount', p.amount,
                'paid_currency', p.currency, 'reason', p.outcome_reason) AS facts
        FROM payments p WHERE p.outcome = 'REFUND') failed
    UNION ALL
    SELECT booking_id, ended_at, 3, 'Refunded', facts FROM (
        SELECT coalesce(r.booking_id, p.booking_id, booking_of_order(p.order_id)) AS booking_id, r.ended_at,
            jsonb_strip_nulls(jsonb_build_object('payment', r.payment_id, 'refund', r.provider_refund_id,
                'refund_amount', r.amount, 'refund_currency', p.currency, 'reason', r.reason)) AS facts
        FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.state = 'PROCESSED') returned
) past
WHERE booking_id IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON booking_events TO seatwire_core;
GRANT SELECT, INSERT ON event_streams TO seatwire_core;
