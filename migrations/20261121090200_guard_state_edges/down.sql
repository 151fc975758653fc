DROP TRIGGER refunds_guard ON refunds;
DROP TRIGGER payments_guard ON payments;
DROP TRIGGER show_seats_guard ON show_seats;
DROP TRIGGER bookings_guard ON bookings;
DROP FUNCTION guard_refund, guard_payment, guard_show_seat, guard_booking, is_state_edge, refuse_state_edge;
DROP TABLE state_edges;
