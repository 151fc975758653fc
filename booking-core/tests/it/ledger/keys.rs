//! Idempotency keys in the ledger: when they end, and what a request hears while another one is at work under its key.

use seatwire_core::holds::Refusal;
use seatwire_protocol::BookingId;
use seatwire_protocol::command::{BookingState, CancelBooking};
use serde_json::json;

use super::rig::{Rig, book, connect, customer, idempotency_key};

const KEYS: &str =
    "SELECT coalesce(string_agg(k.customer_id || ' ' || operation, ', ' ORDER BY k.customer_id, operation), '')
    FROM idempotency_keys k";

/// Makes every key older.
async fn pass(rig: &Rig, hours: u32) {
    let older = format!("UPDATE idempotency_keys SET created_at = created_at - interval '{hours} hours'");
    rig.sql.batch_execute(&older).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_end_after_a_day_but_not_before_their_bookings_and_money_are_at_rest() {
    let rig = Rig::new().await;
    let ann = customer("ann");
    let hold = rig.hold(&ann, "h", &[0]).await;
    let command = book(rig.show, &ann, hold, "k");
    let anns = rig.saga.book(&command).await.unwrap().unwrap();
    rig.pay(&anns, json!({})).await;
    let bobs = rig.buy("bob", &[1]).await;
    rig.book("cid", &[2]).await;
    assert_eq!(rig.booking(anns.booking).await.state, BookingState::Confirmed);
    let cancel = CancelBooking { customer: customer("bob"), booking: bobs.booking, key: idempotency_key("c") };
    rig.saga.cancel(&cancel).await.unwrap().unwrap();

    pass(&rig, 23).await;
    assert_eq!(rig.saga.end_keys_once().await.unwrap(), 0, "not yet");
    pass(&rig, 2).await;
    assert_eq!(rig.saga.end_keys_once().await.unwrap(), 1);
    assert_eq!(rig.text(KEYS).await, "bob book, bob cancel, cid book", "a refund is due, a booking waits");
    rig.refund().await;
    assert_eq!(rig.saga.end_keys_once().await.unwrap(), 2);
    assert_eq!(rig.text(KEYS).await, "cid book");

    // An event of its order that nobody could settle yet.
    rig.sql
        .batch_execute(
            "SET session_replication_role = replica;
            UPDATE bookings SET state = 'EXPIRED', ended_at = now();
            UPDATE payment_events e SET processed_at = NULL, result = NULL,
                order_id = (SELECT o.id FROM orders o JOIN bookings b ON b.id = o.booking_id WHERE b.customer_id = 'cid')
                WHERE id = (SELECT min(id) FROM payment_events);
            SET session_replication_role = origin",
        )
        .await
        .unwrap();
    assert_eq!(rig.saga.end_keys_once().await.unwrap(), 0);
    rig.sql.batch_execute("UPDATE payment_events SET processed_at = now(), result = 'test'").await.unwrap();
    assert_eq!(rig.saga.end_keys_once().await.unwrap(), 1);

    // From then on the command is a new one. Its hold is over, so nothing is bought again.
    let again = rig.saga.book(&command).await.unwrap();
    assert!(matches!(again, Err(Refusal::Gone | Refusal::NotOwner)), "{again:?}");
    assert_eq!(rig.count("SELECT count(*) FROM bookings").await, 3);
    // Cancelling again finds nothing to end, and says so.
    let cancelled = rig.saga.cancel(&cancel).await.unwrap().unwrap();
    assert_eq!((cancelled.booking, cancelled.refunds.len()), (bobs.booking, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_end_in_batches_and_two_cores_end_different_ones() {
    let rig = Rig::new().await;
    rig.buy("ann", &[0]).await;
    rig.sql
        .batch_execute(
            "INSERT INTO idempotency_keys (customer_id, operation, key, body_hash, booking_id)
                SELECT customer_id, operation, 'k' || n, body_hash, booking_id
                FROM idempotency_keys, generate_series(1, 2500) AS n",
        )
        .await
        .unwrap();
    pass(&rig, 48).await;
    // Another core has the oldest under lock.
    let other = connect(&rig.postgres.core_url()).await;
    other.batch_execute("BEGIN").await.unwrap();
    // Less than a day has no effect: the database keeps that limit itself.
    let ended = other.query_one("SELECT end_idempotency_keys('0 hours', 1000)", &[]).await.unwrap();
    assert_eq!(ended.get::<_, i64>(0), 1_000);
    assert_eq!(rig.saga.end_keys_once().await.unwrap(), 1_000);
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(rig.saga.end_keys_once().await.unwrap(), 501);
    rig.buy("bob", &[1]).await;
    let young = other.query_one("SELECT end_idempotency_keys('0 hours', 1000)", &[]).await.unwrap();
    assert_eq!(young.get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_at_work_in_a_request_that_takes_long_is_said_to_be_in_progress() {
    let rig = Rig::new().await;
    let ann = customer("ann");
    let hold = rig.hold(&ann, "h", &[0]).await;
    // The first request has begun, and its transaction is open.
    let id = BookingId([7; 16]);
    let first = rig.holds.begin_book(rig.show, &ann, hold, &idempotency_key("k"), id).await.unwrap().unwrap();
    assert_eq!(first.booking, id);
    let other = connect(&rig.postgres.superuser_url()).await;
    let insert = format!(
        "BEGIN; INSERT INTO bookings (id, show_id, customer_id, hold_id, seats, amount, currency, email, expires_at)
        VALUES ('{}', {}, 'ann', '\\x{}', 1, 1, 'INR', 'ann@example.org', now() + interval '1 hour')",
        id.to_hex(),
        rig.show,
        hold.to_hex()
    );
    other.batch_execute(&insert).await.unwrap();
    let command = book(rig.show, &ann, hold, "k");
    assert_eq!(rig.saga.book(&command).await.unwrap(), Err(Refusal::InProgress));
    // It came to nothing: the same key tells so, by booking.
    other.batch_execute("ROLLBACK").await.unwrap();
    let booked = rig.saga.book(&command).await.unwrap().unwrap();
    assert_eq!((booked.booking, booked.state), (id, BookingState::Pending));
}
