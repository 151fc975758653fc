//! Bad input at the MessagePack port, after the handshake: each is answered under its own request id, names the fault,
//! and leaves the connection working; only a length that is impossible ends it.

use seatwire_protocol::codec::{self, Frame};
use seatwire_protocol::command::{
    Book, CancelBooking, Command, ExtendHold, GetLayout, GetPositions, GetSnapshot, HoldSeats, ListShows, OwnHolds,
    PositionsReply, ReleaseHold,
};
use seatwire_protocol::{BookingId, CustomerId, ErrorCode, HoldId, IdempotencyKey, ShowId};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Core, hello};

fn hold(changes: &Value) -> Vec<u8> {
    let mut body = json!({"show": 7, "customer": "ann", "key": "k1", "seats": [1, 2]});
    for (field, value) in changes.as_object().unwrap() {
        body[field] = value.clone();
    }
    codec::encode(&body)
}

#[tokio::test]
async fn bodies_that_can_not_be_read_are_refused_by_name_and_the_connection_goes_on() {
    let core = Core::alone().await;
    let mut port = core.session().await;
    // B17, B18, B22 and B15: each changes one field of a good hold.
    let fields = [
        ("show", json!({"show": 0})),
        ("show", json!({"show": -1})),
        ("show", json!({"show": i64::MIN})),
        ("show", json!({"show": i64::MAX})),
        ("show", json!({"show": u64::MAX})),
        ("show", json!({"show": 7.0})),
        ("show", json!({"show": "7"})),
        ("show", json!({"show": null})),
        ("customer", json!({"customer": ""})),
        ("customer", json!({"customer": "ann|bob"})),
        ("customer", json!({"customer": "{ann}:*"})),
        ("customer", json!({"customer": "../ann"})),
        ("customer", json!({"customer": "ann\u{0}"})),
        ("customer", json!({"customer": "\u{202e}nna"})),
        ("customer", json!({"customer": "a".repeat(10_000)})),
        ("key", json!({"key": ""})),
        ("key", json!({"key": "k".repeat(256)})),
        ("key", json!({"key": "two words"})),
        ("seats[0]", json!({"seats": [-1]})),
        ("seats[1]", json!({"seats": [1, 4_294_967_296_u64]})),
        ("seats[0]", json!({"seats": [1.5]})),
        ("seats", json!({"seats": "A5"})),
        ("seats", json!({"seats": []})),
        ("seats", json!({"seats": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]})),
        ("seats", json!({"seats": [5, 4, 5]})),
        ("best", json!({"best": {"count": 2}})),
        ("best.count", json!({"seats": [], "best": {"count": 0}})),
        ("best.count", json!({"seats": [], "best": {"count": 11}})),
        ("best.count", json!({"seats": [], "best": {}})),
    ];
    for (field, changes) in fields {
        let named = port.bad_request(HoldSeats::OP, &hold(&changes)).await;
        assert_eq!(named.as_deref(), Some(field), "{changes}");
    }
    // B11, B13, B14: no MessagePack, or lies about its size or depth.
    let mut trailing = hold(&json!({}));
    trailing.push(0xC0);
    let hostile: [&[u8]; 9] = [
        b"",
        &[0xC1],
        &[0x84],
        &hold(&json!({}))[..10],
        &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0xDB, 0xFF, 0xFF, 0xFF, 0xFF, b'a'],
        &[0xDF, 0xFF, 0xFF, 0xFF, 0xFF],
        &vec![0x91; 2_000_000],
        &trailing,
    ];
    for body in hostile {
        port.bad_request(HoldSeats::OP, body).await;
    }
    // The same depth inside a field that is unknown.
    let mut deep = vec![0x85];
    deep.extend_from_slice(&hold(&json!({}))[1..]);
    deep.extend_from_slice(&[0xA1, b'x']);
    deep.extend(vec![0x91; 100_000]);
    deep.push(0xC0);
    port.bad_request(HoldSeats::OP, &deep).await;
    // Unknown fields are ignored: this gets as far as the store, which is out of reach.
    let unknown = port.refused(HoldSeats::OP, &hold(&json!({"quantity": 3, "x": {"y": [1]}}))).await;
    assert_eq!(unknown.code, ErrorCode::Unavailable, "{unknown}");
    assert!(unknown.retry_after_ms.is_some());
    port.works().await;
    core.stop();
}

fn booking_with(key: &Value) -> Value {
    json!({"show": 7, "customer": "ann", "hold": HoldId([7; 16]), "key": key, "email": "ann@example.org"})
}

