//! The WebSocket: messages, upgrades, and frames that break the protocol itself.

use std::time::Duration;

use seatwire_loadtest::client::{ClientError, ClientOptions, Encoding, Event, ViewerClient, new_key, sign_token};
use seatwire_protocol::close_code::CloseCode;
use seatwire_protocol::codec;
use seatwire_protocol::ws::ServerMessage;
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::Findings;
use super::raw::{self, Raw};
use crate::shop::{PATIENCE, Shop};

/// What an error must say.
struct Wanted(ErrorCode, Option<&'static str>);

fn field(name: &'static str) -> Wanted {
    Wanted(ErrorCode::BadRequest, Some(name))
}

fn code(code: ErrorCode) -> Wanted {
    Wanted(code, None)
}

impl Wanted {
    fn fault(&self, what: &str, error: &ErrorBody) -> Option<String> {
        let named = self.1.is_none_or(|field| error.field.as_deref() == Some(field));
        let right = error.code == self.0 && named && !error.message.is_empty();
        (!right).then(|| format!("{what}: wanted {} {:?}, got {error:?}", self.0, self.1))
    }
}

/// Messages that are refused while the socket stays; the same in both encodings.
fn bad_messages(shop: &Shop, foreign_hold: &str) -> Vec<(&'static str, Value, Wanted)> {
    use ErrorCode::{NoSuchSeat, NoSuchShow, NotOwner};
    let show = shop.show;
    let past_the_end = shop.layout.seats;
    let hold = |seats: Value| json!({"t": "hold", "id": 1, "show": show, "key": new_key(), "seats": seats});
    let with = |mut message: Value, name: &str, value: Value| {
        message[name] = value;
        message
    };
    let unknown_booking = "f".repeat(32);
    let book = |email: &str| json!({"t": "book", "id": 1, "show": show, "hold": foreign_hold, "key": new_key(), "email": email});
    vec![
        ("no t", json!({"id": 1, "show": show}), field("t")),
        ("unknown message", json!({"t": "dance", "id": 1}), field("t")),
        ("no seats", hold(json!([])), field("seats")),
        ("eleven seats", hold(json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])), field("seats")),
        ("the same seat twice", hold(json!([3, 3])), field("seats")),
        ("a negative seat", hold(json!([-1])), field("seats")),
        ("a label for a seat", hold(json!(["A5"])), field("seats")),
        ("seats that are a number", hold(json!(5)), field("seats")),
        ("a seat that the show does not have", hold(json!([past_the_end])), code(NoSuchSeat)),
        ("the largest seat number", hold(json!([u32::MAX])), code(NoSuchSeat)),
        ("a show that is not there", with(hold(json!([1])), "show", json!(999_999_999)), code(NoSuchShow)),
        ("show 0", with(hold(json!([1])), "show", json!(0)), field("show")),
        ("a show above 2^53", with(hold(json!([1])), "show", json!(9_007_199_254_740_992_u64)), field("show")),
        ("a show with a fraction", with(hold(json!([1])), "show", json!(1.5)), field("show")),
        ("an empty key", with(hold(json!([1])), "key", json!("")), field("key")),
        ("a key with a space", with(hold(json!([1])), "key", json!("a b")), field("key")),
        ("a key of 256 characters", with(hold(json!([1])), "key", json!("k".repeat(256))), field("key")),
        ("a key of a script", with(hold(json!([1])), "key", json!("{\u{0}}|,*\u{202e}")), field("key")),
        ("seats and best together", with(hold(json!([1])), "best", json!({"count": 2})), field("seats")),
        ("best of none", with(hold(json!([])), "best", json!({"count": 0})), field("best")),
        (
            "a hold id that is no hex",
            json!({"t": "release", "id": 1, "show": show, "hold": "../../etc"}),
            field("hold"),
        ),
        ("somebody else's hold", json!({"t": "release", "id": 1, "show": show, "hold": foreign_hold}), code(NotOwner)),
        (
            "somebody else's hold to extend",
            json!({"t": "extend", "id": 1, "show": show, "hold": foreign_hold, "key": new_key()}),
            code(NotOwner),
        ),
        ("somebody else's hold to book", book("a@example.com"), code(NotOwner)),
        ("an e-mail address without an @", book("nobody"), field("email")),
        ("an e-mail address with a line break", book("a@b\r\nBcc: c@d"), field("email")),
        ("an e-mail address of 300 characters", book(&format!("{}@x", "a".repeat(300))), field("email")),
        ("a booking that is not there", json!({"t": "booking", "id": 1, "booking": unknown_booking}), code(NotOwner)),
        (
            "a booking to cancel that is not there",
            json!({"t": "cancel", "id": 1, "booking": unknown_booking, "key": new_key()}),
            code(NotOwner),
        ),
        ("no hidden", json!({"t": "hide"}), field("hidden")),
        ("a position that is a text", json!({"t": "watch", "show": show, "pos": "1/2"}), field("pos")),
        ("a watch of a show that is not there", json!({"t": "watch", "show": 999_999_999}), code(NoSuchShow)),
        ("a token that is none, later", json!({"t": "auth", "token": "x.y.z"}), code(ErrorCode::Unauthenticated)),
    ]
}

