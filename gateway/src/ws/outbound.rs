//! A connection's write side. Two lanes: replies, pushes and control frames wait in a short list; seat frames never
//! wait: for each watched show there is only a cursor, the position that the viewer was brought to, and at most the rest
//! of one partly written frame. When the socket takes bytes again, what is written is made then, from the present.
//! Pure but for the `write` that the caller hands in.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use seatwire_protocol::ws::{Push, ServerMessage};
use seatwire_protocol::{Position, ShowId};

use super::frame::{self, Encoding};
use crate::room::Room;

/// Control frames that may wait; a pong more is dropped, since one answer is enough (RFC 6455, 5.5.3).
const CONTROLS_MAX: usize = 8;
/// Pushes that may wait; one more replaces all of them by a request to read again.
const PUSHES_MAX: usize = 16;

/// Takes bytes without blocking, as a socket does.
pub trait Sink {
    /// Writes some of `bytes`.
    ///
    /// # Errors
    /// `WouldBlock` when nothing can be taken now; anything else ends the connection.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

/// How things stand after writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Nothing is left to write.
    Idle,
    /// The socket is full; go on when it takes bytes again.
    Blocked,
    /// The socket is broken.
    Dead,
}

/// What a message in the list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Pong, ping, close.
    Control,
    /// An answer to the client; bounded by the session, which stops reading.
    Reply,
    /// Unasked, to the owner.
    Push,
}

/// What a round brings to every viewer.
#[derive(Clone, Copy)]
pub struct RoundFrame<'a> {
    /// The encoded delta and the positions it joins; `None` when there is none for everybody.
    pub delta: Option<(Position, Position, &'a Bytes)>,
    /// Whether viewers must not take the map for the present state.
    pub doubtful: bool,
}

/// A show that this connection watches.
pub struct Watch {
    pub room: Arc<Room>,
    /// Its place in the room's list of viewers.
    pub place: usize,
    /// The viewer's map is at this position; `None`: it needs a snapshot.
    pub cursor: Option<Position>,
    /// Waits for the core's word on a position ahead of the room.
    pub parked: bool,
    /// It resumes in a room that has no map yet, and wants a word even if nothing is new then.
    pub resumes: bool,
    told_doubtful: bool,
}

/// The write side.
pub struct Outbound {
    encoding: Encoding,
    rest: Bytes,
    list: VecDeque<(Lane, Bytes)>,
    watches: Vec<Watch>,
    hidden: bool,
    reread: bool,
    ended: bool,
    dead: bool,
    blocked: bool,
    /// When the socket last took a byte.
    progress_at_ms: u64,
}

impl Watch {
    pub fn new(room: Arc<Room>, place: usize, cursor: Option<Position>, parked: bool) -> Self {
        Self { room, place, cursor, parked, resumes: false, told_doubtful: false }
    }
}

impl Outbound {
    pub fn new(encoding: Encoding, now_ms: u64) -> Self {
        Self {
            encoding,
            rest: Bytes::new(),
            list: VecDeque::new(),
            watches: Vec::new(),
            hidden: false,
            reread: false,
            ended: false,
            dead: false,
            blocked: false,
            progress_at_ms: now_ms,
        }
    }

    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether a close frame was queued: nothing may follow it.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Messages that wait in the list.
    pub fn waiting(&self) -> usize {
        self.list.len()
    }

    pub fn progress_at_ms(&self) -> u64 {
        self.progress_at_ms
    }

    pub fn watches(&self) -> &[Watch] {
        &self.watches
    }

    pub fn watch_mut(&mut self, show: ShowId) -> Option<&mut Watch> {
        self.watches.iter_mut().find(|watch| watch.room.show == show)
    }

    /// Adds a show. Most connections watch one, so room is made for one.
    pub fn add_watch(&mut self, watch: Watch) {
        self.watches.reserve_exact(1);
        self.watches.push(watch);
    }

    pub fn remove_watch(&mut self, show: ShowId) -> Option<Watch> {
        let at = self.watches.iter().position(|watch| watch.room.show == show)?;
        Some(self.watches.swap_remove(at))
    }

    pub fn take_watches(&mut self) -> Vec<Watch> {
        std::mem::take(&mut self.watches)
    }

    pub fn set_hidden(&mut self, hidden: bool) {
        self.hidden = hidden;
    }

    /// Queues a message and writes what the socket takes. `false` when pushes were replaced.
    pub fn send(&mut self, lane: Lane, bytes: Bytes, sink: &mut impl Sink, now_ms: u64) -> (Flow, bool) {
        if self.ended || self.dead {
            return (self.flow(), true);
        }
        let alike = self.list.iter().filter(|(other, _)| *other == lane).count();
        let mut kept = true;
        match lane {
            Lane::Control if alike >= CONTROLS_MAX => return (self.flow(), true),
            Lane::Push if alike >= PUSHES_MAX || self.reread => {
                self.list.retain(|(other, _)| *other != Lane::Push);
                self.reread = true;
                kept = false;
            }
            Lane::Control | Lane::Reply | Lane::Push => self.list.push_back((lane, bytes)),
        }
        if self.blocked {
            return (Flow::Blocked, kept);
        }
        (self.pump_list(sink, now_ms), kept)
    }

