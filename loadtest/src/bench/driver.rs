//! Keeps a number of commands in flight over one connection, in one thread with plain blocking sockets: the client must
//! cost as little as it can, because it shares the machine with what it measures. Everything that is ready is written
//! with one call and everything that came is taken with one call, on the core's port and on Redis alike.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use seatwire_protocol::HoldId;

/// What a slot asks.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Seats for a customer under a key that was never used.
    Hold {
        customer: String,
        seats: [u32; 3],
    },
    Release {
        customer: String,
        hold: HoldId,
    },
}

/// What it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Held(HoldId),
    Released,
    Refused,
}

/// How operations look on one kind of connection.
pub(super) trait Wire {
    fn put(&mut self, out: &mut Vec<u8>, slot: usize, op: &Op);
    /// The next whole answer and the slot that asked; `None` when more bytes are needed.
    fn take(&mut self, input: &mut BytesMut) -> anyhow::Result<Option<(usize, Answer)>>;
}

/// Where operations come from.
pub(super) trait Source {
    /// What this slot does next; `None`: it is done.
    fn next(&mut self, slot: usize) -> Option<Op>;
    fn answered(&mut self, slot: usize, op: Op, answer: Answer);
}

/// A peer that answers nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 64 << 10;

/// Runs until every slot is done; answers how long each operation took.
pub(super) fn run(
    stream: &mut TcpStream,
    wire: &mut impl Wire,
    source: &mut impl Source,
    slots: usize,
) -> anyhow::Result<Vec<Duration>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut asked: Vec<Option<(Op, Instant)>> = vec![None; slots];
    let mut idle: VecDeque<usize> = (0..slots).collect();
    let (mut out, mut input) = (Vec::new(), BytesMut::with_capacity(READ_BYTES));
    let (mut in_flight, mut times) = (0_usize, Vec::new());
    loop {
        let now = Instant::now();
        while let Some(slot) = idle.pop_front() {
            let (Some(op), Some(place)) = (source.next(slot), asked.get_mut(slot)) else { continue };
            wire.put(&mut out, slot, &op);
            *place = Some((op, now));
            in_flight += 1;
        }
        if in_flight == 0 {
            return Ok(times);
        }
        if !out.is_empty() {
            stream.write_all(&out)?;
            out.clear();
        }
        read_some(stream, &mut input)?;
        let now = Instant::now();
        while let Some((slot, answer)) = wire.take(&mut input)? {
            let asked = asked.get_mut(slot).and_then(Option::take);
            let Some((op, since)) = asked else { bail!("an answer to nothing, for slot {slot}") };
            times.push(now.duration_since(since));
            source.answered(slot, op, answer);
            in_flight -= 1;
            idle.push_back(slot);
        }
    }
}

/// Appends what has arrived, waiting for something.
pub(super) fn read_some(stream: &mut TcpStream, input: &mut BytesMut) -> anyhow::Result<()> {
    let had = input.len();
    input.resize(had + READ_BYTES, 0);
    let place = input.get_mut(had..).unwrap_or_default();
    let read = stream.read(place).context("no answer")?;
    input.truncate(had + read);
    if read == 0 {
        bail!("closed by the peer");
    }
    Ok(())
}
