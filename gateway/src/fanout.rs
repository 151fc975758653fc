//! The self-clocked round of a room. The first change of a quiet room is sent at once; while it is busy, changes gather
//! until the tick is over, or until the last round's time again, whichever is longer: a room never takes more than half
//! of the cores. What changed is encoded once an encoding, and the same bytes are written to every viewer.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Share of the cores that one room's rounds may take is 1 / this.
const COST_FACTOR: u32 = 2;
/// Viewers written to before other tasks get their turn: about a quarter of a millisecond.
const SLICE: usize = 64;
/// A round of so many viewers, a few milliseconds, is worth another task.
const VIEWERS_PER_HAND: usize = 512;

/// Something of the room must be told: starts its rounds unless they run.
pub fn mark_dirty(app: &Arc<App>, room: &Arc<Room>) {
    if room.round.mark_dirty() {
        let (for_task, room) = (Arc::clone(app), Arc::clone(room));
        app.spawn(async move { run_rounds(&for_task, &room).await });
    }
}

async fn run_rounds(app: &App, room: &Arc<Room>) {
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

/// Writes what is new to every viewer; a hot room's round is written by all cores of the process.
async fn round_once(room: &Arc<Room>) {
    let work =
        Arc::new(Work { room: Arc::clone(room), shared: Shared::new(room.begin_round()), next: AtomicUsize::new(0) });
    let cores = tokio::runtime::Handle::current().metrics().num_workers();
    let hands = (room.viewers.count() / VIEWERS_PER_HAND).clamp(1, cores.max(1));
    let others: Vec<_> = (1..hands).map(|_| tokio::spawn(Arc::clone(&work).write())).collect();
    if hands > 1 {
        counter!(names::ROUNDS_SHARED).increment(1);
    }
    work.write().await;
    for other in others {
        // It ends early only with the process.
        let _ = other.await;
    }
}

/// A round's work; whoever has a hand free takes the next viewers.
struct Work {
    room: Arc<Room>,
    shared: Shared,
    /// The first place in the room's list that nobody has taken.
    next: AtomicUsize,
}

impl Work {
    async fn write(self: Arc<Self>) {
        let mut viewers = Vec::with_capacity(SLICE);
        let (mut written, mut passed) = (0_u64, 0_u64);
        loop {
            let from = self.next.fetch_add(SLICE, Ordering::Relaxed);
            let more = self.room.viewers.copy(from, SLICE, &mut viewers);
            for viewer in viewers.drain(..) {
                if viewer.visit(self.room.show, self.shared.frame(viewer.encoding)) {
                    written = written.saturating_add(1);
                } else {
                    passed = passed.saturating_add(1);
                }
            }
            if !more {
                break;
            }
            // Reading sockets, the feed and other rooms' rounds must go on during a long round.
            tokio::task::yield_now().await;
        }
        counter!(names::FRAMES).increment(written);
        counter!(names::SLOW).increment(passed);
    }
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
