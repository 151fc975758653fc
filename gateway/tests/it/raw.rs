//! A client without manners: raw bytes to the gateway, raw frames back.

use std::time::Duration;

use seatwire_protocol::codec;
use seatwire_protocol::ws::SUBPROTOCOL_MSGPACK;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One TCP connection.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
    /// Sent while something is read.
    aside: Vec<u8>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(Value),
    Binary(Vec<u8>),
    Pong,
    Ping,
    Close(u16, String),
    /// The end of the stream.
    End,
}

impl Raw {
    pub(crate) async fn connect(address: &str) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new(), aside: Vec::new() }
    }

    /// A WebSocket with JSON messages; the welcome is read.
    pub(crate) async fn open(address: &str, token: &str) -> Self {
        let mut raw = Self::connect(address).await;
        let (status, _) = raw.request(&handshake(&[("Authorization", &format!("Bearer {token}"))])).await;
        assert_eq!(status, 101);
        let welcome = raw.frame().await;
        assert!(matches!(&welcome, Frame::Text(text) if text["t"] == "welcome"), "{welcome:?}");
        raw
    }

    /// The same with MessagePack.
    pub(crate) async fn open_binary(address: &str, token: &str) -> Self {
        let mut raw = Self::connect(address).await;
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Sec-WebSocket-Protocol", SUBPROTOCOL_MSGPACK)];
        assert_eq!(raw.request(&handshake(&headers)).await.0, 101);
        assert_eq!(raw.binary().await["t"], "welcome");
        raw
    }

    /// The next message in MessagePack.
    pub(crate) async fn binary(&mut self) -> Value {
        match self.frame().await {
            Frame::Binary(payload) => codec::decode(&payload).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Reads on to the close frame: its code, and the messages before it.
    pub(crate) async fn binary_close(&mut self) -> (u16, Vec<Value>) {
        let mut messages = Vec::new();
        loop {
            match self.frame().await {
                Frame::Binary(payload) => messages.push(codec::decode(&payload).unwrap()),
                Frame::Close(code, _) => return (code, messages),
                other => panic!("{other:?} after {messages:?}"),
            }
        }
    }

    /// Sends this again and again, slowly, until the other side has ended the connection.
    pub(crate) async fn drip(&mut self, bytes: &[u8]) {
        let (mut read, mut write) = self.stream.split();
        let drip = async {
            while write.write_all(bytes).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let mut answer = Vec::new();
        let end = timeout(PATIENCE, read.read_to_end(&mut answer));
        tokio::select! {
            () = drip => {}
            end = end => drop(end.expect("the gateway waits for more")),
        }
    }

    /// Sends bytes; a connection that is closed meanwhile takes no more.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the gateway takes nothing");
    }

    /// Sends bytes while others are read, as far as the other side takes them.
    pub(crate) fn send_aside(&mut self, bytes: Vec<u8>) {
        self.aside = bytes;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send(&masked(0x81, text.as_bytes())).await;
    }

    /// Sends a request and reads the head of its answer: status and lower-case headers. 0: closed without an answer.
    pub(crate) async fn request(&mut self, request: &str) -> (u16, String) {
        self.send(request.as_bytes()).await;
        loop {
            if let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                let head = String::from_utf8(head).unwrap().to_lowercase();
                return (head.split(' ').nth(1).unwrap().parse().unwrap(), head);
            }
            if !self.more().await {
                return (0, String::new());
            }
        }
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Frame {
        let Some((first, payload)) = self.frame_bytes().await else { return Frame::End };
        match first & 0x0F {
            1 => Frame::Text(serde_json::from_slice(&payload).unwrap()),
            2 => Frame::Binary(payload),
            8 => {
                let code = u16::from_be_bytes(payload[..2].try_into().unwrap());
                Frame::Close(code, String::from_utf8(payload[2..].to_vec()).unwrap())
            }
            9 => Frame::Ping,
            _ => Frame::Pong,
        }
    }

    /// The next frame, its first byte and its payload; `None` at the end of the stream.
    pub(crate) async fn frame_bytes(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads on to the close frame: the refusals before it, its code and reason.
    pub(crate) async fn close(&mut self) -> (Vec<Value>, u16, String) {
        let mut errors = Vec::new();
        loop {
            match self.frame().await {
                Frame::Text(text) if text["t"] == "error" => errors.push(text),
                Frame::Close(code, reason) => return (errors, code, reason),
                Frame::End => panic!("the connection ended without a close frame; errors before it: {errors:?}"),
                _ => {}
            }
        }
    }

    /// What comes until the end of the stream, as text; asks for no more.
    pub(crate) async fn rest(&mut self) -> String {
        let _ = self.stream.shutdown().await;
        self.end().await;
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Ends the connection from this side, and waits for the other's end.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
        self.end().await;
    }

    /// Waits for the end of the stream.
    pub(crate) async fn end(&mut self) {
        while self.more().await {}
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let (header, len) = match *self.read.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes(self.read.get(2..4)?.try_into().unwrap()))),
            127 => (10, usize::try_from(u64::from_be_bytes(self.read.get(2..10)?.try_into().unwrap())).unwrap()),
            len => (2, usize::from(len)),
        };
        let payload = self.read.get(header..header + len)?.to_vec();
        let first = self.read[0];
        self.read.drain(..header + len);
        Some((first, payload))
    }

    async fn more(&mut self) -> bool {
        let (mut read, mut write) = self.stream.split();
        let read = async {
            loop {
                tokio::select! {
                    count = read.read_buf(&mut self.read) => return count,
                    sent = write.write(&self.aside), if !self.aside.is_empty() => match sent {
                        Ok(count) => drop(self.aside.drain(..count)),
                        Err(_) => self.aside.clear(),
                    },
                }
            }
        };
        timeout(PATIENCE, read).await.expect("the gateway says nothing").is_ok_and(|count| count > 0)
    }
}

/// An upgrade request in order, with these headers changed, added, or, when empty, left out.
pub(crate) fn handshake(changes: &[(&str, &str)]) -> String {
    let usual = [
        ("Host", "localhost"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let kept = usual.iter().filter(|(name, _)| !changes.iter().any(|(other, _)| other == name));
    let lines: String = kept
        .chain(changes)
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("GET /ws HTTP/1.1\r\n{lines}\r\n")
}

/// A client's frame: `first` is its first byte.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..126), _) => out.push(0x80 | len),
        (_, Ok(len)) => {
            out.push(0x80 | 126);
            out.extend(len.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}
