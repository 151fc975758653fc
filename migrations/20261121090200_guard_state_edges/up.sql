-- The one table of state edges, and the triggers that allow nothing else. Terminal states have no edge out.

CREATE TABLE state_edges (
    subject text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    meaning text NOT NULL,
    CONSTRAINT state_edges_subject_from_state_to_state_pk PRIMARY KEY (subject, from_state, to_state)
);
COMMENT ON TABLE state_edges IS 'Every allowed change of state; anything else is refused by trigger.';
COMMENT ON COLUMN state_edges.subject IS 'booking, seat, payment or refund.';
COMMENT ON COLUMN state_edges.from_state IS 'State before.';
COMMENT ON COLUMN state_edges.to_state IS 'State after.';
COMMENT ON COLUMN state_edges.meaning IS 'What happened.';

INSERT INTO state_edges (subject, from_state, to_state, meaning) VALUES
    ('booking', 'PENDING', 'CONFIRMED', 'paid in time'),
    ('booking', 'PENDING', 'EXPIRED', 'not paid in time'),
    ('booking', 'PENDING', 'CANCELLED', 'cancelled before payment'),
    ('booking', 'EXPIRED', 'CONFIRMED', 'rescue: paid late, the seats were free'),
    ('booking', 'CANCELLED', 'CONFIRMED', 'rescue: paid after its customer cancelled, the seats were free; never after a confirmation'),
    ('booking', 'CONFIRMED', 'CANCELLED', 'cancelled by policy or with its show, with a full refund'),
    ('seat', 'available', 'claimed', 'claim'),
    ('seat', 'available', 'booked', 'rescue'),
    ('seat', 'available', 'blocked', 'block'),
    ('seat', 'claimed', 'booked', 'settle'),
    ('seat', 'claimed', 'available', 'expiry, or cancellation before payment'),
    ('seat', 'booked', 'available', 'cancellation with refund'),
    ('seat', 'blocked', 'available', 'unblock'),
    ('payment', 'failed', 'captured', 'late authorisation'),
    ('refund', 'DUE', 'REQUESTED', 'asked for at the provider'),
    ('refund', 'DUE', 'PROCESSED', 'done; the answer told so at once, or another''s refund was found'),
    ('refund', 'DUE', 'FAILED', 'refused by the provider'),
    ('refund', 'REQUESTED', 'PROCESSED', 'done'),
    ('refund', 'REQUESTED', 'FAILED', 'refused by the provider');

