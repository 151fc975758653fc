//! A late payment and the seat map in Redis: the payer's hold keeps others away, and a load of the map knows it.

use seatwire_protocol::SeatIndex;
use seatwire_protocol::command::BookingState;

use super::rig::{Rig, connect, customer};
use super::webhooks::{Sent, payment_event};

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_waits_for_a_map_that_is_being_loaded_and_owns_its_seats_by_the_payers_hold() {
    let rig = Rig::with(|config| config.claim_ms = 1).await;
    let booking = rig.book("ann", &[0]).await;
    rig.expire(booking.booking).await;
    let body = payment_event(booking.order.as_deref().unwrap(), "pay_1", booking.amount, "INR", "captured");
    assert_eq!(Sent::of(&body).to(&rig).await, 200);
    // Redis lost everything, and the loader can't read the show.
    let client = redis::Client::open(rig.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await.unwrap();
    let other = connect(&rig.postgres.superuser_url()).await;
    other.batch_execute("BEGIN; LOCK TABLE screens IN ACCESS EXCLUSIVE MODE").await.unwrap();
    rig.saga.settle_once().await.unwrap();
    assert_eq!(rig.count("SELECT count(*) FROM payments").await, 0, "neither rescued nor refunded");
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE processed_at IS NULL AND failures = 0").await, 1);
    other.batch_execute("ROLLBACK").await.unwrap();
    rig.drain_inbox().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);

    let own = rig.text("SELECT encode(payer_hold_id, 'hex') FROM bookings WHERE payer_hold_id <> hold_id").await;
    let map = seatwire_core::db::seats::read_map(&rig.db, rig.show).await.unwrap().unwrap();
    let seat = map.seats.iter().find(|row| row.seat == SeatIndex(0)).unwrap();
    assert_eq!(seat.hold.map(|hold| hold.to_hex()), Some(own));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_late_payments_is_refunded_as_such_however_they_meet() {
    let rig = Rig::with(|config| config.claim_ms = 1).await;
    let booking = rig.book("ann", &[0]).await;
    rig.expire(booking.booking).await;
    let told = async |payment: &str| {
        let body = payment_event(booking.order.as_deref().unwrap(), payment, booking.amount, "INR", "captured");
        assert_eq!(Sent::of(&body).to(&rig).await, 200);
    };
    // A worker has the first in hand: the seats are the payer's, and nothing is written.
    let seats = [SeatIndex(0)];
    rig.holds.place_payer_hold(rig.show, &customer("ann"), &seats, "pay_1").await.unwrap().unwrap();
    told("pay_2").await;
    assert_eq!(rig.saga.settle_once().await.unwrap(), 1);
    assert_eq!(rig.count("SELECT count(*) FROM refunds").await, 0);
    told("pay_1").await;
    rig.drain_inbox().await;
    let ends = "SELECT string_agg(id || ' ' || coalesce(outcome_reason, 'kept'), ', ' ORDER BY id) FROM payments";
    assert_eq!(rig.text(ends).await, "pay_1 kept, pay_2 second_payment");
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);
}
