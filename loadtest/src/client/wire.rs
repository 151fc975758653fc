//! The two encodings of the WebSocket as this client reads and writes them.

use seatwire_protocol::codec;
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::ws::{ClientMessage, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, ServerMessage};
use tokio_tungstenite::tungstenite::Message;

/// Encoding of messages and seat frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Binary: MessagePack messages, packed seat frames.
    #[default]
    MessagePack,
    /// Text.
    Json,
}

/// What came over the socket.
#[derive(Debug)]
pub(super) enum Incoming {
    Frame(SeatFrame),
    Message(ServerMessage),
}

impl Encoding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::MessagePack, Self::Json];

    /// The subprotocol that chooses it.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::MessagePack => SUBPROTOCOL_MSGPACK,
            Self::Json => SUBPROTOCOL_JSON,
        }
    }

    pub(super) fn encode(self, message: &ClientMessage) -> Message {
        match self {
            Self::MessagePack => Message::Binary(codec::encode(message).into()),
            Self::Json => Message::Text(serde_json::to_string(message).unwrap_or_default().into()),
        }
    }

    /// Reads a text or binary message; the other kind for this encoding is an error.
    pub(super) fn decode(self, message: &Message) -> Result<Incoming, String> {
        match (self, message) {
            (Self::MessagePack, Message::Binary(bytes)) if bytes.first().is_some_and(|first| *first < 0x80) => {
                SeatFrame::from_packed(bytes).map(Incoming::Frame).map_err(|e| e.to_string())
            }
            (Self::MessagePack, Message::Binary(bytes)) => {
                codec::decode(bytes).map(Incoming::Message).map_err(|e| e.to_string())
            }
            (Self::Json, Message::Text(text)) => decode_json(text),
            (_, other) => Err(format!("unexpected {} message", if other.is_text() { "text" } else { "binary" })),
        }
    }
}

fn decode_json(text: &str) -> Result<Incoming, String> {
    #[derive(serde::Deserialize)]
    struct Kind {
        t: String,
    }
    let kind: Kind = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if matches!(kind.t.as_str(), "snapshot" | "delta" | "beat") {
        return SeatFrame::from_json(text).map(Incoming::Frame).map_err(|e| e.to_string());
    }
    serde_json::from_str(text).map(Incoming::Message).map_err(|e| e.to_string())
}
