//! Whatever the feed loses, whenever viewers come, stall or hide: every frame brings a viewer to a state that was, and
//! in the end to the state that is. Drives the gateway's own room and write side without sockets, and reads what they
//! wrote with the protocol's own viewer.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use seatwire_gateway::fanout::Shared;
use seatwire_gateway::room::Room;
use seatwire_gateway::room::sync::{Heard, Installed};
use seatwire_gateway::ws::frame::Encoding;
use seatwire_gateway::ws::outbound::{Flow, Outbound, Sink, Watch};
use seatwire_protocol::command::SnapshotReply;
use seatwire_protocol::feed::{FeedMessage, FeedReason};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::viewer::{Applied, ShowViewer};
use seatwire_protocol::ws::ServerMessage;
use seatwire_protocol::{Position, SaleState, SeatIndex, SeatStatus, ShowId, codec};

const SEATS: u32 = 48;
const VIEWERS: usize = 4;
/// Viewers whose turn comes together.
const SLICE: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    /// The core changes some seats; the feed delivers the batch, loses it, or delivers it twice.
    Change(Vec<(u32, u8)>, Fate),
    /// Redis starts anew: the next generation.
    Restart(Fate),
    /// The connection to Redis is lost and made again.
    Reconnect,
    /// A fetched snapshot arrives.
    Snapshot,
    Round(Option<usize>),
    /// A viewer's socket takes so many bytes more.
    Take(usize, usize),
    /// A viewer comes back with the map it has, or without one.
    Rejoin(usize, bool),
    Hide(usize, bool),
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Delivered,
    Lost,
    Twice,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![10 => Just(Fate::Delivered), 1 => Just(Fate::Lost), 1 => Just(Fate::Twice)];
    let seats = vec((0..SEATS, 0_u8..4), 0..4);
    let viewer = 0..VIEWERS;
    let step = prop_oneof![
        12 => (seats, fate.clone()).prop_map(|(seats, fate)| Step::Change(seats, fate)),
        1 => fate.prop_map(Step::Restart),
        1 => Just(Step::Reconnect),
        4 => Just(Step::Snapshot),
        4 => Just(Step::Round(None)),
        4 => (0..VIEWERS / SLICE).prop_map(|slice| Step::Round(Some(slice))),
        8 => (viewer.clone(), 0_usize..120).prop_map(|(viewer, bytes)| Step::Take(viewer, bytes)),
        2 => (viewer.clone(), any::<bool>()).prop_map(|(viewer, resume)| Step::Rejoin(viewer, resume)),
        1 => (viewer, any::<bool>()).prop_map(|(viewer, hidden)| Step::Hide(viewer, hidden)),
    ];
    vec(step, 1..120)
}

/// The show as the core has it, and every state it was ever in.
struct Truth {
    position: Position,
    statuses: PackedStatuses,
    history: BTreeMap<Position, PackedStatuses>,
}

impl Truth {
    fn new() -> Self {
        let position = Position::new(1, 0);
        let statuses = PackedStatuses::new(SEATS);
        Self { position, history: BTreeMap::from([(position, statuses.clone())]), statuses }
    }

    fn change(&mut self, seats: &[(u32, u8)]) -> FeedMessage {
        let seats: Vec<_> = seats.iter().map(|(seat, bits)| (SeatIndex(*seat), SeatStatus::from_bits(*bits))).collect();
        for (seat, status) in &seats {
            self.statuses.set(*seat, *status);
        }
        self.position = self.position.next();
        self.history.insert(self.position, self.statuses.clone());
        // A batch names a seat once, with its status at the end.
        let mut last: BTreeMap<SeatIndex, SeatStatus> = seats.into_iter().collect();
        let seats = std::mem::take(&mut last).into_iter().collect();
        let (position, reason) = (self.position, Some(FeedReason::Held));
        FeedMessage::Batch { position, sale: SaleState::Open, reason, seats, holds: Vec::new() }
    }

