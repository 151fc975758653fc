-- The core may read, add and change; it may not delete, truncate or define. The role itself, with its password and
-- timeouts, is made by whoever runs the server: it is not this database's business alone.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'seatwire_core') THEN
        RAISE EXCEPTION 'role seatwire_core is missing'
            USING HINT = 'CREATE ROLE seatwire_core LOGIN PASSWORD ''…''; then migrate again';
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO seatwire_core;
GRANT SELECT, INSERT, UPDATE ON
    cities, theaters, screens, seats, movies, shows, show_seats, show_streams,
    bookings, booking_seats, orders, payments, payment_events, refunds, outbox
    TO seatwire_core;
-- History and keys are only added to; the edges are only read.
GRANT SELECT, INSERT ON seat_history, idempotency_keys TO seatwire_core;
GRANT SELECT ON state_edges TO seatwire_core;
