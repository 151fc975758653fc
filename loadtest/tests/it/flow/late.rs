//! Payments after the booking's time: the seats if they are free and nobody's, else the money back.

use seatwire_loadtest::client::{PayOptions, new_key};
use seatwire_protocol::command::{BookingInfo, BookingState, RefundState};
use seatwire_protocol::{ErrorCode, SeatStatus};

use super::bookings::{book, pays, told};
use crate::shop::{Customer, Seats, Shop, maps_agree};

/// A booking whose time to pay is over, and whose seats are back on sale.
async fn expired(shop: &Shop, ann: &Customer, ben: &Customer, seats: &Seats) -> BookingInfo {
    let booking = book(shop, ann, seats).await;
    let expired = |b: &BookingInfo| b.state == BookingState::Expired;
    told(shop, ann, booking.booking, "the end of the booking", expired).await;
    ben.sees(shop, seats, SeatStatus::Available).await;
    booking
}

pub(super) async fn a_late_payment_gets_the_seats_when_nobody_else_has_them(shop: &Shop) {
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    let seats = shop.seats(2);
    let booking = expired(shop, &ann, &ben, &seats).await;
    pays(&booking, &PayOptions::default()).await;
    let rescued = |b: &BookingInfo| b.state == BookingState::Confirmed;
    let info = told(shop, &ann, booking.booking, "the late confirmation", rescued).await;
    assert_eq!(info.refunds, []);
    ben.sees(shop, &seats, SeatStatus::Booked).await;
    maps_agree(shop, &ann, &ben).await;
}

pub(super) async fn a_late_payment_is_returned_when_somebody_else_has_the_seats(shop: &Shop) {
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    let seats = shop.seats(2);
    let booking = expired(shop, &ann, &ben, &seats).await;
    // One of the two seats is enough.
    let hold = ben.holds(shop, &seats.index[1..]).await;
    pays(&booking, &PayOptions::default()).await;
    let returned = |b: &BookingInfo| b.refunds.iter().any(|refund| refund.state == RefundState::Processed);
    let info = told(shop, &ann, booking.booking, "the money back", returned).await;
    assert_eq!((info.state, info.refunds.len()), (BookingState::Expired, 1));
    assert_eq!(info.refunds[0].amount, seats.amount);
    // The hold of the other buyer is untouched, unless it came to its own end meanwhile.
    match ben.client.book(shop.show, &new_key(), hold.hold, "ben@example.com").await {
        Ok(next) => {
            pays(&next, &PayOptions::default()).await;
            let confirmed = |b: &BookingInfo| b.state == BookingState::Confirmed;
            told(shop, &ben, next.booking, "the confirmation of the other buyer", confirmed).await;
        }
        Err(error) => assert_eq!(error.code, ErrorCode::Gone, "{error:?}"),
    }
}
