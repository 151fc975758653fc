//! The rounds of a room. The first change of a quiet room is sent at once; while it is busy, changes gather until the tick
//! is over. A round visits the viewers slice by slice, and each slice gets everything up to its own turn: encoded once an
//! encoding, the same bytes for every viewer of the slice, and for the next slices while nothing new comes. Between two
//! slices everything else gets its turn, for as long as the rounds' share of the cores ([`Pace`]) asks for.
//!
//! [`Pace`]: crate::pace::Pace

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::{counter, histogram};
use seatwire_protocol::Position;
use seatwire_protocol::seat_frame::{Delta, SeatFrame};

use crate::app::App;
use crate::pace::thread_cpu;
use crate::room::slices::Turn;
use crate::room::{Room, Round};
use crate::ws::connection::Connection;
use crate::ws::frame::{self, Encoding, PerEncoding};
use crate::ws::outbound::RoundFrame;
use crate::{clock, metrics as names};

/// Viewers written to before other tasks get their turn: about a quarter of a millisecond.
const SLICE: usize = 64;
/// A round of so many viewers, a few milliseconds, is worth another task.
const VIEWERS_PER_HAND: usize = 512;
/// A shorter wait is put off: each one costs a sleep, after which caches and viewers are cold.
const SHORTEST_WAIT: Duration = Duration::from_millis(4);

/// Something of the room must be told: starts its rounds unless they run.
pub fn mark_dirty(app: &Arc<App>, room: &Arc<Room>) {
    if room.round.mark_dirty() {
        let (for_task, room) = (Arc::clone(app), Arc::clone(room));
        app.spawn(async move { run_rounds(&for_task, &room).await });
    }
}

async fn run_rounds(app: &Arc<App>, room: &Arc<Room>) {
    let tick_ms = u64::try_from(app.config.tick.as_millis()).unwrap_or(u64::MAX);
    loop {
        let wait_ms = room.round.next_at_ms().saturating_sub(clock::now_ms());
        if wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        let started = Instant::now();
        room.round.set_next_at_ms(clock::now_ms().saturating_add(tick_ms));
        let dirty_since_ms = room.round.take_dirty();
        round_once(app, room).await;
        counter!(names::ROUNDS).increment(1);
        histogram!(names::ROUND_SECONDS).record(started.elapsed().as_secs_f64());
        let lag = Duration::from_millis(clock::now_ms().saturating_sub(dirty_since_ms));
        histogram!(names::FANOUT_LAG_SECONDS).record(lag.as_secs_f64());
        if !room.round.goes_on() {
            return;
        }
    }
}

/// Writes what is new to every viewer; a hot room's round is written by all cores of the process.
async fn round_once(app: &Arc<App>, room: &Arc<Room>) {
    counter!(names::BATCHES_CONFLATED).increment(room.begin_round().saturating_sub(1));
    let (app, room) = (Arc::clone(app), Arc::clone(room));
    let cores = tokio::runtime::Handle::current().metrics().num_workers();
    let hands = (room.viewers.count() / VIEWERS_PER_HAND).clamp(1, cores.max(1));
    let work = Arc::new(Work { app, room, next: AtomicUsize::new(0), last: Mutex::default() });
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

/// A round's work; whoever has a hand free takes the next slice.
struct Work {
    app: Arc<App>,
    room: Arc<Room>,
    /// The first slice that nobody has taken.
    next: AtomicUsize,
    /// What the last slice got: the next gets the same, unless its turn is another.
    last: Mutex<Option<(Turn, Arc<Shared>)>>,
}

impl Work {
    async fn write(self: Arc<Self>) {
        let mut viewers = Vec::with_capacity(SLICE);
        loop {
            let slice = self.next.fetch_add(1, Ordering::Relaxed);
            let from = slice.saturating_mul(SLICE);
            if from >= self.room.viewers.places() {
                return;
            }
            let Some(turn) = self.room.turn(slice) else { continue };
            let before = thread_cpu();
            self.room.viewers.copy(from, SLICE, &mut viewers);
            self.visit(&turn, &mut viewers);
            let wait = self.app.pace.pay(thread_cpu().saturating_sub(before));
            // Reading sockets, the feed and other rooms' rounds must go on during a long round.
            if wait < SHORTEST_WAIT {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(wait).await;
            }
        }
    }

    fn visit(&self, turn: &Turn, viewers: &mut Vec<Arc<Connection>>) {
        let shared = self.shared(turn);
        let (mut written, mut passed) = (0_u64, 0_u64);
        for viewer in viewers.drain(..) {
            if viewer.visit(self.room.show, shared.frame(viewer.encoding)) {
                written = written.saturating_add(1);
            } else {
                passed = passed.saturating_add(1);
            }
        }
        counter!(names::FRAMES).increment(written);
        counter!(names::SLOW).increment(passed);
    }

    fn shared(&self, turn: &Turn) -> Arc<Shared> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, shared)) = last.as_ref().filter(|(of, _)| of == turn) {
            return Arc::clone(shared);
        }
        let shared = Arc::new(Shared::new(self.room.round(turn)));
        *last = Some((*turn, Arc::clone(&shared)));
        shared
    }
}

/// A turn's frames: what everybody whose cursor fits gets.
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
        let from = Position::new(delta.generation, delta.from);
        Self { from, to, frame: SeatFrame::Delta(delta), bytes: PerEncoding::default() }
    }
}
