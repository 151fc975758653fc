//! The raw `send()` loop beside the gateway: one thread on the gateway's own core, with nothing but a list of sockets,
//! writes one pre-framed delta to each in turn. The same crowd reads, decodes and applies them, so that a round here is
//! what a round would cost and take if a gateway were free.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use seatwire_protocol::seat_frame::{Delta, SeatFrame};
use seatwire_protocol::{Position, SaleState, SeatIndex, SeatStatus, ShowId};

use super::crowd::{Crowd, Published};
use super::{cpu, pin};

/// Room for the times of so many rounds.
const ROUNDS_MAX: usize = 4_000_000;

/// The sockets, and the stream of deltas that they get.
pub(super) struct Sends {
    streams: Vec<TcpStream>,
    show: ShowId,
    seats: u32,
    sequence: u64,
    pub(super) published: Arc<Published>,
}

/// What a stretch of rounds cost.
pub(super) struct Cost {
    pub(super) frames: u64,
    /// Sockets that were full.
    pub(super) passed: u64,
    pub(super) used: cpu::Used,
    pub(super) seconds: f64,
}

impl Sends {
    /// As many bare viewers of the crowd as are wanted.
    pub(super) fn open(crowd: &mut Crowd, viewers: usize, show: ShowId, seats: u32) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let published = Arc::new(Published::with_room(ROUNDS_MAX));
        crowd.set_published(show, &published);
        let mut streams = Vec::with_capacity(viewers);
        for _ in 0..viewers {
            crowd.join_bare(address, show, seats)?;
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            streams.push(stream);
        }
        Ok(Self { streams, show, seats, sequence: 0, published })
    }

    /// A round each `every`, or without a pause when that is zero, with so many seats in each frame; the crowd reads
    /// meanwhile.
    pub(super) fn run(
        &mut self,
        crowd: &mut Crowd,
        every: Duration,
        entries: u32,
        length: Duration,
    ) -> anyhow::Result<Cost> {
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| self.rounds(every, entries, length));
            while !sender.is_finished() {
                crowd.step(Duration::from_millis(5))?;
            }
            let cost = sender.join().map_err(|_| anyhow!("the raw loop fell"))??;
            crowd.run_for(Duration::from_millis(50))?;
            Ok(cost)
        })
    }

    fn rounds(&mut self, every: Duration, entries: u32, length: Duration) -> anyhow::Result<Cost> {
        pin::this_thread(pin::MEASURED);
        let mut cost = Cost { frames: 0, passed: 0, used: cpu::Used::default(), seconds: 0.0 };
        let (began, before) = (Instant::now(), cpu::used_here());
        let mut due = began;
        while began.elapsed() < length {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let now = Instant::now();
            let frame = self.frame(entries);
            self.published.note(Position::new(1, self.sequence), now);
            for stream in &mut self.streams {
                match stream.write(&frame) {
                    Ok(written) => {
                        write_rest(stream, frame.get(written..).unwrap_or_default())?;
                        cost.frames += 1;
                    }
                    // A full socket is passed over, as a slow viewer is.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => cost.passed += 1,
                    Err(error) => return Err(error).context("send to loopback"),
                }
            }
            due = (due + every).max(now);
        }
        cost.used = cpu::used_here().since(before);
        cost.seconds = began.elapsed().as_secs_f64();
        Ok(cost)
    }

    /// The next delta, framed as a server frames it.
    fn frame(&mut self, entries: u32) -> Vec<u8> {
        let step = (self.seats / entries.max(1)).max(1);
        let offset = rand::random_range(0..step);
        let seats = (0..entries.min(self.seats)).map(|at| at * step + offset).filter(|seat| *seat < self.seats);
        let seats = seats.map(|seat| (SeatIndex(seat), SeatStatus::Held)).collect();
        self.sequence += 1;
        // From 0: it fits every position, also of a viewer that was passed over.
        let (show, sale, to) = (self.show, SaleState::Open, self.sequence);
        let delta = Delta { show, generation: 1, from: 0, to, sale, viewers: 1_000, seats };
        let mut payload = Vec::new();
        SeatFrame::Delta(delta).put_packed(&mut payload);
        let mut frame = vec![0x82];
        match u8::try_from(payload.len()) {
            Ok(length @ 0..126) => frame.push(length),
            _ => {
                frame.push(126);
                frame.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
        frame.extend_from_slice(&payload);
        frame
    }
}

/// Rarely a socket takes a part; the reader makes room at once.
fn write_rest(stream: &mut TcpStream, mut rest: &[u8]) -> anyhow::Result<()> {
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error).context("send to loopback"),
        }
    }
    Ok(())
}
