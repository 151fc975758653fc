//! The core's MessagePack port, as raw frames.

use bytes::BytesMut;
use seatwire_protocol::codec::{self, Frame, KIND_ERROR};
use seatwire_protocol::command::{Command as _, GetPositions, GetSnapshot, Hello, HelloReply, HoldSeats};
use seatwire_protocol::{ErrorBody, ErrorCode};
use serde_json::{Value, json};

use super::Findings;
use super::raw::Raw;
use crate::shop::Shop;

struct Port {
    raw: Raw,
    unread: BytesMut,
}

impl Port {
    async fn connect(shop: &Shop) -> Self {
        Self { raw: Raw::connect(&shop.at.core.to_string()).await, unread: BytesMut::new() }
    }

    async fn after_hello(shop: &Shop) -> Self {
        let mut port = Self::connect(shop).await;
        port.send(&hello(&shop.at.secrets.core, 1, 1)).await;
        let reply = port.next().await.expect("a hello is answered");
        let reply: HelloReply = codec::decode(&reply.body).unwrap();
        assert_eq!(reply.version, 1);
        port
    }

    async fn send(&mut self, frame: &Frame) {
        let mut out = BytesMut::new();
        frame.put(&mut out);
        self.raw.send(&out).await;
    }

    /// The next frame; `None` when the core closes.
    async fn next(&mut self) -> Option<Frame> {
        let whole = |bytes: &[u8]| matches!(Frame::take(&mut BytesMut::from(bytes)), Ok(Some(_)));
        let unread = self.unread.split();
        let more =
            self.raw.read_until(|more| whole(&[&unread[..], more].concat())).await.expect("an answer or a close");
        self.unread = BytesMut::from(&[&unread[..], &more].concat()[..]);
        Frame::take(&mut self.unread).unwrap()
    }

    /// Whether the core closes without a word.
    async fn is_closed(&mut self) -> bool {
        self.raw.read_to_end().await.is_some_and(|bytes| bytes.is_empty())
    }
}

fn hello(secret: &str, version_min: u8, version_max: u8) -> Frame {
    let hello = Hello { secret: secret.to_owned(), name: "stranger".to_owned(), version_min, version_max };
    Frame::new(Hello::OP, 1, codec::encode(&hello))
}

fn error(frame: &Frame) -> Option<ErrorBody> {
    (frame.kind == KIND_ERROR).then(|| codec::decode(&frame.body).unwrap())
}

pub(super) async fn every_bad_frame(shop: &Shop) -> Findings {
    let mut wrong = Vec::new();
    let mut asked = before_the_handshake(shop, &mut wrong).await;
    asked += bodies(shop, &mut wrong).await;
    asked += lengths(shop, &mut wrong).await;
    (asked, wrong)
}

/// A stranger learns nothing: the connection ends.
async fn before_the_handshake(shop: &Shop, wrong: &mut Vec<String>) -> usize {
    let get = Frame::new(GetSnapshot::OP, 1, codec::encode(&GetSnapshot { show: shop.show }));
    let mut large = BytesMut::from(&[0, 0x40, 0, 0][..]);
    large.extend_from_slice(&[0; 64]);
    let framed = |frame: &Frame| {
        let mut out = BytesMut::new();
        frame.put(&mut out);
        out
    };
    let table = [
        ("a command without a handshake", framed(&get)),
        ("a wrong secret", framed(&hello("0123456789abcdef0123456789abcdef", 1, 1))),
        ("an empty secret", framed(&hello("", 1, 1))),
        ("a handshake that can't be read", framed(&Frame::new(Hello::OP, 1, vec![0xC1]))),
        ("an http request", BytesMut::from(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..])),
        ("a first frame of 4 MiB", large),
        ("zeros", BytesMut::zeroed(64)),
    ];
    let asked = table.len();
    for (what, bytes) in table {
        let mut port = Port::connect(shop).await;
        port.raw.send(&bytes).await;
        if !port.is_closed().await {
            wrong.push(format!("{what}: the connection must end without an answer"));
        }
    }
    let mut port = Port::connect(shop).await;
    port.send(&hello(&shop.at.secrets.core, 9, 9)).await;
    let answer = port.next().await.as_ref().and_then(error);
    if answer.as_ref().is_none_or(|error| error.code != ErrorCode::UnsupportedVersion) {
        wrong.push(format!("versions 9 to 9: {answer:?}"));
    }
    asked + 1
}

