-- A rescued booking owns its seats under the hold that was placed for its payment. A core of before this step takes the
-- booking's first hold for it, as it did.
ALTER TABLE bookings ADD COLUMN payer_hold_id bytea;
ALTER TABLE bookings ADD CONSTRAINT bookings_payer_hold_id_check CHECK (octet_length(payer_hold_id) = 16);
COMMENT ON COLUMN bookings.payer_hold_id IS 'The hold under which a late payment got the seats after all.';
