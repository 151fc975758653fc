ALTER TABLE refunds DROP COLUMN failures;
