//! Server frames as bytes: header and payload in one `Bytes`. Server frames are not masked, so the same bytes serve
//! every viewer. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use seatwire_protocol::close_code::CloseCode;
use seatwire_protocol::codec;
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::ws::{SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, ServerMessage};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
/// The low four bits of a frame's first byte say what it is; 8 closes.
pub const OPCODE_CLOSE: u8 = 0x08;
/// RFC 6455, 5.5: a control frame's payload is at most 125 bytes, of which the code takes two.
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// How a socket talks; chosen by subprotocol at the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Msgpack,
}

impl Encoding {
    /// The encoding of a subprotocol's name.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        match name {
            SUBPROTOCOL_JSON => Some(Self::Json),
            SUBPROTOCOL_MSGPACK => Some(Self::Msgpack),
            _ => None,
        }
    }

    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => SUBPROTOCOL_JSON,
            Self::Msgpack => SUBPROTOCOL_MSGPACK,
        }
    }
}

/// One value for each encoding.
#[derive(Debug, Default)]
pub struct PerEncoding<T> {
    json: T,
    msgpack: T,
}

impl<T> PerEncoding<T> {
    pub fn get(&self, encoding: Encoding) -> &T {
        match encoding {
            Encoding::Json => &self.json,
            Encoding::Msgpack => &self.msgpack,
        }
    }

    pub fn get_mut(&mut self, encoding: Encoding) -> &mut T {
        match encoding {
            Encoding::Json => &mut self.json,
            Encoding::Msgpack => &mut self.msgpack,
        }
    }
}

/// A seat frame, ready to be written.
pub fn seat_frame(encoding: Encoding, frame: &SeatFrame) -> Bytes {
    match encoding {
        Encoding::Json => framed(TEXT, frame.to_json().as_bytes()),
        Encoding::Msgpack => {
            let mut payload = BytesMut::new();
            frame.put_packed(&mut payload);
            framed(BINARY, &payload)
        }
    }
}

/// A message, ready to be written.
pub fn message(encoding: Encoding, message: &ServerMessage) -> Bytes {
    match encoding {
        // These plain types always serialise.
        Encoding::Json => framed(TEXT, &serde_json::to_vec(message).unwrap_or_default()),
        Encoding::Msgpack => framed(BINARY, &codec::encode(message)),
    }
}

/// Any data.
pub fn data(text: bool, payload: &[u8]) -> Bytes {
    framed(if text { TEXT } else { BINARY }, payload)
}

/// A close frame.
pub fn close(code: CloseCode, reason: &str) -> Bytes {
    let mut payload = BytesMut::new();
    payload.put_u16(code.code());
    let cut = (0..=CLOSE_REASON_BYTES_MAX.min(reason.len())).rev().find_map(|end| reason.get(..end));
    payload.put_slice(cut.unwrap_or_default().as_bytes());
    framed(CLOSE, &payload)
}

/// A WebSocket ping; every client library answers it by itself.
pub fn ping() -> Bytes {
    Bytes::from_static(&[PING, 0])
}

fn framed(first: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(payload.len().saturating_add(10));
    out.put_u8(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len), _) if len < 126 => out.put_u8(len),
        (_, Ok(len)) => {
            out.put_u8(126);
            out.put_u16(len);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload.len() as u64);
        }
    }
    out.put_slice(payload);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_one_three_or_nine_bytes() {
        for (payload, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = framed(TEXT, &vec![b'x'; payload]);
            assert_eq!(frame.len(), payload + header);
        }
        assert_eq!(framed(BINARY, &[7; 300])[..4], [0x82, 126, 1, 44]);
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let frame = close(CloseCode::ServiceRestart, &"é".repeat(100));
        assert_eq!(frame[..4], [0x88, 2 + 122, 0x03, 0xF4]);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }
}
