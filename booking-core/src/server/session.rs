//! One connection of the MessagePack port: a handshake, then frames in and answers out in any order.
//!
//! Before the shared secret was shown nothing is answered, and nothing but the handshake is read: a small first frame
//! within [`HANDSHAKE_DEADLINE`]. Afterwards a frame that can't be understood is answered with an error under its own
//! request id and the connection goes on; a length that is impossible ends it, because what follows can't be found.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use seatwire_protocol::PROTOCOL_VERSION;
use seatwire_protocol::codec::{self, Frame, FrameError, HEADER_BYTES, KIND_ERROR, REPLY_BIT};
use seatwire_protocol::command::{Command, Hello, HelloReply};
use seatwire_protocol::limits::{COMMANDS_IN_FLIGHT_PER_CORE_CONNECTION_MAX, CORE_FRAME_BYTES_MAX};
use seatwire_protocol::{ErrorBody, ErrorCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::Instrument;

use super::dispatch;
use super::replies::Replies;
use crate::app::App;
use crate::metrics as names;
use crate::shutdown::Shutdown;

const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// The handshake's frame: header, secret and name fit well.
const HANDSHAKE_BYTES_MAX: usize = 2_048;
/// Without a whole frame for this long the connection is closed; clients ask for a sign of life every ten seconds.
const IDLE_DEADLINE: Duration = Duration::from_secs(60);
/// How long a refused peer may take to read the reason before the connection is cut.
const LINGER: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 64 << 10;
const IN_FLIGHT_MAX: usize = COMMANDS_IN_FLIGHT_PER_CORE_CONNECTION_MAX;
const OVERLOADED_RETRY_MS: u64 = 100;

/// Why reading ended.
enum End {
    /// The peer closed, was idle, or the drain started.
    Quiet,
    /// The stream can't be followed any more; the peer is told why.
    Broken(u64, ErrorBody),
}

/// Serves one connection until it ends. Commands that have begun are always finished.
pub(super) async fn run(mut stream: TcpStream, app: Arc<App>, shutdown: Shutdown) {
    let peer = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY");
    }
    let mut input = BytesMut::with_capacity(HANDSHAKE_BYTES_MAX);
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_DEADLINE, shake_hands(&mut stream, &mut input, &app)) => shaken,
        () = shutdown.started() => return,
    };
    let client = match shaken.unwrap_or(Err("no handshake in time")) {
        Ok(client) => client,
        Err(reason) => {
            metrics::counter!(names::HANDSHAKES_REFUSED, "reason" => reason).increment(1);
            tracing::warn!(%peer, reason, "connection refused");
            return;
        }
    };
    let span = tracing::info_span!("connection", %peer, client);
    serve(stream, input, app, shutdown).instrument(span).await;
}

/// Reads the handshake and answers it; the client's name, or why it was refused.
async fn shake_hands(stream: &mut TcpStream, input: &mut BytesMut, app: &App) -> Result<String, &'static str> {
    let frame = loop {
        let length = input.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        if length.is_some_and(|length| length as usize > HANDSHAKE_BYTES_MAX) {
            return Err("first frame too large for a handshake");
        }
        match Frame::take(input) {
            Ok(Some(frame)) => break frame,
            Ok(None) => {}
            Err(_) => return Err("first bytes are no frame"),
        }
        if !matches!(stream.read_buf(input).await, Ok(1..)) {
            return Err("closed before the handshake");
        }
    };
    if frame.kind != Hello::OP {
        return Err("first frame is no handshake");
    }
    let hello: Hello = codec::decode(&frame.body).map_err(|_| "handshake can't be read")?;
    if !app.config.core_secret.matches(hello.secret.as_bytes()) {
        return Err("wrong secret");
    }
    let understood = (hello.version_min..=hello.version_max).contains(&PROTOCOL_VERSION);
    let answer = if understood {
        let reply = HelloReply {
            version: PROTOCOL_VERSION,
            core: app.config.core_name.clone(),
            frame_bytes_max: u32::try_from(CORE_FRAME_BYTES_MAX).unwrap_or(u32::MAX),
            in_flight_max: u32::try_from(IN_FLIGHT_MAX).unwrap_or(u32::MAX),
        };
        Frame::new(Hello::OP | REPLY_BIT, frame.request_id, codec::encode(&reply))
    } else {
        let text = format!("this core speaks version {PROTOCOL_VERSION}");
        error_frame(frame.request_id, &ErrorBody::new(ErrorCode::UnsupportedVersion, text))
    };
    let mut out = BytesMut::new();
    answer.put(&mut out);
    stream.write_all(&out).await.map_err(|_| "closed during the handshake")?;
    let printable = hello.name.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
    if understood { Ok(printable) } else { Err("no common version") }
}

/// What the parts of one connection share after the handshake.
struct Session {
    app: Arc<App>,
    replies: Arc<Replies>,
    /// One permit a command, given back after its answer was put.
    in_flight: Arc<Semaphore>,
    shutdown: Shutdown,
}