#[tokio::test]
async fn other_commands_name_their_bad_fields_too() {
    let core = Core::alone().await;
    let mut port = core.session().await;
    let customer = CustomerId::new("ann").unwrap();
    let (show, key) = (ShowId::new(7).unwrap(), IdempotencyKey::new("k").unwrap());
    let book = |email: &str| {
        let (customer, key) = (customer.clone(), key.clone());
        codec::encode(&Book { show, customer, hold: HoldId([7; 16]), key, email: email.to_owned() })
    };
    for email in ["", "ann", "a@b@c", "ann@", "@b", "a@b\r\nBcc: c@d", "a b@c", &format!("{}@b", "a".repeat(254))] {
        assert_eq!(port.bad_request(Book::OP, &book(email)).await.as_deref(), Some("email"), "{email:?}");
    }
    let many = OwnHolds { show, customers: vec![customer.clone(); 501] };
    assert_eq!(port.bad_request(OwnHolds::OP, &codec::encode(&many)).await.as_deref(), Some("customers"));
    let many = GetPositions { shows: vec![show; 10_001], viewers: None };
    assert_eq!(port.bad_request(GetPositions::OP, &codec::encode(&many)).await.as_deref(), Some("shows"));
    for (field, body) in [
        ("date", json!({"date": "tomorrow"})),
        ("date", json!({"date": "2026-02-30"})),
        ("city", json!({"city": ""})),
        ("city", json!({"city": "a\u{0}b"})),
        ("movie", json!({"movie": "m".repeat(201)})),
        ("show", json!({"show": 0})),
    ] {
        assert_eq!(port.bad_request(ListShows::OP, &codec::encode(&body)).await.as_deref(), Some(field), "{body}");
    }
    let ids = [
        (ReleaseHold::OP, "hold", json!({"show": 7, "customer": "ann", "hold": "abc"})),
        (ReleaseHold::OP, "hold", json!({"show": 7, "customer": "ann"})),
        (CancelBooking::OP, "booking", json!({"customer": "ann", "booking": "x".repeat(32), "key": "k"})),
        (CancelBooking::OP, "key", json!({"customer": "ann", "booking": BookingId([1; 16])})),
        // B22.
        (CancelBooking::OP, "key", json!({"customer": "ann", "booking": BookingId([1; 16]), "key": ""})),
        (CancelBooking::OP, "key", json!({"customer": "ann", "booking": BookingId([1; 16]), "key": "k".repeat(256)})),
        (Book::OP, "key", booking_with(&json!(""))),
        (Book::OP, "key", booking_with(&json!("k".repeat(256)))),
        (Book::OP, "key", booking_with(&json!("k\u{e9}"))),
        (ExtendHold::OP, "key", json!({"show": 7, "customer": "ann", "hold": HoldId([7; 16]), "key": "\n"})),
        (GetSnapshot::OP, "show", json!({})),
        (GetLayout::OP, "show", json!({"show": []})),
    ];
    for (kind, field, body) in ids {
        assert_eq!(port.bad_request(kind, &codec::encode(&body)).await.as_deref(), Some(field), "{body}");
    }
    port.works().await;
    core.stop();
}

#[tokio::test]
async fn unknown_operations_and_versions_are_answered_under_their_own_id() {
    let core = Core::alone().await;
    let mut port = core.session().await;
    for kind in [0x00, 0x02, 0x44, 0x7F, HoldSeats::OP | 0x80, 0xFF] {
        assert_eq!(port.bad_request(kind, &hold(&json!({}))).await.as_deref(), Some("kind"), "{kind:#x}");
    }
    // A second handshake is no command.
    let again = codec::encode(&hello());
    assert_eq!(port.bad_request(0x01, &again).await.as_deref(), Some("kind"));
    for version in [0, 2, 99] {
        port.send(&Frame { version, ..Frame::new(GetPositions::OP, 8, vec![0xC1]) }).await;
        let error = port.reply::<()>(8).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::UnsupportedVersion);
    }
    port.works().await;
    core.stop();
}

#[tokio::test]
async fn an_impossible_length_is_named_and_ends_that_connection_only() {
    let core = Core::alone().await;
    let mut other = core.session().await;
    let mut head = vec![0x00, 0x40, 0x00, 0x01, 1, HoldSeats::OP, 0, 0];
    head.extend(42_u64.to_be_bytes());
    head.extend([0; 12]);
    let mut port = core.session().await;
    // More than the limit, really sent: the answer must come through all the same.
    port.stream.write_all(&head).await.unwrap();
    let _ = port.stream.write_all(&vec![0x80; 1 << 20]).await;
    assert_eq!(port.reply::<()>(42).await.unwrap_err().code, ErrorCode::TooLarge);
    assert!(port.next().await.is_none());
    let mut port = core.session().await;
    port.stream.write_all(&[0, 0, 0, 23]).await.unwrap();
    assert_eq!(port.reply::<()>(0).await.unwrap_err().code, ErrorCode::BadRequest);
    assert!(port.next().await.is_none());
    other.works().await;
    core.stop();
}

#[tokio::test]
async fn answers_to_one_write_of_many_commands_come_each_once_also_after_a_half_close() {
    let core = Core::alone().await;
    let mut port = core.session().await;
    let mut out = bytes::BytesMut::new();
    for id in 100..1_100 {
        Frame::new(GetPositions::OP, id, codec::encode(&GetPositions { shows: Vec::new(), viewers: None }))
            .put(&mut out);
    }
    port.stream.write_all(&out).await.unwrap();
    port.stream.shutdown().await.unwrap();
    let mut ids = Vec::new();
    while let Some(frame) = port.next().await {
        codec::decode::<PositionsReply>(&frame.body).unwrap();
        ids.push(frame.request_id);
    }
    ids.sort_unstable();
    assert_eq!(ids, (100..1_100).collect::<Vec<_>>());
    core.stop();
}
