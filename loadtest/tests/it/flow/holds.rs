//! Holds as their owner and as others see them.

use std::time::{Duration, Instant};

use seatwire_loadtest::client::{Encoding, Event, new_key};
use seatwire_protocol::command::HoldPhase;
use seatwire_protocol::error::SeatConflictReason;
use seatwire_protocol::viewer::{SeatView, ShowViewer};
use seatwire_protocol::ws::{HoldEndReason, Push, ServerMessage};
use seatwire_protocol::{ErrorCode, HoldId, SeatIndex, SeatStatus};

use super::{GRACE, HOLD};
use crate::shop::{Customer, PATIENCE, Seats, Shop, maps_agree};

/// The end of a hold as its owner is told it.
pub(super) async fn told_the_end(window: &seatwire_loadtest::client::ViewerClient, hold: HoldId) -> HoldEndReason {
    let ended = |event: &Event| match event {
        Event::Message(ServerMessage::Push { push: Push::HoldEnded { hold: id, reason, .. } }) if *id == hold => {
            Some(*reason)
        }
        _ => None,
    };
    window.wait_for_event("the end of the hold", PATIENCE, ended).await.unwrap()
}

pub(super) async fn a_second_buyer_of_a_held_seat_is_refused_with_its_name_and_reason(shop: &Shop) {
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    let seats = shop.seats(3);
    let [first, second, third] = seats.index[..] else { panic!("three seats") };
    let hold = ann.holds(shop, &[first, second]).await;
    assert_eq!((hold.seats, hold.phase), (vec![SeatIndex(first), SeatIndex(second)], HoldPhase::Browse));
    assert!(hold.remaining_ms <= u64::try_from(HOLD.as_millis()).unwrap(), "no more is told than is honoured");
    let both = Seats { index: vec![first, second], ..seats.clone() };
    ben.sees(shop, &both, SeatStatus::Held).await;
    ann.sees(shop, &both, SeatStatus::Held).await;
    let view = |customer: &Customer, seat| customer.client.viewer(shop.show, |v| v.seat(SeatIndex(seat))).unwrap();
    assert_eq!(view(&ann, first), Some(SeatView::Own));
    assert_eq!(view(&ben, first), Some(SeatView::Status(SeatStatus::Held)));

    let refusal = ben.client.hold(shop.show, &new_key(), &[second, third]).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Taken);
    let [conflict] = &refusal.seats[..] else { panic!("one seat is in conflict: {refusal:?}") };
    assert_eq!((conflict.seat, conflict.reason), (SeatIndex(second), SeatConflictReason::Held));
    assert_eq!(conflict.label.as_ref(), Some(&seats.labels[1]));
    assert!(refusal.message.contains(&seats.labels[1]), "the text names the seat: {}", refusal.message);
    assert_eq!(view(&ben, third), Some(SeatView::Status(SeatStatus::Available)), "all or nothing");
    maps_agree(shop, &ann, &ben).await;
}

pub(super) async fn a_hold_left_alone_returns_on_every_screen_and_not_before_its_end(shop: &Shop) {
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    let seats = shop.seats(2);
    let asked = Instant::now();
    let hold = ann.holds(shop, &seats.index).await;
    let (told, remaining) = (Instant::now(), Duration::from_millis(hold.remaining_ms));
    ben.sees(shop, &seats, SeatStatus::Held).await;
    let free_again = |viewer: &ShowViewer| {
        seats.index.iter().all(|seat| viewer.map().status(SeatIndex(*seat)) == Some(SeatStatus::Available))
    };
    ben.client.wait_until("the seats to return", shop.show, PATIENCE, free_again).await.unwrap();
    let honoured = asked.elapsed();
    println!("seats came back {:?} after the hold's end", honoured.saturating_sub(remaining + GRACE));
    assert!(honoured >= remaining, "told {remaining:?}, honoured {honoured:?} since {:?}", told - asked);
    assert_eq!(told_the_end(&ann.client, hold.hold).await, HoldEndReason::Expired);
    assert_eq!(ann.client.viewer(shop.show, |v| v.own().holds().count()), Some(0));
    let late = ann.client.extend(shop.show, &new_key(), hold.hold).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::Gone);
    maps_agree(shop, &ann, &ben).await;
}