fn encode(encoding: Encoding, message: &Value) -> Message {
    match encoding {
        Encoding::Json => Message::Text(message.to_string().into()),
        Encoding::MessagePack => Message::Binary(codec::encode(message).into()),
    }
}

/// The errors that arrived since the connection began.
fn errors(client: &ViewerClient) -> Vec<ErrorBody> {
    let error = |message| match message {
        ServerMessage::Error { error, .. } => Some(error),
        _ => None,
    };
    client.messages().into_iter().filter_map(error).collect()
}

/// Sends, and returns the error that is the answer.
async fn refused(client: &ViewerClient, message: Message) -> Result<ErrorBody, ClientError> {
    let before = errors(client).len();
    client.send_raw(message).await?;
    client
        .wait_for_state("an error", PATIENCE, |state| {
            let errors = state.history().events().filter(|e| matches!(e, Event::Message(ServerMessage::Error { .. })));
            errors.count() > before || state.closed().is_some()
        })
        .await?;
    errors(client)
        .pop()
        .filter(|_| client.closed().is_none())
        .ok_or_else(|| ClientError::Broken(format!("{:?}", client.closed())))
}

pub(super) async fn every_bad_message(shop: &Shop) -> Findings {
    let owner = shop.customer().await;
    let seats = shop.seats(2);
    let hold = owner.holds(shop, &seats.index).await;
    let (mut asked, mut wrong) = (0, Vec::new());
    for encoding in Encoding::ALL {
        let visitor = shop.customer_with(encoding).await;
        for (what, message, wanted) in bad_messages(shop, &hold.hold.to_hex()) {
            asked += 1;
            match refused(&visitor.client, encode(encoding, &message)).await {
                Ok(error) => wrong.extend(wanted.fault(&format!("{encoding:?}: {what}"), &error)),
                Err(error) => wrong.push(format!("{encoding:?}: {what}: {error}")),
            }
        }
        let still_there = visitor.client.own_holds(shop.show).await;
        if still_there.is_err() || visitor.client.connections() != 1 {
            wrong.push(format!("{encoding:?}: mistakes must not end a connection: {still_there:?}"));
        }
    }
    owner.client.release(shop.show, hold.hold).await.unwrap();
    (asked, wrong)
}

