//! From a hold to a confirmed booking, and the ways there that go wrong.

use seatwire_loadtest::client::{Encoding, Http, PayOptions, new_key, pay};
use seatwire_protocol::command::{BookingInfo, BookingState, BookingsReply, HoldInfo, RefundState};
use seatwire_protocol::viewer::ShowViewer;
use seatwire_protocol::{BookingId, ErrorCode, IdempotencyKey, SeatIndex, SeatStatus};

use crate::shop::{Customer, PATIENCE, Seats, Shop, maps_agree};

/// Holds and books; the booking is pending.
pub(super) async fn book(shop: &Shop, customer: &Customer, seats: &Seats) -> BookingInfo {
    let hold = customer.holds(shop, &seats.index).await;
    let (client, key) = (&customer.client, new_key());
    let attempt = || client.book(shop.show, &key, hold.hold, "ann@example.com");
    let booking = client.persist(PATIENCE, attempt).await.unwrap();
    assert_eq!(booking.state, BookingState::Pending);
    assert_eq!(booking.seats, seats.index.iter().copied().map(SeatIndex).collect::<Vec<_>>());
    assert_eq!((&booking.labels, booking.amount), (&seats.labels, seats.amount));
    booking
}

/// Waits until the customer is told, unasked, that the booking is as `wanted` says.
pub(super) async fn told(
    shop: &Shop,
    customer: &Customer,
    booking: BookingId,
    what: &str,
    wanted: impl Fn(&BookingInfo) -> bool,
) -> BookingInfo {
    let found = |viewer: &ShowViewer| viewer.own().booking(&booking).filter(|b| wanted(b)).cloned();
    customer.client.wait_until(what, shop.show, PATIENCE, |v| found(v).is_some()).await.unwrap();
    customer.client.viewer(shop.show, found).flatten().unwrap()
}

pub(super) fn checkout(booking: &BookingInfo) -> &str {
    booking.checkout_url.as_deref().expect("a pending booking says where to pay")
}

pub(super) async fn pays(booking: &BookingInfo, options: &PayOptions) {
    let paid = pay(checkout(booking), options).await.unwrap();
    let wanted = if options.outcome == "success" { "captured" } else { "failed" };
    assert_eq!(paid.status, wanted);
}

fn confirmed(booking: &BookingInfo) -> bool {
    booking.state == BookingState::Confirmed
}

pub(super) async fn a_paid_booking_is_confirmed_and_its_seats_are_sold_on_every_screen(shop: &Shop) {
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    let seats = shop.seats(2);
    let hold = ann.holds(shop, &seats.index).await;
    let key = new_key();
    let booking = ann.client.book(shop.show, &key, hold.hold, "ann@example.com").await.unwrap();
    let again = ann.client.book(shop.show, &key, hold.hold, "ann@example.com").await.unwrap();
    assert_eq!((again.booking, &again.order), (booking.booking, &booking.order), "the same key makes one booking");
    let other_body = ann.client.book(shop.show, &key, hold.hold, "else@example.com").await.unwrap_err();
    assert_eq!(other_body.code, ErrorCode::KeyReused);
    ben.sees(shop, &seats, SeatStatus::Held).await;

    pays(&booking, &PayOptions::default()).await;
    let told = told(shop, &ann, booking.booking, "the confirmation", confirmed).await;
    assert_eq!((&told.labels, told.amount, told.refunds.len()), (&seats.labels, seats.amount, 0));
    for customer in [&ann, &ben] {
        customer.sees(shop, &seats, SeatStatus::Booked).await;
    }
    maps_agree(shop, &ann, &ben).await;

    let refusal = ben.client.hold(shop.show, &new_key(), &seats.index[..1]).await.unwrap_err();
    assert_eq!((refusal.code, refusal.seats[0].label.as_ref()), (ErrorCode::Taken, Some(&seats.labels[0])));
    let (bookings, more) = ann.client.bookings(None).await.unwrap();
    assert_eq!((bookings.len(), more), (1, false));
    assert_eq!((bookings[0].booking, bookings[0].state), (booking.booking, BookingState::Confirmed));
    assert_eq!(ben.client.bookings(None).await.unwrap().0, []);
    for refusal in [
        ben.client.booking(booking.booking).await.unwrap_err(),
        ben.client.cancel(&new_key(), booking.booking).await.unwrap_err(),
    ] {
        assert_eq!(refusal.code, ErrorCode::NotOwner, "{refusal:?}");
    }
    assert_eq!(ann.client.booking(booking.booking).await.unwrap().state, BookingState::Confirmed);
}

