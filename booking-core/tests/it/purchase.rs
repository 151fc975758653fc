//! Buying over the MessagePack port, with the client that gateways use: what each side is answered.

use seatwire_protocol::command::{
    BestAvailable, BookingState, CancelBooking, ExtendHold, GetLayout, GetPositions, GetSnapshot, HoldPhase, HoldSeats,
    ListBookings,
};
use seatwire_protocol::error::SeatConflictReason;
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{BookingId, ErrorCode, HoldId, SaleState, SeatIndex, SeatStatus, ShowId};

use crate::world::{World, customer, key, until};

async fn statuses(world: &World, show: ShowId, seats: &[u32]) -> Vec<SeatStatus> {
    let snapshot = world.call(&GetSnapshot { show }).await.unwrap();
    let packed = PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).unwrap();
    seats.iter().map(|seat| packed.get(SeatIndex(*seat)).unwrap()).collect()
}

/// Three seats that are available.
async fn three_free(world: &World, show: ShowId) -> [u32; 3] {
    let snapshot = world.call(&GetSnapshot { show }).await.unwrap();
    let packed = PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).unwrap();
    let free: Vec<u32> =
        (0..snapshot.seats).filter(|seat| packed.get(SeatIndex(*seat)) == Some(SeatStatus::Available)).collect();
    [free[0], free[1], free[2]]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_becomes_a_paid_booking_and_the_second_buyer_is_told_which_seat_and_why() {
    let world = World::start().await;
    let (show, layout) = world.open_show().await;
    let [a, b, c] = three_free(&world, show).await;
    let hold = world.hold("ann", show, "k1", &[b, a]).await.unwrap();
    assert_eq!((&hold.seats, hold.phase), (&vec![SeatIndex(a), SeatIndex(b)], HoldPhase::Browse));
    assert_eq!(world.hold("ann", show, "k1", &[a, b]).await.unwrap().hold, hold.hold, "the same key, the same hold");
    let reused = world.hold("ann", show, "k1", &[c]).await.unwrap_err();
    assert_eq!((reused.code, reused.field.as_deref()), (ErrorCode::KeyReused, Some("key")));

    let refused = world.hold("bob", show, "k1", &[a, c]).await.unwrap_err();
    let label = layout.label(SeatIndex(a)).unwrap();
    assert_eq!(refused.code, ErrorCode::Taken);
    assert_eq!(refused.seats.len(), 1, "only the seat in conflict");
    assert_eq!((refused.seats[0].seat, refused.seats[0].reason), (SeatIndex(a), SeatConflictReason::Held));
    assert_eq!(refused.seats[0].label.as_ref(), Some(&label));
    assert!(refused.message.contains(&label), "{}", refused.message);
    assert_eq!(statuses(&world, show, &[a, b, c]).await, [SeatStatus::Held, SeatStatus::Held, SeatStatus::Available]);

    let foreign = world.release("bob", show, hold.hold).await.unwrap_err();
    let unknown = world.release("bob", show, HoldId([9; 16])).await.unwrap_err();
    assert_eq!((&foreign.code, &foreign), (&ErrorCode::NotOwner, &unknown), "not his, or not there: the same answer");
    let extend = ExtendHold { show, customer: customer("ann"), hold: hold.hold, key: key("e1") };
    let extended = world.call(&extend).await.unwrap();
    assert_eq!(
        world.call(&extend).await.unwrap().extensions_left,
        extended.extensions_left,
        "the same key extends once"
    );

    let pending = world.book("ann", &hold, "b1").await.unwrap();
    assert_eq!((pending.state, &pending.seats), (BookingState::Pending, &hold.seats));
    assert_eq!(pending.labels[0], label);
    assert!(pending.remaining_ms > 0 && pending.amount > 0 && pending.checkout_url.is_some());
    assert_eq!(world.book("ann", &hold, "b1").await.unwrap().booking, pending.booking);
    let (_, own_pending) = world.own("ann", show).await;
    assert_eq!(own_pending.iter().map(|booking| booking.booking).collect::<Vec<_>>(), [pending.booking]);
    assert_eq!(world.own("bob", show).await, (vec![], vec![]));
    let foreign = world.booking("bob", pending.booking).await.unwrap_err();
    let unknown = world.booking("bob", BookingId([9; 16])).await.unwrap_err();
    assert_eq!((&foreign.code, &foreign), (&ErrorCode::NotOwner, &unknown));

    world.pay(&pending).await;
    let confirmed = || async { world.booking("ann", pending.booking).await.unwrap().state == BookingState::Confirmed };
    until("the booking is confirmed", confirmed).await;
    let bookings = world.call(&ListBookings { customer: customer("ann"), before_ms: None }).await.unwrap();
    assert_eq!((bookings.bookings.len(), bookings.more), (1, false));
    assert_eq!((bookings.bookings[0].state, bookings.bookings[0].remaining_ms), (BookingState::Confirmed, 0));
    let sold = || async { statuses(&world, show, &[a, b]).await == [SeatStatus::Booked; 2] };
    until("the seats show as sold", sold).await;
    let refused = world.hold("bob", show, "k2", &[a]).await.unwrap_err();
    assert_eq!(refused.seats[0].reason, SeatConflictReason::Booked);
    assert!(refused.message.contains("sold"), "{}", refused.message);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_given_back_by_release_or_cancel_can_be_had_by_others() {
    let world = World::start().await;
    let (show, _) = world.open_show().await;
    let [a, b, _] = three_free(&world, show).await;
    let hold = world.hold("ann", show, "k1", &[a, b]).await.unwrap();
    world.release("ann", show, hold.hold).await.unwrap();
    let late = world.book("ann", &hold, "b1").await.unwrap_err();
    assert_eq!(late.code, ErrorCode::Gone);
    let hold = world.hold("bob", show, "k1", &[a, b]).await.unwrap();
    let pending = world.book("bob", &hold, "b1").await.unwrap();
    let held = world.hold("carol", show, "k1", &[b]).await.unwrap_err();
    assert_eq!(held.code, ErrorCode::Taken);
    let cancel = |who, booking| CancelBooking { customer: customer(who), booking, key: key("c1") };
    let foreign = world.call(&cancel("carol", pending.booking)).await.unwrap_err();
    assert_eq!(foreign.code, ErrorCode::NotOwner);
    let cancelled = world.call(&cancel("bob", pending.booking)).await.unwrap();
    assert_eq!(cancelled.state, BookingState::Cancelled);
    assert_eq!(world.call(&cancel("bob", pending.booking)).await.unwrap(), cancelled, "the same key, the same answer");
    let free = || async { statuses(&world, show, &[a, b]).await == [SeatStatus::Available; 2] };
    until("the seats are free again", free).await;
    world.hold("carol", show, "k2", &[a, b]).await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_held_is_refused_by_name() {
    let world = World::start().await;
    let (show, layout) = world.open_show().await;
    let [a, ..] = three_free(&world, show).await;
    let beyond = world.hold("ann", show, "k1", &[a, layout.seats, u32::MAX]).await.unwrap_err();
    assert_eq!(beyond.code, ErrorCode::NoSuchSeat);
    let missing: Vec<u32> = beyond.seats.iter().map(|conflict| conflict.seat.0).collect();
    assert_eq!(missing, [layout.seats, u32::MAX], "each unknown seat and no other");
    assert_eq!(statuses(&world, show, &[a]).await, [SeatStatus::Available], "nothing is held by a refusal");
    let nowhere = ShowId::new((1 << 53) - 1).unwrap();
    assert_eq!(world.hold("ann", nowhere, "k", &[0]).await.unwrap_err().code, ErrorCode::NoSuchShow);
    assert_eq!(world.call(&GetSnapshot { show: nowhere }).await.unwrap_err().code, ErrorCode::NoSuchShow);
    assert_eq!(world.call(&GetLayout { show: nowhere }).await.unwrap_err().code, ErrorCode::NoSuchShow);
    let positions = world.call(&GetPositions { shows: vec![show, nowhere], viewers: None }).await.unwrap().positions;
    assert!(positions[0].is_some_and(|p| p.generation > 0) && positions[1].is_none());

    let soon = world.show(SaleState::Before).await.show;
    let early = world.hold("ann", soon, "k1", &[0]).await.unwrap_err();
    assert_eq!(early.code, ErrorCode::NotOnSale);
    assert!(early.opens_in_ms.is_some_and(|ms| ms > 0));

    let cap = world.hold("ann", show, "k2", &[a]).await.and(world.hold("ann", show, "k3", &[a + 1]).await);
    cap.unwrap();
    let third = world.hold("ann", show, "k4", &[a + 2]).await.unwrap_err();
    assert_eq!((third.code, third.limit), (ErrorCode::Limit, Some(2)));

    let best = BestAvailable { count: 4, tier: None };
    let wish = HoldSeats { show, customer: customer("bob"), key: key("k1"), seats: vec![], best: Some(best) };
    let found = world.call(&wish).await.unwrap();
    let adjacent = found.seats.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
    assert!(found.seats.len() == 4 && adjacent, "{found:?}");
    world.end().await;
}
