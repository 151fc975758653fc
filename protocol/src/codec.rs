//! MessagePack bodies, and the frames of the core's TCP port.
//!
//! ```text
//! length u32 | version u8 | kind u8 | flags u16 | request id u64 | deadline_ms u32 | trace u64 | body
//! ```
//!
//! Big-endian. `length` counts everything after itself. `kind` is an operation of [`crate::command`]; a reply has the
//! high bit (0x80) set, an error is 0xFF with an [`ErrorBody`]. `flags` is 0 and ignored. `deadline_ms` is the time
//! that the sender still has (0: none), never an instant. `trace` links the logs of both sides (0: none). The body is
//! one MessagePack map.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::PROTOCOL_VERSION;
use crate::error::{ErrorBody, ErrorCode};
use crate::limits::{CORE_FRAME_BYTES_MAX, NESTING_MAX};

/// Bytes of a frame before its body, without the length field.
pub const HEADER_BYTES: usize = 24;
/// Bit of `kind` that marks a reply.
pub const REPLY_BIT: u8 = 0x80;
/// `kind` of an error.
pub const KIND_ERROR: u8 = 0xFF;

/// A body that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not MessagePack, or not of the expected shape; the text names the field where the parser knows it.
    #[error("{0}")]
    Malformed(String),
    /// A whole message, and then something more.
    #[error("{0} bytes after the message")]
    TrailingBytes(usize),
}

impl From<DecodeError> for ErrorBody {
    fn from(error: DecodeError) -> Self {
        Self::new(ErrorCode::BadRequest, error.to_string())
    }
}

/// Encodes a message as a MessagePack map with field names.
///
/// # Panics
/// Never: the types of this crate have no field that fails to serialise.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(message).unwrap_or_default()
}

/// Decodes exactly one message; rejects trailing bytes and deep nesting.
///
/// # Errors
/// [`DecodeError`] saying what was wrong.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(usize::from(NESTING_MAX));
    let message = T::deserialize(&mut deserializer).map_err(|e| DecodeError::Malformed(e.to_string()))?;
    match rest.len() {
        0 => Ok(message),
        n => Err(DecodeError::TrailingBytes(n)),
    }
}

/// One frame of the core's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Protocol version of the sender.
    pub version: u8,
    /// Operation, reply or error.
    pub kind: u8,
    /// Chosen by the client per connection; a reply carries the same.
    pub request_id: u64,
    /// Milliseconds that the sender still has; 0: no deadline.
    pub deadline_ms: u32,
    /// Links the logs of both sides; 0: none.
    pub trace: u64,
    /// One MessagePack map.
    pub body: Bytes,
}

/// A frame that can't be read; the connection can't go on after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length field is above the limit.
    #[error("frame of {0} bytes is above the limit of {CORE_FRAME_BYTES_MAX}")]
    TooLarge(usize),
    /// The length field is below the header's size.
    #[error("frame of {0} bytes is shorter than its header")]
    TooShort(usize),
}

impl Frame {
    /// A frame of this crate's version.
    #[must_use]
    pub fn new(kind: u8, request_id: u64, body: Vec<u8>) -> Self {
        Self { version: PROTOCOL_VERSION, kind, request_id, deadline_ms: 0, trace: 0, body: body.into() }
    }

    /// Appends the frame.
    pub fn put(&self, out: &mut BytesMut) {
        let length = HEADER_BYTES.saturating_add(self.body.len());
        out.reserve(length.saturating_add(4));
        out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        out.put_u8(self.version);
        out.put_u8(self.kind);
        out.put_u16(0);
        out.put_u64(self.request_id);
        out.put_u32(self.deadline_ms);
        out.put_u64(self.trace);
        out.put_slice(&self.body);
    }

    /// Takes one whole frame off the front of `input`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] when the length field is impossible; close the connection then.
    pub fn take(input: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let Some(length) = input.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes) else {
            return Ok(None);
        };
        let length = length as usize;
        if length > CORE_FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge(length));
        }
        if length < HEADER_BYTES {
            return Err(FrameError::TooShort(length));
        }
        if input.len() < length.saturating_add(4) {
            return Ok(None);
        }
        input.advance(4);
        let mut frame = input.split_to(length).freeze();
        let version = frame.get_u8();
        let kind = frame.get_u8();
        let _flags = frame.get_u16();
        let request_id = frame.get_u64();
        let deadline_ms = frame.get_u32();
        let trace = frame.get_u64();
        Ok(Some(Self { version, kind, request_id, deadline_ms, trace, body: frame }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_any_split() {
        let frame = Frame { deadline_ms: 900, trace: 77, ..Frame::new(3, 42, encode(&[1_u8, 2, 3])) };
        let mut bytes = BytesMut::new();
        frame.put(&mut bytes);
        let bytes = bytes.freeze();
        for split in 0..bytes.len() {
            let mut input = BytesMut::from(&bytes[..split]);
            assert_eq!(Frame::take(&mut input).unwrap(), None);
            input.extend_from_slice(&bytes[split..]);
            assert_eq!(Frame::take(&mut input).unwrap(), Some(frame.clone()));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn hostile_bodies_are_refused() {
        let mut ok = encode(&7_u8);
        ok.push(0);
        assert_eq!(decode::<u8>(&ok), Err(DecodeError::TrailingBytes(1)));
        assert!(decode::<Vec<u8>>(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(decode::<serde_json::Value>(&vec![0x91; 100_000]).is_err());
    }
}