CREATE FUNCTION refuse_state_edge(subject text, id text, from_state text, to_state text, why text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: % to %: %', subject, id, from_state, to_state, why
        USING ERRCODE = 'check_violation', CONSTRAINT = 'state_edges_' || subject || '_check', TABLE = subject;
END $$;
COMMENT ON FUNCTION refuse_state_edge IS 'Ends the statement with a check violation named state_edges_<subject>_check.';

CREATE FUNCTION is_state_edge(text, text, text) RETURNS boolean LANGUAGE sql STABLE AS
    $$ SELECT EXISTS (SELECT FROM state_edges e WHERE e.subject = $1 AND e.from_state = $2 AND e.to_state = $3) $$;
COMMENT ON FUNCTION is_state_edge IS 'Whether a subject may go from one state to another.';

CREATE FUNCTION guard_booking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state THEN
        IF NOT EXISTS (SELECT FROM state_edges e
                       WHERE e.subject = 'booking' AND e.from_state = OLD.state AND e.to_state = NEW.state) THEN
            PERFORM refuse_state_edge('booking', OLD.id::text, OLD.state, NEW.state, 'no such edge');
        ELSIF NEW.state = 'CONFIRMED' AND OLD.ever_confirmed THEN
            PERFORM refuse_state_edge('booking', OLD.id::text, OLD.state, NEW.state, 'was confirmed before');
        ELSIF NEW.version <> OLD.version + 1 THEN
            PERFORM refuse_state_edge('booking', OLD.id::text, OLD.state, NEW.state, 'version must grow by one');
        END IF;
    END IF;
    IF OLD.ever_confirmed AND NOT NEW.ever_confirmed THEN
        PERFORM refuse_state_edge('booking', OLD.id::text, OLD.state, NEW.state, 'ever_confirmed stays');
    END IF;
    IF (NEW.id, NEW.show_id, NEW.customer_id, NEW.hold_id, NEW.seats, NEW.amount, NEW.currency, NEW.created_at)
        IS DISTINCT FROM
       (OLD.id, OLD.show_id, OLD.customer_id, OLD.hold_id, OLD.seats, OLD.amount, OLD.currency, OLD.created_at) THEN
        PERFORM refuse_state_edge('booking', OLD.id::text, OLD.state, NEW.state, 'a column that never changes was changed');
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION guard_booking IS 'Keeps state edges, ever_confirmed and the columns that never change.';
CREATE TRIGGER bookings_guard BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION guard_booking();

CREATE FUNCTION guard_show_seat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = OLD.status THEN
        IF NEW.booking_id IS DISTINCT FROM OLD.booking_id THEN
            PERFORM refuse_state_edge('seat', OLD.show_id || '/' || OLD.seat, OLD.status, NEW.status, 'another booking''s seat');
        END IF;
        RETURN NEW;
    END IF;
    IF NOT EXISTS (SELECT FROM state_edges e
                   WHERE e.subject = 'seat' AND e.from_state = OLD.status AND e.to_state = NEW.status) THEN
        PERFORM refuse_state_edge('seat', OLD.show_id || '/' || OLD.seat, OLD.status, NEW.status, 'no such edge');
    ELSIF OLD.booking_id IS NOT NULL AND NEW.booking_id IS NOT NULL AND NEW.booking_id <> OLD.booking_id THEN
        PERFORM refuse_state_edge('seat', OLD.show_id || '/' || OLD.seat, OLD.status, NEW.status, 'another booking''s seat');
    ELSIF NEW.version <> OLD.version + 1 THEN
        PERFORM refuse_state_edge('seat', OLD.show_id || '/' || OLD.seat, OLD.status, NEW.status, 'version must grow by one');
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION guard_show_seat IS 'Keeps state edges and versions of seats; a seat never goes from one booking straight to another.';
CREATE TRIGGER show_seats_guard BEFORE UPDATE ON show_seats FOR EACH ROW EXECUTE FUNCTION guard_show_seat();

CREATE FUNCTION guard_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND NOT is_state_edge('payment', OLD.status, NEW.status) THEN
        PERFORM refuse_state_edge('payment', OLD.id, OLD.status, NEW.status, 'no such edge');
    END IF;
    IF OLD.outcome IS NOT NULL AND NEW.outcome IS DISTINCT FROM OLD.outcome THEN
        PERFORM refuse_state_edge('payment', OLD.id, OLD.outcome, coalesce(NEW.outcome, 'null'), 'an outcome is written once');
    END IF;
    IF (NEW.id, NEW.order_id, NEW.booking_id) IS DISTINCT FROM (OLD.id, OLD.order_id, OLD.booking_id)
        OR (OLD.status = 'captured' AND (NEW.amount, NEW.currency) IS DISTINCT FROM (OLD.amount, OLD.currency)) THEN
        PERFORM refuse_state_edge('payment', OLD.id, OLD.status, NEW.status, 'a column that never changes was changed');
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION guard_payment IS 'Keeps state edges, the outcome once written, and what a captured payment is of.';
CREATE TRIGGER payments_guard BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION guard_payment();

CREATE FUNCTION guard_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NOT is_state_edge('refund', OLD.state, NEW.state) THEN
        PERFORM refuse_state_edge('refund', OLD.id::text, OLD.state, NEW.state, 'no such edge');
    END IF;
    IF (NEW.id, NEW.payment_id, NEW.attempt, NEW.amount, NEW.idempotency_key)
        IS DISTINCT FROM
       (OLD.id, OLD.payment_id, OLD.attempt, OLD.amount, OLD.idempotency_key) THEN
        PERFORM refuse_state_edge('refund', OLD.id::text, OLD.state, NEW.state, 'a column that never changes was changed');
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION guard_refund IS 'Keeps state edges of refunds and what they are of.';
CREATE TRIGGER refunds_guard BEFORE UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION guard_refund();
