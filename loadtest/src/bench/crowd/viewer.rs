//! One viewer's socket: the upgrade, WebSocket frames as far as a viewer needs them, and its maps.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mio::net::TcpStream;
use seatwire_protocol::codec;
use seatwire_protocol::ws::{ClientMessage, SUBPROTOCOL_MSGPACK, ServerMessage};
use seatwire_protocol::{Position, ShowId};
use socket2::{Domain, Socket, Type};

use super::map::Map;
use super::stats::{Close, Stats};

const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// Viewers come from so many addresses of the loopback network, each with ports of its own.
const ADDRESSES: usize = 8;
/// Loopback connects at once, unless a stopped process has its queue full.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
const ERRORS_MAX: usize = 10;

/// Whom a viewer joins, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) gateway: SocketAddr,
    pub(crate) token: String,
    /// Shows, and where the map at hand is.
    pub(crate) shows: Vec<(ShowId, Option<Position>)>,
    /// Bytes of the kernel's receive buffer; `None`: the system's.
    pub(crate) receive_buffer: Option<usize>,
    /// When it meant to come; `None`: now. Its waiting time counts from then.
    pub(crate) meant: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for the gateway's 101.
    Upgrading,
    Open,
    Over,
}

#[derive(Debug)]
pub(crate) struct Viewer {
    /// `None` while it is away.
    pub(super) stream: Option<TcpStream>,
    phase: Phase,
    /// The beginning of a frame whose end has not come.
    rest: Vec<u8>,
    pub(crate) maps: Vec<Map>,
    pub(super) reading: bool,
    began: Instant,
    live: bool,
    close: Option<(u16, Duration)>,
}

/// A TCP connection from one of the loopback addresses, which loopback makes at once.
pub(crate) fn connect(to: SocketAddr, number: usize, receive_buffer: Option<usize>) -> anyhow::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    let last = u8::try_from(number % ADDRESSES)? + 1;
    #[cfg(target_os = "linux")]
    socket.bind(&SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0).into())?;
    let connected = socket.connect_timeout(&to.into(), CONNECT_WITHIN);
    connected.with_context(|| format!("viewer {number} of address {last}"))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

impl Viewer {
    /// Somebody who has not come yet.
    pub(super) fn away(maps: Vec<Map>) -> Self {
        let (phase, rest) = (Phase::Over, Vec::new());
        Self { stream: None, phase, rest, maps, reading: true, began: Instant::now(), live: false, close: None }
    }

