//! Golden vectors of protocol version 1, in `tests/golden/v1`: files are added, never edited.
//!
//! `<kind>.<name>.json` says what a message means, `<kind>.<name>.hex` is its one encoding. `also/<message>.<what>.hex`
//! are other bytes that are read as the same message, `refused/<kind>.<what>.hex` are bytes that are no message.
//! The bytes were made by an encoder that shares no code with this crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use seatwire_protocol::codec::{Frame, decode, encode};
use seatwire_protocol::command::*;
use seatwire_protocol::error::ErrorBody;
use seatwire_protocol::feed::{ControlMessage, FeedMessage, FeedReason};
use seatwire_protocol::seat::SeatStatus;
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::ws::{ClientMessage, ServerMessage};
use seatwire_protocol::{HoldId, Position, SaleState, SeatIndex};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name)
}

/// Names of the files of a folder, without the ending.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect();
    names.sort();
    names
}

fn hex(path: PathBuf) -> Vec<u8> {
    let text: Vec<u8> = fs::read(path).unwrap().into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: &u8| u8::try_from(char::from(*byte).to_digit(16).unwrap()).unwrap();
    text.chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

/// What a feed message or a frame of the core's port looks like in a golden file; on the wire they have no JSON form.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum FeedJson {
    Batch { g: u64, s: u64, sale: SaleState, reason: String, seats: Vec<(SeatIndex, char)>, holds: Vec<HoldId> },
    Reset { g: u64 },
}

#[derive(Serialize, Deserialize)]
struct FrameJson {
    version: u8,
    kind: u8,
    request_id: u64,
    deadline_ms: u32,
    trace: u64,
    body: Value,
}

const REASONS: [(&str, FeedReason); 6] = [
    ("held", FeedReason::Held),
    ("released", FeedReason::Released),
    ("expired", FeedReason::Expired),
    ("ledger", FeedReason::Ledger),
    ("sale", FeedReason::Sale),
    ("operator", FeedReason::Operator),
];

impl From<FeedJson> for FeedMessage {
    fn from(json: FeedJson) -> Self {
        match json {
            FeedJson::Reset { g } => Self::Reset { generation: g },
            FeedJson::Batch { g, s, sale, reason, seats, holds } => Self::Batch {
                position: Position::new(g, s),
                sale,
                reason: REASONS.iter().find(|(name, _)| *name == reason).map(|(_, reason)| *reason),
                seats: seats.into_iter().map(|(seat, c)| (seat, SeatStatus::from_letter(c).unwrap())).collect(),
                holds,
            },
        }
    }
}

/// How one kind of message is read and written: its bytes from JSON, and whether bytes mean the same message.
fn bytes_of(name: &str, json: &Value) -> Vec<u8> {
    fn typed<T: Serialize + DeserializeOwned>(json: &Value) -> Vec<u8> {
        let message: T = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(&serde_json::to_value(&message).unwrap(), json, "the JSON form survives");
        encode(&message)
    }
    let (kind, rest) = name.split_once('.').unwrap();
    match kind {
        "client" => typed::<ClientMessage>(json),
        "server" => typed::<ServerMessage>(json),
        "control" => typed::<ControlMessage>(json),
        "error" => typed::<ErrorBody>(json),
        "command" | "reply" => by_operation(kind, rest, json),
        "seat_frame" => {
            let frame = SeatFrame::from_json(&json.to_string()).unwrap();
            assert_eq!(&serde_json::from_str::<Value>(&frame.to_json()).unwrap(), json, "the JSON form survives");
            let mut out = Vec::new();
            frame.put_packed(&mut out);
            out
        }
        "feed" => FeedMessage::from(serde_json::from_value::<FeedJson>(json.clone()).unwrap()).to_bytes(),
        "frame" => {
            let frame: FrameJson = serde_json::from_value(json.clone()).unwrap();
            let body = match rest {
                "hold_seats" => by_operation("command", rest, &frame.body),
                "hold_seats_reply" => by_operation("reply", "hold_seats", &frame.body),
                _ => typed::<ErrorBody>(&frame.body),
            };
            let mut out = BytesMut::new();
            let FrameJson { version, kind, request_id, deadline_ms, trace, .. } = frame;
            Frame { version, kind, request_id, deadline_ms, trace, body: body.into() }.put(&mut out);
            out.to_vec()
        }
        other => panic!("no reader for {other}"),
    }
}

/// The types of an operation's command and reply, by the operation's name.
fn by_operation(kind: &str, rest: &str, json: &Value) -> Vec<u8> {
    fn pair<C: Command>(kind: &str, json: &Value) -> Vec<u8> {
        if kind == "command" {
            encode(&serde_json::from_value::<C>(json.clone()).unwrap())
        } else {
            encode(&serde_json::from_value::<C::Reply>(json.clone()).unwrap())
        }
    }
    macro_rules! operations {
        ($($command:ty),*) => {
            $(if rest.starts_with(<$command>::NAME) { return pair::<$command>(kind, json); })*
        };
    }
    operations!(Hello, HoldSeats, ExtendHold, ReleaseHold, OwnHolds, Book, GetBooking, CancelBooking, ListBookings);
    operations!(GetSnapshot, GetPositions, ListShows, GetLayout, ListAvailability, LogOut, GetLogouts);
    panic!("no operation {rest}")
}