/// Upgrades that are refused with an HTTP status, before there is a WebSocket.
pub(super) async fn every_bad_upgrade(shop: &Shop) -> Findings {
    const HEAD: &str = "GET /ws HTTP/1.1\r\nHost: seats\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let life = Duration::from_secs(600);
    let good = sign_token(&shop.at.secrets.jwt, &CustomerId::new("visitor").unwrap(), life).unwrap();
    let forged = sign_token("another secret of thirty-two bytes", &CustomerId::new("visitor").unwrap(), life).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    let auth = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let plain = |remove: &str, add: &str| format!("{}{add}{}\r\n", HEAD.replace(remove, ""), auth(&good));
    let table = [
        ("no token and no origin", format!("{HEAD}\r\n"), 403),
        ("a foreign origin", plain("~", "Origin: http://seats.evil.example\r\n"), 403),
        ("the origin null", plain("~", "Origin: null\r\n"), 403),
        ("a token with another signature", format!("{HEAD}{}\r\n", auth(&forged)), 401),
        ("a token without a signature", format!("{HEAD}{}\r\n", auth(&unsigned)), 401),
        ("a token of 10 kB", format!("{HEAD}{}\r\n", auth(&"x".repeat(10_000))), 401),
        ("an unknown subprotocol", plain("~", "Sec-WebSocket-Protocol: seatwire.v9.json\r\n"), 400),
        ("an old version", plain("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 8\r\n"), 426),
        ("no version", plain("Sec-WebSocket-Version: 13\r\n", ""), 426),
        ("no key", plain("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400),
        ("a short key", plain("dGhlIHNhbXBsZSBub25jZQ==", "").replace("Key: ", "Key: c2hvcnQ="), 400),
        ("no upgrade", plain("Connection: Upgrade\r\nUpgrade: websocket\r\n", ""), 426),
        ("http 1.0", plain("~", "").replace("HTTP/1.1", "HTTP/1.0"), 400),
    ];
    let (asked, mut wrong) = (table.len(), Vec::new());
    for (what, request, wanted) in table {
        let (status, answer) = raw::http(&shop.at.gateway, request.as_bytes()).await;
        let explained = answer.contains("\"code\"") && answer.contains("\"message\"");
        if status != wanted || !explained {
            wrong.push(format!("{what}: wanted {wanted} with a reason, got {answer}"));
        }
    }
    (asked, wrong)
}

/// Frames after which the WebSocket is closed, with the code that says why.
pub(super) async fn every_bad_frame(shop: &Shop) -> Findings {
    let token = shop.customer().await.guest.token;
    let (mut asked, mut wrong) = (0, Vec::new());
    let binary = || Message::Binary(vec![0xC1].into());
    let text = |text: &str| Message::Text(text.into());
    // Some mistakes are forgiven twice.
    let table = [
        ("binary to json", Encoding::Json, vec![binary(), binary(), binary()], CloseCode::UnsupportedData),
        (
            "text to msgpack",
            Encoding::MessagePack,
            vec![text("{}"), text("{}"), text("{}")],
            CloseCode::UnsupportedData,
        ),
        ("not json", Encoding::Json, vec![text("{"), text("hello"), text("[[[[")], CloseCode::PolicyViolation),
        ("not msgpack", Encoding::MessagePack, vec![binary(), binary(), binary()], CloseCode::PolicyViolation),
        ("a large message", Encoding::Json, vec![text(&"x".repeat(5_000))], CloseCode::TooLarge),
    ];
    for (what, encoding, messages, close) in table {
        asked += 1;
        let client = ViewerClient::open(ClientOptions::new(&shop.at.gateway, &token).encoding(encoding)).await.unwrap();
        let forgiven = messages.len() - 1;
        for message in messages {
            // The last one ends the connection, perhaps before the next is written.
            let _ = client.send_raw(message).await;
        }
        let closed = client.wait_for_state("the close", PATIENCE, |state| state.closed().is_some()).await;
        let code = client.closed().and_then(|closed| closed.code);
        let told = errors(&client).iter().filter(|error| error.code == ErrorCode::BadRequest).count();
        if closed.is_err() || code != Some(close.code()) || told < forgiven {
            wrong.push(format!("{what}: wanted {forgiven} errors and {close:?}, got {told} and {:?}", client.closed()));
        }
    }
    let packed = [
        ("a byte after the message", [codec::encode(&json!({"t": "hide", "hidden": true})), vec![0]].concat()),
        ("four billion fields", vec![0xDF, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("half a message", vec![0x82, 0xA1, b't']),
    ];
    for (what, bytes) in packed {
        asked += 1;
        let client = ViewerClient::open(ClientOptions::new(&shop.at.gateway, &token)).await.unwrap();
        match refused(&client, Message::Binary(bytes.into())).await {
            Ok(error) if error.code == ErrorCode::BadRequest => {}
            other => wrong.push(format!("{what}: {other:?}")),
        }
    }
    // Frames below the messages: opcode, flags, mask, length.
    let long_ping = [&[0x89, 0xFE, 0x00, 0x7E][..], &[0; 4 + 126]].concat();
    let frames: [(&str, &[u8], CloseCode); 6] = [
        ("an unmasked frame", &[0x81, 0x02, b'{', b'}'], CloseCode::ProtocolError),
        ("a reserved opcode", &[0x83, 0x80, 0, 0, 0, 0], CloseCode::ProtocolError),
        ("a reserved bit", &[0xC1, 0x80, 0, 0, 0, 0], CloseCode::ProtocolError),
        ("a ping of 126 bytes", &long_ping, CloseCode::ProtocolError),
        ("text that is not UTF-8", &[0x81, 0x81, 0, 0, 0, 0, 0xFF], CloseCode::InvalidPayload),
        ("a frame of 2^62 bytes", &[0x82, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], CloseCode::TooLarge),
    ];
    for (what, frame, close) in frames {
        asked += 1;
        let got = close_code_after(shop, &token, frame).await;
        if got != Some(close.code()) {
            wrong.push(format!("{what}: wanted {close:?}, got {got:?}"));
        }
    }
    (asked, wrong)
}

/// Upgrades by hand, sends the bytes, and returns the code of the close frame that follows.
async fn close_code_after(shop: &Shop, token: &str, frame: &[u8]) -> Option<u16> {
    let mut raw = Raw::connect(&shop.at.gateway).await;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: seats\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    raw.send(request.as_bytes()).await;
    let end_of_head = |bytes: &[u8]| bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
    let upgraded = raw.read_until(|bytes| end_of_head(bytes).is_some()).await?;
    assert!(upgraded.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&upgraded));
    // The welcome may have begun to arrive.
    let begun = &upgraded[end_of_head(&upgraded)?..];
    raw.send(frame).await;
    let answer = raw.read_until(|more| close_frame(&[begun, more].concat()).is_some()).await?;
    close_frame(&[begun, &answer].concat())
}

/// The code of the first close frame among server frames (small ones; the welcome may come before).
fn close_frame(mut bytes: &[u8]) -> Option<u16> {
    loop {
        let [opcode, short, rest @ ..] = bytes else { return None };
        let (length, rest) = match short {
            126 => (usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), rest.get(2..)?),
            short => (usize::from(*short), rest),
        };
        let payload = rest.get(..length)?;
        if *opcode == 0x88 {
            return Some(u16::from_be_bytes(payload.get(..2)?.try_into().ok()?));
        }
        bytes = rest.get(length..)?;
    }
}