    fn restart(&mut self) -> FeedMessage {
        self.position = Position::new(self.position.generation + 1, 0);
        // Holds are gone with the old server.
        for seat in (0..SEATS).map(SeatIndex) {
            if self.statuses.get(seat) == Some(SeatStatus::Held) {
                self.statuses.set(seat, SeatStatus::Available);
            }
        }
        self.history.insert(self.position, self.statuses.clone());
        FeedMessage::Reset { generation: self.position.generation }
    }

    fn snapshot(&self) -> SnapshotReply {
        SnapshotReply {
            position: self.position,
            sale: SaleState::Open,
            opens_in_ms: 0,
            layout_version: 1,
            seats: SEATS,
            statuses: self.statuses.as_bytes().to_vec(),
        }
    }
}

/// A socket that takes as many bytes as it was told to.
#[derive(Default)]
struct Pipe {
    room: usize,
    bytes: VecDeque<u8>,
}

impl Sink for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.bytes.extend(&bytes[..count]);
        Ok(count)
    }
}

impl Pipe {
    /// Takes a whole WebSocket frame off the front.
    fn frame(&mut self) -> Option<Vec<u8>> {
        let bytes = self.bytes.make_contiguous();
        let (header, len) = match *bytes.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
            len => (2, usize::from(len)),
        };
        let payload = bytes.get(header..header + len)?.to_vec();
        self.bytes.drain(..header + len);
        Some(payload)
    }
}

struct Client {
    encoding: Encoding,
    outbound: Outbound,
    pipe: Pipe,
    viewer: ShowViewer,
    stale: bool,
}

impl Client {
    fn new(encoding: Encoding, room: &Arc<Room>) -> Self {
        let viewer = ShowViewer::new(room.show);
        let mut client =
            Self { encoding, outbound: Outbound::new(encoding, 0), pipe: Pipe::default(), viewer, stale: false };
        client.viewer.on_connected();
        client.outbound.add_watch(Watch::new(Arc::clone(room), 0, None, false));
        client
    }

    /// A new connection, with the map at hand or none.
    fn rejoin(&mut self, room: &Arc<Room>, resume: bool) {
        let pos = self.viewer.map().position().filter(|_| resume);
        if pos.is_none() {
            self.viewer = ShowViewer::new(room.show);
        }
        self.viewer.on_connected();
        self.stale = false;
        self.outbound = Outbound::new(self.encoding, 0);
        self.pipe.bytes.clear();
        self.outbound.add_watch(Watch::new(Arc::clone(room), 0, pos, false));
        self.outbound.pump(&mut self.pipe, 0);
    }

    /// Reads everything that has arrived; each state seen must have been one of the show's.
    fn read(&mut self, truth: &Truth) -> Result<(), TestCaseError> {
        while let Some(payload) = self.pipe.frame() {
            let (frame, message) = decode(self.encoding, &payload);
            if let Some(frame) = frame {
                let applied = self.viewer.on_frame(&frame);
                prop_assert!(!matches!(applied, Applied::Gap | Applied::NeedsSnapshot), "{applied:?} by {frame:?}");
                let (position, statuses) = (self.viewer.map().position(), self.viewer.map().statuses());
                prop_assert_eq!(position.and_then(|p| truth.history.get(&p)), statuses, "at {:?}", position);
            }
            if let Some(ServerMessage::Stale { stale, .. }) = message {
                self.stale = stale;
            }
        }
        Ok(())
    }
}

fn decode(encoding: Encoding, payload: &[u8]) -> (Option<SeatFrame>, Option<ServerMessage>) {
    match encoding {
        Encoding::Msgpack if payload[0] < 0x80 => (Some(SeatFrame::from_packed(payload).unwrap()), None),
        Encoding::Msgpack => (None, Some(codec::decode(payload).unwrap())),
        Encoding::Json => {
            let text = std::str::from_utf8(payload).unwrap();
            SeatFrame::from_json(text).map_or_else(|_| (None, serde_json::from_str(text).ok()), |f| (Some(f), None))
        }
    }
}