async fn serve(stream: TcpStream, mut input: BytesMut, app: Arc<App>, shutdown: Shutdown) {
    tracing::debug!("connected");
    let (mut reader, writer) = stream.into_split();
    let (replies, in_flight) = (Arc::new(Replies::default()), Arc::new(Semaphore::new(IN_FLIGHT_MAX)));
    let session = Session { app, replies: Arc::clone(&replies), in_flight, shutdown };
    let mut writing = pin!(replies.write_to(writer));
    let end = tokio::select! {
        end = session.read(&mut reader, &mut input) => end,
        () = &mut writing => return,
    };
    let broken = matches!(end, End::Broken(..));
    if let End::Broken(request_id, error) = end {
        tracing::warn!(%error, "connection can't go on");
        replies.put(&error_frame(request_id, &error));
    }
    // All permits: every command that began has put its answer.
    let all = u32::try_from(IN_FLIGHT_MAX).unwrap_or(u32::MAX);
    tokio::select! {
        _ = session.in_flight.acquire_many(all) => {}
        () = &mut writing => return,
    }
    replies.finish();
    writing.await;
    if broken {
        // Closing with unread bytes would reset the connection, and the peer might never see why.
        let mut rest = [0; 4_096];
        let discard = async { while matches!(reader.read(&mut rest).await, Ok(1..)) {} };
        let _ = timeout(LINGER, discard).await;
    }
    tracing::debug!("disconnected");
}

impl Session {
    /// Takes up commands until the stream ends, breaks, or the drain starts.
    async fn read(&self, reader: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) -> End {
        loop {
            self.replies.room().await;
            let next = tokio::select! {
                next = timeout(IDLE_DEADLINE, next_frame(reader, input)) => next,
                () = self.shutdown.started() => return End::Quiet,
            };
            match next {
                Ok(Ok(Some(frame))) => self.take_up(frame),
                Ok(Ok(None)) => return End::Quiet,
                Ok(Err(error)) => return broken(input, &error),
                Err(_) => {
                    tracing::info!("closed: no command for {IDLE_DEADLINE:?}");
                    return End::Quiet;
                }
            }
        }
    }

    /// Starts a command, or answers at once why not. Commands run in tasks of their own, known to the drain: one that
    /// has begun is finished even when its client is gone.
    fn take_up(&self, frame: Frame) {
        let received = Instant::now();
        let error = if frame.version == PROTOCOL_VERSION {
            if let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() {
                let (app, replies) = (Arc::clone(&self.app), Arc::clone(&self.replies));
                self.shutdown.spawn(execute(frame, received, app, replies, permit));
                return;
            }
            let text = format!("more than {IN_FLIGHT_MAX} commands in flight on this connection");
            ErrorBody::new(ErrorCode::Overloaded, text).retry_after_ms(OVERLOADED_RETRY_MS)
        } else {
            let text = format!("version {} is not understood; this core speaks {PROTOCOL_VERSION}", frame.version);
            ErrorBody::new(ErrorCode::UnsupportedVersion, text)
        };
        self.replies.put(&error_frame(frame.request_id, &error));
    }
}

/// The next whole frame; `None` at the end of the stream. Loses nothing when dropped: all bytes are in `input`.
async fn next_frame(reader: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    loop {
        if let Some(frame) = Frame::take(input)? {
            return Ok(Some(frame));
        }
        input.reserve(READ_BYTES);
        if !matches!(reader.read_buf(input).await, Ok(1..)) {
            return Ok(None);
        }
    }
}

/// The answer to an impossible length, under the request id that follows it where it has arrived.
fn broken(input: &BytesMut, error: &FrameError) -> End {
    let code = match error {
        FrameError::TooLarge(_) => ErrorCode::TooLarge,
        FrameError::TooShort(_) => ErrorCode::BadRequest,
    };
    let id = input.get(8..16).filter(|_| input.len() >= HEADER_BYTES).and_then(|b| b.try_into().ok());
    End::Broken(id.map_or(0, u64::from_be_bytes), ErrorBody::new(code, error.to_string()))
}

async fn execute(frame: Frame, received: Instant, app: Arc<App>, replies: Arc<Replies>, permit: OwnedSemaphorePermit) {
    metrics::gauge!(names::COMMANDS_IN_FLIGHT).increment(1.0);
    let answer = dispatch::answer(&app, &frame, received).await;
    metrics::gauge!(names::COMMANDS_IN_FLIGHT).decrement(1.0);
    let frame = match answer {
        Ok(body) => Frame::new(frame.kind | REPLY_BIT, frame.request_id, body),
        Err(error) => error_frame(frame.request_id, &error),
    };
    replies.put(&frame);
    drop(permit);
}

fn error_frame(request_id: u64, error: &ErrorBody) -> Frame {
    Frame::new(KIND_ERROR, request_id, codec::encode(error))
}
