COMMENT ON COLUMN seat_history.reason IS 'Why: claim, settle, rescue, expire, cancel, block, unblock.';
DROP INDEX shows_cancelled_at_open_idx;
ALTER TABLE shows DROP COLUMN cancel_done_at;
ALTER TABLE shows DROP COLUMN cancelled_at;
