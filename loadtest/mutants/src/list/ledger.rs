//! Guards of the ledger: claims under locks, and the last lines of defence in the database itself.

use super::{Mutant, Suite};

const CLAIM: &str = "booking-core/src/saga/claim.rs";
const SEATS: &str = "booking-core/src/db/seats.rs";
const SEATS_IN_ORDER: &str = "#[diesel::dsl::auto_type]
fn locking(show: i64, seats: Vec<i32>) -> _ {
    show_seats::table
        .filter(show_seats::show_id.eq(show))
        .filter(show_seats::seat.eq_any(seats))
        .order(show_seats::seat.asc())";
const SEATS_AT_RANDOM: &str = "diesel::define_sql_function!(fn random() -> diesel::sql_types::Double);
#[diesel::dsl::auto_type]
fn locking(show: i64, seats: Vec<i32>) -> _ {
    show_seats::table
        .filter(show_seats::show_id.eq(show))
        .filter(show_seats::seat.eq_any(seats))
        .order(random())";
const TABLES: &str = "migrations/20261121090100_create_ledger/up.sql";
const EDGES: &str = "migrations/20261121090200_guard_state_edges/up.sql";

pub(super) const CLAIMS: &[Mutant] = &[
    Mutant {
        name: "seat-order",
        guard: "seats are locked in order (here: in random order, which has to deadlock)",
        file: SEATS,
        old: SEATS_IN_ORDER,
        new: SEATS_AT_RANDOM,
        suite: Suite::Core,
        tests: &["ledger::locking::"],
    },
    Mutant {
        name: "row-count",
        guard: "changed seats are counted",
        file: SEATS,
        old: "if rows.len() != change.seats.len() {",
        new: "if false {",
        suite: Suite::CoreUnit,
        tests: &["db::tests::a_change"],
    },
    Mutant {
        name: "change-from",
        guard: "seats are changed only from the status that was seen",
        file: SEATS,
        old: " AND status = $3",
        new: " AND $3 <> ''",
        suite: Suite::CoreUnit,
        tests: &["db::tests::a_change"],
    },
    Mutant {
        name: "claim-available",
        guard: "a claim looks at the locked seats",
        file: CLAIM,
        old: "if !taken.is_empty() {",
        new: "if false {",
        suite: Suite::Core,
        tests: &["ledger::contention::"],
    },
    Mutant {
        name: "claim-price",
        guard: "the locked prices sum to the order's amount",
        file: CLAIM,
        old: ".sum::<u64>() != claim.booking.amount {",
        new: ".sum::<u64>() == u64::MAX {",
        suite: Suite::Core,
        tests: &["ledger::refusals::"],
    },
    Mutant {
        name: "claim-sale",
        guard: "a claim reads the sale's state after its locks",
        file: CLAIM,
        old: "Selling::Closed => Some(Refusal::SaleClosed)",
        new: "Selling::Closed => None",
        suite: Suite::Core,
        tests: &["ledger::claims::refuses_what"],
    },
    Mutant {
        name: "claim-cap",
        guard: "pending and booked seats count for the cap in the ledger",
        file: CLAIM,
        old: "if standing.seats + u64::from(*seats) > caps.seats_max {",
        new: "if false {",
        suite: Suite::Core,
        tests: &["ledger::refusals::"],
    },
    Mutant {
        name: "claim-cool-down",
        guard: "lapsed claims bring a cool-down",
        file: CLAIM,
        old: "if standing.lapses >= caps.lapses_max && waited < caps.cool_down_ms {",
        new: "if false && waited < caps.cool_down_ms {",
        suite: Suite::Core,
        tests: &["ledger::refusals::"],
    },
    Mutant {
        name: "commit-window",
        guard: "COMMIT is sent only in time after begin_book",
        file: "booking-core/src/db/transaction.rs",
        old: "commit_by.is_some_and(|by| Instant::now() >= by)",
        new: "commit_by.is_some_and(|by| Instant::now() < by && false)",
        suite: Suite::Core,
        tests: &["ledger::claims::commit_is_not"],
    },
    Mutant {
        name: "book-key-body",
        guard: "another body under a used key is refused",
        file: CLAIM,
        old: "if row.body_hash != body_hash {",
        new: "if false {",
        suite: Suite::Core,
        tests: &["ledger::claims::a_hold_becomes"],
    },
    Mutant {
        name: "book-key-stored",
        guard: "the key is stored in the claim's commit",
        file: CLAIM,
        old: "keys::insert(conn, customer, Operation::Book, &claim.key, &claim.key_row).await?;",
        new: "let _ = &claim.key_row;",
        suite: Suite::Core,
        tests: &["ledger::claims::a_hold_becomes"],
    },
    Mutant {
        name: "book-take-back",
        guard: "a claim that did not commit gives the hold back",
        file: CLAIM,
        old: "self.inner.holds.end_book(command.show, &command.customer, command.hold, begun).await;",
        new: "Ok::<(), SagaError>(());\n        let _ = begun;",
        suite: Suite::Core,
        tests: &["ledger::claims::an_order_that", "ledger::claims::refuses_what"],
    },
    Mutant {
        name: "cancel-owner",
        guard: "only the owner cancels a booking",
        file: "booking-core/src/saga/cancel.rs",
        old: "booking.filter(|booking| booking.customer == command.customer)",
        new: "booking.filter(|_| true)",
        suite: Suite::Core,
        tests: &["ledger::claims::cancelling_frees"],
    },
    Mutant {
        name: "outbox-mark-generation",
        guard: "an outbox row is marked only under the generation that it was applied under",
        file: "booking-core/src/db/outbox.rs",
        old: " AND coalesce(t.generation, 0) = a.generation",
        new: " AND coalesce(t.generation, 0) + a.generation >= 0",
        suite: Suite::CoreUnit,
        tests: &["db::tests::a_generation"],
    },
    Mutant {
        name: "outbox-relay",
        guard: "the relay applies what was not applied at once",
        file: "booking-core/src/saga/relay.rs",
        old: "for row in taken.rows {",
        new: "for row in taken.rows.into_iter().take(0) {",
        suite: Suite::Core,
        tests: &["ledger::outages::settles_without_redis"],
    },
];

pub(super) const LAST_LINES: &[Mutant] = &[
    Mutant {
        name: "unique-active-seat",
        guard: "unique index: one active booking a seat",
        file: TABLES,
        old: "CREATE UNIQUE INDEX booking_seats_show_id_seat_active_key",
        new: "CREATE INDEX booking_seats_show_id_seat_active_key",
        suite: Suite::Core,
        tests: &["ledger::guards::the_unique"],
    },
    Mutant {
        name: "unique-settling-payment",
        guard: "unique index: one settling payment a booking",
        file: TABLES,
        old: "CREATE UNIQUE INDEX payments_booking_id_booking_key",
        new: "CREATE INDEX payments_booking_id_booking_key",
        suite: Suite::Core,
        tests: &["ledger::guards::the_unique"],
    },
    Mutant {
        name: "unique-pending",
        guard: "unique index: one pending booking a customer and show",
        file: TABLES,
        old: "CREATE UNIQUE INDEX bookings_customer_id_show_id_pending_key",
        new: "CREATE INDEX bookings_customer_id_show_id_pending_key",
        suite: Suite::Core,
        tests: &["ledger::guards::the_unique"],
    },
    Mutant {
        name: "unique-live-refund",
        guard: "unique index: one refund a payment that has not definitely failed",
        file: TABLES,
        old: "CREATE UNIQUE INDEX refunds_payment_id_live_key",
        new: "CREATE INDEX refunds_payment_id_live_key",
        suite: Suite::Core,
        tests: &["ledger::guards::the_unique"],
    },
    Mutant {
        name: "unique-key",
        guard: "primary key: one effect an idempotency key",
        file: TABLES,
        old: "PRIMARY KEY (customer_id, operation, key)",
        new: "CHECK (customer_id <> '')",
        suite: Suite::Core,
        tests: &["ledger::guards::the_unique"],
    },
    Mutant {
        name: "unique-inbox",
        guard: "unique index: one inbox row a body",
        file: TABLES,
        old: "CONSTRAINT payment_events_provider_body_hash_key UNIQUE (provider, body_hash)",
        new: "CONSTRAINT payment_events_provider_body_hash_key UNIQUE (provider, body_hash, id)",
        suite: Suite::Core,
        tests: &["ledger::guards::the_unique"],
    },
    Mutant {
        name: "trigger-booking",
        guard: "trigger: a booking changes only along the published edges",
        file: EDGES,
        old: "IF NEW.state <> OLD.state THEN\n        IF NOT EXISTS",
        new: "IF NEW.state <> OLD.state THEN\n        IF false AND NOT EXISTS",
        suite: Suite::Core,
        tests: &["ledger::guards::the_trigger"],
    },
    Mutant {
        name: "trigger-seat",
        guard: "trigger: a seat changes only along the published edges",
        file: EDGES,
        old: "WHERE e.subject = 'seat' AND",
        new: "WHERE e.subject = 'seat' OR",
        suite: Suite::Core,
        tests: &["ledger::guards::the_trigger"],
    },
    Mutant {
        name: "trigger-outcome",
        guard: "trigger: a payment's outcome is written once",
        file: EDGES,
        old: "IF OLD.outcome IS NOT NULL AND",
        new: "IF false AND",
        suite: Suite::Core,
        tests: &["ledger::guards::the_trigger"],
    },
    Mutant {
        name: "trigger-refund",
        guard: "trigger: a refund changes only along the published edges",
        file: EDGES,
        old: "NOT is_state_edge('refund', OLD.state, NEW.state)",
        new: "false",
        suite: Suite::Core,
        tests: &["ledger::guards::the_trigger"],
    },
    Mutant {
        name: "role-delete",
        guard: "the core's role can't delete",
        file: "migrations/20261121090300_grant_core_role/up.sql",
        old: "GRANT SELECT, INSERT, UPDATE ON",
        new: "GRANT SELECT, INSERT, UPDATE, DELETE ON",
        suite: Suite::Core,
        tests: &["ledger::guards::the_core_may"],
    },
];
