//! Feed messages: no panic, and a batch that is read says the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seatwire_protocol::feed::FeedMessage;

fuzz_target!(|bytes: &[u8]| {
    if let Some(message) = FeedMessage::parse(bytes) {
        assert_eq!(FeedMessage::parse(&message.to_bytes()), Some(message));
    }
});
