REVOKE ALL ON
    cities, theaters, screens, seats, movies, shows, show_seats, show_streams,
    bookings, booking_seats, orders, payments, payment_events, refunds, outbox,
    seat_history, idempotency_keys, state_edges
    FROM seatwire_core;
REVOKE USAGE ON SCHEMA public FROM seatwire_core;
