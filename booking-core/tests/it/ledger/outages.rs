//! Redis and PostgreSQL may vanish: nothing that was told is lost, and what is left is caught up with.

use seatwire_protocol::command::BookingState;
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{SeatIndex, SeatStatus};
use serde_json::json;

use super::rig::{Rig, book, customer, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn settles_without_redis_and_catches_up_with_it() {
    let mut rig = Rig::new().await;
    let booking = rig.book("ann", &[2, 3]).await;
    rig.redis.kill();
    rig.pay(&booking, json!({})).await;
    rig.settle().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);
    assert!(rig.saga.backlog().await.unwrap().outbox > 0);
    rig.redis.restart().await.unwrap();
    let caught_up = async || {
        let _ = rig.saga.relay_once().await;
        rig.saga.backlog().await.unwrap().outbox == 0
    };
    wait_for("the relay", caught_up).await;
    let whole = async || matches!(rig.holds.snapshot(rig.show).await, Ok(Ok(_)));
    wait_for("the map", whole).await;
    let snapshot = rig.holds.snapshot(rig.show).await.unwrap().unwrap();
    let map = PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).unwrap();
    assert_eq!(map.get(SeatIndex(2)), Some(SeatStatus::Booked));
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_postgresql_loses_nothing_that_was_told() {
    let mut rig = Rig::new().await;
    let paid = rig.buy("ann", &[0]).await;
    let booking = rig.book("bob", &[4, 5]).await;
    let hold = rig.hold(&customer("cid"), "h", &[9]).await;
    rig.postgres.kill();
    // Refused with a reason, not hanging; the webhook is told to come again.
    let command = book(rig.show, &customer("cid"), hold, "k");
    assert!(rig.saga.book(&command).await.is_err());
    rig.pay(&booking, json!({})).await;
    rig.postgres.restart().await.unwrap();
    rig.sql = super::rig::connect(&rig.postgres.superuser_url()).await;
    rig.settle().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);
    assert_eq!(rig.booking(paid.booking).await.state, BookingState::Confirmed);
    // The same key again: the hold was not lost.
    let again = rig.saga.book(&command).await.unwrap().unwrap();
    assert_eq!(again.state, BookingState::Pending);
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_work_waits_for_a_clock_that_was_set_back() {
    let mut rig = Rig::new().await;
    let booking = rig.book("ann", &[2, 3]).await;
    rig.redis.kill();
    rig.pay(&booking, json!({ "double": true })).await;
    let told = async || rig.provider_ledger().await["webhooks_pending"] == 0;
    wait_for("webhooks", told).await;
    // Everything that waits was put off before the clock went back by a quarter of an hour.
    let ahead = async |statement: &str| rig.sql.batch_execute(statement).await.unwrap();
    ahead("UPDATE payment_events SET next_try_at = next_try_at + interval '15 minutes'").await;
    rig.settle().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);
    ahead("UPDATE refunds SET next_try_at = next_try_at + interval '15 minutes'").await;
    rig.refund().await;
    assert!(rig.saga.backlog().await.unwrap().outbox > 0);
    ahead(
        "UPDATE outbox SET created_at = created_at + interval '15 minutes', \
         next_try_at = next_try_at + interval '15 minutes' WHERE applied_at IS NULL",
    )
    .await;
    rig.redis.restart().await.unwrap();
    let caught_up = async || {
        let _ = rig.saga.relay_once().await;
        rig.saga.backlog().await.unwrap().outbox == 0
    };
    wait_for("the relay", caught_up).await;
    rig.check().await;
}
