-- How often a refund definitely failed. The number of attempts says less: a key that is spent through no fault of the
-- refund takes a new attempt too. A core of before this step counts attempts, as it did.
ALTER TABLE refunds ADD COLUMN failures integer NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD CONSTRAINT refunds_failures_check CHECK (failures >= 0);
COMMENT ON COLUMN refunds.failures IS 'Definite failures of the attempts before, since the payment''s refund was last requeued.';
