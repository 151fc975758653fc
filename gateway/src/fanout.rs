//! The self-clocked round of a room. The first change of a quiet room is sent at once; while it is busy, changes gather
//! until the tick is over, or until the last round's time again, whichever is longer: a room never takes more than half
//! a core. What changed is encoded once an encoding, and the same bytes are written to every viewer.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::{counter, histogram};
use seatwire_protocol::Position;
use seatwire_protocol::seat_frame::{Delta, SeatFrame};

use crate::app::App;
use crate::room::{Room, Round};
use crate::ws::frame::{self, Encoding, PerEncoding};
use crate::ws::outbound::RoundFrame;
use crate::{clock, metrics as names};

/// Share of a core that one room's rounds may take is 1 / this.
const COST_FACTOR: u32 = 2;

/// Something of the room must be told: starts its rounds unless they run.
pub fn mark_dirty(app: &Arc<App>, room: &Arc<Room>) {
    if room.round.mark_dirty() {
        let (for_task, room) = (Arc::clone(app), Arc::clone(room));
        app.spawn(async move { run_rounds(&for_task, &room).await });
    }
}

async fn run_rounds(app: &App, room: &Room) {
    loop {
        let wait_ms = room.round.next_at_ms().saturating_sub(clock::now_ms());
        if wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        let started = Instant::now();
        let started_ms = clock::now_ms();
        room.round.take_dirty();
        round_once(room).await;
        let cost = started.elapsed();
        counter!(names::ROUNDS).increment(1);
        histogram!(names::ROUND_SECONDS).record(cost.as_secs_f64());
        let pause = app.config.tick.max(cost.saturating_mul(COST_FACTOR));
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        room.round.set_next_at_ms(started_ms.saturating_add(pause_ms));
        if !room.round.goes_on() {
            return;
        }
    }
}

/// Writes what is new to every viewer.
pub async fn round_once(room: &Room) {
    let shared = Shared::new(room.begin_round());
    let mut viewers = Vec::new();
    let mut next = Some(0);
    let (mut written, mut passed) = (0_u64, 0_u64);
    while let Some(from) = next {
        next = room.viewers.step(from, &mut viewers);
        for viewer in viewers.drain(..) {
            if viewer.visit(room.show, shared.frame(viewer.encoding)) {
                written = written.saturating_add(1);
            } else {
                passed = passed.saturating_add(1);
            }
        }
        // Reading sockets and the feed must go on during a long round.
        tokio::task::yield_now().await;
    }
    counter!(names::FRAMES).increment(written);
    counter!(names::SLOW).increment(passed);
}

/// One round's frames: what everybody whose cursor fits gets.
pub struct Shared {
    delta: Option<Encoded>,
    doubtful: bool,
}

struct Encoded {
    from: Position,
    to: Position,
    frame: SeatFrame,
    bytes: PerEncoding<OnceLock<Bytes>>,
}

impl Shared {
    pub fn new(round: Round) -> Self {
        let delta = round.delta.zip(round.position).map(|(delta, to)| Encoded::new(delta, to));
        Self { delta, doubtful: round.doubtful }
    }

    /// The frame in an encoding, made at its first use.
    pub fn frame(&self, encoding: Encoding) -> RoundFrame<'_> {
        let delta = self.delta.as_ref().map(|delta| {
            let bytes = delta.bytes.get(encoding).get_or_init(|| frame::seat_frame(encoding, &delta.frame));
            (delta.from, delta.to, bytes)
        });
        RoundFrame { delta, doubtful: self.doubtful }
    }
}

impl Encoded {
    fn new(delta: Delta, to: Position) -> Self {
        let conflated = delta.to.saturating_sub(delta.from).saturating_sub(1);
        counter!(names::BATCHES_CONFLATED).increment(conflated);
        let from = Position::new(delta.generation, delta.from);
        Self { from, to, frame: SeatFrame::Delta(delta), bytes: PerEncoding::default() }
    }
}
