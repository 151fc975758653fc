-- Idempotency keys end after some time. The core may not delete: this function deletes for it, and nothing but keys that
-- are a day old or older and whose booking and money are settled. A core of before this step keeps all keys.
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

CREATE FUNCTION end_idempotency_keys(older_than interval, at_most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH due AS (
        SELECT k.customer_id, k.operation, k.key
        FROM idempotency_keys k JOIN bookings b ON b.id = k.booking_id
        WHERE k.created_at < now() - greatest(older_than, interval '24 hours')
            AND b.state <> 'PENDING'
            AND NOT EXISTS (SELECT FROM payments p
                WHERE p.booking_id = b.id AND p.status = 'captured' AND p.outcome IS NULL)
            AND NOT EXISTS (SELECT FROM refunds r WHERE r.booking_id = b.id AND r.state IN ('DUE', 'REQUESTED'))
            AND NOT EXISTS (SELECT FROM orders o JOIN payment_events e ON e.order_id = o.id
                WHERE o.booking_id = b.id AND e.processed_at IS NULL)
        ORDER BY k.created_at LIMIT at_most
        FOR UPDATE OF k SKIP LOCKED),
    ended AS (
        DELETE FROM idempotency_keys k USING due
        WHERE (k.customer_id, k.operation, k.key) = (due.customer_id, due.operation, due.key)
        RETURNING 1)
    SELECT count(*) FROM ended
$$;
COMMENT ON FUNCTION end_idempotency_keys IS
    'Ends keys older than this, and than a day: the oldest first, so many at most, none whose booking waits for its payment or whose money is on its way. Answers how many.';
REVOKE ALL ON FUNCTION end_idempotency_keys FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_idempotency_keys TO seatwire_core;