/// Bodies that are refused by name while the connection goes on.
async fn bodies(shop: &Shop, wrong: &mut Vec<String>) -> usize {
    use ErrorCode::{BadRequest, NoSuchSeat, NoSuchShow, NotOwner, UnsupportedVersion};
    let right = json!({"show": shop.show, "customer": "stranger", "key": "k", "seats": [1, 2]});
    let with = |name: &str, value: Value| {
        let mut body = right.clone();
        body[name] = value;
        codec::encode(&body)
    };
    let hold = HoldSeats::OP;
    let nested = [vec![0x91; 5_000], vec![0xC0]].concat();
    let trailing = [codec::encode(&right), vec![0xC0]].concat();
    let twice = [&[0x82][..], &[0xA4, b's', b'h', b'o', b'w', 7, 0xA4, b's', b'h', b'o', b'w', 8]].concat();
    let release = json!({"show": shop.show, "customer": "stranger", "hold": "f".repeat(32)});
    let table = [
        ("an unknown operation", 0x7E, codec::encode(&json!({})), BadRequest, Some("kind")),
        ("a reply for a command", hold | 0x80, codec::encode(&right), BadRequest, Some("kind")),
        ("a second handshake", Hello::OP, codec::encode(&json!({})), BadRequest, None),
        ("an empty body", hold, Vec::new(), BadRequest, None),
        ("a byte that no message has", hold, vec![0xC1], BadRequest, None),
        ("four billion elements", hold, vec![0xDD, 0xFF, 0xFF, 0xFF, 0xFF], BadRequest, None),
        ("deep nesting", hold, nested, BadRequest, None),
        ("a byte after the body", hold, trailing, BadRequest, None),
        ("a field twice", GetSnapshot::OP, twice, BadRequest, None),
        ("show 0", hold, with("show", json!(0)), BadRequest, Some("show")),
        ("a customer with a bar", hold, with("customer", json!("a|b")), BadRequest, Some("customer")),
        ("a customer of 10 kB", hold, with("customer", json!("x".repeat(10_000))), BadRequest, Some("customer")),
        ("a key of nothing", hold, with("key", json!("")), BadRequest, Some("key")),
        ("no seats", hold, with("seats", json!([])), BadRequest, Some("seats")),
        ("eleven seats", hold, with("seats", json!((0..11).collect::<Vec<u32>>())), BadRequest, Some("seats")),
        ("the same seat twice", hold, with("seats", json!([4, 4])), BadRequest, Some("seats")),
        ("a seat of -1", hold, with("seats", json!([-1])), BadRequest, Some("seats[0]")),
        ("no such seat", hold, with("seats", json!([shop.layout.seats])), NoSuchSeat, None),
        ("no such show", hold, with("show", json!(999_999_999)), NoSuchShow, None),
        ("a snapshot of no show", GetSnapshot::OP, codec::encode(&json!({"show": 999_999_999})), NoSuchShow, None),
        ("a hold that is not there", 0x12, codec::encode(&release), NotOwner, None),
        (
            "10,001 shows",
            GetPositions::OP,
            codec::encode(&json!({"shows": vec![1; 10_001]})),
            BadRequest,
            Some("shows"),
        ),
    ];
    let asked = table.len() + 1;
    let mut port = Port::after_hello(shop).await;
    for (id, (what, kind, body, code, field)) in (100..).zip(table) {
        port.send(&Frame::new(kind, id, body)).await;
        let Some(frame) = port.next().await else {
            wrong.push(format!("{what}: the connection ended"));
            port = Port::after_hello(shop).await;
            continue;
        };
        let answer = error(&frame);
        let named = |error: &ErrorBody| field.is_none_or(|field| error.field.as_deref() == Some(field));
        let right =
            answer.as_ref().is_some_and(|error| error.code == code && named(error) && !error.message.is_empty());
        if !right || frame.request_id != id {
            wrong.push(format!(
                "{what}: wanted {code} {field:?} for request {id}, got {answer:?} for {}",
                frame.request_id
            ));
        }
    }
    let newer = Frame { version: 9, ..Frame::new(GetPositions::OP, 7, codec::encode(&json!({"shows": []}))) };
    port.send(&newer).await;
    let answer = port.next().await.as_ref().and_then(error);
    if answer.as_ref().is_none_or(|error| error.code != UnsupportedVersion) {
        wrong.push(format!("version 9 in a frame: {answer:?}"));
    }
    port.send(&Frame::new(GetPositions::OP, 8, codec::encode(&json!({"shows": [shop.show]})))).await;
    if port.next().await.is_none_or(|frame| frame.kind != GetPositions::OP | 0x80) {
        wrong.push("after all of them the connection must still serve".to_owned());
    }
    asked
}

/// Lengths after which nothing can be found any more: the reason, then the end.
async fn lengths(shop: &Shop, wrong: &mut Vec<String>) -> usize {
    let table = [("a length of 4 GiB", u32::MAX, ErrorCode::TooLarge), ("a length of 23", 23, ErrorCode::BadRequest)];
    for (what, length, code) in table.clone() {
        let mut port = Port::after_hello(shop).await;
        port.raw.send(&[&length.to_be_bytes()[..], &[1, GetPositions::OP], &[0; 30]].concat()).await;
        let answer = port.next().await.as_ref().and_then(error);
        if answer.as_ref().is_none_or(|error| error.code != code) || !port.is_closed().await {
            wrong.push(format!("{what}: wanted {code} and a close, got {answer:?}"));
        }
    }
    table.len()
}
