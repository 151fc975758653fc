//! From a frame to its command and back: one line a command.

use std::fmt;
use std::time::{Duration, Instant};

use seatwire_protocol::codec::{self, DecodeError, Frame};
use seatwire_protocol::command::{
    Book, CancelBooking, Command, ExtendHold, GetBooking, GetLayout, GetLogouts, GetPositions, GetSnapshot, HoldSeats,
    ListAvailability, ListBookings, ListShows, LogOut, OwnHolds, ReleaseHold,
};
use seatwire_protocol::limits::NESTING_MAX;
use seatwire_protocol::{ErrorBody, ErrorCode};
use serde::de::DeserializeOwned;
use tracing::Instrument;

use crate::app::App;
use crate::commands;
use crate::metrics as names;

macro_rules! commands {
    ($($command:ty => $run:path,)*) => {
        fn name_of(kind: u8) -> Option<&'static str> {
            match kind {
                $(<$command>::OP => Some(<$command>::NAME),)*
                _ => None,
            }
        }

        async fn run(app: &App, kind: u8, body: &[u8]) -> Result<Vec<u8>, ErrorBody> {
            match kind {
                $(<$command>::OP => {
                    let command: $command = decode(body)?;
                    $run(app, command).await.map(|reply| codec::encode(&reply))
                })*
                _ => Err(ErrorBody::bad_request("kind", format!("unknown operation {kind:#04x}"))),
            }
        }
    };
}

commands! {
    HoldSeats => commands::hold_seats::run,
    ExtendHold => commands::extend_hold::run,
    ReleaseHold => commands::release_hold::run,
    OwnHolds => commands::own_holds::run,
    Book => commands::book::run,
    GetBooking => commands::bookings::get,
    CancelBooking => commands::bookings::cancel,
    ListBookings => commands::bookings::list,
    GetSnapshot => commands::seat_map::snapshot,
    GetPositions => commands::seat_map::positions,
    ListShows => commands::catalogue::shows,
    GetLayout => commands::catalogue::layout,
    ListAvailability => commands::catalogue::availability,
    LogOut => commands::logouts::log_out,
    GetLogouts => commands::logouts::list,
}

/// The id that links log lines, as 16 hex digits.
struct Trace(u64);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Runs the command of a frame, unless its deadline has passed already. Counts and times it.
pub(super) async fn answer(app: &App, frame: &Frame, received: Instant) -> Result<Vec<u8>, ErrorBody> {
    let name = name_of(frame.kind).unwrap_or("unknown");
    // A client that sends no trace gets one, so that a fault can be found in the logs.
    let trace = Trace(if frame.trace == 0 { rand::random() } else { frame.trace });
    let span = tracing::info_span!("command", name, %trace);
    let deadline = Duration::from_millis(u64::from(frame.deadline_ms));
    let mut answer = if !deadline.is_zero() && received.elapsed() >= deadline {
        Err(ErrorBody::new(ErrorCode::DeadlineExceeded, "the deadline had passed before the command was begun"))
    } else {
        run(app, frame.kind, &frame.body).instrument(span.clone()).await
    };
    if let Err(error) = &mut answer
        && error.code == ErrorCode::Internal
    {
        span.in_scope(|| tracing::error!(%error, "command failed"));
        error.trace_id = Some(trace.to_string());
    }
    let outcome = match &answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code.as_str().to_owned(),
    };
    span.in_scope(|| tracing::debug!(outcome, "answered"));
    metrics::counter!(names::COMMANDS, "command" => name, "outcome" => outcome).increment(1);
    metrics::histogram!(names::COMMAND_SECONDS, "command" => name).record(received.elapsed());
    answer
}

/// Reads a body; what is wrong with it is told with the field's name.
fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ErrorBody> {
    codec::decode(body).map_err(|error| {
        let field = match &error {
            DecodeError::Malformed(_) => field_of::<T>(body),
            DecodeError::TrailingBytes(_) => None,
        };
        ErrorBody { field, ..error.into() }
    })
}

/// Reads a bad body once more, to find where it is bad. Only paid for by bodies that are.
fn field_of<T: DeserializeOwned>(mut body: &[u8]) -> Option<String> {
    let mut deserializer = rmp_serde::Deserializer::new(&mut body);
    deserializer.set_max_depth(usize::from(NESTING_MAX));
    let error = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?;
    let path = error.path().to_string();
    let missing = error.inner().to_string();
    let missing = missing.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match (path.as_str(), missing) {
        (".", missing) => missing.map(str::to_owned),
        (path, None) => Some(path.to_owned()),
        (path, Some(missing)) => Some(format!("{path}.{missing}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(body: &serde_json::Value) -> (Option<String>, String) {
        let error = decode::<HoldSeats>(&codec::encode(body)).unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest);
        (error.field, error.message)
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        let right = json!({"show": 7, "customer": "ann", "key": "k", "seats": [1, 2]});
        assert!(decode::<HoldSeats>(&codec::encode(&right)).is_ok());
        let cases = [
            ("show", json!(0)),
            ("show", json!(-1)),
            ("show", json!(u64::MAX)),
            ("show", json!(1.5)),
            ("customer", json!("a|b")),
            ("customer", json!("x".repeat(10_000))),
            ("key", json!("")),
            ("seats[1]", json!([1, -1])),
            ("seats[1]", json!([1, 4_294_967_296_u64])),
            ("best", json!("two")),
            ("best.count", json!({"tier": 1})),
        ];
        for (field, value) in cases {
            let mut body = right.clone();
            body[field.split(['.', '[']).next().unwrap()] = value;
            assert_eq!(refused(&body).0.as_deref(), Some(field), "{body}");
        }
        assert_eq!(refused(&json!({"customer": "ann", "key": "k"})).0.as_deref(), Some("show"));
    }

    #[tokio::test]
    async fn a_command_that_is_late_already_is_not_run() {
        let app = App::new(crate::config::tests::nowhere()).unwrap();
        // Of no shows: run, it would succeed without any server.
        let body = codec::encode(&GetPositions { shows: Vec::new(), viewers: None });
        let frame = Frame { deadline_ms: 1_000, ..Frame::new(GetPositions::OP, 1, body) };
        let now = Instant::now();
        assert!(answer(&app, &frame, now).await.is_ok());
        let received = now.checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(answer(&app, &frame, received).await.unwrap_err().code, ErrorCode::DeadlineExceeded);
        let patient = Frame { deadline_ms: 0, ..frame };
        assert!(answer(&app, &patient, received).await.is_ok(), "0 means no deadline");
    }

    #[test]
    fn hostile_bodies_are_refused_without_being_believed() {
        let nested = [vec![0x91; 100_000], vec![0xC0]].concat();
        let mut trailing = codec::encode(&json!({"show": 7, "customer": "ann", "key": "k", "seats": [1]}));
        trailing.push(0xC0);
        let bodies: [&[u8]; 7] = [
            b"",
            &[0xC1],
            &[0x84, 0xA4],
            &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0xDF, 0xFF, 0xFF, 0xFF, 0xFF, 0xA4, b's', b'h', b'o', b'w'],
            &nested,
            &trailing,
        ];
        for body in bodies {
            assert_eq!(decode::<HoldSeats>(body).unwrap_err().code, ErrorCode::BadRequest);
        }
        // The same field twice; with serde's derive this is refused, never "the last one wins".
        let twice = [&[0x82][..], &[0xA4, b's', b'h', b'o', b'w', 7], &[0xA4, b's', b'h', b'o', b'w', 8]].concat();
        assert!(decode::<GetSnapshot>(&twice).unwrap_err().message.contains("duplicate"));
    }
}
