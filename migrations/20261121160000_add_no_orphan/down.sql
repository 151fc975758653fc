COMMENT ON COLUMN shows.sale_version IS 'Grows with each change of sale and opens_at.';
ALTER TABLE shows DROP COLUMN no_orphan;