pub(super) async fn a_declined_card_can_be_followed_by_a_payment_that_works(shop: &Shop) {
    let ann = shop.customer().await;
    let seats = shop.seats(1);
    let booking = book(shop, &ann, &seats).await;
    pays(&booking, &PayOptions { outcome: "failure", ..PayOptions::default() }).await;
    pays(&booking, &PayOptions { copies: Some(3), ..PayOptions::default() }).await;
    told(shop, &ann, booking.booking, "the confirmation", confirmed).await;
}

pub(super) async fn a_second_payment_of_a_booking_is_returned(shop: &Shop) {
    let ann = shop.customer().await;
    let seats = shop.seats(2);
    let booking = book(shop, &ann, &seats).await;
    pays(&booking, &PayOptions { double: true, ..PayOptions::default() }).await;
    let returned = |b: &BookingInfo| confirmed(b) && b.refunds.iter().any(|r| r.state == RefundState::Processed);
    let info = told(shop, &ann, booking.booking, "a confirmation and a refund", returned).await;
    assert_eq!(info.refunds.len(), 1);
    assert_eq!(info.refunds[0].amount, seats.amount, "only full refunds");
}

pub(super) async fn a_wrong_amount_is_returned_and_the_booking_waits_on(shop: &Shop) {
    let ann = shop.customer().await;
    let seats = shop.seats(1);
    let booking = book(shop, &ann, &seats).await;
    let wrong = seats.amount - 1;
    pays(&booking, &PayOptions { amount: Some(wrong), ..PayOptions::default() }).await;
    let returned = |b: &BookingInfo| b.refunds.iter().any(|r| r.state == RefundState::Processed && r.amount == wrong);
    let info = told(shop, &ann, booking.booking, "the refund of a wrong amount", returned).await;
    assert_ne!(info.state, BookingState::Confirmed);
}

pub(super) async fn a_cancelled_booking_frees_its_seats(shop: &Shop) {
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    let seats = shop.seats(2);
    let booking = book(shop, &ann, &seats).await;
    ben.sees(shop, &seats, SeatStatus::Held).await;
    let key = new_key();
    for _ in 0..2 {
        let cancelled = ann.client.cancel(&key, booking.booking).await.unwrap();
        assert_eq!(cancelled.state, BookingState::Cancelled);
    }
    ben.sees(shop, &seats, SeatStatus::Available).await;
    let taken_next = book(shop, &ben, &seats).await;
    pays(&taken_next, &PayOptions::default()).await;
    told(shop, &ben, taken_next.booking, "the confirmation of the next buyer", confirmed).await;
    maps_agree(shop, &ann, &ben).await;
}

pub(super) async fn a_hold_and_a_booking_by_plain_http_are_seen_on_the_socket(shop: &Shop) {
    let ann = shop.customer().await;
    let seats = shop.seats(2);
    let http = Http::default();
    let bearer = ann.guest.bearer();
    let auth = [("authorization", bearer.as_str())];
    let holds = format!("{}/api/shows/{}/holds", shop.at.gateway, shop.show);
    let body = serde_json::json!({ "key": new_key(), "seats": seats.index });
    let hold: HoldInfo = http.post(&holds, &auth, &body).await.unwrap().json().unwrap();
    ann.sees(shop, &seats, SeatStatus::Held).await;
    // A window that opens now is told what its customer has.
    let client = shop.window(&ann.guest, Encoding::Json).await;
    let ann = Customer { client, ..ann };
    let known = |viewer: &ShowViewer| viewer.own().hold(&hold.hold).is_some();
    ann.client.wait_until("the hold on the socket", shop.show, PATIENCE, known).await.unwrap();
    let no_token = http.post(&holds, &[], &body).await.unwrap();
    assert_eq!((no_token.status, no_token.error().unwrap().code), (401, ErrorCode::Unauthenticated));

    let bookings = format!("{}/api/bookings", shop.at.gateway);
    let key: IdempotencyKey = new_key();
    let body = serde_json::json!({ "show": shop.show, "hold": hold.hold, "key": key, "email": "ann@example.com" });
    let booking: BookingInfo = http.post(&bookings, &auth, &body).await.unwrap().json().unwrap();
    pays(&booking, &PayOptions::default()).await;
    told(shop, &ann, booking.booking, "the confirmation on the socket", confirmed).await;
    let one = http.get(&format!("{bookings}/{}", booking.booking.to_hex()), &auth).await.unwrap();
    assert_eq!(one.json::<BookingInfo>().unwrap().state, BookingState::Confirmed);
    let all: BookingsReply = http.get(&bookings, &auth).await.unwrap().json().unwrap();
    assert_eq!(all.bookings.len(), 1);
    let foreign = shop.customer().await;
    let bearer = foreign.guest.bearer();
    let url = format!("{bookings}/{}", booking.booking.to_hex());
    let refusal = http.get(&url, &[("authorization", bearer.as_str())]).await.unwrap();
    assert_eq!((refusal.status, refusal.error().unwrap().code), (404, ErrorCode::NotOwner));
}
