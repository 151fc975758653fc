//! PROTOCOL.md keeps up with the code: codes, close codes, operations, limits, and the bytes of its examples.

use std::fs;
use std::path::Path;

use seatwire_protocol::ErrorCode;
use seatwire_protocol::close_code::CloseCode;
use seatwire_protocol::command::*;

const REFERENCE: &str = include_str!("../../PROTOCOL.md");

#[test]
fn every_error_code_is_documented_with_its_status_and_whether_to_retry() {
    for code in ErrorCode::KNOWN {
        let again = if code.is_retryable() { "yes" } else { "no" };
        let row = format!("| `{code}` | {again} | {} |", code.http_status());
        assert!(REFERENCE.contains(&row), "{row}");
    }
}

#[test]
fn every_close_code_is_documented_with_whether_to_reconnect() {
    for code in CloseCode::ALL {
        let row = REFERENCE.lines().find(|line| line.starts_with(&format!("| {} |", code.code())));
        let reconnect = row.unwrap_or_else(|| panic!("{code:?}")).rsplit('|').nth(1).unwrap().trim();
        let with_new_token = code == CloseCode::Unauthenticated;
        assert_eq!(reconnect != "no", code.may_reconnect() || with_new_token, "{code:?}: {reconnect}");
    }
}

#[test]
fn every_operation_is_documented_with_its_number() {
    macro_rules! operations {
        ($($command:ty),*) => {
            [$(format!("| {:#04x} | {} |", <$command>::OP, <$command>::NAME)),*]
        };
    }
    let rows = operations!(
        Hello,
        HoldSeats,
        ExtendHold,
        ReleaseHold,
        OwnHolds,
        Book,
        GetBooking,
        CancelBooking,
        ListBookings,
        GetSnapshot,
        GetPositions,
        ListShows,
        GetLayout,
        ListAvailability,
        LogOut,
        GetLogouts
    );
    for row in rows {
        assert!(REFERENCE.contains(&row), "{row}");
    }
}

#[test]
fn the_example_bytes_are_those_of_the_golden_vectors() {
    let plain = |text: &str| text.chars().filter(char::is_ascii_hexdigit).collect::<String>();
    let golden = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(format!("{name}.hex"));
        plain(&fs::read_to_string(path).unwrap())
    };
    let lines: Vec<String> = REFERENCE.lines().map(plain).collect();
    for name in ["seat_frame.snapshot", "seat_frame.delta", "seat_frame.beat", "client.hold", "feed.batch"] {
        assert!(lines.contains(&golden(name)), "{name}: {}", golden(name));
    }
    let frame = golden("frame.hold_seats");
    assert!(lines.iter().any(|line| line.len() > 56 && frame.starts_with(line)), "frame.hold_seats: {frame}");
}
