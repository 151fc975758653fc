//! What RFC 6455 asks of a server, case by case in the order of Autobahn's groups 1 to 10 (12 and 13 are about
//! compression, which the gateway does not offer). In the hidden echo mode, so that what is right is seen as well as what
//! is refused; the suite itself runs against it too: `SEATWIRE_ECHO=true seatwire-gateway`, then
//! `wstest -m fuzzingclient` with its `ws://HOST:PORT/ws`.

use crate::process::Gateway;
use crate::raw::{Raw, handshake, masked};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
/// The first frame of several, without the bit that says "last".
const MORE: u8 = 0x7F;

type Said = Vec<(u8, Vec<u8>)>;

/// One case: what is sent, and every frame that comes back, the close frame's code last.
struct Case {
    name: String,
    sent: Vec<u8>,
    /// Sent byte by byte.
    chopped: bool,
    answered: Said,
    code: Option<u16>,
}

fn case(name: impl Into<String>, sent: impl AsRef<[Vec<u8>]>, answered: &[(u8, &[u8])]) -> Case {
    let sent = sent.as_ref().concat();
    let answered = answered.iter().map(|(first, payload)| (*first, payload.to_vec())).collect();
    Case { name: name.into(), sent, chopped: false, answered, code: None }
}

impl Case {
    /// The gateway ends the connection with this code.
    fn ends(self, code: u16) -> Self {
        Self { code: Some(code), ..self }
    }

    fn chopped(self) -> Self {
        Self { name: format!("{}, byte by byte", self.name), chopped: true, ..self }
    }

    async fn run(mut self, address: &str) {
        let name = &self.name;
        let mut raw = Raw::connect(address).await;
        assert_eq!(raw.request(&handshake(&[])).await.0, 101, "{name}");
        let asks_to_close = self.code.is_none();
        if asks_to_close {
            // Comes back as it is: all before it was answered.
            self.sent.extend(masked(CLOSE, &1000_u16.to_be_bytes()));
        }
        if self.chopped {
            for byte in &self.sent {
                raw.send(std::slice::from_ref(byte)).await;
            }
        } else {
            raw.send(&self.sent).await;
        }
        let mut answered = Vec::new();
        let closed = loop {
            match raw.frame_bytes().await {
                Some((CLOSE, payload)) => break payload,
                Some(frame) => answered.push(frame),
                None => panic!("{name}: the stream ended without a close frame after {answered:?}"),
            }
        };
        let code = closed.get(..2).map(|code| u16::from_be_bytes(code.try_into().unwrap()));
        let wanted = self.code.unwrap_or(1000);
        assert_eq!(
            code.unwrap_or(0),
            wanted,
            "{name}: {}",
            String::from_utf8_lossy(closed.get(2..).unwrap_or_default())
        );
        assert!(answered == self.answered, "{name}: {} answers", answered.len());
        raw.finish().await;
    }
}

/// 1: texts and binary messages of every length of the length field.
fn framing() -> Vec<Case> {
    let mut cases = Vec::new();
    for first in [TEXT, BINARY] {
        for length in [0, 125, 126, 127, 128, 65_535, 65_536] {
            let payload = vec![b'*'; length];
            cases.push(case(format!("1: {length} bytes"), [masked(first, &payload)], &[(first, &payload)]));
        }
        let payload = vec![b'*'; 300];
        cases.push(case("1: 300 bytes", [masked(first, &payload)], &[(first, &payload)]).chopped());
    }
    cases
}

/// 2: pings and pongs.
fn pings() -> Vec<Case> {
    let full = [0xFE; 125];
    let ten: Vec<_> = (0..10_u8).map(|n| masked(PING, &[n])).collect();
    let pongs: Vec<(u8, Vec<u8>)> = (0..10).map(|n| (PONG, vec![n])).collect();
    let pongs: Vec<(u8, &[u8])> = pongs.iter().map(|(first, payload)| (*first, payload.as_slice())).collect();
    vec![
        case("2.1: a ping", [masked(PING, b"")], &[(PONG, b"")]),
        case("2.2: a ping with text", [masked(PING, b"Hello")], &[(PONG, b"Hello")]),
        case("2.4: a ping of 125 bytes", [masked(PING, &full)], &[(PONG, &full)]),
        case("2.5: a ping of 126 bytes", [masked(PING, &[0xFE; 126])], &[]).ends(1002),
        case("2.6: a ping", [masked(PING, &full)], &[(PONG, &full)]).chopped(),
        case("2.7: a pong that nobody asked for", [masked(PONG, b"x"), masked(PING, b"y")], &[(PONG, b"y")]),
        case("2.10: ten pings", ten.clone(), &pongs),
        case("2.11: ten pings", ten, &pongs).chopped(),
    ]
}