    /// Queues the close frame; whatever is queued before is still written.
    pub fn end(&mut self, close: Bytes, sink: &mut impl Sink, now_ms: u64) -> Flow {
        if self.ended || self.dead {
            return self.flow();
        }
        self.list.push_back((Lane::Control, close));
        self.ended = true;
        if self.blocked { Flow::Blocked } else { self.pump_list(sink, now_ms) }
    }

    /// Gives the connection up without another word.
    pub fn kill(&mut self) {
        self.dead = true;
        self.rest = Bytes::new();
        self.list = VecDeque::new();
    }

    /// A round's visit: the frame that everybody gets where the cursor fits, else what this viewer lacks. `None` when
    /// it was passed over, because the socket is full: once it is not, its session pumps.
    pub fn visit(&mut self, show: ShowId, round: RoundFrame<'_>, sink: &mut impl Sink, now_ms: u64) -> Option<Flow> {
        if self.blocked {
            return None;
        }
        Some(self.offer(show, round, sink, now_ms).unwrap_or_else(|| self.pump(sink, now_ms)))
    }

    /// The way for most viewers; `None` when this one needs [`Self::pump`].
    fn offer(&mut self, show: ShowId, round: RoundFrame<'_>, sink: &mut impl Sink, now_ms: u64) -> Option<Flow> {
        let (from, to, bytes) = round.delta?;
        if self.ended || self.dead || self.hidden || !self.list.is_empty() {
            return None;
        }
        let watch = self.watch_mut(show)?;
        let fits =
            watch.cursor.is_some_and(|cursor| from <= cursor && cursor < to && cursor.generation == to.generation);
        if !fits || watch.parked || watch.told_doubtful != round.doubtful {
            return None;
        }
        let mut written = false;
        let flow = self.write(bytes, sink, now_ms, &mut written);
        if written && let Some(watch) = self.watch_mut(show) {
            watch.cursor = Some(to);
            watch.resumes = false;
        }
        Some(flow)
    }

    /// Writes whatever is due: the rest of a frame, the list, then for each show what the viewer lacks.
    pub fn pump(&mut self, sink: &mut impl Sink, now_ms: u64) -> Flow {
        match self.pump_list(sink, now_ms) {
            Flow::Idle => {}
            other => return other,
        }
        if self.ended || self.hidden {
            return Flow::Idle;
        }
        for at in 0..self.watches.len() {
            match self.pump_watch(at, sink, now_ms) {
                Flow::Idle => {}
                other => return other,
            }
        }
        Flow::Idle
    }

