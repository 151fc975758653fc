//! Examples of the state machine; its properties are in `tests/it/viewer.rs`.

use super::*;
use crate::command::{BookingInfo, BookingState, HoldInfo, HoldPhase, Released};
use crate::error::{ErrorBody, ErrorCode};
use crate::id::{HoldId, IdempotencyKey};
use crate::seat::{PackedStatuses, SaleState};
use crate::seat_frame::{Beat, Delta, Snapshot};
use crate::ws::HoldEndReason;

fn show() -> ShowId {
    ShowId::new(7).unwrap()
}

fn snapshot(generation: u64, sequence: u64) -> SeatFrame {
    SeatFrame::Snapshot(Snapshot {
        show: show(),
        position: Position::new(generation, sequence),
        sale: SaleState::Open,
        opens_in_ms: 0,
        layout_version: 1,
        viewers: 2,
        statuses: PackedStatuses::new(4),
    })
}

fn delta(generation: u64, from: u64, to: u64, seats: &[(u32, SeatStatus)]) -> SeatFrame {
    let seats = seats.iter().map(|(seat, status)| (SeatIndex(*seat), *status)).collect();
    SeatFrame::Delta(Delta { show: show(), generation, from, to, sale: SaleState::Open, viewers: 2, seats })
}

fn beat(generation: u64, sequence: u64) -> SeatFrame {
    let position = Position::new(generation, sequence);
    SeatFrame::Beat(Beat { show: show(), position, sale: SaleState::Open, viewers: 3, server_time_ms: 1 })
}

fn hold(id: u8, seats: &[u32], sequence: u64) -> HoldInfo {
    HoldInfo {
        hold: HoldId([id; 16]),
        show: show(),
        seats: seats.iter().copied().map(SeatIndex).collect(),
        phase: HoldPhase::Browse,
        remaining_ms: 1_000,
        extensions_left: 2,
        position: Position::new(1, sequence),
        booking: None,
    }
}

fn booking(id: u8, seats: &[u32], state: BookingState, version: u64) -> BookingInfo {
    BookingInfo {
        booking: BookingId([id; 16]),
        show: show(),
        seats: seats.iter().copied().map(SeatIndex).collect(),
        labels: Vec::new(),
        state,
        version,
        amount: 100,
        currency: "INR".into(),
        remaining_ms: 0,
        order: None,
        checkout_url: None,
        refunds: Vec::new(),
        created_at_ms: 0,
    }
}

fn reply(id: u64, ok: ReplyBody) -> ServerMessage {
    ServerMessage::Reply { id, ok }
}

fn ended(id: u8, sequence: u64) -> ServerMessage {
    ServerMessage::Push {
        push: Push::HoldEnded {
            show: show(),
            hold: HoldId([id; 16]),
            seats: Vec::new(),
            reason: HoldEndReason::Expired,
            position: Position::new(1, sequence),
        },
    }
}

fn live() -> ShowViewer {
    let mut viewer = ShowViewer::new(show());
    viewer.on_connected();
    viewer.take_asks();
    assert_eq!(viewer.on_frame(&snapshot(1, 10)), Applied::Applied);
    viewer
}

#[test]
fn a_delta_is_applied_only_where_it_fits() {
    let mut viewer = live();
    assert_eq!(viewer.on_frame(&delta(1, 8, 12, &[(0, SeatStatus::Held)])), Applied::Applied);
    assert_eq!(viewer.map().status(SeatIndex(0)), Some(SeatStatus::Held));
    assert_eq!(viewer.on_frame(&delta(1, 8, 12, &[(0, SeatStatus::Booked)])), Applied::Ignored);
    assert_eq!(viewer.on_frame(&delta(0, 8, 99, &[(0, SeatStatus::Booked)])), Applied::Ignored);
    assert!(viewer.is_live());
    assert_eq!(viewer.on_frame(&delta(1, 13, 14, &[(0, SeatStatus::Booked)])), Applied::Gap);
    assert!(!viewer.is_live(), "a map with a hole in it must not look live");
    assert_eq!(viewer.take_asks(), [Ask::Watch { pos: Some(Position::new(1, 12)) }]);
    assert_eq!(viewer.on_frame(&delta(1, 12, 14, &[(0, SeatStatus::Booked)])), Applied::Applied);
    assert!(viewer.is_live());
    assert_eq!(viewer.on_frame(&delta(2, 0, 1, &[])), Applied::NeedsSnapshot);
    assert_eq!(viewer.on_frame(&snapshot(2, 1)), Applied::Applied);
    assert_eq!(viewer.on_frame(&snapshot(1, 50)), Applied::Ignored);
    assert_eq!(viewer.map().position(), Some(Position::new(2, 1)));
}