/// 3: reserved bits. 4: reserved opcodes.
fn reserved() -> Vec<Case> {
    let hello = || masked(TEXT, b"Hello");
    let bits = (1..8_u8).map(|bits| {
        let bad = masked(TEXT | bits << 4, b"Hello");
        case(format!("3: reserved bits {bits:03b}"), [hello(), bad, hello()], &[(TEXT, b"Hello")]).ends(1002)
    });
    let codes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15_u8].map(|code| {
        let bad = masked(0x80 | code, b"");
        case(format!("4: opcode {code}"), [hello(), bad, hello()], &[(TEXT, b"Hello")]).ends(1002)
    });
    bits.chain(codes).collect()
}

/// 5: messages in several frames.
fn fragments() -> Vec<Case> {
    let (start, middle, end) = (TEXT & MORE, 0x00, 0x80);
    let whole: (u8, &[u8]) = (TEXT, b"fragment1fragment2");
    let two = || [masked(start, b"fragment1"), masked(end, b"fragment2")];
    let with_ping = [masked(start, b"fragment1"), masked(PING, b"ping"), masked(end, b"fragment2")];
    let empty: Vec<_> =
        [masked(start, b"fragment1"), masked(middle, b""), masked(middle, b""), masked(end, b"fragment2")].into();
    let mut cases = vec![
        case("5.1: a ping in two frames", [masked(PING & MORE, b"fragment1"), masked(end, b"fragment2")], &[])
            .ends(1002),
        case("5.2: a pong in two frames", [masked(PONG & MORE, b"fragment1"), masked(end, b"fragment2")], &[])
            .ends(1002),
        case("5.3: a text in two frames", two(), &[whole]),
        case("5.5: a text in two frames", two(), &[whole]).chopped(),
        case("5.6: a ping in between", with_ping.clone(), &[(PONG, b"ping"), whole]),
        case("5.8: a ping in between", with_ping, &[(PONG, b"ping"), whole]).chopped(),
        case("6.1: empty frames in between", empty, &[whole]),
        case("5.15: a continuation of nothing", [two().concat(), masked(middle, b"x")], &[whole]).ends(1002),
        case("5.18: another text before the end", [masked(start, b"fragment1"), masked(TEXT, b"fragment2")], &[])
            .ends(1002),
    ];
    for first in [middle, end] {
        cases.push(case("5.9: a continuation of nothing", [masked(first, b"x"), masked(TEXT, b"y")], &[]).ends(1002));
    }
    let two_with_pings = [
        masked(start, b"fragment1"),
        masked(middle, b"fragment2"),
        masked(PING, b"1"),
        masked(middle, b"fragment3"),
        masked(middle, b"fragment4"),
        masked(PING, b"2"),
        masked(end, b"fragment5"),
    ];
    let five: (u8, &[u8]) = (TEXT, b"fragment1fragment2fragment3fragment4fragment5");
    cases.push(case("5.19: five frames and two pings", two_with_pings, &[(PONG, b"1"), (PONG, b"2"), five]));
    cases
}

