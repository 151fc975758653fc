//! Whatever is written is read back the same, on every wire and in every encoding.

use bytes::BytesMut;
use proptest::prelude::*;
use seatwire_protocol::codec::{Frame, decode, encode};
use seatwire_protocol::command::{
    Book, CancelBooking, ExtendHold, GetBooking, Hello, HoldSeats, OwnHoldsReply, PositionsReply, ShowsReply,
};
use seatwire_protocol::feed::{ControlMessage, FeedMessage};
use seatwire_protocol::limits::INTEGER_MAX;
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::{Position, SeatIndex, varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::strategies::*;

fn same_both_ways<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(&decode::<T>(&encode(value)).unwrap(), value, "MessagePack");
    assert_eq!(&serde_json::from_str::<T>(&serde_json::to_string(value).unwrap()).unwrap(), value, "JSON");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn seat_frames_in_both_encodings(frame in seat_frame()) {
        let mut packed = BytesMut::new();
        frame.put_packed(&mut packed);
        prop_assert!(packed[0] < 0x80, "no MessagePack map is mistaken for a seat frame");
        prop_assert_eq!(SeatFrame::from_packed(&packed).unwrap(), frame.clone());
        prop_assert_eq!(SeatFrame::from_json(&frame.to_json()).unwrap(), frame);
    }

    #[test]
    fn feed_messages(message in feed_message()) {
        prop_assert_eq!(FeedMessage::parse(&message.to_bytes()), Some(message));
    }

    #[test]
    fn messages_of_the_websocket(client in client_message(), server in server_message()) {
        same_both_ways(&client);
        same_both_ways(&server);
        prop_assert!(encode(&server)[0] >= 0x80, "no message is mistaken for a packed seat frame");
    }

    #[test]
    fn commands_and_replies(
        show in show(), customer in customer(), key in key(), hold in hold_id(), booking in booking_id(),
        best in prop::option::of(best()), seats in prop::collection::vec(any::<u32>().prop_map(SeatIndex), 0..11),
        email in ".{0,80}", number in int(),
    ) {
        let hold_seats = HoldSeats { show, customer: customer.clone(), key: key.clone(), seats, best };
        same_both_ways(&hold_seats);
        same_both_ways(&ExtendHold { show, customer: customer.clone(), hold, key: key.clone() });
        same_both_ways(&Book { show, customer: customer.clone(), hold, key: key.clone(), email: email.clone() });
        same_both_ways(&GetBooking { customer: customer.clone(), booking });
        same_both_ways(&CancelBooking { customer: customer.clone(), booking, key });
        same_both_ways(&Hello { secret: email.clone(), name: email, version_min: 1, version_max: 9 });
        same_both_ways(&PositionsReply { positions: vec![None, Some(Position::new(number, number))] });
        same_both_ways(&ControlMessage::Logout { customer, before_ms: number });
    }

    #[test]
    fn larger_replies(
        customers in prop::collection::vec(customer_holds(), 0..3), snapshot in snapshot_reply(),
        shows in prop::collection::vec(show_info(), 0..4), layout in layout(), error in error(), push in push(),
    ) {
        same_both_ways(&OwnHoldsReply { customers });
        same_both_ways(&snapshot);
        same_both_ways(&ShowsReply { shows });
        same_both_ways(&layout);
        same_both_ways(&error);
        same_both_ways(&push);
    }

    #[test]
    fn frames_of_the_core_port(
        kind: u8, request_id: u64, deadline_ms: u32, trace: u64,
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..4),
        chunk in 1..40_usize,
    ) {
        let frames: Vec<Frame> = bodies
            .into_iter()
            .map(|body| Frame { deadline_ms, trace, ..Frame::new(kind, request_id, body) })
            .collect();
        let mut wire = BytesMut::new();
        frames.iter().for_each(|frame| frame.put(&mut wire));
        let (mut input, mut taken) = (BytesMut::new(), Vec::new());
        for part in wire.chunks(chunk) {
            input.extend_from_slice(part);
            while let Some(frame) = Frame::take(&mut input).unwrap() {
                taken.push(frame);
            }
        }
        prop_assert_eq!(taken, frames);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn varints(value in 0..=INTEGER_MAX, tail: u8) {
        let mut out = Vec::new();
        varint::put(&mut out, value);
        prop_assert!(out.len() <= 8);
        out.push(tail);
        let mut input = &out[..];
        prop_assert_eq!(varint::take(&mut input), Some(value));
        prop_assert_eq!(input, &[tail][..]);
    }
}
