//! For conformance suites of WebSockets, which need a server that says back what it is told: hidden, and nothing else of
//! a gateway works then. Frames go the same way as all others.

use bytes::Bytes;
use seatwire_protocol::CustomerId;
use tokio_tungstenite::tungstenite::Message;

use super::connection::Connection;
use super::frame;
use super::outbound::Lane;
use crate::tokens::Identity;

/// Suites send messages of 16 MiB.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Whoever connects; `None` only if the name were not one.
pub fn anybody() -> Option<Identity> {
    let customer = CustomerId::new("echo").ok()?;
    Some(Identity { customer, expires_at_ms: u64::MAX, issued_at_ms: u64::MAX })
}

/// Says a message back.
pub fn answer(connection: &Connection, message: Message) {
    let (payload, text) = match message {
        Message::Text(text) => (Bytes::from(text), true),
        Message::Binary(payload) => (payload, false),
        _ => return,
    };
    connection.send(Lane::Reply, frame::data(text, &payload));
}
