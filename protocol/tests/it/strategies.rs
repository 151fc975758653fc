//! Generators of every message on the three wires. The large ones are boxed: by value they overflow a test's stack.

use proptest::prelude::*;
use seatwire_protocol::catalogue::{Layout, Row, Section, ShowInfo, Tier};
use seatwire_protocol::command::{
    BestAvailable, BookingInfo, BookingState, CustomerHolds, HoldInfo, HoldPhase, RefundInfo, RefundState, Released,
    SnapshotReply,
};
use seatwire_protocol::error::{ErrorBody, ErrorCode, SeatConflict, SeatConflictReason};
use seatwire_protocol::feed::{FeedMessage, FeedReason};
use seatwire_protocol::limits::INTEGER_MAX;
use seatwire_protocol::seat::{PackedStatuses, SaleState, SeatStatus};
use seatwire_protocol::seat_frame::{Beat, Delta, SeatFrame, Snapshot};
use seatwire_protocol::ws::{ClientMessage, HoldEndReason, Push, ReplyBody, ServerMessage};
use seatwire_protocol::{BookingId, CustomerId, HoldId, IdempotencyKey, Position, SeatIndex, ShowId};

pub(crate) fn int() -> impl Strategy<Value = u64> {
    prop_oneof![0..200_u64, 0..=INTEGER_MAX, Just(INTEGER_MAX)]
}

pub(crate) fn show() -> impl Strategy<Value = ShowId> {
    (1..=INTEGER_MAX).prop_map(|id| ShowId::new(id).unwrap())
}

fn position() -> impl Strategy<Value = Position> {
    (int(), int()).prop_map(|(generation, sequence)| Position { generation, sequence })
}

pub(crate) fn customer() -> impl Strategy<Value = CustomerId> {
    "[A-Za-z0-9_.-]{1,64}".prop_map(|text| CustomerId::new(&text).unwrap())
}

pub(crate) fn key() -> impl Strategy<Value = IdempotencyKey> {
    "[!-~]{1,255}".prop_map(|text| IdempotencyKey::new(&text).unwrap())
}

pub(crate) fn hold_id() -> impl Strategy<Value = HoldId> {
    any::<[u8; 16]>().prop_map(HoldId)
}

pub(crate) fn booking_id() -> impl Strategy<Value = BookingId> {
    any::<[u8; 16]>().prop_map(BookingId)
}

fn seats() -> impl Strategy<Value = Vec<SeatIndex>> {
    prop::collection::btree_set(0..65_536_u32, 0..11).prop_map(|seats| seats.into_iter().map(SeatIndex).collect())
}

fn statuses() -> impl Strategy<Value = Vec<(SeatIndex, SeatStatus)>> {
    prop::collection::btree_map(0..65_536_u32, 0..4_u8, 0..40).prop_map(|seats| {
        seats.into_iter().map(|(seat, bits)| (SeatIndex(seat), SeatStatus::from_bits(bits))).collect()
    })
}

fn sale() -> impl Strategy<Value = SaleState> {
    (0..3_u8).prop_map(|code| SaleState::from_code(code).unwrap())
}

fn packed() -> impl Strategy<Value = PackedStatuses> {
    prop::collection::vec(0..4_u8, 0..300).prop_map(|bits| {
        let mut map = PackedStatuses::new(u32::try_from(bits.len()).unwrap());
        for (seat, bits) in (0..).zip(bits) {
            assert!(map.set(SeatIndex(seat), SeatStatus::from_bits(bits)));
        }
        map
    })
}

pub(crate) fn seat_frame() -> BoxedStrategy<SeatFrame> {
    let snapshot = (show(), position(), sale(), int(), int(), int(), packed()).prop_map(
        |(show, position, sale, opens_in_ms, layout_version, viewers, statuses)| {
            SeatFrame::Snapshot(Snapshot { show, position, sale, opens_in_ms, layout_version, viewers, statuses })
        },
    );
    let delta = (show(), int(), 0..INTEGER_MAX, 0..INTEGER_MAX, sale(), int(), statuses())
        .prop_filter("to is above from", |delta| delta.2 != delta.3)
        .prop_map(|(show, generation, a, b, sale, viewers, seats)| {
            SeatFrame::Delta(Delta { show, generation, from: a.min(b), to: a.max(b), sale, viewers, seats })
        });
    let beat =
        (show(), position(), sale(), int(), int()).prop_map(|(show, position, sale, viewers, server_time_ms)| {
            SeatFrame::Beat(Beat { show, position, sale, viewers, server_time_ms })
        });
    prop_oneof![snapshot, delta, beat].boxed()
}

pub(crate) fn feed_message() -> BoxedStrategy<FeedMessage> {
    let reason = prop::sample::select(vec![
        None,
        Some(FeedReason::Held),
        Some(FeedReason::Released),
        Some(FeedReason::Expired),
        Some(FeedReason::Ledger),
        Some(FeedReason::Sale),
        Some(FeedReason::Operator),
    ]);
    let holds = prop::collection::vec(hold_id(), 0..5);
    prop_oneof![
        (position(), sale(), reason, statuses(), holds).prop_map(|(position, sale, reason, seats, holds)| {
            FeedMessage::Batch { position, sale, reason, seats, holds }
        }),
        any::<u64>().prop_map(|generation| FeedMessage::Reset { generation }),
    ]
    .boxed()
}

