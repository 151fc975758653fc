//! A core inside the test's process, on ports of its own; and raw connections to its MessagePack port.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use clap::Parser;
use seatwire_core::config::{Config, ServeArgs};
use seatwire_core::shutdown::Shutdown;
use seatwire_protocol::codec::{self, Frame, KIND_ERROR, REPLY_BIT};
use seatwire_protocol::command::{Command, GetPositions, Hello, HelloReply, PositionsReply};
use seatwire_protocol::{ErrorBody, ErrorCode};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const SECRET: &str = "0123456789abcdef";
/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// An address where nobody listens.
const NOWHERE: &str = "127.0.0.1:1";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    serve: ServeArgs,
}

pub(crate) struct Core {
    pub(crate) address: SocketAddr,
    pub(crate) http: SocketAddr,
    shutdown: Shutdown,
}

impl Core {
    /// A core whose servers are out of reach, for what needs none.
    pub(crate) async fn alone() -> Self {
        Self::alone_with(&[]).await
    }

    pub(crate) async fn alone_with(flags: &[&str]) -> Self {
        Self::start(&format!("redis://{NOWHERE}"), &format!("postgres://u:p@{NOWHERE}/d"), flags).await
    }

    pub(crate) async fn start(redis: &str, postgres: &str, flags: &[&str]) -> Self {
        let shutdown = Shutdown::default();
        let listening = seatwire_core::start(config(redis, postgres, flags), &shutdown).await.unwrap();
        Self { address: listening.core, http: listening.core_http, shutdown }
    }

    /// Ends it without a look at what it leaves: without its servers it would try to reach them for a while.
    pub(crate) fn stop(self) {
        self.shutdown.start();
    }

    /// Drains it; every task must have ended.
    pub(crate) async fn drain(self) {
        self.shutdown.start();
        assert_eq!(self.shutdown.drained().await, 0, "tasks were cut off");
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection { stream: TcpStream::connect(self.address).await.unwrap(), input: BytesMut::new() }
    }

    /// A connection past the handshake.
    pub(crate) async fn session(&self) -> Connection {
        let mut connection = self.connect().await;
        connection.send(&Frame::new(Hello::OP, 1, codec::encode(&hello()))).await;
        let reply: HelloReply = connection.reply(1).await.unwrap();
        assert_eq!(reply.version, 1);
        connection
    }
}

fn config(redis: &str, postgres: &str, flags: &[&str]) -> Config {
    let mut all = vec![
        "core".to_owned(),
        "--core-listen=127.0.0.1:0".to_owned(),
        "--core-http-listen=127.0.0.1:0".to_owned(),
        format!("--redis-url={redis}"),
        format!("--database-url={postgres}"),
        "--razorpay-key-id=id".to_owned(),
        "--razorpay-key-secret=key-secret".to_owned(),
        "--razorpay-webhook-secrets=webhook-secret".to_owned(),
        "--checkout-url=http://127.0.0.1:1".to_owned(),
    ];
    let secrets = ["--core-secret=", "--hold-secret=", "--admin-token="].into_iter();
    let secrets = secrets.filter(|secret| !flags.iter().any(|flag| flag.starts_with(secret)));
    all.extend(secrets.map(|flag| format!("{flag}{SECRET}")));
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    Cli::parse_from(all).serve.check().unwrap()
}

pub(crate) fn hello() -> Hello {
    Hello { secret: SECRET.to_owned(), name: "test".to_owned(), version_min: 1, version_max: 1 }
}

/// Frames over one socket, by hand.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    input: BytesMut,
}

impl Connection {
    pub(crate) async fn send(&mut self, frame: &Frame) {
        let mut out = BytesMut::new();
        frame.put(&mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    pub(crate) async fn command(&mut self, kind: u8, id: u64, body: &impl Serialize) {
        self.send(&Frame::new(kind, id, codec::encode(body))).await;
    }

    /// The next frame; `None` when the core closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.input).unwrap() {
                return Some(frame);
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
            // A reset is as closed as an end.
            if !matches!(read.expect("the core says nothing"), Ok(1..)) {
                return None;
            }
        }
    }

    /// The next frame, which must answer this request.
    pub(crate) async fn reply<T: serde::de::DeserializeOwned>(&mut self, id: u64) -> Result<T, ErrorBody> {
        let frame = self.next().await.expect("closed instead of an answer");
        assert_eq!(frame.request_id, id);
        if frame.kind == KIND_ERROR {
            return Err(codec::decode(&frame.body).unwrap());
        }
        assert_eq!(frame.kind & REPLY_BIT, REPLY_BIT);
        Ok(codec::decode(&frame.body).unwrap())
    }

    /// The connection works: a question that needs no server is answered.
    pub(crate) async fn works(&mut self) {
        self.command(GetPositions::OP, 77, &GetPositions { shows: Vec::new(), viewers: None }).await;
        let reply: PositionsReply = self.reply(77).await.unwrap();
        assert!(reply.positions.is_empty());
    }

    /// Sends a body that must be refused; the answer.
    pub(crate) async fn refused(&mut self, kind: u8, body: &[u8]) -> ErrorBody {
        self.send(&Frame::new(kind, 5, body.to_vec())).await;
        self.reply::<()>(5).await.unwrap_err()
    }

    pub(crate) async fn bad_request(&mut self, kind: u8, body: &[u8]) -> Option<String> {
        let error = self.refused(kind, body).await;
        assert_eq!(error.code, ErrorCode::BadRequest, "{error}");
        assert!(!error.message.is_empty());
        error.field
    }
}
