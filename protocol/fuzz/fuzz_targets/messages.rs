//! Every MessagePack and JSON body: no panic, and what is read means the same when it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seatwire_protocol::ErrorBody;
use seatwire_protocol::catalogue::Layout;
use seatwire_protocol::codec::{decode, encode};
use seatwire_protocol::command::*;
use seatwire_protocol::feed::ControlMessage;
use seatwire_protocol::ws::{ClientMessage, Push, ServerMessage};

macro_rules! same_again {
    ($bytes:ident: $($message:ty),* $(,)?) => {
        $(
            if let Ok(message) = decode::<$message>($bytes) {
                let again = decode::<$message>(&encode(&message)).expect("what is written can be read");
                assert_eq!(encode(&again), encode(&message));
            }
            if let Ok(message) = serde_json::from_slice::<$message>($bytes) {
                let text = serde_json::to_string(&message).expect("plain types serialise");
                let again: $message = serde_json::from_str(&text).expect("what is written can be read");
                assert_eq!(encode(&again), encode(&message));
            }
        )*
    };
}

fuzz_target!(|bytes: &[u8]| {
    same_again!(bytes:
        ClientMessage, ServerMessage, Push, ControlMessage, ErrorBody,
        Hello, HelloReply, HoldSeats, ExtendHold, ReleaseHold, OwnHolds, Book, GetBooking, CancelBooking, ListBookings,
        GetSnapshot, GetPositions, ListShows, GetLayout,
        HoldInfo, Released, OwnHoldsReply, BookingInfo, BookingsReply, SnapshotReply, PositionsReply, ShowsReply, Layout,
    );
});
