//! One watched show in this process: its map, its viewers, and the clock of its rounds. No I/O here: the feed tells it
//! what happened, the fan-out writes what it says.
//!
//! Lock order: a connection's outbound side, then a room's state. Never the other way round.

pub mod seat_map;
pub mod slices;
pub mod sync;
pub mod viewers;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use seatwire_protocol::seat_frame::{Delta, SeatFrame};
use seatwire_protocol::{CustomerId, Position, ShowId};
use tokio::sync::Notify;

use self::slices::{Slices, Told, Turn};
use self::sync::Sync;
use self::viewers::Viewers;
use crate::clock;
use crate::ws::connection::Connection;
use crate::ws::frame::Encoding;

/// Customers that wait for the next batched question about their own holds; more find out by asking themselves.
const OWN_ASKS_MAX: usize = 20_000;

/// One watched show.
pub struct Room {
    pub show: ShowId,
    state: Mutex<Sync>,
    pub viewers: Viewers<Connection>,
    pub round: RoundClock,
    slices: Slices,
    /// Who joined and has not been told of own holds yet; taken in batches.
    own_asks: Mutex<Vec<(CustomerId, Arc<Connection>)>>,
    /// When the core's position was last asked because of a viewer that claimed to be ahead; its answer.
    pub ahead: AheadClock,
    /// There is no such show.
    missing: AtomicBool,
    /// Told when the room became live, or missing.
    pub settled: Notify,
}

/// When the next round may start, and whether one is on its way.
#[derive(Default)]
pub struct RoundClock {
    running: AtomicBool,
    dirty: AtomicBool,
    dirty_since_ms: AtomicU64,
    next_at_ms: AtomicU64,
}

/// Limits how often viewers' claims make the gateway ask the core: when it last did, and what the core said.
pub type AheadClock = tokio::sync::Mutex<Option<(u64, Option<Position>)>>;

/// What a viewer should see next.
pub struct Next {
    pub doubtful: bool,
    /// What to write, and the position that it brings the viewer to.
    pub frame: Option<(Bytes, Position)>,
}

/// What a slice of the viewers gets in a round.
pub struct Round {
    pub delta: Option<Delta>,
    pub position: Option<Position>,
    pub doubtful: bool,
}

impl Room {
    pub fn new(show: ShowId) -> Self {
        Self {
            show,
            state: Mutex::new(Sync::new(show)),
            viewers: Viewers::new(clock::now_ms()),
            round: RoundClock::default(),
            slices: Slices::default(),
            own_asks: Mutex::default(),
            ahead: AheadClock::default(),
            missing: AtomicBool::new(false),
            settled: Notify::new(),
        }
    }

    /// There is no such show: the room takes no viewers any more.
    pub fn set_missing(&self) {
        self.viewers.close();
        self.missing.store(true, Ordering::SeqCst);
        self.settled.notify_waiters();
    }

    pub fn is_missing(&self) -> bool {
        self.missing.load(Ordering::SeqCst)
    }

    /// The room's knowledge; held for calculations only.
    pub fn state(&self) -> MutexGuard<'_, Sync> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it is told: approximate.
    pub fn viewer_count(&self) -> u64 {
        self.viewers.about(clock::now_ms()) as u64
    }

    pub fn position(&self) -> Option<Position> {
        self.state().position()
    }

    /// What brings a viewer from `cursor` to the present.
    pub fn next_for(&self, cursor: Option<Position>, encoding: Encoding) -> Next {
        let viewers = self.viewer_count();
        let mut state = self.state();
        let doubtful = state.is_doubtful();
        let frame = state.map_mut().and_then(|map| {
            let bytes = map.catch_up(cursor, encoding, viewers, clock::now_ms())?;
            Some((bytes, map.position()))
        });
        Next { doubtful, frame }
    }