pub(crate) fn hold() -> BoxedStrategy<HoldInfo> {
    let phase = prop::sample::select(vec![HoldPhase::Browse, HoldPhase::Paying, HoldPhase::Ended, HoldPhase::Unknown]);
    let booking = prop::option::of(booking_id());
    (hold_id(), show(), seats(), phase, int(), 0..3_u32, position(), booking)
        .prop_map(|(hold, show, seats, phase, remaining_ms, extensions_left, position, booking)| HoldInfo {
            hold,
            show,
            seats,
            phase,
            remaining_ms,
            extensions_left,
            position,
            booking,
        })
        .boxed()
}

pub(crate) fn booking() -> BoxedStrategy<BookingInfo> {
    use BookingState::{Cancelled, Confirmed, Expired, Pending};
    let state = prop::sample::select(vec![Pending, Confirmed, Expired, Cancelled, BookingState::Unknown]);
    let refund_state = prop::sample::select(vec![RefundState::Due, RefundState::Processed, RefundState::Failed]);
    let refunds = (refund_state, int()).prop_map(|(state, amount)| RefundInfo { state, amount });
    let texts = (prop::option::of(".{0,9}"), prop::option::of(".{0,9}"), "[A-Z]{3}");
    let money = (int(), prop::collection::vec(refunds, 0..3));
    ((booking_id(), show(), seats(), state), int(), money, texts, (int(), int()))
        .prop_map(
            |((booking, show, seats, state), version, (amount, refunds), (order, checkout_url, currency), times)| {
                BookingInfo {
                    booking,
                    show,
                    labels: seats.iter().map(|seat| format!("A{seat}")).collect(),
                    seats,
                    state,
                    version,
                    amount,
                    currency,
                    remaining_ms: times.0,
                    order,
                    checkout_url,
                    refunds,
                    created_at_ms: times.1,
                }
            },
        )
        .boxed()
}

pub(crate) fn error() -> BoxedStrategy<ErrorBody> {
    let mut codes = ErrorCode::KNOWN.to_vec();
    codes.push(ErrorCode::from("FROM_A_LATER_VERSION"));
    use SeatConflictReason::{Blocked, Booked, CoolDown, Held, NoSuchSeat, Orphan};
    let reason = prop::sample::select(vec![Held, Booked, Blocked, NoSuchSeat, Orphan, CoolDown]);
    let conflict = (0..65_536_u32, reason, prop::option::of("[A-Z]{1,3}[0-9]{1,3}"))
        .prop_map(|(seat, reason, label)| SeatConflict { seat: SeatIndex(seat), reason, label });
    let seats = prop::collection::vec(conflict, 0..4);
    let numbers = (prop::option::of(int()), prop::option::of(int()), prop::option::of(int()));
    let texts = (".{0,30}", prop::option::of("[a-z]{1,9}"), prop::option::of("[0-9a-f]{16}"));
    (prop::sample::select(codes), texts, seats, numbers)
        .prop_map(|(code, (message, field, trace_id), seats, n)| ErrorBody {
            code,
            message,
            field,
            seats,
            retry_after_ms: n.0,
            opens_in_ms: n.1,
            limit: n.2,
            trace_id,
        })
        .boxed()
}

fn holds() -> impl Strategy<Value = Vec<HoldInfo>> {
    prop::collection::vec(hold(), 0..3)
}

fn bookings() -> impl Strategy<Value = Vec<BookingInfo>> {
    prop::collection::vec(booking(), 0..3)
}

pub(crate) fn push() -> BoxedStrategy<Push> {
    use HoldEndReason::{Booked, Expired, Operator, Released, Reset, SeatsLost};
    let reason = prop::sample::select(vec![Expired, Released, Booked, SeatsLost, Operator, Reset]);
    prop_oneof![
        hold().prop_map(|hold| Push::Hold { hold }),
        (show(), hold_id(), seats(), reason, position()).prop_map(|(show, hold, seats, reason, position)| {
            Push::HoldEnded { show, hold, seats, reason, position }
        }),
        booking().prop_map(|booking| Push::Booking { booking }),
        Just(Push::Reread),
    ]
    .boxed()
}

fn reply() -> BoxedStrategy<ReplyBody> {
    prop_oneof![
        hold().prop_map(ReplyBody::Hold),
        (hold_id(), position()).prop_map(|(hold, position)| ReplyBody::Released(Released { hold, position })),
        booking().prop_map(ReplyBody::Booking),
        (show(), holds(), bookings()).prop_map(|(show, holds, pending)| ReplyBody::OwnHolds { show, holds, pending }),
        (bookings(), any::<bool>()).prop_map(|(bookings, more)| ReplyBody::Bookings { bookings, more }),
    ]
    .boxed()
}