/// Decodes bytes of a kind and encodes them again; `None` when they are refused.
fn read_again(name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    fn typed<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<Vec<u8>> {
        decode::<T>(bytes).ok().map(|message| encode(&message))
    }
    let (kind, rest) = name.split_once('.').unwrap();
    macro_rules! operations {
        ($($command:ty),*) => {
            $(if rest.starts_with(<$command>::NAME) {
                return if kind == "command" {
                    typed::<$command>(bytes)
                } else {
                    typed::<<$command as Command>::Reply>(bytes)
                };
            })*
        };
    }
    match kind {
        "client" => typed::<ClientMessage>(bytes),
        "server" => typed::<ServerMessage>(bytes),
        "control" => typed::<ControlMessage>(bytes),
        "error" => typed::<ErrorBody>(bytes),
        "seat_frame" => SeatFrame::from_packed(bytes).ok().map(|frame| {
            let mut out = Vec::new();
            frame.put_packed(&mut out);
            out
        }),
        "feed" => FeedMessage::parse(bytes).map(|message| message.to_bytes()),
        "frame" => Frame::take(&mut BytesMut::from(bytes)).ok().flatten().map(|frame| {
            let mut out = BytesMut::new();
            frame.put(&mut out);
            out.to_vec()
        }),
        _ => {
            operations!(Hello, HoldSeats, ExtendHold, ReleaseHold, OwnHolds, Book, GetBooking, CancelBooking);
            operations!(
                ListBookings,
                GetSnapshot,
                GetPositions,
                ListShows,
                GetLayout,
                ListAvailability,
                LogOut,
                GetLogouts
            );
            panic!("no reader for {name}")
        }
    }
}

#[test]
fn every_message_has_the_golden_bytes_both_ways() {
    let all = names(&folder(""), ".json");
    assert_eq!(all, names(&folder(""), ".hex"), "each .json has its .hex");
    for name in &all {
        let json: Value = serde_json::from_slice(&fs::read(folder(&format!("{name}.json"))).unwrap()).unwrap();
        let golden = hex(folder(&format!("{name}.hex")));
        assert_eq!(bytes_of(name, &json), golden, "{name}: written");
        assert_eq!(read_again(name, &golden), Some(golden), "{name}: read");
    }
}

#[test]
fn other_bytes_of_the_same_meaning_are_read_as_the_same_message() {
    let all = names(&folder("also"), ".hex");
    assert!(all.len() >= 7);
    for name in all {
        let [kind, message, _what] = name.split('.').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let mut golden = hex(folder(&format!("{kind}.{message}.hex")));
        if kind == "feed" {
            golden[19] = 0; // An unknown reason is written back as unknown.
        }
        let bytes = hex(folder(&format!("also/{name}.hex")));
        assert_ne!(bytes, golden, "{name} adds nothing");
        assert_eq!(read_again(&name, &bytes), Some(golden), "{name}");
    }
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let all = names(&folder("refused"), ".hex");
    assert!(all.len() >= 30);
    for name in all {
        assert_eq!(read_again(&name, &hex(folder(&format!("refused/{name}.hex")))), None, "{name}");
    }
}

#[test]
fn no_kind_of_message_is_without_a_vector() {
    let all: BTreeSet<String> = names(&folder(""), ".json").into_iter().collect();
    let operations = [
        Hello::NAME,
        HoldSeats::NAME,
        ExtendHold::NAME,
        ReleaseHold::NAME,
        OwnHolds::NAME,
        Book::NAME,
        GetBooking::NAME,
        CancelBooking::NAME,
        ListBookings::NAME,
        GetSnapshot::NAME,
        GetPositions::NAME,
        ListShows::NAME,
        GetLayout::NAME,
        ListAvailability::NAME,
        LogOut::NAME,
        GetLogouts::NAME,
    ];
    for operation in operations {
        for kind in ["command", "reply"] {
            assert!(all.contains(&format!("{kind}.{operation}")), "{kind}.{operation}");
        }
    }
    // The names that the source gives to the variants of tagged messages.
    let source = include_str!("../../src/ws.rs");
    for (start, prefix) in [
        ("pub enum ClientMessage", "client."),
        ("pub enum ServerMessage", "server."),
        ("pub enum ReplyBody", "server.reply_"),
        ("pub enum Push", "server.push_"),
    ] {
        let body = source.split(start).nth(1).unwrap().split("\n}\n").next().unwrap();
        let variants: Vec<String> = body.lines().filter_map(variant).filter(|name| name != "unknown").collect();
        assert!(variants.len() >= 4, "{start}");
        for name in variants {
            let wanted = format!("{prefix}{name}");
            assert!(all.iter().any(|have| have.starts_with(&wanted)), "no vector {wanted}");
        }
    }
}

/// The wire name of the variant that a line of an enum declares.
fn variant(line: &str) -> Option<String> {
    let name: String = line.strip_prefix("    ")?.chars().take_while(char::is_ascii_alphabetic).collect();
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    Some(snake)
}
