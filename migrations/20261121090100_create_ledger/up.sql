-- Bookings and money. The unique indexes marked "last line" make the impossible impossible even if all code is wrong.
-- bookings and outbox have no foreign key to shows: each claim of a hot show would share-lock its one row; booking_seats
-- refers to show_seats, whose rows a claim locks anyway.

CREATE TABLE bookings (
    id uuid NOT NULL,
    show_id bigint NOT NULL,
    customer_id text NOT NULL,
    state text NOT NULL DEFAULT 'PENDING',
    ever_confirmed boolean NOT NULL DEFAULT false,
    ended_by text,
    hold_id bytea NOT NULL,
    seats integer NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    email text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT bookings_id_pk PRIMARY KEY (id),
    CONSTRAINT bookings_customer_id_check CHECK (length(customer_id) BETWEEN 1 AND 64),
    CONSTRAINT bookings_state_check CHECK (state IN ('PENDING', 'CONFIRMED', 'EXPIRED', 'CANCELLED')),
    CONSTRAINT bookings_ever_confirmed_check CHECK (state <> 'CONFIRMED' OR ever_confirmed),
    CONSTRAINT bookings_ended_by_check CHECK (ended_by IN ('customer', 'operator')),
    CONSTRAINT bookings_hold_id_check CHECK (octet_length(hold_id) = 16),
    CONSTRAINT bookings_seats_check CHECK (seats BETWEEN 1 AND 10),
    CONSTRAINT bookings_amount_check CHECK (amount > 0),
    CONSTRAINT bookings_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT bookings_email_check CHECK (length(email) BETWEEN 3 AND 254)
);
-- Last line: one pending booking a customer and show.
CREATE UNIQUE INDEX bookings_customer_id_show_id_pending_key ON bookings (customer_id, show_id) WHERE state = 'PENDING';
CREATE INDEX bookings_customer_id_created_at_idx ON bookings (customer_id, created_at DESC);
CREATE INDEX bookings_expires_at_pending_idx ON bookings (expires_at) WHERE state = 'PENDING';
COMMENT ON TABLE bookings IS 'Purchases from claim to end. The allowed changes of state are in state_edges.';
COMMENT ON COLUMN bookings.id IS 'Random key, shown to the customer.';
COMMENT ON COLUMN bookings.show_id IS 'The show.';
COMMENT ON COLUMN bookings.customer_id IS 'Who buys.';
COMMENT ON COLUMN bookings.state IS 'PENDING, CONFIRMED, EXPIRED or CANCELLED.';
COMMENT ON COLUMN bookings.ever_confirmed IS 'Once true never false; such a booking is never rescued by a late payment.';
COMMENT ON COLUMN bookings.ended_by IS 'Who cancelled: customer or operator; a pending booking that its customer cancelled may be rescued.';
COMMENT ON COLUMN bookings.hold_id IS 'The hold that the booking was made from.';
COMMENT ON COLUMN bookings.seats IS 'Number of seats.';
COMMENT ON COLUMN bookings.amount IS 'Sum of the seat prices when claimed, minor units.';
COMMENT ON COLUMN bookings.currency IS 'ISO 4217.';
COMMENT ON COLUMN bookings.email IS 'Where the confirmation goes.';
COMMENT ON COLUMN bookings.version IS 'Grows by one with each change of state.';
COMMENT ON COLUMN bookings.created_at IS 'When the seats were claimed.';
COMMENT ON COLUMN bookings.expires_at IS 'When an unpaid booking ends.';
COMMENT ON COLUMN bookings.ended_at IS 'When the booking expired or was cancelled.';