pub(super) async fn a_released_hold_returns_at_once_and_every_window_of_its_owner_is_told(shop: &Shop) {
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    let seats = shop.seats(2);
    let hold = ann.holds(shop, &seats.index).await;
    // A window that opens now is told what its customer has.
    let second_window = shop.window(&ann.guest, Encoding::Json).await;
    let known = |viewer: &ShowViewer| viewer.own().hold(&hold.hold).is_some();
    second_window.wait_until("the hold in the other window", shop.show, PATIENCE, known).await.unwrap();
    ben.sees(shop, &seats, SeatStatus::Held).await;
    let released = ann.client.release(shop.show, hold.hold).await.unwrap();
    assert!(released.position > hold.position);
    ben.sees(shop, &seats, SeatStatus::Available).await;
    assert_eq!(told_the_end(&second_window, hold.hold).await, HoldEndReason::Released);
    let gone = |viewer: &ShowViewer| viewer.own().holds().next().is_none();
    second_window.wait_until("no hold in the other window", shop.show, PATIENCE, gone).await.unwrap();
    ben.holds(shop, &seats.index).await;
}

pub(super) async fn an_extended_hold_lasts_longer_and_only_as_often_as_allowed(shop: &Shop) {
    let ann = shop.customer().await;
    let seats = shop.seats(2);
    let hold = ann.holds(shop, &seats.index).await;
    assert_eq!(hold.extensions_left, 2);
    let key = new_key();
    let longer = ann.client.extend(shop.show, &key, hold.hold).await.unwrap();
    assert_eq!((longer.hold, longer.extensions_left), (hold.hold, 1));
    let repeated = ann.client.extend(shop.show, &key, hold.hold).await.unwrap();
    assert_eq!(repeated.extensions_left, 1, "the same key extends once");
    ann.client.extend(shop.show, &new_key(), hold.hold).await.unwrap();
    let refusal = ann.client.extend(shop.show, &new_key(), hold.hold).await.unwrap_err();
    assert_eq!((refusal.code, refusal.limit), (ErrorCode::Limit, Some(2)));
    ann.client.release(shop.show, hold.hold).await.unwrap();
}

pub(super) async fn a_repeated_hold_has_one_effect(shop: &Shop) {
    let ann = shop.customer().await;
    let seats = shop.seats(3);
    let key = new_key();
    let hold = ann.client.hold(shop.show, &key, &seats.index[..2]).await.unwrap();
    let again = ann.client.hold(shop.show, &key, &seats.index[..2]).await.unwrap();
    assert_eq!((again.hold, again.position), (hold.hold, hold.position));
    let refusal = ann.client.hold(shop.show, &key, &seats.index[1..]).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::KeyReused);
    let (holds, pending) = ann.client.own_holds(shop.show).await.unwrap();
    assert_eq!((holds.len(), pending.len()), (1, 0));
    assert_eq!(holds[0].seats.len(), 2);
    // The same key of another customer is another key.
    let ben = shop.customer().await;
    let other = shop.seats(2);
    let hold_of_ben = ben.client.hold(shop.show, &key, &other.index).await.unwrap();
    assert_ne!(hold_of_ben.hold, hold.hold);
    ben.client.release(shop.show, hold_of_ben.hold).await.unwrap();
    ann.client.release(shop.show, hold.hold).await.unwrap();
}

pub(super) async fn somebody_elses_hold_can_be_neither_released_nor_extended_nor_booked(shop: &Shop) {
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    let seats = shop.seats(2);
    let hold = ann.holds(shop, &seats.index).await;
    let refusals = [
        ben.client.release(shop.show, hold.hold).await.unwrap_err(),
        ben.client.extend(shop.show, &new_key(), hold.hold).await.unwrap_err(),
        ben.client.book(shop.show, &new_key(), hold.hold, "ben@example.com").await.unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.code, ErrorCode::NotOwner, "{refusal:?}");
    }
    let (holds, _) = ann.client.own_holds(shop.show).await.unwrap();
    assert_eq!(holds.len(), 1, "the hold is untouched");
    ann.client.release(shop.show, hold.hold).await.unwrap();
}