    /// Whether a viewer at `position` can go on by a delta; `None` when it claims to be ahead of this room.
    pub fn can_resume(&self, position: Position) -> Option<bool> {
        let state = self.state();
        let map = state.map()?;
        if position > map.position() { None } else { Some(map.covers(position)) }
    }

    /// A beat for a viewer whose last frame ended at `position`; `None` while there is no map.
    pub fn beat(&self, position: Position) -> Option<SeatFrame> {
        let viewers = self.viewer_count();
        let state = self.state();
        Some(SeatFrame::Beat(state.map()?.beat(position, viewers, clock::unix_ms())))
    }

    /// The whole map, for HTTP; `None` while there is none, or while it can't be trusted.
    pub fn snapshot_json(&self) -> Option<String> {
        let viewers = self.viewer_count();
        let state = self.state();
        let map = state.map().filter(|_| state.is_live() && !state.is_doubtful())?;
        Some(SeatFrame::Snapshot(map.snapshot_frame(viewers, clock::now_ms())).to_json())
    }

    /// Begins a round; how many changes have come since the last one began.
    pub fn begin_round(&self) -> u64 {
        let position = self.position();
        let sequence = |position: Option<Position>| position.map_or(0, |position| position.sequence);
        sequence(position).saturating_sub(sequence(self.slices.begin(position)))
    }

    /// The turn of a slice of the viewers; `None` when there is nothing that it has not been told.
    pub fn turn(&self, slice: usize) -> Option<Turn> {
        let state = self.state();
        let told = Told { position: state.position(), doubtful: state.is_doubtful() };
        drop(state);
        self.slices.turn(slice, told)
    }

    /// What brings viewers from a turn's begin to the present, which may be later than its end.
    pub fn round(&self, turn: &Turn) -> Round {
        let viewers = self.viewer_count();
        let state = self.state();
        let delta = turn.from.zip(state.map()).and_then(|(from, map)| map.delta_since(from, viewers));
        Round { delta, position: state.position(), doubtful: state.is_doubtful() }
    }

    /// Notes a customer whose holds should be looked up; `true` for the first, who starts the batch.
    pub fn ask_own(&self, customer: CustomerId, connection: &Arc<Connection>) -> bool {
        let mut asks = self.own_asks();
        if asks.len() < OWN_ASKS_MAX {
            asks.push((customer, Arc::clone(connection)));
        }
        asks.len() == 1
    }

    /// Takes everybody who waits.
    pub fn take_own_asks(&self) -> Vec<(CustomerId, Arc<Connection>)> {
        std::mem::take(&mut *self.own_asks())
    }

    fn own_asks(&self) -> MutexGuard<'_, Vec<(CustomerId, Arc<Connection>)>> {
        self.own_asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RoundClock {
    /// Notes that there is something to send; `true` when the caller must start the rounds.
    pub fn mark_dirty(&self) -> bool {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.dirty_since_ms.store(clock::now_ms(), Ordering::Relaxed);
        }
        !self.running.swap(true, Ordering::AcqRel)
    }

    /// Takes the dirty mark at the start of a round; since when it was there, for information.
    pub fn take_dirty(&self) -> u64 {
        self.dirty.swap(false, Ordering::AcqRel);
        self.dirty_since_ms.load(Ordering::Relaxed)
    }

    pub fn next_at_ms(&self) -> u64 {
        self.next_at_ms.load(Ordering::Relaxed)
    }

    pub fn set_next_at_ms(&self, at_ms: u64) {
        self.next_at_ms.store(at_ms, Ordering::Relaxed);
    }

    /// After a round: `true` when there is another to do. A mark that comes between the two looks is not lost: either
    /// this sees it, or its setter sees that nobody runs.
    pub fn goes_on(&self) -> bool {
        if self.dirty.load(Ordering::Acquire) {
            return true;
        }
        self.running.store(false, Ordering::SeqCst);
        self.dirty.load(Ordering::SeqCst) && !self.running.swap(true, Ordering::AcqRel)
    }
}