CREATE TABLE booking_seats (
    booking_id uuid NOT NULL,
    show_id bigint NOT NULL,
    seat integer NOT NULL,
    price bigint NOT NULL,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT booking_seats_booking_id_seat_pk PRIMARY KEY (booking_id, seat),
    CONSTRAINT booking_seats_booking_id_fk FOREIGN KEY (booking_id) REFERENCES bookings (id),
    CONSTRAINT booking_seats_show_id_seat_fk FOREIGN KEY (show_id, seat) REFERENCES show_seats (show_id, seat),
    CONSTRAINT booking_seats_price_check CHECK (price > 0)
);
-- Last line: one active booking a seat.
CREATE UNIQUE INDEX booking_seats_show_id_seat_active_key ON booking_seats (show_id, seat) WHERE active;
COMMENT ON TABLE booking_seats IS 'The seats of each booking.';
COMMENT ON COLUMN booking_seats.booking_id IS 'The booking.';
COMMENT ON COLUMN booking_seats.show_id IS 'The show.';
COMMENT ON COLUMN booking_seats.seat IS 'Index of the seat.';
COMMENT ON COLUMN booking_seats.price IS 'Price when claimed, minor units.';
COMMENT ON COLUMN booking_seats.active IS 'While the booking is PENDING or CONFIRMED.';

CREATE TABLE orders (
    id text NOT NULL,
    provider text NOT NULL,
    booking_id uuid,
    receipt text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed boolean NOT NULL DEFAULT false,
    checks integer NOT NULL DEFAULT 0,
    next_check_at timestamptz NOT NULL DEFAULT clock_timestamp() + interval '15 minutes',
    CONSTRAINT orders_id_pk PRIMARY KEY (id),
    CONSTRAINT orders_booking_id_fk FOREIGN KEY (booking_id) REFERENCES bookings (id),
    CONSTRAINT orders_amount_check CHECK (amount > 0),
    CONSTRAINT orders_currency_check CHECK (currency ~ '^[A-Z]{3}$')
);
CREATE INDEX orders_booking_id_idx ON orders (booking_id);
CREATE INDEX orders_next_check_at_idx ON orders (next_check_at) WHERE NOT closed;
COMMENT ON TABLE orders IS 'Orders at the payment provider that bookings are paid through.';
COMMENT ON COLUMN orders.id IS 'The provider''s id.';
COMMENT ON COLUMN orders.provider IS 'The provider, such as razorpay.';
COMMENT ON COLUMN orders.booking_id IS 'The booking; null for an order of ours whose claim never committed.';
COMMENT ON COLUMN orders.receipt IS 'What we called the order at the provider.';
COMMENT ON COLUMN orders.amount IS 'Minor units.';
COMMENT ON COLUMN orders.currency IS 'ISO 4217.';
COMMENT ON COLUMN orders.created_at IS 'When it was stored.';
COMMENT ON COLUMN orders.closed IS 'Nothing more is expected: paid and settled, or asked for long enough.';
COMMENT ON COLUMN orders.checks IS 'How often reconciliation asked the provider.';
COMMENT ON COLUMN orders.next_check_at IS 'When reconciliation asks next.';

