//! The task of one connection: connect, handshake, read and write until it is lost, wait, connect again.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::CoreClientConfig;
use super::backoff::Backoff;
use super::link::Link;
use crate::PROTOCOL_VERSION;
use crate::codec::{self, Frame, FrameError, KIND_ERROR, REPLY_BIT};
use crate::command::{Command, GetPositions, Hello, HelloReply};
use crate::error::ErrorBody;

/// With nothing in flight a sign of life is asked for after this many quiet periods, so that neither side calls the
/// connection idle.
const QUIET_PERIODS_MAX: u32 = 10;
/// A connection that lived this long was a success: the next wait starts small again.
const PROVEN: Duration = Duration::from_secs(1);
/// Room for reading; grows for a frame that is larger.
const READ_BYTES: usize = 64 << 10;

/// Why a connection is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The system's text.
    #[error("can't connect: {0}")]
    Connect(String),
    /// Connect and handshake took too long.
    #[error("no connection and handshake within {0:?}")]
    ConnectTimeout(Duration),
    /// A core that does not like the secret closes without a word.
    #[error("closed during the handshake: is the shared secret the same on both sides?")]
    ClosedInHandshake,
    /// The core answered the handshake with an error.
    #[error("handshake refused: {0}")]
    Refused(ErrorBody),
    /// The handshake's answer is not one.
    #[error("the handshake's answer can't be read: {0}")]
    Handshake(String),
    /// The core speaks another version.
    #[error("the core speaks version {0}, this client {PROTOCOL_VERSION}")]
    Version(u8),
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The system's text, or "closed by the core".
    #[error("connection lost: {0}")]
    Lost(String),
    /// Nothing was heard, and no answer to a sign of life.
    #[error("nothing heard from the core for {0:?}")]
    Silent(Duration),
}

/// Runs until aborted.
pub(super) async fn keep_connected(link: Arc<Link>, config: Arc<CoreClientConfig>, up: Arc<watch::Sender<usize>>) {
    let mut backoff = Backoff::new(config.backoff_min, config.backoff_max);
    loop {
        let error = match open(&link, &config).await {
            Err(error) => error,
            Ok((stream, hello)) => {
                let since = Instant::now();
                let core_max = usize::try_from(hello.in_flight_max).unwrap_or(usize::MAX);
                link.up(hello.core, config.in_flight_max.min(core_max).max(1));
                // A guard, so that an abort counts down too.
                let _counted = Counted::new(&up);
                let error = carry(&link, &config, stream).await;
                if since.elapsed() >= PROVEN {
                    backoff.reset();
                }
                error
            }
        };
        link.down(error);
        tokio::time::sleep(backoff.wait(rand::random())).await;
    }
}

/// One more connection is up, while this lives.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(up: &'a watch::Sender<usize>) -> Self {
        up.send_modify(|n| *n = n.saturating_add(1));
        Self(up)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

async fn open(link: &Link, config: &CoreClientConfig) -> Result<(TcpStream, HelloReply), LinkError> {
    let opening = async {
        let mut stream = TcpStream::connect(link.address()).await.map_err(|e| LinkError::Connect(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| LinkError::Connect(e.to_string()))?;
        let hello = shake_hands(&mut stream, config).await?;
        Ok((stream, hello))
    };
    timeout(config.connect_timeout, opening).await.unwrap_or(Err(LinkError::ConnectTimeout(config.connect_timeout)))
}

async fn shake_hands(stream: &mut TcpStream, config: &CoreClientConfig) -> Result<HelloReply, LinkError> {
    let hello = Hello {
        secret: config.secret.clone(),
        name: config.name.clone(),
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
    };
    let mut out = BytesMut::new();
    Frame::new(Hello::OP, 0, codec::encode(&hello)).put(&mut out);
    stream.write_all(&out).await.map_err(|_| LinkError::ClosedInHandshake)?;
    let mut input = BytesMut::new();
    let frame = loop {
        if let Some(frame) = Frame::take(&mut input)? {
            break frame;
        }
        if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
            return Err(LinkError::ClosedInHandshake);
        }
    };
    if frame.kind == KIND_ERROR {
        let error = codec::decode(&frame.body).map_err(|e| LinkError::Handshake(e.to_string()))?;
        return Err(LinkError::Refused(error));
    }
    if frame.kind != Hello::OP | REPLY_BIT {
        return Err(LinkError::Handshake(format!("kind {:#04x}", frame.kind)));
    }
    let reply: HelloReply = codec::decode(&frame.body).map_err(|e| LinkError::Handshake(e.to_string()))?;
    if reply.version != PROTOCOL_VERSION {
        return Err(LinkError::Version(reply.version));
    }
    Ok(reply)
}

/// Reads and writes side by side until one of them ends: a reader that waited for the writer could deadlock with a
/// core that waits for us to read.
async fn carry(link: &Link, config: &CoreClientConfig, stream: TcpStream) -> LinkError {
    let (reader, writer) = stream.into_split();
    tokio::select! {
        error = write(link, writer) => error,
        error = read(link, config, reader) => error,
    }
}

async fn write(link: &Link, mut writer: OwnedWriteHalf) -> LinkError {
    loop {
        let out = link.take_out().await;
        if let Err(error) = writer.write_all(&out).await {
            return LinkError::Lost(error.to_string());
        }
    }
}

async fn read(link: &Link, config: &CoreClientConfig, mut reader: impl AsyncRead + Unpin) -> LinkError {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let mut frames = Vec::new();
    let (mut quiet_periods, mut pinged) = (0, false);
    loop {
        input.reserve(READ_BYTES);
        let wait = if pinged { config.ping_timeout } else { config.silence };
        match timeout(wait, reader.read_buf(&mut input)).await {
            Ok(Ok(0)) => return LinkError::Lost("closed by the core".to_owned()),
            Ok(Ok(_)) => (quiet_periods, pinged) = (0, false),
            Ok(Err(error)) => return LinkError::Lost(error.to_string()),
            Err(_) if pinged => return LinkError::Silent(config.silence.saturating_add(config.ping_timeout)),
            Err(_) => {
                quiet_periods += 1;
                pinged = link.in_flight() > 0 || quiet_periods >= QUIET_PERIODS_MAX;
                if pinged {
                    link.send_unasked(&ping());
                }
                continue;
            }
        }
        loop {
            match Frame::take(&mut input) {
                Ok(Some(frame)) if frame.version != PROTOCOL_VERSION => return LinkError::Version(frame.version),
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    link.answer(frames.drain(..));
                    return error.into();
                }
            }
        }
        link.answer(frames.drain(..));
    }
}

/// Positions of no show: a core answers it at once, without asking anybody. Id 0 has no waiter.
fn ping() -> Frame {
    Frame::new(GetPositions::OP, 0, codec::encode(&GetPositions { shows: Vec::new(), viewers: None }))
}