pub(crate) fn server_message() -> BoxedStrategy<ServerMessage> {
    prop_oneof![
        (customer(), int(), int(), int()).prop_map(|(customer, server_time_ms, token_expires_in_ms, beat_ms)| {
            ServerMessage::Welcome { customer, server_time_ms, token_expires_in_ms, beat_ms }
        }),
        (int(), reply()).prop_map(|(id, ok)| ServerMessage::Reply { id, ok }),
        (prop::option::of(int()), error()).prop_map(|(id, error)| ServerMessage::Error { id, error }),
        push().prop_map(|push| ServerMessage::Push { push }),
        (show(), any::<bool>()).prop_map(|(show, stale)| ServerMessage::Stale { show, stale }),
        int().prop_map(|server_time_ms| ServerMessage::Alive { server_time_ms }),
    ]
    .boxed()
}

pub(crate) fn best() -> impl Strategy<Value = BestAvailable> {
    (1..11_u32, prop::option::of(0..5_u32)).prop_map(|(count, tier)| BestAvailable { count, tier })
}

pub(crate) fn client_message() -> BoxedStrategy<ClientMessage> {
    let hold = (int(), show(), key(), seats(), prop::option::of(best()))
        .prop_map(|(id, show, key, seats, best)| ClientMessage::Hold { id, show, key, seats, best });
    let id = || (int(), show(), hold_id(), key());
    prop_oneof![
        "[!-~]{0,200}".prop_map(|token| ClientMessage::Auth { token }),
        (show(), prop::option::of(position())).prop_map(|(show, pos)| ClientMessage::Watch { show, pos }),
        show().prop_map(|show| ClientMessage::Unwatch { show }),
        any::<bool>().prop_map(|hidden| ClientMessage::Hide { hidden }),
        hold,
        id().prop_map(|(id, show, hold, key)| ClientMessage::Extend { id, show, hold, key }),
        id().prop_map(|(id, show, hold, _)| ClientMessage::Release { id, show, hold }),
        id().prop_map(|(id, show, ..)| ClientMessage::OwnHolds { id, show }),
        (id(), ".{0,40}").prop_map(|((id, show, hold, key), email)| ClientMessage::Book { id, show, hold, key, email }),
        (int(), booking_id()).prop_map(|(id, booking)| ClientMessage::Booking { id, booking }),
        (int(), booking_id(), key()).prop_map(|(id, booking, key)| ClientMessage::Cancel { id, booking, key }),
        (int(), prop::option::of(int())).prop_map(|(id, before_ms)| ClientMessage::Bookings { id, before_ms }),
    ]
    .boxed()
}

pub(crate) fn customer_holds() -> impl Strategy<Value = CustomerHolds> {
    (customer(), holds(), bookings()).prop_map(|(customer, holds, pending)| CustomerHolds { customer, holds, pending })
}

pub(crate) fn snapshot_reply() -> impl Strategy<Value = SnapshotReply> {
    (position(), sale(), int(), int(), packed()).prop_map(|(position, sale, opens_in_ms, layout_version, map)| {
        let (seats, statuses) = (map.len(), map.as_bytes().to_vec());
        SnapshotReply { position, sale, opens_in_ms, layout_version, seats, statuses }
    })
}

pub(crate) fn show_info() -> impl Strategy<Value = ShowInfo> {
    (show(), ".{0,20}", sale(), int(), any::<u32>()).prop_map(|(show, text, sale, number, seats)| ShowInfo {
        show,
        movie: text.clone(),
        city: text.clone(),
        theater: text.clone(),
        screen: text,
        starts_at_ms: number,
        sale,
        opens_in_ms: number,
        seats,
        price_min: number,
        price_max: number,
        currency: "INR".into(),
        layout_version: number,
    })
}

pub(crate) fn layout() -> BoxedStrategy<Layout> {
    let row = ("[A-Z]{1,2}", any::<u32>(), any::<i32>(), prop::collection::vec((any::<u32>(), any::<i32>()), 0..20));
    let row = row.prop_map(|(name, first, y, seats)| Row {
        prefix: format!("101-{name}"),
        name,
        rank: first,
        y,
        first: SeatIndex(first),
        numbers: seats.iter().map(|seat| seat.0).collect(),
        x: seats.iter().map(|seat| seat.1).collect(),
        tiers: seats.iter().map(|seat| seat.0).collect(),
    });
    let section = (".{0,9}", prop::collection::vec(row, 0..4)).prop_map(|(name, rows)| Section { name, rows });
    let tier = (any::<u32>(), ".{0,9}", int()).prop_map(|(id, name, price)| Tier { id, name, price });
    (show(), int(), any::<u32>(), prop::collection::vec(tier, 0..4), prop::collection::vec(section, 0..3))
        .prop_map(|(show, version, seats, tiers, sections)| Layout {
            show,
            version,
            seats,
            focus: "screen".into(),
            currency: "INR".into(),
            tiers,
            sections,
        })
        .boxed()
}