CREATE TABLE payments (
    id text NOT NULL,
    provider text NOT NULL,
    order_id text NOT NULL,
    booking_id uuid,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    outcome text,
    outcome_reason text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    CONSTRAINT payments_id_pk PRIMARY KEY (id),
    CONSTRAINT payments_order_id_fk FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT payments_booking_id_fk FOREIGN KEY (booking_id) REFERENCES bookings (id),
    CONSTRAINT payments_amount_check CHECK (amount > 0),
    CONSTRAINT payments_status_check CHECK (status IN ('captured', 'failed')),
    CONSTRAINT payments_outcome_check CHECK (outcome IN ('BOOKING', 'REFUND')),
    CONSTRAINT payments_outcome_status_check CHECK (outcome IS NULL OR status = 'captured'),
    CONSTRAINT payments_settled_at_check CHECK ((outcome IS NULL) = (settled_at IS NULL))
);
-- Last line: one settling payment a booking.
CREATE UNIQUE INDEX payments_booking_id_booking_key ON payments (booking_id) WHERE outcome = 'BOOKING';
CREATE INDEX payments_booking_id_idx ON payments (booking_id);
CREATE INDEX payments_order_id_idx ON payments (order_id);
COMMENT ON TABLE payments IS 'Payments of our orders, signed or fetched. Each captured one gets one outcome, written once.';
COMMENT ON COLUMN payments.id IS 'The provider''s id.';
COMMENT ON COLUMN payments.provider IS 'The provider.';
COMMENT ON COLUMN payments.order_id IS 'The order that was paid.';
COMMENT ON COLUMN payments.booking_id IS 'The order''s booking.';
COMMENT ON COLUMN payments.amount IS 'Captured amount, minor units.';
COMMENT ON COLUMN payments.currency IS 'ISO 4217, as the provider says.';
COMMENT ON COLUMN payments.status IS 'captured or failed; a failed payment may still be captured.';
COMMENT ON COLUMN payments.outcome IS 'BOOKING: it settled its booking; REFUND: the money goes back.';
COMMENT ON COLUMN payments.outcome_reason IS 'Why it was refunded, such as second_payment, wrong_amount, seats_taken.';
COMMENT ON COLUMN payments.created_at IS 'When we first heard of it.';
COMMENT ON COLUMN payments.settled_at IS 'When the outcome was written.';

CREATE TABLE payment_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    provider text NOT NULL,
    body_hash bytea NOT NULL,
    event_id text,
    source text NOT NULL,
    kind text NOT NULL,
    order_id text,
    payment_id text,
    body jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    processed_at timestamptz,
    result text,
    failures integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error text,
    parked_at timestamptz,
    CONSTRAINT payment_events_id_pk PRIMARY KEY (id),
    CONSTRAINT payment_events_provider_body_hash_key UNIQUE (provider, body_hash),
    CONSTRAINT payment_events_body_hash_check CHECK (octet_length(body_hash) = 32),
    CONSTRAINT payment_events_source_check CHECK (source IN ('webhook', 'fetch')),
    CONSTRAINT payment_events_processed_at_check CHECK ((processed_at IS NULL) = (result IS NULL))
);
CREATE INDEX payment_events_next_try_at_open_idx ON payment_events (next_try_at) WHERE processed_at IS NULL AND parked_at IS NULL;
CREATE INDEX payment_events_order_id_open_idx ON payment_events (order_id) WHERE processed_at IS NULL;
CREATE INDEX payment_events_parked_at_idx ON payment_events (parked_at) WHERE parked_at IS NOT NULL;
COMMENT ON TABLE payment_events IS 'Inbox: what the provider told us by webhook, or answered when asked. Answered 200 only after commit.';
COMMENT ON COLUMN payment_events.id IS 'Key; says nothing about order.';
COMMENT ON COLUMN payment_events.provider IS 'The provider.';
COMMENT ON COLUMN payment_events.body_hash IS 'SHA-256 of the raw body: what was signed, and so what makes a repetition the same event.';
COMMENT ON COLUMN payment_events.event_id IS 'The provider''s event id; unsigned, information only.';
COMMENT ON COLUMN payment_events.source IS 'webhook, or fetch when we asked.';
COMMENT ON COLUMN payment_events.kind IS 'The provider''s event type.';
COMMENT ON COLUMN payment_events.order_id IS 'The order it is about.';
COMMENT ON COLUMN payment_events.payment_id IS 'The payment it is about.';
COMMENT ON COLUMN payment_events.body IS 'The fields that settlement needs; personal data of the payer are not kept.';
COMMENT ON COLUMN payment_events.received_at IS 'When it was stored.';
COMMENT ON COLUMN payment_events.processed_at IS 'When a worker was done with it.';
COMMENT ON COLUMN payment_events.result IS 'What it led to, such as confirmed, rescued, refund, duplicate, quarantined, ignored.';
COMMENT ON COLUMN payment_events.failures IS 'Failures of its own; outages of servers do not count.';
COMMENT ON COLUMN payment_events.next_try_at IS 'Not before this.';
COMMENT ON COLUMN payment_events.last_error IS 'Why the last try failed.';
COMMENT ON COLUMN payment_events.parked_at IS 'Set after 5 failures, or on quarantine: an operator has to look.';

