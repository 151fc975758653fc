//! Bytes that nobody wrote in good faith: every parser answers an error, none panics, none allocates what is claimed.

use bytes::BytesMut;
use proptest::prelude::*;
use seatwire_protocol::catalogue::Layout;
use seatwire_protocol::codec::{Frame, FrameError, decode, encode};
use seatwire_protocol::command::*;
use seatwire_protocol::error::ErrorBody;
use seatwire_protocol::feed::{ControlMessage, FeedMessage};
use seatwire_protocol::limits::{CORE_FRAME_BYTES_MAX, INTEGER_MAX};
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::ws::{ClientMessage, Push, ServerMessage};
use seatwire_protocol::{HoldId, IdempotencyKey, ShowId, varint};

use crate::strategies::*;

/// Reads `bytes` as everything that a peer may send or be sent; only panics matter here.
fn read_as_everything(bytes: &[u8]) {
    macro_rules! read {
        ($($message:ty),*) => {
            $(let _ = decode::<$message>(bytes); let _ = serde_json::from_slice::<$message>(bytes);)*
        };
    }
    read!(Hello, HelloReply, HoldSeats, ExtendHold, ReleaseHold, OwnHolds, Book, GetBooking, CancelBooking);
    read!(ListBookings, GetSnapshot, GetPositions, ListShows, GetLayout, ListAvailability, LogOut, GetLogouts);
    read!(HoldInfo, Released, OwnHoldsReply, BookingInfo, BookingsReply, SnapshotReply, PositionsReply, ShowsReply);
    read!(Layout, ErrorBody, ClientMessage, ServerMessage, Push, ControlMessage);
    let _ = SeatFrame::from_packed(bytes);
    let _ = FeedMessage::parse(bytes);
    let mut stream = BytesMut::from(bytes);
    while let Ok(Some(_)) = Frame::take(&mut stream) {}
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = SeatFrame::from_json(text);
        let _ = (text.parse::<HoldId>(), text.parse::<ShowId>(), text.parse::<IdempotencyKey>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic(
        client in client_message(), server in server_message(), frame in seat_frame(), feed in feed_message(),
        at in any::<prop::sample::Index>(), byte: u8, cut: bool,
    ) {
        let mut packed = Vec::new();
        frame.put_packed(&mut packed);
        let texts = [serde_json::to_vec(&client).unwrap(), frame.to_json().into_bytes()];
        for mut bytes in [encode(&client), encode(&server), packed, feed.to_bytes()].into_iter().chain(texts) {
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            read_as_everything(&bytes);
        }
    }

    #[test]
    fn a_cut_or_lengthened_seat_frame_is_refused(frame in seat_frame(), at in any::<prop::sample::Index>()) {
        let mut packed = Vec::new();
        frame.put_packed(&mut packed);
        prop_assert!(SeatFrame::from_packed(&packed[..at.index(packed.len())]).is_err());
        packed.push(0);
        prop_assert!(SeatFrame::from_packed(&packed).is_err());
    }

    #[test]
    fn a_cut_or_lengthened_feed_message_is_refused(feed in feed_message(), at in any::<prop::sample::Index>()) {
        let mut bytes = feed.to_bytes();
        prop_assert_eq!(FeedMessage::parse(&bytes[..at.index(bytes.len())]), None);
        bytes.push(0);
        prop_assert_eq!(FeedMessage::parse(&bytes), None);
    }
}

#[test]
fn a_varint_is_refused_when_overlong_too_large_or_cut() {
    for bytes in [&[0x80, 0x00][..], &[0xFF, 0x80, 0x00], &[0x80; 9], &[0x80], &[]] {
        assert_eq!(varint::take(&mut &*bytes), None, "{bytes:?}");
    }
    let mut above = Vec::new();
    varint::put(&mut above, INTEGER_MAX + 1);
    assert_eq!(varint::take(&mut &above[..]), None);
}

#[test]
fn a_seat_frame_names_the_field_that_is_wrong() {
    for (bytes, field) in [
        (&[][..], "kind"),
        (&[9, 7, 1], "unknown kind 9"),
        (&[2, 0, 1], "show id"),
        (&[2, 7], "generation"),
        (&[2, 7, 1, 5, 5, 1, 0, 0], "to must be above from"),
        (&[2, 7, 1, 5, 6, 3, 0, 0], "sale"),
        (&[2, 7, 1, 5, 6, 1, 0, 2, 0], "seats"),
        (&[2, 7, 1, 5, 6, 1, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x01], "index above the limit"),
        (&[2, 7, 1, 5, 6, 1, 0, 0xFF, 0xFF, 0xFF, 0x7F], "count"),
        (&[1, 7, 1, 5, 1, 0, 1, 0, 5, 0], "statuses"),
        (&[3, 7, 1, 5, 1, 0, 0, 0], "trailing"),
    ] {
        let error = SeatFrame::from_packed(bytes).unwrap_err().to_string();
        assert!(error.contains(field), "{bytes:?}: {error}");
    }
    for (text, field) in [
        ("{}", "t"),
        (r#"{"t":"delta","show":7,"g":1,"from":5,"to":5,"sale":"open","seats":[]}"#, "to must be above from"),
        (r#"{"t":"delta","show":7,"g":1,"from":5,"to":6,"sale":"open","seats":[[3,"h"],[3,"a"]]}"#, "ascend"),
        (r#"{"t":"delta","show":7,"g":1,"from":5,"to":6,"sale":"open","seats":[[3,"q"]]}"#, "unknown letter"),
        (r#"{"t":"snapshot","show":7,"g":1,"s":5,"sale":"open","layout":1,"seats":"aq"}"#, "unknown letter"),
        (r#"{"t":"snapshot","show":0,"g":1,"s":5,"sale":"open","layout":1,"seats":""}"#, "show id"),
    ] {
        let error = SeatFrame::from_json(text).unwrap_err().to_string();
        assert!(error.contains(field), "{text}: {error}");
    }
}

#[test]
fn a_frame_length_outside_the_limits_ends_the_connection() {
    let mut large = BytesMut::from(&u32::MAX.to_be_bytes()[..]);
    assert_eq!(Frame::take(&mut large), Err(FrameError::TooLarge(u32::MAX as usize)));
    let above = u32::try_from(CORE_FRAME_BYTES_MAX + 1).unwrap();
    assert!(Frame::take(&mut BytesMut::from(&above.to_be_bytes()[..])).is_err());
    assert_eq!(Frame::take(&mut BytesMut::from(&[0, 0, 0, 23][..])), Err(FrameError::TooShort(23)));
}

#[test]
fn messages_that_contradict_themselves_are_refused() {
    for (text, what) in [
        (r#"{"t":"watch","show":7,"show":8}"#, "duplicate"),
        (r#"{"t":"watch","show":-1}"#, "invalid"),
        (r#"{"t":"watch","show":9007199254740992}"#, "2^53"),
        (r#"{"t":"watch","show":1.5}"#, "invalid type"),
        (r#"{"t":"hold","id":1,"show":7,"key":"","seats":[1]}"#, "idempotency key"),
        (r#"{"t":"hold","id":1,"show":7,"key":"a b","seats":[1]}"#, "idempotency key"),
        (r#"{"t":"hold","id":1,"show":7,"key":"k","seats":[-1]}"#, "invalid"),
        (r#"{"t":"hold","id":1,"show":7,"key":"k","seats":[4294967296]}"#, "invalid"),
        (r#"{"t":"release","id":1,"show":7,"hold":"12"}"#, "32 hex digits"),
        (r#"{"t":"release","id":1,"hold":"00000000000000000000000000000000"}"#, "show"),
        (r#"{"show":7}"#, "t"),
    ] {
        let error = serde_json::from_str::<ClientMessage>(text).unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn a_body_that_claims_four_billion_elements_or_nests_without_end_is_refused() {
    for claim in [&[0xdd, 0xff, 0xff, 0xff, 0xff][..], &[0xdf, 0xff, 0xff, 0xff, 0xff], &[0xc6, 0xff, 0xff, 0xff, 0xff]]
    {
        assert!(decode::<ClientMessage>(claim).is_err());
        let mut field = vec![0x81, 0xa1, b't'];
        field.extend_from_slice(claim);
        assert!(decode::<ClientMessage>(&field).is_err());
    }
    // Deep nesting inside a field that nobody reads.
    let mut nested = vec![0x82, 0xa1, b't', 0xa4, b'h', b'i', b'd', b'e', 0xa1, b'z'];
    nested.extend(std::iter::repeat_n(0x91, 500_000));
    assert!(decode::<ClientMessage>(&nested).is_err());
}
