//! The seat stream: a sequenced source with generations, two gateways with a room each, one viewer that moves between
//! them and resumes.
//!
//! The feed of a room keeps its order but may lose messages or its connection; snapshots are fetched beside it. The
//! viewer's socket holds one frame. The source may be wiped, or fall back to an older copy, at any moment.

mod act;
mod properties;
mod room;
mod scenario;
pub mod state;
mod variant;

pub use self::properties::*;
pub use self::scenario::{Scenario, scenario_for, scenarios};
pub use self::variant::Variant;

use self::state::{Connection, GENERATIONS, Map, Parked, Position, Room, RoomMap, SEQUENCES, Source, State};
use crate::checker::{Milestone, Model};

/// Frames that fit into the viewer's socket.
const SOCKET_MAX: usize = 1;

/// The model under one scenario and one variant.
#[derive(Debug, Clone, Copy)]
pub struct Feed {
    pub scenario: Scenario,
    pub variant: Variant,
}

/// One atomic step. Rooms are named by their gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A batch changes these seats.
    Change(u8),
    /// Redis loses everything.
    Wipe,
    /// A replica has this state.
    Copy,
    /// A failover back to that copy.
    FailOver,
    /// A core takes a generation and loads it.
    Load,
    /// It completes the map, as the ledger has it.
    Complete(Map),
    /// Redis does not deliver the next message.
    Lose(usize),
    /// It does.
    Deliver(usize),
    /// The feed's connection breaks.
    Drop(usize),
    /// The subscription is confirmed.
    Subscribe(usize),
    /// The core's position is above the room's, or the show is not loaded.
    Suspect(usize),
    /// A snapshot is read for a room.
    Fetch(usize),
    /// It arrives.
    Install(usize),
    /// A round of the fan-out.
    Round(usize),
    /// The viewer's socket takes bytes again.
    Pump,
    /// The core answers about a viewer that claims to be ahead.
    Answer,
    /// The room has got there.
    Unpark,
    /// No answer within 500 ms.
    Timeout,
    /// The viewer connects, and resumes from what it has.
    Connect(usize),
    /// Its connection breaks.
    Disconnect,
    /// It takes a frame.
    Receive,
}

impl Action {
    /// Whether nobody has to do anything for it: only what is left to do counts against being at rest.
    const fn is_of_the_system(self) -> bool {
        !matches!(
            self,
            Self::Change(_)
                | Self::Wipe
                | Self::Copy
                | Self::FailOver
                | Self::Lose(_)
                | Self::Drop(_)
                | Self::Disconnect
                | Self::Timeout
        )
    }
}

impl Feed {
    pub const fn new(scenario: Scenario, variant: Variant) -> Self {
        Self { scenario, variant }
    }

    fn is(&self, variant: Variant) -> bool {
        self.variant == variant
    }

    /// Whether scripts act on the show at all.
    fn is_loaded(&self, source: &Source) -> bool {
        source.loaded && (source.own_run || self.is(Variant::NoRunId))
    }

    fn is_served(&self, source: &Source) -> bool {
        self.is_loaded(source) && (source.complete || self.is(Variant::NoComplete))
    }

    fn source_actions(&self, state: &State, out: &mut Vec<Action>) {
        let source = &state.source;
        if state.changes_left > 0 && self.is_loaded(source) && source.complete {
            out.extend([Action::Change(0b01), Action::Change(0b10), Action::Change(0b11)]);
        }
        if state.wipes_left > 0 {
            out.push(Action::Wipe);
        }
        if state.failovers_left > 0 && state.copy.is_none() && self.is_loaded(source) {
            out.push(Action::Copy);
        }
        if state.copy.is_some() {
            out.push(Action::FailOver);
        }
        if !self.is_loaded(source) {
            out.push(Action::Load);
        } else if !source.complete {
            out.extend([Action::Complete(0b00), Action::Complete(0b01)]);
        }
    }

