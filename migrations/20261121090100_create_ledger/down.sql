DROP TABLE idempotency_keys, seat_history, outbox, refunds, payment_events, payments, orders, booking_seats, bookings;