CREATE TABLE refunds (
    id uuid NOT NULL,
    payment_id text NOT NULL,
    booking_id uuid,
    attempt integer NOT NULL DEFAULT 1,
    amount bigint NOT NULL,
    reason text NOT NULL,
    state text NOT NULL DEFAULT 'DUE',
    idempotency_key text NOT NULL,
    provider_refund_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    requested_at timestamptz,
    ended_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error text,
    parked_at timestamptz,
    CONSTRAINT refunds_id_pk PRIMARY KEY (id),
    CONSTRAINT refunds_payment_id_fk FOREIGN KEY (payment_id) REFERENCES payments (id),
    CONSTRAINT refunds_booking_id_fk FOREIGN KEY (booking_id) REFERENCES bookings (id),
    CONSTRAINT refunds_payment_id_attempt_key UNIQUE (payment_id, attempt),
    CONSTRAINT refunds_idempotency_key_key UNIQUE (idempotency_key),
    CONSTRAINT refunds_provider_refund_id_key UNIQUE (provider_refund_id),
    CONSTRAINT refunds_amount_check CHECK (amount > 0),
    CONSTRAINT refunds_state_check CHECK (state IN ('DUE', 'REQUESTED', 'PROCESSED', 'FAILED')),
    CONSTRAINT refunds_attempt_check CHECK (attempt > 0)
);
-- Last line: one refund a payment that has not definitely failed.
CREATE UNIQUE INDEX refunds_payment_id_live_key ON refunds (payment_id) WHERE state <> 'FAILED';
CREATE INDEX refunds_next_try_at_open_idx ON refunds (next_try_at) WHERE state IN ('DUE', 'REQUESTED') AND parked_at IS NULL;
CREATE INDEX refunds_booking_id_idx ON refunds (booking_id);
COMMENT ON TABLE refunds IS 'Money going back, always the full payment. A definite failure ends a row; the next attempt is a new one.';
COMMENT ON COLUMN refunds.id IS 'Key.';
COMMENT ON COLUMN refunds.payment_id IS 'The payment.';
COMMENT ON COLUMN refunds.booking_id IS 'The payment''s booking.';
COMMENT ON COLUMN refunds.attempt IS '1, 2, 3 … within the payment.';
COMMENT ON COLUMN refunds.amount IS 'The whole payment, minor units of its currency.';
COMMENT ON COLUMN refunds.reason IS 'Why, such as cancel, second_payment, wrong_amount, seats_taken.';
COMMENT ON COLUMN refunds.state IS 'DUE, REQUESTED, PROCESSED or FAILED.';
COMMENT ON COLUMN refunds.idempotency_key IS 'Sent with each call of this attempt, so that it refunds once.';
COMMENT ON COLUMN refunds.provider_refund_id IS 'The provider''s id, once known.';
COMMENT ON COLUMN refunds.created_at IS 'When it was decided.';
COMMENT ON COLUMN refunds.requested_at IS 'When the provider was first asked.';
COMMENT ON COLUMN refunds.ended_at IS 'When it was processed or failed.';
COMMENT ON COLUMN refunds.tries IS 'Calls of this attempt whose outcome stayed unknown.';
COMMENT ON COLUMN refunds.next_try_at IS 'Not before this.';
COMMENT ON COLUMN refunds.last_error IS 'Why the last try failed.';
COMMENT ON COLUMN refunds.parked_at IS 'Set when automatic attempts are used up: an operator has to look; none is the target.';

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY,
    show_id bigint NOT NULL,
    booking_id uuid,
    change jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error text,
    parked_at timestamptz,
    CONSTRAINT outbox_id_pk PRIMARY KEY (id)
);
CREATE INDEX outbox_next_try_at_open_idx ON outbox (next_try_at) WHERE applied_at IS NULL AND parked_at IS NULL;
COMMENT ON TABLE outbox IS 'Changes for the seat map in Redis, one row a transaction and show; the relay applies what its maker did not.';
COMMENT ON COLUMN outbox.id IS 'Key; a late commit may have a lower one, so it is no cursor.';
COMMENT ON COLUMN outbox.show_id IS 'The show.';
COMMENT ON COLUMN outbox.booking_id IS 'The booking that changed.';
COMMENT ON COLUMN outbox.change IS 'Seats with status and version, the booking''s hold, the customer, the sale state.';
COMMENT ON COLUMN outbox.created_at IS 'When the change was made.';
COMMENT ON COLUMN outbox.applied_at IS 'When it was in Redis under the ledger''s generation, or the show was not loaded.';
COMMENT ON COLUMN outbox.failures IS 'Failures of its own; outages of servers do not count.';
COMMENT ON COLUMN outbox.next_try_at IS 'Not before this.';
COMMENT ON COLUMN outbox.last_error IS 'Why the last try failed.';
COMMENT ON COLUMN outbox.parked_at IS 'Set after 5 failures: an operator has to look.';

