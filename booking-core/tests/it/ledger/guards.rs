//! The last lines of defence: what the database refuses even if all code above it is wrong.

use seatwire_core::db::edges::EDGES;
use seatwire_protocol::command::BookingState;

use super::rig::{Rig, connect};

/// Every state of every guarded table, with a row to try it on.
const SUBJECTS: &[(&str, &str, &str, &[&str])] = &[
    ("booking", "bookings", "state", &["PENDING", "CONFIRMED", "EXPIRED", "CANCELLED"]),
    ("seat", "show_seats", "status", &["available", "claimed", "booked", "blocked"]),
    ("payment", "payments", "status", &["captured", "failed"]),
    ("refund", "refunds", "state", &["DUE", "REQUESTED", "PROCESSED", "FAILED"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn code_documentation_and_triggers_share_one_table_of_edges() {
    let rig = Rig::new().await;
    let rows = rig.sql.query("SELECT subject, from_state, to_state, meaning FROM state_edges", &[]).await.unwrap();
    let mut stored: Vec<[String; 4]> = rows.iter().map(|row| [0, 1, 2, 3].map(|at| row.get(at))).collect();
    let mut ours: Vec<_> =
        EDGES.iter().map(|edge| [edge.subject, edge.from, edge.to, edge.meaning].map(str::to_owned)).collect();
    stored.sort();
    ours.sort();
    assert_eq!(stored, ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trigger_refuses_every_edge_that_is_not_in_the_table() {
    let rig = Rig::new().await;
    let booking = rig.buy("ann", &[0]).await;
    assert_eq!(booking.state, BookingState::Confirmed);
    rig.sql
        .batch_execute(
            "INSERT INTO refunds (id, payment_id, amount, reason, idempotency_key)
            SELECT gen_random_uuid(), id, amount, 'test', 'rf_test_key' FROM payments",
        )
        .await
        .unwrap();
    let mut tried = 0;
    for (subject, table, column, states) in SUBJECTS {
        let row = if *table == "show_seats" { "show_id = 1 AND seat = 0" } else { "true" };
        for from in *states {
            for to in states.iter().filter(|to| *to != from) {
                let edge = format!(
                    "SELECT count(*) FROM state_edges
                    WHERE subject = '{subject}' AND from_state = '{from}' AND to_state = '{to}'"
                );
                if rig.count(&edge).await == 1 {
                    continue;
                }
                // Brought into the state with the triggers off, then changed with them on; nothing stays.
                let also = match (*table, *from) {
                    ("show_seats", "available" | "blocked") => ", booking_id = NULL",
                    ("payments", "failed") => ", outcome = NULL, settled_at = NULL",
                    _ => "",
                };
                let setup = format!(
                    "BEGIN; SET LOCAL session_replication_role = replica;
                    UPDATE {table} SET {column} = '{from}'{also} WHERE {row};
                    SET LOCAL session_replication_role = origin;"
                );
                rig.sql.batch_execute(&setup).await.unwrap();
                let version = if matches!(*table, "bookings" | "show_seats") { ", version = version + 1" } else { "" };
                let change = format!("UPDATE {table} SET {column} = '{to}'{version} WHERE {row}");
                let error = rig.sql.batch_execute(&change).await.expect_err(&change);
                let constraint = error.as_db_error().and_then(|e| e.constraint()).unwrap_or_default().to_owned();
                assert_eq!(constraint, format!("state_edges_{subject}_check"), "{change}: {error}");
                rig.sql.batch_execute("ROLLBACK").await.unwrap();
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 6 + 5 + 1 + 7, "edges tried");
    for change in [
        "UPDATE payments SET outcome = 'REFUND'",
        "UPDATE payments SET outcome = NULL, settled_at = NULL",
        "UPDATE payments SET amount = amount + 1",
        "UPDATE bookings SET amount = amount + 1",
        "UPDATE bookings SET ever_confirmed = false, state = 'CANCELLED', version = version + 1",
        "UPDATE show_seats SET booking_id = gen_random_uuid() WHERE booking_id IS NOT NULL",
        "UPDATE show_seats SET status = 'available', booking_id = NULL WHERE booking_id IS NOT NULL",
    ] {
        rig.sql.batch_execute(change).await.expect_err(change);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unique_indexes_hold_by_themselves() {
    let rig = Rig::new().await;
    let booking = rig.buy("ann", &[0]).await;
    rig.book("bob", &[1]).await;
    let id = booking.booking.to_hex();
    let copies = [
        (
            "booking_seats_show_id_seat_active_key",
            format!(
                "INSERT INTO booking_seats SELECT b.id, s.show_id, s.seat, s.price, true FROM booking_seats s,
                bookings b WHERE s.booking_id = '{id}' AND b.id <> '{id}'"
            ),
        ),
        (
            "payments_booking_id_booking_key",
            "INSERT INTO payments (id, provider, order_id, booking_id, amount, currency, status, outcome, settled_at)
                SELECT 'pay_copy', provider, order_id, booking_id, amount, currency, status, outcome, settled_at
                FROM payments"
                .to_owned(),
        ),
        (
            "bookings_customer_id_show_id_pending_key",
            "INSERT INTO bookings (id, show_id, customer_id, hold_id, seats, amount, currency, email, expires_at)
                SELECT gen_random_uuid(), show_id, customer_id, hold_id, seats, amount, currency, email, expires_at
                FROM bookings WHERE state = 'PENDING'"
                .to_owned(),
        ),
        (
            "refunds_payment_id_live_key",
            "INSERT INTO refunds (id, payment_id, amount, reason, idempotency_key, attempt)
                SELECT gen_random_uuid(), p.id, p.amount, 'test', 'rf_test_key' || n, n
                FROM payments p, generate_series(1, 2) n"
                .to_owned(),
        ),
        (
            "refunds_payment_id_attempt_key",
            "INSERT INTO refunds (id, payment_id, amount, reason, idempotency_key, state, ended_at)
                SELECT gen_random_uuid(), p.id, p.amount, 'test', 'rf_test_key' || n, 'FAILED', now()
                FROM payments p, generate_series(1, 2) n"
                .to_owned(),
        ),
        (
            "refunds_idempotency_key_key",
            "INSERT INTO refunds (id, payment_id, amount, reason, idempotency_key, attempt, state, ended_at)
                SELECT gen_random_uuid(), p.id, p.amount, 'test', 'rf_test_key', n, 'FAILED', now()
                FROM payments p, generate_series(1, 2) n"
                .to_owned(),
        ),
        (
            "refunds_provider_refund_id_key",
            "INSERT INTO refunds (id, payment_id, amount, reason, idempotency_key, attempt, state, provider_refund_id)
                SELECT gen_random_uuid(), p.id, p.amount, 'test', 'rf_test_key' || n, n, 'FAILED', 'rfnd_test'
                FROM payments p, generate_series(1, 2) n"
                .to_owned(),
        ),
        (
            "booking_events_booking_id_version_key",
            "INSERT INTO booking_events (booking_id, version, kind) SELECT booking_id, version, kind FROM booking_events"
                .to_owned(),
        ),
        (
            "seat_history_show_id_seat_version_pk",
            "INSERT INTO seat_history (show_id, seat, version, from_status, to_status, actor, reason)
                SELECT show_id, seat, version, from_status, to_status, actor, reason FROM seat_history"
                .to_owned(),
        ),
        (
            "idempotency_keys_customer_id_operation_key_pk",
            "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys".to_owned(),
        ),
        (
            "payment_events_provider_body_hash_key",
            "INSERT INTO payment_events (provider, body_hash, source, kind, body)
                SELECT provider, body_hash, source, kind, body FROM payment_events"
                .to_owned(),
        ),
    ];
    for (constraint, copy) in copies {
        let error = rig.sql.batch_execute(&copy).await.expect_err(constraint);
        assert_eq!(error.as_db_error().and_then(|e| e.constraint()), Some(constraint), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_core_may_neither_delete_nor_define() {
    let rig = Rig::new().await;
    let core = connect(&rig.postgres.core_url()).await;
    for forbidden in [
        "DELETE FROM bookings",
        "DELETE FROM outbox",
        "TRUNCATE payments",
        "DROP TABLE refunds",
        "ALTER TABLE bookings DISABLE TRIGGER ALL",
        "DROP TRIGGER bookings_guard ON bookings",
        "CREATE TABLE x (y int)",
        "UPDATE seat_history SET reason = 'nothing'",
        "UPDATE idempotency_keys SET key = 'x'",
        "INSERT INTO state_edges VALUES ('booking', 'EXPIRED', 'PENDING', 'x')",
        "SET session_replication_role = replica",
    ] {
        let error = core.batch_execute(forbidden).await.expect_err(forbidden);
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{forbidden}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_and_the_database_agree_on_the_columns() {
    let rig = Rig::new().await;
    let mut found = 0;
    let mut table = String::new();
    for line in include_str!("../../../src/db/schema.rs").lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{') && !line.starts_with("//")) {
            table = name.to_owned();
        } else if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            let nullable = if kind.starts_with("Nullable") { "YES" } else { "NO" };
            let query = format!(
                "SELECT count(*) FROM information_schema.columns WHERE table_name = '{table}'
                AND column_name = '{column}' AND is_nullable = '{nullable}'"
            );
            assert_eq!(rig.count(&query).await, 1, "{table}.{column}");
            found += 1;
        }
    }
    let there = "SELECT count(*) FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name NOT IN ('__diesel_schema_migrations', 'refunds')";
    assert_eq!(rig.count(there).await, found);
    let bare = "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
        AND c.relname <> '__diesel_schema_migrations'
        AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)";
    assert_eq!(rig.count(bare).await, 0, "tables and columns without a comment");
}
