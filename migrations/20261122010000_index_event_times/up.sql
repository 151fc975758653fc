-- Operators see sales over time: the confirmations of the last hour are found by a block range index, which costs the
-- transactions that write events next to nothing. A core of before this step does not ask.
CREATE INDEX booking_events_occurred_at_idx ON booking_events USING brin (occurred_at) WITH (pages_per_range = 16);
