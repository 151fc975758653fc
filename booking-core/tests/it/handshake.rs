//! Who may talk to the MessagePack port at all: nobody is answered before the shared secret was shown.

use bytes::BytesMut;
use seatwire_protocol::ErrorCode;
use seatwire_protocol::codec::{self, Frame};
use seatwire_protocol::command::{Command, GetPositions, Hello};
use tokio::io::AsyncWriteExt;

use crate::support::{Core, hello};

fn frame(kind: u8, body: Vec<u8>) -> Vec<u8> {
    let mut out = BytesMut::new();
    Frame::new(kind, 1, body).put(&mut out);
    out.to_vec()
}

#[tokio::test]
async fn whoever_does_not_know_the_secret_is_closed_without_a_word() {
    let core = Core::alone().await;
    let with_secret = |secret: &str| codec::encode(&Hello { secret: secret.to_owned(), ..hello() });
    let mut trailing = codec::encode(&hello());
    trailing.push(0xC0);
    let firsts: Vec<(&str, Vec<u8>)> = vec![
        ("a wrong secret", frame(Hello::OP, with_secret("0123456789abcdeX"))),
        ("an empty secret", frame(Hello::OP, with_secret(""))),
        ("a longer secret", frame(Hello::OP, with_secret("0123456789abcdef0"))),
        ("a command", frame(GetPositions::OP, codec::encode(&GetPositions { shows: Vec::new(), viewers: None }))),
        ("a handshake and a byte", frame(Hello::OP, trailing)),
        ("a handshake that is none", frame(Hello::OP, vec![0xC1])),
        ("an empty body", frame(Hello::OP, Vec::new())),
        ("a reply", frame(Hello::OP | 0x80, codec::encode(&hello()))),
        ("4 GiB", vec![0xFF; 64]),
        ("one MiB that was announced", (1_u32 << 20).to_be_bytes().to_vec()),
        ("a frame shorter than its header", vec![0, 0, 0, 3, 1, 1, 1]),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: core\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more".to_vec()),
    ];
    for (what, bytes) in firsts {
        let mut connection = core.connect().await;
        connection.stream.write_all(&bytes).await.unwrap();
        assert!(connection.next().await.is_none(), "{what} was answered");
    }
    // Nobody else was hurt.
    core.session().await.works().await;
    core.stop();
}

#[tokio::test]
async fn whoever_says_nothing_is_closed_by_the_handshake_deadline() {
    let core = Core::alone().await;
    let (mut silent, mut slow) = (core.connect().await, core.connect().await);
    slow.stream.write_all(&[0, 0, 0]).await.unwrap();
    assert!(silent.next().await.is_none() && slow.next().await.is_none());
    core.stop();
}

#[tokio::test]
async fn versions_are_negotiated() {
    let core = Core::alone().await;
    for (min, max) in [(0, 1), (1, 9), (0, 255)] {
        let mut connection = core.connect().await;
        let hello = Hello { version_min: min, version_max: max, ..hello() };
        connection.send(&Frame::new(Hello::OP, 9, codec::encode(&hello))).await;
        let reply: seatwire_protocol::command::HelloReply = connection.reply(9).await.unwrap();
        assert_eq!(reply.version, 1);
        assert!(reply.in_flight_max > 0 && reply.frame_bytes_max > 0);
    }
    for (min, max) in [(0, 0), (2, 9), (9, 2)] {
        let mut connection = core.connect().await;
        let hello = Hello { version_min: min, version_max: max, ..hello() };
        connection.send(&Frame::new(Hello::OP, 9, codec::encode(&hello))).await;
        let error = connection.reply::<()>(9).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::UnsupportedVersion);
        assert!(connection.next().await.is_none(), "and closed");
    }
    core.stop();
}