    fn room_actions(&self, state: &State, at: usize, out: &mut Vec<Action>) {
        let room = &state.rooms[at];
        if !room.open {
            return;
        }
        if !room.subscribed {
            out.push(Action::Subscribe(at));
        } else if state.drops_left > 0 {
            out.push(Action::Drop(at));
        }
        if !room.queue.is_empty() {
            out.push(Action::Deliver(at));
            if state.losses_left > 0 {
                out.push(Action::Lose(at));
            }
        } else if self.scenario.positions && !self.is(Variant::NoPositions) && room.live && room.subscribed {
            // A PONG comes after every message before it, so a backlog is no alarm.
            let is_behind = room.position().is_some_and(|here| here < state.source.position);
            if !self.is_loaded(&state.source) || is_behind {
                out.push(Action::Suspect(at));
            }
        }
        let may_fetch = room.subscribed || self.is(Variant::FetchTooEarly);
        if !room.live && may_fetch && room.fetch.is_none() && self.is_served(&state.source) {
            out.push(Action::Fetch(at));
        }
        if room.fetch.is_some() {
            out.push(Action::Install(at));
        }
        if room.map.is_some_and(|map| map.rounded < map.position) {
            out.push(Action::Round(at));
        }
    }

    fn viewer_actions(&self, state: &State, out: &mut Vec<Action>) {
        let Some(connection) = &state.connection else {
            out.extend([Action::Connect(0), Action::Connect(1)]);
            return;
        };
        if state.moves_left > 0 {
            out.push(Action::Disconnect);
        }
        if !connection.socket.is_empty() {
            out.push(Action::Receive);
        }
        let room = &state.rooms[connection.room];
        match connection.parked {
            Parked::No => {
                let lacks = room::catch_up(self, room, connection.cursor).is_some();
                if lacks && connection.socket.len() < SOCKET_MAX {
                    out.push(Action::Pump);
                }
            }
            Parked::Asking => {
                out.push(Action::Answer);
                if state.timeouts_left > 0 {
                    out.push(Action::Timeout);
                }
            }
            Parked::Until(target) => {
                if room.position().is_some_and(|here| here >= target) {
                    out.push(Action::Unpark);
                } else if state.timeouts_left > 0 {
                    out.push(Action::Timeout);
                }
            }
        }
    }
}

impl Model for Feed {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let position = Position { generation: 1, sequence: 0 };
        let mut history = [[None; SEQUENCES]; GENERATIONS];
        history[1][0] = Some(0);
        let map = RoomMap { position, floor: position, rounded: position, ..RoomMap::default() };
        let warm = Room { open: true, subscribed: true, live: true, map: Some(map), ..Room::default() };
        let room = if self.scenario.warm { warm } else { Room::default() };
        State {
            source: Source { loaded: true, position, map: 0, complete: true, own_run: true },
            copy: None,
            generation: 1,
            history,
            rooms: [room.clone(), room],
            connection: None,
            view: None,
            changes_left: self.scenario.changes,
            losses_left: self.scenario.losses,
            drops_left: self.scenario.drops,
            moves_left: self.scenario.moves,
            wipes_left: self.scenario.wipes,
            failovers_left: self.scenario.failovers,
            timeouts_left: self.scenario.timeouts,
            unasked: false,
            faults: state::Faults::default(),
        }
    }

    fn actions(&self, state: &State, out: &mut Vec<Action>) {
        self.source_actions(state, out);
        self.room_actions(state, 0, out);
        self.room_actions(state, 1, out);
        self.viewer_actions(state, out);
    }

    fn next(&self, state: &State, action: Action) -> State {
        let mut next = state.clone();
        act::act(self, &mut next, action);
        next
    }

    fn violated(&self, state: &State, enabled: &[Action]) -> Option<&'static str> {
        violated(self, state, enabled)
    }

    fn milestones(&self) -> Vec<Milestone<State>> {
        milestones(self)
    }
}

/// A viewer's connection to a room.
fn connect(state: &State, at: usize) -> Connection {
    let cursor = state.view.map(|view| view.position);
    let is_ahead = state.rooms[at].position().is_some_and(|here| cursor.is_some_and(|cursor| cursor > here));
    let parked = if is_ahead { Parked::Asking } else { Parked::No };
    Connection { room: at, cursor, parked, socket: Vec::new() }
}
