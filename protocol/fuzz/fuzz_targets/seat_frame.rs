//! Seat frames, packed and as JSON: no panic, and what is read is written back as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seatwire_protocol::seat_frame::SeatFrame;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = SeatFrame::from_packed(bytes) {
        let mut again = Vec::new();
        frame.put_packed(&mut again);
        assert_eq!(again, bytes, "a seat frame has one packed form");
        assert_eq!(SeatFrame::from_json(&frame.to_json()).as_ref(), Ok(&frame));
    }
    if let Ok(frame) = std::str::from_utf8(bytes).map_err(drop).and_then(|text| SeatFrame::from_json(text).map_err(drop)) {
        assert_eq!(SeatFrame::from_json(&frame.to_json()), Ok(frame));
    }
});
