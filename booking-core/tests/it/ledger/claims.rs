//! From a hold to a confirmed booking, and what refuses it.

use std::sync::Arc;
use std::time::Duration;

use seatwire_core::holds::{LimitKind, Refusal};
use seatwire_protocol::command::{BookingState, CancelBooking};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{SaleState, SeatIndex, SeatStatus};
use serde_json::json;

use super::rig::{Rig, book, customer, idempotency_key, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_becomes_a_confirmed_booking_and_its_key_tells_so() {
    let rig = Rig::new().await;
    let ann = customer("ann");
    let hold = rig.hold(&ann, "h", &[4, 5]).await;
    let command = book(rig.show, &ann, hold, "k");
    // The same command at the same time has one effect.
    let (one, two) = tokio::join!(rig.saga.book(&command), rig.saga.book(&command));
    let (pending, again) = (one.unwrap().unwrap(), two.unwrap().unwrap());
    assert_eq!(pending.booking, again.booking);
    assert_eq!(pending.order, again.order);
    assert_eq!(pending.state, BookingState::Pending);
    assert_eq!((pending.seats.as_slice(), pending.labels.len()), (&[SeatIndex(4), SeatIndex(5)][..], 2));
    assert_eq!(pending.amount, 36_000);
    let checkout = pending.checkout_url.clone().unwrap();
    let back = format!("?return_url=http%3A%2F%2F127.0.0.1%3A7000%2F%3Fbooking%3D{}", pending.booking.to_hex());
    assert!(checkout.ends_with(&back), "{checkout}");

    rig.pay(&pending, json!({"copies": 3})).await;
    rig.settle().await;
    let confirmed = rig.saga.book(&command).await.unwrap().unwrap();
    assert_eq!((confirmed.state, confirmed.booking), (BookingState::Confirmed, pending.booking));
    assert!(confirmed.version > pending.version && confirmed.checkout_url.is_none());
    // payment.captured and order.paid, three times each, had one effect.
    assert_eq!(rig.count("SELECT count(*) FROM payments").await, 1);
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE result = 'confirmed'").await, 1);
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE result = 'duplicate'").await, 1);

    let mut other = command.clone();
    other.email = "bob@example.org".to_owned();
    assert_eq!(rig.saga.book(&other).await.unwrap(), Err(Refusal::KeyReused));

    let snapshot = rig.holds.snapshot(rig.show).await.unwrap().unwrap();
    let map = PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).unwrap();
    assert_eq!(map.get(SeatIndex(4)), Some(SeatStatus::Booked));
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_what_the_ledger_does_not_allow() {
    let rig = Rig::new().await;
    let ann = customer("ann");
    rig.book("ann", &[0]).await;
    let second = rig.hold(&ann, "second", &[1]).await;
    let refused = rig.saga.book(&book(rig.show, &ann, second, "k2")).await.unwrap();
    assert_eq!(refused, Err(Refusal::Limit { kind: LimitKind::Pending, cap: 1 }));
    // The hold came back: it can be released.
    rig.holds.release(rig.show, &ann, second).await.unwrap().unwrap();

    // A seat that an operator takes ends the hold on it, and the sale can close under a hold.
    let bob = customer("bob");
    let hold = rig.hold(&bob, "h", &[20, 21]).await;
    rig.saga.set_sale(rig.show, SaleState::Closed, None).await.unwrap().unwrap();
    let refused = rig.saga.book(&book(rig.show, &bob, hold, "k")).await.unwrap();
    assert!(matches!(refused, Err(Refusal::SaleClosed | Refusal::Gone)), "{refused:?}");
    rig.saga.set_sale(rig.show, SaleState::Open, None).await.unwrap().unwrap();
    let taken = rig.saga.block_seats(rig.show, vec![SeatIndex(0)]).await.unwrap();
    assert!(matches!(taken, Err(Refusal::Taken(ref seats)) if seats[0].label.as_deref() == Some("A1")), "{taken:?}");
    rig.saga.block_seats(rig.show, vec![SeatIndex(30)]).await.unwrap().unwrap();
    rig.saga.unblock_seats(rig.show, vec![SeatIndex(30)]).await.unwrap().unwrap();
    let history = seatwire_core::db::history::of_seat(&rig.db, rig.show, SeatIndex(30)).await.unwrap();
    let reasons: Vec<&str> = history.iter().map(|change| change.reason.as_str()).collect();
    assert_eq!(reasons, ["unblock", "block"]);
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_made_gives_the_hold_back() {
    let rig = Rig::new().await;
    let ann = customer("ann");
    let hold = rig.hold(&ann, "h", &[7]).await;
    rig.control(json!({"fail": "500"})).await;
    assert!(rig.saga.book(&book(rig.show, &ann, hold, "k")).await.is_err());
    rig.control(json!({"fail": null})).await;
    // Another key may try now: the first attempt was taken back.
    let booking = rig.saga.book(&book(rig.show, &ann, hold, "k2")).await.unwrap().unwrap();
    assert_eq!(booking.state, BookingState::Pending);
    assert_eq!(rig.count("SELECT count(*) FROM bookings").await, 1);
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_is_not_sent_too_late() {
    let rig = Rig::with(|config| config.commit_within = Duration::ZERO).await;
    let ann = customer("ann");
    let hold = rig.hold(&ann, "h", &[7]).await;
    assert!(rig.saga.book(&book(rig.show, &ann, hold, "k")).await.is_err());
    assert_eq!(rig.count("SELECT count(*) FROM bookings").await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM show_seats WHERE status = 'claimed'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_frees_the_seats_and_refunds_what_was_paid() {
    let rig = Rig::new().await;
    let pending = rig.book("ann", &[1, 2]).await;
    let paid = rig.buy("bob", &[5]).await;
    let cancel = |name, booking, key| CancelBooking { customer: customer(name), booking, key: idempotency_key(key) };
    let foreign = rig.saga.cancel(&cancel("eve", paid.booking, "c")).await.unwrap();
    assert_eq!(foreign, Err(Refusal::NotOwner));
    let saga = Arc::new(rig.saga.clone());
    let command = cancel("bob", paid.booking, "c");
    let (one, two) = tokio::join!(saga.cancel(&command), saga.cancel(&command));
    assert_eq!(one.unwrap().unwrap().state, BookingState::Cancelled);
    assert_eq!(two.unwrap().unwrap().state, BookingState::Cancelled);
    let ended = rig.saga.cancel(&cancel("ann", pending.booking, "c")).await.unwrap().unwrap();
    assert_eq!(ended.state, BookingState::Cancelled);
    assert_eq!(rig.count("SELECT count(*) FROM refunds").await, 1);
    rig.refund().await;
    let refunded = rig.booking(paid.booking).await;
    assert_eq!(refunded.refunds.len(), 1);
    assert_eq!(rig.count("SELECT count(*) FROM show_seats WHERE booking_id IS NOT NULL").await, 0);
    // The seats are for sale again, in Redis too.
    let relayed = async || {
        rig.saga.relay_once().await.unwrap();
        rig.holds.hold(rig.show, &customer("cid"), &idempotency_key("h"), &[SeatIndex(5)], None).await.unwrap().is_ok()
    };
    wait_for("the seat", relayed).await;
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_repeated_after_a_late_payment_tells_of_the_booking_and_does_not_end_it_again() {
    let rig = Rig::new().await;
    let booking = rig.book("ann", &[1]).await;
    let key = idempotency_key("c");
    let cancel = CancelBooking { customer: customer("ann"), booking: booking.booking, key };
    assert_eq!(rig.saga.cancel(&cancel).await.unwrap().unwrap().state, BookingState::Cancelled);
    rig.pay(&booking, json!({})).await;
    rig.settle().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed, "the seat was free");
    let again = rig.saga.cancel(&cancel).await.unwrap().unwrap();
    assert_eq!(again.state, BookingState::Confirmed);
    // Another key is another wish.
    let anew = CancelBooking { key: idempotency_key("c2"), ..cancel };
    assert_eq!(rig.saga.cancel(&anew).await.unwrap().unwrap().state, BookingState::Cancelled);
    rig.refund().await;
    rig.check().await;
}
