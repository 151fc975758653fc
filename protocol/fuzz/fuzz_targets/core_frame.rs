//! The stream of the core's port: however it is cut, the same frames come out.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use seatwire_protocol::codec::Frame;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (cut, bytes) = input;
    let mut whole = BytesMut::from(&bytes[..]);
    let mut frames = Vec::new();
    let broken = loop {
        match Frame::take(&mut whole) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    let mut pieces = BytesMut::new();
    let mut again = Vec::new();
    let mut broke = false;
    'stream: for piece in bytes.chunks(usize::from(cut).max(1)) {
        pieces.extend_from_slice(piece);
        loop {
            match Frame::take(&mut pieces) {
                Ok(Some(frame)) => again.push(frame),
                Ok(None) => break,
                Err(_) => {
                    broke = true;
                    break 'stream;
                }
            }
        }
    }
    assert_eq!((frames, broken), (again, broke));
});