#[test]
fn a_delta_with_an_unknown_seat_changes_nothing() {
    let mut viewer = live();
    let frame = delta(1, 10, 11, &[(0, SeatStatus::Held), (4, SeatStatus::Held)]);
    assert_eq!(viewer.on_frame(&frame), Applied::NeedsSnapshot);
    assert_eq!(viewer.map().status(SeatIndex(0)), Some(SeatStatus::Available));
}

#[test]
fn a_beat_above_the_map_uncovers_a_lost_frame() {
    let mut viewer = live();
    assert_eq!(viewer.on_frame(&beat(1, 10)), Applied::Ignored);
    assert_eq!(viewer.map().viewers(), 3);
    assert_eq!(viewer.on_frame(&beat(1, 11)), Applied::Gap);
    assert_eq!(viewer.on_frame(&beat(2, 0)), Applied::NeedsSnapshot);
}

#[test]
fn after_a_reconnect_it_resumes_and_rereads_what_it_owns() {
    let mut viewer = live();
    viewer.on_disconnected();
    assert!(!viewer.is_live());
    assert_eq!(viewer.take_asks(), []);
    viewer.on_connected();
    assert_eq!(viewer.take_asks(), [Ask::Watch { pos: Some(Position::new(1, 10)) }, Ask::OwnHolds]);
    viewer.on_message(&ServerMessage::Push { push: Push::Reread });
    assert_eq!(viewer.take_asks(), [Ask::OwnHolds]);
    // Holds may have been lost with the old generation.
    viewer.on_frame(&snapshot(2, 0));
    assert_eq!(viewer.take_asks(), [Ask::OwnHolds]);
    for stale in [true, false] {
        viewer.on_message(&ServerMessage::Stale { show: show(), stale });
        assert_eq!(viewer.is_live(), !stale);
    }
    assert_eq!(viewer.take_asks(), [Ask::OwnHolds]);
}

#[test]
fn a_seat_that_was_asked_for_is_judged_only_by_the_reply() {
    let mut viewer = live();
    let key = IdempotencyKey::new("k").unwrap();
    let ask = |id| ClientMessage::Hold { id, show: show(), key: key.clone(), seats: vec![SeatIndex(1)], best: None };
    viewer.on_sent(&ask(5));
    viewer.on_frame(&delta(1, 10, 11, &[(1, SeatStatus::Held)]));
    assert_eq!(viewer.seat(SeatIndex(1)), Some(SeatView::Asked));
    viewer.on_message(&reply(5, ReplyBody::Hold(hold(1, &[1], 11))));
    assert_eq!(viewer.seat(SeatIndex(1)), Some(SeatView::Own));
    let released = Released { hold: HoldId([1; 16]), position: Position::new(1, 12) };
    viewer.on_message(&reply(6, ReplyBody::Released(released)));
    assert_eq!(viewer.seat(SeatIndex(1)), Some(SeatView::Status(SeatStatus::Held)), "until the batch arrives");
    assert_eq!(viewer.seat(SeatIndex(4)), None);
}

#[test]
fn a_hold_is_over_only_by_an_end_after_it() {
    let mut viewer = live();
    viewer.on_message(&reply(1, ReplyBody::Hold(hold(1, &[1], 11))));
    viewer.on_message(&ended(1, 10));
    assert!(viewer.own().has(SeatIndex(1)), "an end from before the hold is about an older one");
    viewer.on_message(&ended(1, 14));
    assert!(!viewer.own().has(SeatIndex(1)));
    viewer.on_message(&reply(2, ReplyBody::Hold(hold(1, &[1], 11))));
    assert!(!viewer.own().has(SeatIndex(1)), "a late reply does not bring it back");
    viewer.on_message(&reply(3, ReplyBody::Hold(hold(1, &[1], 15))));
    assert!(viewer.own().has(SeatIndex(1)), "a new grant does");
}

