ALTER TABLE bookings DROP COLUMN payer_hold_id;
