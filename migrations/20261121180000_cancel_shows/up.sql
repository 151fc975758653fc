-- A show that an operator cancels is closed for good; a worker cancels and refunds its bookings. A core of before this
-- step does none of that work, and can't open the sale again.
ALTER TABLE shows ADD COLUMN cancelled_at timestamptz;
ALTER TABLE shows ADD COLUMN cancel_done_at timestamptz;
ALTER TABLE shows ADD CONSTRAINT shows_cancelled_at_check CHECK (cancelled_at IS NULL OR sale = 'closed');
ALTER TABLE shows ADD CONSTRAINT shows_cancel_done_at_check CHECK (cancel_done_at IS NULL OR cancelled_at IS NOT NULL);
CREATE INDEX shows_cancelled_at_open_idx ON shows (cancelled_at) WHERE cancelled_at IS NOT NULL AND cancel_done_at IS NULL;
COMMENT ON COLUMN shows.cancelled_at IS 'When an operator cancelled the show; its sale never opens again.';
COMMENT ON COLUMN shows.cancel_done_at IS 'When none of its bookings was pending or confirmed any more.';
COMMENT ON COLUMN seat_history.reason IS 'Why: claim, settle, rescue, expire, cancel, cancel_show, block, unblock.';
