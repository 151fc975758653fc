-- A show may refuse holds that would leave a single seat alone between taken ones. A core of before this step does not
-- judge it, and loses nothing.
ALTER TABLE shows ADD COLUMN no_orphan boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN shows.no_orphan IS 'Whether a hold may not leave a single free seat alone; changes with sale_version.';
COMMENT ON COLUMN shows.sale_version IS 'Grows with each change of sale, opens_at and no_orphan.';