#[test]
fn rereading_ends_only_what_was_known_when_it_was_asked() {
    let mut viewer = live();
    viewer.on_message(&reply(1, ReplyBody::Hold(hold(1, &[1], 11))));
    viewer.on_sent(&ClientMessage::OwnHolds { id: 2, show: show() });
    viewer.on_message(&reply(3, ReplyBody::Hold(hold(2, &[2], 12))));
    let answer = ReplyBody::OwnHolds { show: show(), holds: Vec::new(), pending: Vec::new() };
    viewer.on_message(&reply(2, answer));
    assert!(!viewer.own().has(SeatIndex(1)), "lost meanwhile");
    assert!(viewer.own().has(SeatIndex(2)), "taken after the question, so the answer can't know it");
}

#[test]
fn a_booking_replaces_its_hold_and_the_highest_version_wins() {
    let mut viewer = live();
    viewer.on_message(&reply(1, ReplyBody::Hold(hold(1, &[1, 2], 11))));
    viewer.on_message(&reply(2, ReplyBody::Booking(booking(9, &[1, 2], BookingState::Pending, 1))));
    assert_eq!((viewer.own().holds().count(), viewer.own().pending().count()), (0, 1));
    viewer.on_sent(&ClientMessage::OwnHolds { id: 3, show: show() });
    viewer.on_message(&reply(3, ReplyBody::OwnHolds { show: show(), holds: Vec::new(), pending: Vec::new() }));
    assert_eq!(viewer.take_asks(), [Ask::Booking { booking: BookingId([9; 16]) }], "what became of it?");
    let push = Push::Booking { booking: booking(9, &[1, 2], BookingState::Confirmed, 2) };
    viewer.on_message(&ServerMessage::Push { push });
    viewer.on_message(&reply(4, ReplyBody::Booking(booking(9, &[1, 2], BookingState::Pending, 1))));
    assert_eq!(viewer.own().booking(&BookingId([9; 16])).unwrap().state, BookingState::Confirmed);
    let paying = HoldInfo { phase: HoldPhase::Paying, booking: Some(BookingId([9; 16])), ..hold(1, &[1, 2], 11) };
    viewer.on_message(&ServerMessage::Push { push: Push::Hold { hold: paying } });
    assert_eq!(viewer.own().holds().count(), 0, "an older look at the hold does not bring it back");
}

#[test]
fn a_lost_push_is_made_up_for_by_the_map() {
    let mut viewer = live();
    viewer.on_message(&reply(1, ReplyBody::Hold(hold(1, &[1], 12))));
    viewer.on_frame(&delta(1, 10, 11, &[(1, SeatStatus::Available)]));
    assert_eq!(viewer.take_asks(), [], "the map is older than the hold");
    viewer.on_frame(&delta(1, 11, 12, &[(1, SeatStatus::Held)]));
    assert_eq!(viewer.take_asks(), []);
    viewer.on_frame(&delta(1, 12, 13, &[(1, SeatStatus::Available)]));
    assert_eq!(viewer.take_asks(), [Ask::OwnHolds]);
    viewer.on_sent(&ClientMessage::OwnHolds { id: 2, show: show() });
    viewer.on_frame(&delta(1, 13, 14, &[(2, SeatStatus::Held)]));
    assert_eq!(viewer.take_asks(), [], "already asked");
    let error = ErrorBody::new(ErrorCode::Unavailable, "later");
    viewer.on_message(&ServerMessage::Error { id: Some(2), error });
    assert_eq!(viewer.take_asks(), [], "not without a pause");
    viewer.retry();
    assert_eq!(viewer.take_asks(), [Ask::OwnHolds]);
    viewer.retry();
    assert_eq!(viewer.take_asks(), []);
}