    /// Connects and asks for the upgrade; the rest happens as answers come.
    pub(super) fn enter(&mut self, join: &Join, number: usize) -> anyhow::Result<()> {
        self.began = join.meant.unwrap_or_else(Instant::now);
        (self.live, self.reading, self.close) = (false, true, None);
        self.rest.clear();
        let mut stream = connect(join.gateway, number, join.receive_buffer)?;
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: {SUBPROTOCOL_MSGPACK}\r\n\
             Authorization: Bearer {}\r\n\r\n",
            join.gateway, join.token
        );
        write_whole(&mut stream, request.as_bytes())?;
        self.stream = Some(stream);
        self.phase = Phase::Upgrading;
        Ok(())
    }

    /// A viewer that needs no upgrade.
    pub(super) fn open(stream: TcpStream, maps: Vec<Map>, began: Instant) -> Self {
        let live = maps.iter().all(|map| map.position.is_some());
        Self { stream: Some(stream), phase: Phase::Open, live, began, ..Self::away(maps) }
    }

    /// Whether every map has been taken up.
    pub(crate) fn is_live(&self) -> bool {
        self.live && self.phase == Phase::Open
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.reading
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Takes what has arrived. A short read says that it was all.
    pub(super) fn read(
        &mut self,
        number: usize,
        buffer: &mut [u8],
        to_its_end: bool,
        stats: &mut Stats,
    ) -> anyhow::Result<()> {
        while self.phase != Phase::Over {
            let Some(stream) = &mut self.stream else { return Ok(()) };
            match stream.read(buffer) {
                Ok(0) => self.on_end(number, stats),
                Ok(count) => {
                    match self.take(number, buffer.get(..count).unwrap_or_default(), stats) {
                        // The gateway is gone while it was answered.
                        Err(error) if error.is::<io::Error>() => self.on_end(number, stats),
                        taken => taken?,
                    }
                    if count < buffer.len() && !to_its_end {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.on_end(number, stats),
            }
        }
        Ok(())
    }

    /// Goes away without a word, as a network does.
    pub(super) fn drop_connection(&mut self) {
        self.phase = Phase::Over;
        self.stream = None;
    }

    /// Whether it has, or may get, a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    pub(super) fn say(&mut self, message: &ClientMessage) -> io::Result<()> {
        self.write(BINARY, &codec::encode(message))
    }

    fn write(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        write_whole(stream, &masked(opcode, payload))
    }

    fn on_end(&mut self, viewer: usize, stats: &mut Stats) {
        self.drop_connection();
        let (code, return_after) = self.close.map_or((None, Duration::ZERO), |(code, after)| (Some(code), after));
        stats.closes.push(Close { viewer, at: Instant::now(), code, return_after });
    }

    fn take(&mut self, number: usize, bytes: &[u8], stats: &mut Stats) -> anyhow::Result<()> {
        if self.rest.is_empty() {
            let used = self.parse(number, bytes, stats)?;
            self.rest.extend_from_slice(bytes.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let used = self.parse(number, &all, stats)?;
        if used < all.len() {
            all.drain(..used);
            self.rest = all;
        }
        Ok(())
    }

    /// Answers how many bytes were whole.
    fn parse(&mut self, number: usize, bytes: &[u8], stats: &mut Stats) -> anyhow::Result<usize> {
        let mut used = 0;
        if self.phase == Phase::Upgrading {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(0) };
            if !bytes.starts_with(b"HTTP/1.1 101 ") {
                stats.refused += 1;
                self.on_end(number, stats);
                return Ok(bytes.len());
            }
            used = end + 4;
            self.phase = Phase::Open;
            let watch = |map: &Map| ClientMessage::Watch { show: map.show, pos: map.position };
            let watches: Vec<ClientMessage> = self.maps.iter().map(watch).collect();
            watches.iter().try_for_each(|watch| self.say(watch))?;
        }
        while let Some((opcode, payload, length)) = frame(bytes.get(used..).unwrap_or_default()) {
            used += length;
            self.on_frame(number, opcode, payload, length as u64, stats)?;
        }
        Ok(used)
    }

    fn on_frame(
        &mut self,
        number: usize,
        opcode: u8,
        payload: &[u8],
        length: u64,
        stats: &mut Stats,
    ) -> anyhow::Result<()> {
        match (opcode, payload.first()) {
            (BINARY, Some(first)) if *first < 0x80 => {
                let show = Map::show_of(payload);
                let map = self.maps.iter_mut().find(|map| show == Some(map.show.get()));
                let map = map.with_context(|| format!("viewer {number} does not watch show {show:?}"))?;
                let (now, deltas, known) = (Instant::now(), stats.deltas, stats.violations.len());
                map.on_frame(payload, now, stats)?;
                for violation in stats.violations.iter_mut().skip(known) {
                    *violation = format!("viewer {number}, {violation}");
                }
                stats.delta_bytes += if stats.deltas > deltas { length } else { 0 };
                if !self.live && self.maps.iter().all(|map| map.taken_up.is_some()) {
                    self.live = true;
                    let took = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    let _ = stats.joins.record(took);
                }
            }
            (BINARY, _) => match codec::decode(payload)? {
                ServerMessage::Stale { stale: true, .. } => stats.stale += 1,
                ServerMessage::Stale { stale: false, .. } => stats.current += 1,
                ServerMessage::Error { error, .. } => {
                    if stats.errors.len() < ERRORS_MAX {
                        stats.errors.push(format!("viewer {number} was told: {error}"));
                    }
                    self.on_end(number, stats);
                }
                _ => {}
            },
            (PING, _) => self.write(PONG, payload)?,
            (CLOSE, _) => {
                let (code, reason) = payload.split_at_checked(2).unwrap_or_default();
                let code = code.try_into().map_or(0, u16::from_be_bytes);
                let after = std::str::from_utf8(reason).ok().and_then(|reason| reason.parse().ok()).unwrap_or(0);
                self.close = Some((code, Duration::from_millis(after)));
                // The gateway may be gone already.
                let _ = self.write(CLOSE, payload);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A whole WebSocket frame of a server at the start: opcode, payload, length with its header.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    let [first, short] = *head;
    let (payload, header) = match short & 0x7F {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (rest.get(..usize::from(u16::from_be_bytes(*length)))?, 4)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (rest.get(..usize::try_from(u64::from_be_bytes(*length)).ok()?)?, 10)
        }
        length => (rest.get(..usize::from(length))?, 2),
    };
    Some((first & 0x0F, payload, payload.len() + header))
}

/// A client's frame: masked with zeros, which is as good a mask as any for a benchmark. Payloads are short.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => out.push(0x80 | length),
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// What a viewer says is short: it fits the socket's empty buffer, or something is wrong.
fn write_whole(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let written = stream.write(bytes)?;
    if written < bytes.len() {
        let text = format!("a socket took {written} of {} bytes", bytes.len());
        return Err(io::Error::new(io::ErrorKind::WriteZero, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_whole_or_not_at_all() {
        for length in [0_usize, 125, 126, 300, 65_536] {
            let mut bytes = vec![0x82];
            match length {
                0..126 => bytes.push(u8::try_from(length).unwrap()),
                126..65_536 => {
                    bytes.push(126);
                    bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend_from_slice(&(length as u64).to_be_bytes());
                }
            }
            bytes.resize(bytes.len() + length, 7);
            assert!(frame(&bytes[..bytes.len() - 1]).is_none(), "{length}");
            bytes.push(0x82);
            let (opcode, payload, used) = frame(&bytes).unwrap();
            assert_eq!((opcode, payload.len(), used), (BINARY, length, bytes.len() - 1));
        }
    }
}