CREATE TABLE seat_history (
    id bigint GENERATED ALWAYS AS IDENTITY,
    show_id bigint NOT NULL,
    seat integer NOT NULL,
    version bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_status text NOT NULL,
    to_status text NOT NULL,
    booking_id uuid,
    actor text NOT NULL,
    reason text NOT NULL,
    CONSTRAINT seat_history_show_id_seat_version_pk PRIMARY KEY (show_id, seat, version)
);
COMMENT ON TABLE seat_history IS 'Every change of every seat of a show; rows are only added.';
COMMENT ON COLUMN seat_history.id IS 'Order of writing.';
COMMENT ON COLUMN seat_history.show_id IS 'The show.';
COMMENT ON COLUMN seat_history.seat IS 'Index of the seat.';
COMMENT ON COLUMN seat_history.version IS 'The seat''s version after the change.';
COMMENT ON COLUMN seat_history.changed_at IS 'When.';
COMMENT ON COLUMN seat_history.from_status IS 'Status before.';
COMMENT ON COLUMN seat_history.to_status IS 'Status after.';
COMMENT ON COLUMN seat_history.booking_id IS 'The booking concerned.';
COMMENT ON COLUMN seat_history.actor IS 'Who: a customer id, a worker, operator, seed.';
COMMENT ON COLUMN seat_history.reason IS 'Why: claim, settle, rescue, expire, cancel, block, unblock.';

CREATE TABLE idempotency_keys (
    customer_id text NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    booking_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT idempotency_keys_customer_id_operation_key_pk PRIMARY KEY (customer_id, operation, key),
    CONSTRAINT idempotency_keys_booking_id_fk FOREIGN KEY (booking_id) REFERENCES bookings (id),
    CONSTRAINT idempotency_keys_operation_check CHECK (operation IN ('book', 'cancel')),
    CONSTRAINT idempotency_keys_body_hash_check CHECK (octet_length(body_hash) = 32)
);
COMMENT ON TABLE idempotency_keys IS 'Keys of commands that took effect; the primary key lets each take effect once.';
COMMENT ON COLUMN idempotency_keys.customer_id IS 'Whose key.';
COMMENT ON COLUMN idempotency_keys.operation IS 'book or cancel.';
COMMENT ON COLUMN idempotency_keys.key IS 'Chosen by the client.';
COMMENT ON COLUMN idempotency_keys.body_hash IS 'SHA-256 of the command''s body: another body under the same key is refused.';
COMMENT ON COLUMN idempotency_keys.booking_id IS 'What it made or changed.';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When.';
