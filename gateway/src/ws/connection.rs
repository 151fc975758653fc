//! One WebSocket as everybody but its own session sees it: rounds, beats, replies and pushes write through it, from any
//! task, without waiting. The session reads, and goes on writing when the socket was full.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use metrics::counter;
use seatwire_protocol::close_code::CloseCode;
use seatwire_protocol::ws::{Push, ServerMessage};
use seatwire_protocol::{CustomerId, ErrorBody, Position, ShowId};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::frame::{self, Encoding, OPCODE_CLOSE};
use super::outbound::{Flow, Lane, Outbound, RoundFrame, Sink};
use crate::tokens::Identity;
use crate::{clock, metrics as names};

/// One WebSocket.
pub struct Connection {
    stream: TcpStream,
    pub encoding: Encoding,
    pub address: IpAddr,
    pub opened_at_ms: u64,
    outbound: Mutex<Outbound>,
    /// Who it is; `None` until a token was accepted. Written by the session.
    identity: Mutex<Option<Identity>>,
    /// Wakes the session: there is something to write, a command ended, or the connection is to close.
    waker: AtomicWaker,
    /// Commands that wait for the core.
    pub in_flight: AtomicUsize,
    /// When the client last sent anything.
    heard_at_ms: AtomicU64,
    /// Whether it gets its customer's pushes.
    pub interested: AtomicBool,
}

/// The socket as the write side sees it.
struct Socket<'a>(&'a TcpStream);

impl Sink for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
}

impl Connection {
    pub fn new(stream: TcpStream, encoding: Encoding, address: IpAddr, identity: Option<Identity>) -> Self {
        let now = clock::now_ms();
        Self {
            stream,
            encoding,
            address,
            opened_at_ms: now,
            outbound: Mutex::new(Outbound::new(encoding, now)),
            identity: Mutex::new(identity),
            waker: AtomicWaker::new(),
            in_flight: AtomicUsize::new(0),
            heard_at_ms: AtomicU64::new(now),
            interested: AtomicBool::new(false),
        }
    }

    /// The write side; held for calculations and non-blocking writes only.
    pub fn outbound(&self) -> MutexGuard<'_, Outbound> {
        self.outbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn identity(&self) -> Option<Identity> {
        self.lock_identity().clone()
    }

    pub fn set_identity(&self, identity: Identity) {
        *self.lock_identity() = Some(identity);
    }

    /// Who the client is, while its token is good.
    pub fn customer(&self) -> Option<CustomerId> {
        let identity = self.lock_identity();
        identity.as_ref().filter(|identity| identity.expires_at_ms > clock::unix_ms()).map(|i| i.customer.clone())
    }

    pub fn heard_at_ms(&self) -> u64 {
        self.heard_at_ms.load(Ordering::Relaxed)
    }

    /// Sends an answer.
    pub fn reply(&self, message: &ServerMessage) {
        self.send(Lane::Reply, frame::message(self.encoding, message));
    }

    /// Sends a refusal, to the command `id` where there is one.
    pub fn refuse(&self, id: Option<u64>, error: ErrorBody) {
        self.reply(&ServerMessage::Error { id, error });
    }

    /// Sends something that the owner did not ask for.
    pub fn push(&self, push: Push) {
        counter!(names::PUSHES).increment(1);
        self.send(Lane::Push, frame::message(self.encoding, &ServerMessage::Push { push }));
    }

    /// Queues a message and writes what the socket takes.
    pub fn send(&self, lane: Lane, bytes: Bytes) {
        self.write(|outbound, socket, now_ms| {
            let (flow, kept) = outbound.send(lane, bytes, socket, now_ms);
            if !kept {
                counter!(names::PUSHES_REPLACED).increment(1);
            }
            flow
        });
    }

    /// Writes whatever is due.
    pub fn pump(&self) -> Flow {
        self.write(|outbound, socket, now_ms| outbound.pump(socket, now_ms))
    }

    /// A round's visit. `false` when it was passed over, because its socket is full.
    pub fn visit(&self, show: ShowId, round: RoundFrame<'_>) -> bool {
        let mut visited = true;
        self.write(|outbound, socket, now_ms| {
            let flow = outbound.visit(show, round, socket, now_ms);
            visited = flow.is_some();
            flow.unwrap_or(Flow::Blocked)
        });
        visited
    }