    fn pump_list(&mut self, sink: &mut impl Sink, now_ms: u64) -> Flow {
        if self.dead {
            return Flow::Dead;
        }
        self.blocked = false;
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let mut written = false;
            let flow = self.write(&rest, sink, now_ms, &mut written);
            if !written {
                self.rest = rest;
            }
            if flow != Flow::Idle {
                return flow;
            }
        }
        while let Some((_, bytes)) = self.list.front().cloned() {
            let mut written = false;
            let flow = self.write(&bytes, sink, now_ms, &mut written);
            if written {
                self.list.pop_front();
            }
            if flow != Flow::Idle {
                return flow;
            }
        }
        if self.list.capacity() > 0 {
            // An idle connection keeps no list.
            self.list = VecDeque::new();
        }
        if std::mem::take(&mut self.reread) && !self.ended {
            let reread = frame::message(self.encoding, &ServerMessage::Push { push: Push::Reread });
            self.list.push_back((Lane::Push, reread));
            return self.pump_list(sink, now_ms);
        }
        Flow::Idle
    }

    fn pump_watch(&mut self, at: usize, sink: &mut impl Sink, now_ms: u64) -> Flow {
        let Some(watch) = self.watches.get(at).filter(|watch| !watch.parked) else { return Flow::Idle };
        let (show, told) = (watch.room.show, watch.told_doubtful);
        let next = watch.room.next_for(watch.cursor, self.encoding);
        // Doubt is told before the frames that it is about; that it is over, after the frames that ended it.
        if next.doubtful && !told {
            match self.tell_doubtful(at, show, true, sink, now_ms) {
                Flow::Idle => {}
                other => return other,
            }
        }
        if let Some((bytes, position)) = next.frame.or_else(|| self.word_for(at)) {
            let mut written = false;
            let flow = self.write(&bytes, sink, now_ms, &mut written);
            if written && let Some(watch) = self.watches.get_mut(at) {
                watch.cursor = Some(position);
                watch.resumes = false;
            }
            if flow != Flow::Idle {
                return flow;
            }
        }
        if !next.doubtful && told { self.tell_doubtful(at, show, false, sink, now_ms) } else { Flow::Idle }
    }

    /// A beat for a viewer that resumed before the room had a map, and turns out to lack nothing.
    fn word_for(&self, at: usize) -> Option<(Bytes, Position)> {
        let watch = self.watches.get(at).filter(|watch| watch.resumes)?;
        let cursor = watch.cursor.filter(|cursor| watch.room.position() == Some(*cursor))?;
        Some((frame::seat_frame(self.encoding, &watch.room.beat(cursor)?), cursor))
    }

    fn tell_doubtful(&mut self, at: usize, show: ShowId, stale: bool, sink: &mut impl Sink, now_ms: u64) -> Flow {
        let bytes = frame::message(self.encoding, &ServerMessage::Stale { show, stale });
        let mut written = false;
        let flow = self.write(&bytes, sink, now_ms, &mut written);
        if written && let Some(watch) = self.watches.get_mut(at) {
            watch.told_doubtful = stale;
        }
        flow
    }

    /// Writes one frame. `written`: at least its first byte is out, and the rest, if any, is kept.
    fn write(&mut self, bytes: &Bytes, sink: &mut impl Sink, now_ms: u64, written: &mut bool) -> Flow {
        match sink.write(bytes) {
            Ok(0) => self.flow_dead(),
            Ok(count) => {
                *written = true;
                self.progress_at_ms = now_ms;
                if count >= bytes.len() {
                    return Flow::Idle;
                }
                self.rest = bytes.slice(count..);
                self.blocked = true;
                Flow::Blocked
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.blocked = true;
                Flow::Blocked
            }
            Err(_) => self.flow_dead(),
        }
    }

    fn flow_dead(&mut self) -> Flow {
        self.kill();
        Flow::Dead
    }

    /// How things stand without writing.
    pub fn flow(&self) -> Flow {
        match (self.dead, self.blocked) {
            (true, _) => Flow::Dead,
            (false, true) => Flow::Blocked,
            (false, false) => Flow::Idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use seatwire_protocol::SaleState;
    use seatwire_protocol::command::SnapshotReply;

    use super::*;
    use crate::room::sync::Installed;

    struct Taken(Vec<u8>);

    impl Sink for Taken {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn a_rounds_frame_goes_only_to_cursors_that_fit() {
        let show = ShowId::new(1).unwrap();
        let (from, to, delta) = (Position::new(2, 5), Position::new(2, 8), Bytes::from_static(b"delta"));
        let round = RoundFrame { delta: Some((from, to, &delta)), doubtful: false };
        let visited = |cursor: Option<Position>| {
            // The room has no map yet: this frame is all that there is to write.
            let mut outbound = Outbound::new(Encoding::Json, 0);
            outbound.add_watch(Watch::new(Arc::new(Room::new(show)), 0, cursor, false));
            let mut taken = Taken(Vec::new());
            assert_eq!(outbound.visit(show, round, &mut taken, 0), Some(Flow::Idle));
            (taken.0, outbound.watches()[0].cursor)
        };
        for sequence in 5..8 {
            assert_eq!(visited(Some(Position::new(2, sequence))), (delta.to_vec(), Some(to)), "{sequence}");
        }
        // Behind it, at its end or beyond, in another generation, and without a map.
        for (generation, sequence) in [(2, 4), (2, 8), (2, 9), (1, 6), (1, 100), (3, 6)] {
            let cursor = Some(Position::new(generation, sequence));
            assert_eq!(visited(cursor), (Vec::new(), cursor), "{cursor:?}");
        }
        assert_eq!(visited(None), (Vec::new(), None));
    }

    #[test]
    fn who_resumes_before_the_room_has_a_map_gets_a_word_when_it_has() {
        let (room, cursor) = (Arc::new(Room::new(ShowId::new(1).unwrap())), Position::new(2, 5));
        let mut outbound = Outbound::new(Encoding::Json, 0);
        outbound.add_watch(Watch { resumes: true, ..Watch::new(Arc::clone(&room), 0, Some(cursor), false) });
        let mut taken = Taken(Vec::new());
        assert_eq!((outbound.pump(&mut taken, 0), taken.0.len()), (Flow::Idle, 0), "nothing is known yet");
        let snapshot = SnapshotReply {
            position: cursor,
            sale: SaleState::Open,
            opens_in_ms: 0,
            layout_version: 1,
            seats: 4,
            statuses: vec![0],
        };
        {
            let mut state = room.state();
            state.on_subscribed();
            let fetch = state.begin_fetch().unwrap();
            assert_eq!(state.install(fetch, &snapshot, 0), Installed::Live);
        }
        outbound.pump(&mut taken, 0);
        assert!(String::from_utf8_lossy(&taken.0).contains(r#""t":"beat""#), "{:?}", taken.0);
        let once = taken.0.len();
        outbound.pump(&mut taken, 0);
        assert_eq!(taken.0.len(), once, "one word is enough");
    }
}
