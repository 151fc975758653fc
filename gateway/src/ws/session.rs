//! The task of one WebSocket: reads messages, goes on writing where the socket was full, cleans up at the end. Small on
//! purpose: ten thousand of these wait at a time.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use seatwire_protocol::close_code::CloseCode;
use seatwire_protocol::limits::{CLIENT_MESSAGE_BYTES_MAX, COMMANDS_IN_FLIGHT_PER_VIEWER_MAX};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::connection::{Connection, Wire};
use super::echo;
use super::on_message::{Goodbye, Inbound};
use super::outbound::Flow;
use crate::admission::Admitted;
use crate::app::App;

/// Kept per connection for as long as it lives: enough for every usual message.
const READ_BUFFER_BYTES: usize = 512;
/// Bytes read without completing a message before the client is taken for hostile: endless empty fragments.
const BYTES_PER_MESSAGE_MAX: usize = 16 << 10;
/// Messages waiting in the list above which nothing more is read: who sends without reading waits.
const WAITING_MAX: usize = 16;
/// How long the other side may take for its goodbye.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes after our close frame that are read and forgotten.
const LINGER_BYTES_MAX: usize = 64 << 10;

enum Event {
    Message(Message),
    /// Somebody else closed the connection: the wheel, a drain, a logout.
    Closing,
    /// The socket is gone.
    Gone,
    Failed(Goodbye),
}

/// Runs a connection from the accepted handshake to its end. `early` is what the client sent right behind it.
pub async fn run(app: Arc<App>, connection: Arc<Connection>, early: Vec<u8>, mut admitted: Admitted) {
    let place = app.arrive(&connection);
    let mut reader = Reader::new(early, app.config.echo);
    let mut inbound = Inbound::new(&app, &connection, &mut admitted);
    let mut ended = inbound.begin().err();
    let goodbye = loop {
        if let Some(goodbye) = ended.take() {
            break Some(goodbye);
        }
        match poll_fn(|cx| reader.poll(cx, &connection)).await {
            Event::Message(message) => ended = inbound.on_message(message).err(),
            Event::Failed(goodbye) => break Some(goodbye),
            Event::Closing => break None,
            Event::Gone => {
                connection.outbound().kill();
                break None;
            }
        }
    };
    if let Some(Goodbye { code, reason }) = goodbye {
        connection.close(code, reason);
    }
    app.leave(&connection, place);
    // Its size must not stay in this task for the connection's whole life.
    Box::pin(linger(&connection)).await;
    connection.shut();
    drop(admitted);
}

/// Writes what is queued, close frame last, and waits a little for the other side: closing a socket with unread bytes
/// would reset it, and the close frame with it.
async fn linger(connection: &Connection) {
    let written = poll_fn(|cx| match connection.poll_write(cx) {
        Flow::Blocked => Poll::Pending,
        flow => Poll::Ready(flow == Flow::Idle),
    });
    if !tokio::time::timeout(LINGER, written).await.unwrap_or(false) {
        return;
    }
    connection.shut_write();
    let rest = async {
        let mut bytes = 0_usize;
        while bytes < LINGER_BYTES_MAX {
            match poll_fn(|cx| connection.poll_discard(cx)).await {
                Ok(0) | Err(_) => return,
                Ok(count) => bytes = bytes.saturating_add(count),
            }
        }
    };
    // Whoever does not say goodbye in time gets none.
    let _ = tokio::time::timeout(LINGER, rest).await;
}

struct Reader {
    socket: WebSocketContext,
    unfinished: usize,
    unfinished_max: usize,
}

impl Reader {
    fn new(early: Vec<u8>, echo: bool) -> Self {
        let (message, unfinished_max) = if echo {
            (echo::MESSAGE_BYTES_MAX, usize::MAX)
        } else {
            (CLIENT_MESSAGE_BYTES_MAX, BYTES_PER_MESSAGE_MAX)
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(4 * CLIENT_MESSAGE_BYTES_MAX)
            .max_message_size(Some(message))
            .max_frame_size(Some(message));
        let socket = WebSocketContext::from_partially_read(early, Role::Server, Some(config));
        Self { socket, unfinished: 0, unfinished_max }
    }

    fn poll(&mut self, cx: &mut Context<'_>, connection: &Connection) -> Poll<Event> {
        if connection.poll_write(cx) == Flow::Dead {
            return Poll::Ready(Event::Gone);
        }
        let (ended, waiting) = {
            let outbound = connection.outbound();
            (outbound.is_ended(), outbound.waiting())
        };
        if ended {
            return Poll::Ready(Event::Closing);
        }
        let busy = connection.in_flight.load(Ordering::Acquire) >= COMMANDS_IN_FLIGHT_PER_VIEWER_MAX;
        if busy || waiting >= WAITING_MAX {
            // Woken when a command ends, or when the socket has taken what waits.
            return Poll::Pending;
        }
        loop {
            let unfinished_max = self.unfinished_max;
            let mut wire = Wire { connection, unfinished: &mut self.unfinished, unfinished_max };
            match self.socket.read(&mut wire) {
                Ok(message) => {
                    self.unfinished = 0;
                    return Poll::Ready(Event::Message(message));
                }
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    match connection.poll_read_ready(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
                        Poll::Ready(Ok(())) => {}
                    }
                }
                Err(error) => return Poll::Ready(end_of(&error)),
            }
        }
    }
}

fn end_of(error: &Error) -> Event {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    let (code, reason) = match error {
        Error::Capacity(_) => (CloseCode::TooLarge, "message above the limit of 4096 bytes"),
        Error::Utf8(_) => (CloseCode::InvalidPayload, "text that is not UTF-8"),
        Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            (CloseCode::PolicyViolation, "too many fragments")
        }
        // The client said goodbye, and the answer is on its way.
        Error::ConnectionClosed => return Event::Closing,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::AlreadyClosed | Error::Io(_) => {
            return Event::Gone;
        }
        _ => (CloseCode::ProtocolError, "not a valid WebSocket frame"),
    };
    Event::Failed(Goodbye { code, reason })
}