    /// Writes a beat for each watched show, and a ping when asked; nothing while the socket is full.
    pub fn beat(&self, ping: bool) {
        self.write(|outbound, socket, now_ms| {
            if outbound.is_blocked() {
                return Flow::Blocked;
            }
            let at = |(room, cursor): (&crate::room::Room, Option<Position>)| room.beat(cursor?);
            let beats = outbound.watches().iter().filter_map(|watch| at((&watch.room, watch.cursor)));
            let mut frames: Vec<Bytes> = beats.map(|beat| frame::seat_frame(self.encoding, &beat)).collect();
            if frames.is_empty() {
                let alive = ServerMessage::Alive { server_time_ms: clock::unix_ms() };
                frames.push(frame::message(self.encoding, &alive));
            }
            if ping {
                frames.push(frame::ping());
            }
            counter!(names::BEATS).increment(1);
            let mut flow = Flow::Idle;
            for bytes in frames {
                flow = outbound.send(Lane::Control, bytes, socket, now_ms).0;
            }
            flow
        });
    }

    /// Says goodbye and ends the connection.
    pub fn close(&self, code: CloseCode, reason: &str) {
        let bytes = frame::close(code, reason);
        let mut first = false;
        self.write(|outbound, socket, now_ms| {
            first = !outbound.is_ended();
            outbound.end(bytes, socket, now_ms)
        });
        if first {
            counter!(names::CLOSES, "code" => code.code().to_string()).increment(1);
        }
        self.waker.wake();
    }

    /// Ends the connection at once: its socket takes nothing, not even a close frame.
    pub fn kill(&self, code: CloseCode) {
        counter!(names::CLOSES, "code" => code.code().to_string()).increment(1);
        self.outbound().kill();
        self.waker.wake();
    }

    /// A command ended: the session may read again.
    pub fn command_done(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Closes the socket for both sides, whoever still holds this.
    pub fn shut(&self) {
        self.outbound().kill();
        // It may be closed already.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Both);
    }

    /// Whether its end has begun; true before its session cleans up.
    pub fn is_over(&self) -> bool {
        let outbound = self.outbound();
        outbound.is_ended() || outbound.flow() == Flow::Dead
    }

    /// For the session: registers to be woken, and writes on where the socket was full.
    pub fn poll_write(&self, cx: &mut Context<'_>) -> Flow {
        self.waker.register(cx.waker());
        let mut flow = self.outbound().flow();
        while flow == Flow::Blocked {
            match self.stream.poll_write_ready(cx) {
                Poll::Pending => return Flow::Blocked,
                Poll::Ready(Err(_)) => return Flow::Dead,
                Poll::Ready(Ok(())) => flow = self.pump(),
            }
        }
        flow
    }

    /// Ends our half of the stream: everything is written, close frame included.
    pub fn shut_write(&self) {
        // It may be closed already.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }

    /// Reads and forgets, while the other side says its goodbye. The number of bytes; 0 at its end.
    pub fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.try_read(&mut [0; 512]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            match self.stream.poll_read_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    /// For the session: whether there is something to read.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }

    fn write(&self, act: impl FnOnce(&mut Outbound, &mut Socket<'_>, u64) -> Flow) -> Flow {
        let mut outbound = self.outbound();
        let before = outbound.is_blocked();
        let flow = act(&mut outbound, &mut Socket(&self.stream), clock::now_ms());
        drop(outbound);
        if flow == Flow::Dead || (flow == Flow::Blocked && !before) {
            self.waker.wake();
        }
        flow
    }

    fn lock_identity(&self) -> MutexGuard<'_, Option<Identity>> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the WebSocket reader reads from, and "writes" its pongs and its close frame to: they go into the list like
/// everything else, so that they never split a frame of ours.
pub struct Wire<'a> {
    pub connection: &'a Connection,
    /// Bytes read since the last whole message.
    pub unfinished: &'a mut usize,
    /// More of them end the connection.
    pub unfinished_max: usize,
}

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.connection.stream.try_read(buf)?;
        self.connection.heard_at_ms.store(clock::now_ms(), Ordering::Relaxed);
        *self.unfinished = self.unfinished.saturating_add(count);
        if *self.unfinished > self.unfinished_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many bytes without a whole message"));
        }
        Ok(count)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, frames: &[u8]) -> io::Result<usize> {
        let closes = frames.first().is_some_and(|first| first & 0x0F == OPCODE_CLOSE);
        let bytes = Bytes::copy_from_slice(frames);
        self.connection.write(|outbound, socket, now_ms| {
            if closes {
                outbound.end(bytes, socket, now_ms)
            } else {
                outbound.send(Lane::Control, bytes, socket, now_ms).0
            }
        });
        Ok(frames.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
