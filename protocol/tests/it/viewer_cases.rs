//! The viewer's cases that all languages share, in `tests/viewer_cases`: what arrives, what is sent, and what the state
//! machine must show and ask then. JavaScript and Python read the same files.
//!
//! A step is an object: `frame` (with the `applied` that is expected), `message`, `sent`, `connected`, `disconnected` or
//! `retry` is an input; `asks` takes what is wanted and compares it; `expect` looks at the state.

use std::fs;
use std::path::Path;

use seatwire_protocol::command::BookingState;
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::viewer::{Applied, Ask, SeatView, ShowViewer};
use seatwire_protocol::{SeatIndex, SeatStatus, ShowId};
use serde_json::{Value, json};

#[test]
fn every_case_ends_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/viewer_cases");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let mut viewer = ShowViewer::new(ShowId::new(case["show"].as_u64().unwrap()).unwrap());
        let steps = case["steps"].as_array().unwrap();
        let checks =
            steps.iter().enumerate().filter(|(at, step)| run(&mut viewer, step, &format!("{path:?}, step {at}")));
        assert!(checks.count() > 1, "{path:?} checks nothing");
        cases += 1;
    }
    assert!(cases >= 20, "{cases} cases");
}

/// Does a step; answers whether something was checked.
fn run(viewer: &mut ShowViewer, step: &Value, at: &str) -> bool {
    let (input, value) = step.as_object().unwrap().iter().find(|(name, _)| *name != "applied").unwrap();
    match input.as_str() {
        "connected" => viewer.on_connected(),
        "disconnected" => viewer.on_disconnected(),
        "retry" => viewer.retry(),
        "sent" => viewer.on_sent(&serde_json::from_value(value.clone()).unwrap()),
        "message" => viewer.on_message(&serde_json::from_value(value.clone()).unwrap()),
        "frame" => {
            let applied = viewer.on_frame(&SeatFrame::from_json(&value.to_string()).unwrap());
            assert_eq!(applied_name(applied), step["applied"], "{at}");
            return true;
        }
        "asks" => {
            let asks: Vec<Value> = viewer.take_asks().into_iter().map(ask).collect();
            assert_eq!(&Value::from(asks), value, "{at}");
            return true;
        }
        "expect" => {
            for (what, wanted) in value.as_object().unwrap() {
                assert_eq!(&seen(viewer, what, wanted), wanted, "{at}: {what}");
            }
            return true;
        }
        other => panic!("{at}: {other}?"),
    }
    false
}

fn applied_name(applied: Applied) -> &'static str {
    match applied {
        Applied::Applied => "applied",
        Applied::Ignored => "ignored",
        Applied::NeedsSnapshot => "needs_snapshot",
        Applied::Gap => "gap",
    }
}

fn ask(ask: Ask) -> Value {
    match ask {
        Ask::Watch { pos } => json!({"ask": "watch", "pos": pos}),
        Ask::OwnHolds => json!({"ask": "own_holds"}),
        Ask::Booking { booking } => json!({"ask": "booking", "booking": booking}),
    }
}

/// What the viewer shows of one thing, in the shape in which the case expects it.
fn seen(viewer: &ShowViewer, what: &str, wanted: &Value) -> Value {
    let (map, own) = (viewer.map(), viewer.own());
    match what {
        "live" => viewer.is_live().into(),
        "stale" => viewer.is_stale().into(),
        "position" => json!(map.position()),
        "viewers" => map.viewers().into(),
        "sale" => json!(map.sale()),
        "opens_in_ms" => map.opens_in_ms().into(),
        "seats" => wanted.as_object().unwrap().keys().map(|seat| (seat.clone(), seat_name(viewer, seat))).collect(),
        "holds" => own.holds().map(|hold| json!(hold.hold)).collect(),
        "pending" => own.pending().map(|booking| json!(booking.booking)).collect(),
        "bookings" => own.bookings().map(|b| (json!(b.booking).as_str().unwrap().to_owned(), state(b.state))).collect(),
        other => panic!("{other}?"),
    }
}

fn state(state: BookingState) -> Value {
    serde_json::to_value(state).unwrap()
}

fn seat_name(viewer: &ShowViewer, seat: &str) -> Value {
    let name = match viewer.seat(SeatIndex(seat.parse().unwrap())) {
        None => return Value::Null,
        Some(SeatView::Own) => "own",
        Some(SeatView::Asked) => "asked",
        Some(SeatView::Status(SeatStatus::Available)) => "available",
        Some(SeatView::Status(SeatStatus::Held)) => "held",
        Some(SeatView::Status(SeatStatus::Booked)) => "booked",
        Some(SeatView::Status(SeatStatus::Blocked)) => "blocked",
    };
    name.into()
}
