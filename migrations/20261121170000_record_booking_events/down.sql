DROP TRIGGER refunds_record ON refunds;
DROP TRIGGER payments_record_change ON payments;
DROP TRIGGER payments_record_new ON payments;
DROP TRIGGER bookings_record_state ON bookings;
DROP TRIGGER bookings_record_pending ON bookings;
DROP FUNCTION record_refund, record_payment, record_booking_state, booking_of_order, record_booking_event;
DROP TABLE event_streams, booking_events;