/// 6: UTF-8.
fn texts() -> Vec<Case> {
    let valid: [&[u8]; 9] = [
        "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
        "κόσμε".as_bytes(),
        b"\x00",
        b"\x7F",
        b"\xC2\x80",
        b"\xE0\xA0\x80",
        b"\xEF\xBF\xBF",
        b"\xF0\x90\x80\x80",
        b"\xF4\x8F\xBF\xBF",
    ];
    let invalid: [&[u8]; 16] = [
        b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80edited",
        b"\xF8\x88\x80\x80\x80",
        b"\xFC\x84\x80\x80\x80\x80",
        b"\xF4\x90\x80\x80",
        b"\x80",
        b"\xBF",
        b"\x80\xBF",
        b"\xC0 ",
        b"\xE0 ",
        b"\xC3",
        b"\xE0\x80",
        b"\xFE",
        b"\xFF",
        b"\xC0\xAF",
        b"\xED\xA0\x80",
        b"\xED\xAD\xBF\xED\xBF\xBF",
    ];
    let right = valid.into_iter().map(|text| case("6: right", [masked(TEXT, text)], &[(TEXT, text)]));
    let in_bytes = valid.into_iter().map(|text| {
        let frames: Vec<_> = text.iter().map(|byte| masked(0x00, &[*byte])).collect();
        let sent = [masked(TEXT & MORE, b""), frames.concat(), masked(0x80, b"")];
        case("6: right, a frame a byte", sent, &[(TEXT, text)])
    });
    let wrong = invalid.into_iter().map(|text| case(format!("6: {text:x?}"), [masked(TEXT, text)], &[]).ends(1007));
    let late = invalid.into_iter().map(|text| {
        let sent = [masked(TEXT & MORE, b"right so far"), masked(0x80, text)];
        case(format!("6: {text:x?} in the second frame"), sent, &[]).ends(1007)
    });
    right.chain(in_bytes).chain(wrong).chain(late).collect()
}

/// 7: closing.
fn closing() -> Vec<Case> {
    let close = |code: u16, reason: &[u8]| masked(CLOSE, &[&code.to_be_bytes(), reason].concat());
    let mut cases = vec![
        case("7.1: a message, then the close", [masked(TEXT, b"Hello")], &[(TEXT, b"Hello")]),
        case("7.1.2: two closes", [close(1000, b""), close(1000, b"")], &[]).ends(1000),
        case("7.1.3: a ping after the close", [close(1000, b""), masked(PING, b"x")], &[]).ends(1000),
        case("7.1.4: a text after the close", [close(1000, b""), masked(TEXT, b"x")], &[]).ends(1000),
        case("7.1.5: a close within a message", [masked(TEXT & MORE, b"x"), close(1000, b""), masked(0x80, b"y")], &[])
            .ends(1000),
        case("7.3.1: a close without a code", [masked(CLOSE, b"")], &[]).ends(0),
        case("7.3.2: a close of one byte", [masked(CLOSE, b"x")], &[]).ends(1002),
        case("7.3.4: a reason", [close(1000, b"Hello")], &[]).ends(1000),
        case("7.3.5: the longest reason", [close(1000, &[b'*'; 123])], &[]).ends(1000),
        case("7.3.6: a reason that is too long", [close(1000, &[b'*'; 124])], &[]).ends(1002),
        case("7.5.1: a reason that is no text", [close(1000, b"\xCE\xBA\xED\xA0\x80")], &[]).ends(1007),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(case(format!("7.7: code {code}"), [close(code, b"")], &[]).ends(code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(case(format!("7.9: code {code}"), [close(code, b"")], &[]).ends(1002));
    }
    cases
}

/// 9: large messages and many of them. 10: one message in many frames.
fn large() -> Vec<Case> {
    let big = vec![b'*'; 4 << 20];
    let pieces: Vec<Vec<u8>> = (0..65_536 / 1_300 + 1)
        .map(|n| masked(if n == 0 { TEXT & MORE } else { 0x00 }, &vec![b'*'; 1_300]))
        .chain([masked(0x80, b"")])
        .collect();
    let whole = vec![b'*'; (65_536 / 1_300 + 1) * 1_300];
    let many = vec![masked(TEXT, b"*"); 500];
    vec![
        case("9.1: 4 MiB of text", [masked(TEXT, &big)], &[(TEXT, &big)]),
        case("9.2: 4 MiB of bytes", [masked(BINARY, &big)], &[(BINARY, &big)]),
        case("9.7: 500 messages", many, &[(TEXT, b"*".as_slice()); 500]),
        case("10.1: one message in many frames", pieces, &[(TEXT, &whole)]),
    ]
}

#[tokio::test]
async fn every_case_of_the_conformance_suite_is_answered_as_the_standard_says() {
    let gateway = Gateway::start(&[("SEATWIRE_ECHO", "true")]);
    let groups = [framing(), pings(), reserved(), fragments(), texts(), closing(), large()];
    let cases: Vec<Case> = groups.into_iter().flatten().collect();
    assert!(cases.len() > 120, "{}", cases.len());
    for case in cases {
        case.run(&gateway.address).await;
    }
}
