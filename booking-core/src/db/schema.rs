//! The tables as diesel sees them: `diesel print-schema` with the settings of `diesel.toml`. A test compares the
//! columns with a migrated database. `refunds` is missing: it has more columns than diesel takes by default, and only
//! SQL names it.

diesel::table! {
    /// Domain events, one row each, with a done mark per consumer: the bus for other systems, and mail.
    booking_events (id) {
        /// The event's id, for consumers that want to see each once; also in the mail's Message-ID.
        id -> Uuid,
        /// The booking, or the one that an order was made for whose claim never committed: no foreign key.
        booking_id -> Uuid,
        /// 1, 2, 3 … within the booking.
        version -> Int4,
        /// What happened.
        kind -> Text,
        /// When.
        occurred_at -> Timestamptz,
        /// What is told beside the booking's own columns, such as payment, refund, reason.
        facts -> Jsonb,
        /// To be exported, not before this; null: nothing to do.
        bus_next_try_at -> Nullable<Timestamptz>,
        /// When the bus had it.
        bus_done_at -> Nullable<Timestamptz>,
        /// Failures of its own; outages do not count.
        bus_failures -> Int4,
        /// Set after 5 failures: an operator has to look.
        bus_parked_at -> Nullable<Timestamptz>,
        /// Which store of the bus has it; when that lost its data, the event is exported again.
        bus_stream -> Nullable<Text>,
        /// To be mailed, not before this; null: nothing to do.
        mail_next_try_at -> Nullable<Timestamptz>,
        /// When the mail server took it, or mail was found to be off.
        mail_done_at -> Nullable<Timestamptz>,
        /// Failures of its own; outages do not count.
        mail_failures -> Int4,
        /// Set after 5 failures, or a day of being put off: an operator has to look.
        mail_parked_at -> Nullable<Timestamptz>,
        /// Whose last try failed, and why; never an address.
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    /// The seats of each booking.
    booking_seats (booking_id, seat) {
        /// The booking.
        booking_id -> Uuid,
        /// The show.
        show_id -> Int8,
        /// Index of the seat.
        seat -> Int4,
        /// Price when claimed, minor units.
        price -> Int8,
        /// While the booking is PENDING or CONFIRMED.
        active -> Bool,
    }
}

diesel::table! {
    /// Purchases from claim to end. The allowed changes of state are in state_edges.
    bookings (id) {
        /// Random key, shown to the customer.
        id -> Uuid,
        /// The show.
        show_id -> Int8,
        /// Who buys.
        customer_id -> Text,
        /// PENDING, CONFIRMED, EXPIRED or CANCELLED.
        state -> Text,
        /// Once true never false; such a booking is never rescued by a late payment.
        ever_confirmed -> Bool,
        /// Who cancelled: customer or operator; a pending booking that its customer cancelled may be rescued.
        ended_by -> Nullable<Text>,
        /// The hold that the booking was made from.
        hold_id -> Bytea,
        /// Number of seats.
        seats -> Int4,
        /// Sum of the seat prices when claimed, minor units.
        amount -> Int8,
        /// ISO 4217.
        currency -> Text,
        /// Where the confirmation goes.
        email -> Text,
        /// Grows by one with each change of state.
        version -> Int8,
        /// When the seats were claimed.
        created_at -> Timestamptz,
        /// When an unpaid booking ends.
        expires_at -> Timestamptz,
        /// When the booking expired or was cancelled.
        ended_at -> Nullable<Timestamptz>,
        /// The hold under which a late payment got the seats after all.
        payer_hold_id -> Nullable<Bytea>,
    }
}

diesel::table! {
    /// Cities that have theaters.
    cities (id) {
        /// Key.
        id -> Int8,
        /// Name as people read and search it.
        name -> Text,
    }
}

diesel::table! {
    /// Stores of the bus that were met: a new one means that the one before may have lost events.
    event_streams (stream) {
        /// Store and run, such as the epoch of a Redis stream and the run id of its server.
        stream -> Text,
        /// When it was met first.
        seen_at -> Timestamptz,
        /// Events that another stream got since then are exported again.
        replay_from -> Timestamptz,
    }
}

diesel::table! {
    /// Keys of commands that took effect; the primary key lets each take effect once.
    idempotency_keys (customer_id, operation, key) {
        /// Whose key.
        customer_id -> Text,
        /// book or cancel.
        operation -> Text,
        /// Chosen by the client.
        key -> Text,
        /// SHA-256 of the command's body: another body under the same key is refused.
        body_hash -> Bytea,
        /// What it made or changed.
        booking_id -> Uuid,
        /// When.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Customers whose older tokens are void, one row each. A row past its end may be deleted.
    logouts (customer_id) {
        /// Who.
        customer_id -> Text,
        /// Tokens issued before are void.
        before_at -> Timestamptz,
        /// No token issued before that is good for longer.
        ends_at -> Timestamptz,
        /// When he last logged out.
        changed_at -> Timestamptz,
    }
}

diesel::table! {
    /// Movies, concerts and other events that shows perform.
    movies (id) {
        /// Key.
        id -> Int8,
        /// Title.
        title -> Text,
        /// Length in minutes.
        minutes -> Int4,
    }
}

diesel::table! {
    /// Orders at the payment provider that bookings are paid through.
    orders (id) {
        /// The provider's id.
        id -> Text,
        /// The provider, such as razorpay.
        provider -> Text,
        /// The booking; null for an order of ours whose claim never committed.
        booking_id -> Nullable<Uuid>,
        /// What we called the order at the provider.
        receipt -> Text,
        /// Minor units.
        amount -> Int8,
        /// ISO 4217.
        currency -> Text,
        /// When it was stored.
        created_at -> Timestamptz,
        /// Nothing more is expected: paid and settled, or asked for long enough.
        closed -> Bool,
        /// How often reconciliation asked the provider.
        checks -> Int4,
        /// When reconciliation asks next.
        next_check_at -> Timestamptz,
    }
}

diesel::table! {
    /// Changes for the seat map in Redis, one row a transaction and show; the relay applies what its maker did not.
    outbox (id) {
        /// Key; a late commit may have a lower one, so it is no cursor.
        id -> Int8,
        /// The show.
        show_id -> Int8,
        /// The booking that changed.
        booking_id -> Nullable<Uuid>,
        /// Seats with status and version, the booking's hold, the customer, the sale state.
        change -> Jsonb,
        /// When the change was made.
        created_at -> Timestamptz,
        /// When it was in Redis under the ledger's generation, or the show was not loaded.
        applied_at -> Nullable<Timestamptz>,
        /// Failures of its own; outages of servers do not count.
        failures -> Int4,
        /// Not before this.
        next_try_at -> Timestamptz,
        /// Why the last try failed.
        last_error -> Nullable<Text>,
        /// Set after 5 failures: an operator has to look.
        parked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Inbox: what the provider told us by webhook, or answered when asked. Answered 200 only after commit.
    payment_events (id) {
        /// Key; says nothing about order.
        id -> Int8,
        /// The provider.
        provider -> Text,
        /// SHA-256 of the raw body: what was signed, and so what makes a repetition the same event.
        body_hash -> Bytea,
        /// The provider's event id; unsigned, information only.
        event_id -> Nullable<Text>,
        /// webhook, or fetch when we asked.
        source -> Text,
        /// The provider's event type.
        kind -> Text,
        /// The order it is about.
        order_id -> Nullable<Text>,
        /// The payment it is about.
        payment_id -> Nullable<Text>,
        /// The fields that settlement needs; personal data of the payer are not kept.
        body -> Jsonb,
        /// When it was stored.
        received_at -> Timestamptz,
        /// When a worker was done with it.
        processed_at -> Nullable<Timestamptz>,
        /// What it led to, such as confirmed, rescued, refund, duplicate, quarantined, ignored.
        result -> Nullable<Text>,
        /// Failures of its own; outages of servers do not count.
        failures -> Int4,
        /// Not before this.
        next_try_at -> Timestamptz,
        /// Why the last try failed.
        last_error -> Nullable<Text>,
        /// Set after 5 failures, or on quarantine: an operator has to look.
        parked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Payments of our orders, signed or fetched. Each captured one gets one outcome, written once.
    payments (id) {
        /// The provider's id.
        id -> Text,
        /// The provider.
        provider -> Text,
        /// The order that was paid.
        order_id -> Text,
        /// The order's booking.
        booking_id -> Nullable<Uuid>,
        /// Captured amount, minor units.
        amount -> Int8,
        /// ISO 4217, as the provider says.
        currency -> Text,
        /// captured or failed; a failed payment may still be captured.
        status -> Text,
        /// BOOKING: it settled its booking; REFUND: the money goes back.
        outcome -> Nullable<Text>,
        /// Why it was refunded, such as second_payment, wrong_amount, seats_taken.
        outcome_reason -> Nullable<Text>,
        /// When we first heard of it.
        created_at -> Timestamptz,
        /// When the outcome was written.
        settled_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Rooms with a fixed seat plan. A changed plan is a new screen: plans of sold shows never change.
    screens (id) {
        /// Key.
        id -> Int8,
        /// The building.
        theater_id -> Int8,
        /// Name, unique in its theater.
        name -> Text,
        /// Number of seats; indexes are 0 .. seats - 1.
        seats -> Int4,
        /// Seat plan: {focus, sections}, as the layout of the protocol without what belongs to a show.
        layout -> Jsonb,
    }
}

diesel::table! {
    /// Every change of every seat of a show; rows are only added.
    seat_history (show_id, seat, version) {
        /// Order of writing.
        id -> Int8,
        /// The show.
        show_id -> Int8,
        /// Index of the seat.
        seat -> Int4,
        /// The seat's version after the change.
        version -> Int8,
        /// When.
        changed_at -> Timestamptz,
        /// Status before.
        from_status -> Text,
        /// Status after.
        to_status -> Text,
        /// The booking concerned.
        booking_id -> Nullable<Uuid>,
        /// Who: a customer id, a worker, operator, seed.
        actor -> Text,
        /// Why: claim, settle, rescue, expire, cancel, block, unblock.
        reason -> Text,
    }
}

diesel::table! {
    /// Chairs of a screen; copied into show_seats when a show is created.
    seats (screen_id, seat) {
        /// The room.
        screen_id -> Int8,
        /// Index in the room, 0 and up.
        seat -> Int4,
        /// What is written on the chair, such as A5.
        label -> Text,
        /// Section of the room; empty when it has only one.
        section -> Text,
        /// Price tier.
        tier -> Int4,
    }
}

diesel::table! {
    /// The seats of each show: the rows that decide who owns a seat. Locked in (show_id, seat) order only.
    show_seats (show_id, seat) {
        /// The show.
        show_id -> Int8,
        /// Index of the seat, 0 and up.
        seat -> Int4,
        /// What is written on the chair.
        label -> Text,
        /// Price tier.
        tier -> Int4,
        /// Minor units of the show's currency.
        price -> Int8,
        /// available, claimed (by a pending booking), booked or blocked.
        status -> Text,
        /// The booking that claims or owns the seat.
        booking_id -> Nullable<Uuid>,
        /// Grows by one with each change of the row.
        version -> Int8,
    }
}

diesel::table! {
    /// The generation of each show's Redis state, taken by compare-and-set.
    show_streams (show_id) {
        /// The show.
        show_id -> Int8,
        /// Grows each time the show's Redis state starts anew; 0: never loaded.
        generation -> Int8,
        /// Run id of the Redis server that the generation was taken for; information only.
        run_id -> Text,
    }
}

diesel::table! {
    /// Performances that people buy seats for.
    shows (id) {
        /// Key, below 2^53.
        id -> Int8,
        /// Where.
        screen_id -> Int8,
        /// What.
        movie_id -> Int8,
        /// When.
        starts_at -> Timestamptz,
        /// before, open or closed; before counts as open once opens_at has passed.
        sale -> Text,
        /// When the sale opens; set while sale is before.
        opens_at -> Nullable<Timestamptz>,
        /// Grows with each change of sale, opens_at and no_orphan.
        sale_version -> Int8,
        /// Number of seats.
        seats -> Int4,
        /// ISO 4217.
        currency -> Text,
        /// Price tiers: [{id, name, price}], price in minor units.
        tiers -> Jsonb,
        /// Lowest price, minor units.
        price_min -> Int8,
        /// Highest price, minor units.
        price_max -> Int8,
        /// Grows when the layout that viewers load changes, prices included.
        layout_version -> Int8,
        /// Whether a hold may not leave a single free seat alone; changes with sale_version.
        no_orphan -> Bool,
        /// When an operator cancelled the show; its sale never opens again.
        cancelled_at -> Nullable<Timestamptz>,
        /// When none of its bookings was pending or confirmed any more.
        cancel_done_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Every allowed change of state; anything else is refused by trigger.
    state_edges (subject, from_state, to_state) {
        /// booking, seat, payment or refund.
        subject -> Text,
        /// State before.
        from_state -> Text,
        /// State after.
        to_state -> Text,
        /// What happened.
        meaning -> Text,
    }
}

diesel::table! {
    /// Buildings with one or more screens.
    theaters (id) {
        /// Key.
        id -> Int8,
        /// Where it stands.
        city_id -> Int8,
        /// Name, unique in its city.
        name -> Text,
    }
}