struct World {
    truth: Truth,
    room: Arc<Room>,
    clients: Vec<Client>,
}

impl World {
    fn new() -> Self {
        let room = Arc::new(Room::new(ShowId::new(7).unwrap()));
        room.state().on_subscribed();
        let encodings = [Encoding::Msgpack, Encoding::Json].into_iter().cycle().take(VIEWERS);
        let clients = encodings.map(|encoding| Client::new(encoding, &room)).collect();
        Self { truth: Truth::new(), room, clients }
    }

    fn hear(&self, message: &FeedMessage, fate: Fate) {
        let times = match fate {
            Fate::Lost => 0,
            Fate::Delivered => 1,
            Fate::Twice => 2,
        };
        for _ in 0..times {
            // As the bytes that a script publishes.
            let message = FeedMessage::parse(&message.to_bytes());
            assert!(message.is_some());
            let _: Heard = self.room.state().on_feed(message);
        }
    }

    fn snapshot(&self) -> Option<Installed> {
        let fetch = self.room.state().begin_fetch()?;
        Some(self.room.state().install(fetch, &self.truth.snapshot(), 0))
    }

    /// A slice's turn, or all of them. A turn may come late: what it gets is then the same as another slice got.
    fn round(&mut self, only: Option<usize>) {
        self.room.begin_round();
        for (slice, clients) in self.clients.chunks_mut(SLICE).enumerate() {
            if only.is_some_and(|only| only != slice) {
                continue;
            }
            let Some(turn) = self.room.turn(slice) else { continue };
            let shared = Shared::new(self.room.round(&turn));
            for client in clients {
                client.outbound.visit(self.room.show, shared.frame(client.encoding), &mut client.pipe, 0);
            }
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Change(seats, fate) => {
                let message = self.truth.change(&seats);
                self.hear(&message, fate);
            }
            Step::Restart(fate) => {
                let message = self.truth.restart();
                self.hear(&message, fate);
            }
            Step::Reconnect => {
                self.room.state().on_unsubscribed();
                self.room.state().on_subscribed();
            }
            Step::Snapshot => drop(self.snapshot()),
            Step::Round(only) => self.round(only),
            Step::Take(at, bytes) => {
                let client = &mut self.clients[at];
                client.pipe.room += bytes;
                // As the session does when its socket takes bytes again.
                if client.outbound.is_blocked() {
                    client.outbound.pump(&mut client.pipe, 0);
                }
            }
            Step::Rejoin(at, resume) => self.clients[at].rejoin(&self.room, resume),
            Step::Hide(at, hidden) => {
                let client = &mut self.clients[at];
                client.outbound.set_hidden(hidden);
                client.outbound.pump(&mut client.pipe, 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_viewer_sees_only_states_that_were_and_ends_at_the_one_that_is(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            for client in &mut world.clients {
                client.read(&world.truth)?;
            }
        }
        // Peace: the position check finds what was lost, sockets drain, pages are looked at.
        if world.room.position() != Some(world.truth.position) {
            world.room.state().lose(seatwire_gateway::room::sync::Lost::Deaf);
        }
        for _ in 0..3 {
            world.snapshot();
        }
        prop_assert!(world.room.state().is_live());
        for client in &mut world.clients {
            client.outbound.set_hidden(false);
            client.pipe.room = usize::MAX;
        }
        world.round(None);
        for client in &mut world.clients {
            prop_assert_eq!(client.outbound.pump(&mut client.pipe, 0), Flow::Idle);
            client.read(&world.truth)?;
            prop_assert!(client.pipe.bytes.is_empty());
            prop_assert_eq!(client.viewer.map().position(), Some(world.truth.position));
            prop_assert!(!client.stale, "a live room is told to be stale");
        }
    }
}
