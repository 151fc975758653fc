//! What each action does: the source, the rooms, the viewer.

use super::state::{Connection, Fetch, Frame, Map, Message, Parked, Position, Room, Source, State, View};
use super::variant::Variant;
use super::{Action, Feed, SOCKET_MAX, room};

pub(super) fn act(model: &Feed, state: &mut State, action: Action) {
    match action {
        Action::Change(_) | Action::Load | Action::Complete(_) => source(model, state, action),
        Action::Wipe => {
            state.wipes_left -= 1;
            state.source = Source { loaded: false, position: Position::default(), complete: false, ..state.source };
        }
        Action::Copy => {
            state.failovers_left -= 1;
            state.copy = Some(state.source);
        }
        Action::FailOver => {
            if let Some(copy) = state.copy.take() {
                state.source = Source { own_run: false, ..copy };
            }
        }
        Action::Lose(at) => {
            state.losses_left -= 1;
            state.rooms[at].queue.remove(0);
        }
        Action::Deliver(at) => {
            let message = state.rooms[at].queue.remove(0);
            room::on_feed(model, &mut state.rooms[at], message);
        }
        Action::Drop(at) => {
            state.drops_left -= 1;
            let room = &mut state.rooms[at];
            (room.subscribed, room.live) = (false, false);
            room.queue.clear();
            room.backlog.clear();
            void(model, room);
        }
        Action::Subscribe(at) => {
            state.rooms[at].subscribed = true;
            void(model, &mut state.rooms[at]);
        }
        Action::Suspect(at) => state.rooms[at].live = false,
        Action::Fetch(at) => {
            let Source { position, map, .. } = state.source;
            state.rooms[at].fetch = Some(Fetch { position, map, void: false });
        }
        Action::Install(at) => room::install(model, &mut state.rooms[at]),
        Action::Round(at) => round(model, state, at),
        Action::Connect(at) => {
            state.rooms[at].open = true;
            let mut connection = super::connect(state, at);
            if model.is(Variant::NoAheadWait) {
                connection.parked = Parked::No;
            }
            state.connection = Some(connection);
        }
        Action::Disconnect => {
            state.moves_left -= 1;
            state.connection = None;
        }
        Action::Receive => {
            let frame = state.connection.as_mut().map(|connection| connection.socket.remove(0));
            if let Some(frame) = frame {
                receive(model, state, frame);
            }
        }
        Action::Pump | Action::Answer | Action::Unpark | Action::Timeout => viewer(model, state, action),
    }
}

/// A fetch is void once the subscription that it was given under is lost or made anew.
fn void(model: &Feed, room: &mut Room) {
    if let Some(fetch) = room.fetch.as_mut().filter(|_| !model.is(Variant::FetchTooEarly)) {
        fetch.void = true;
    }
}

fn source(model: &Feed, state: &mut State, action: Action) {
    let message = match action {
        Action::Change(touched) => {
            state.changes_left -= 1;
            state.source.map ^= touched;
            state.source.position.sequence += 1;
            let Source { position, map, .. } = state.source;
            note(state, position, map);
            Message::Batch { position, touched, map: map & touched }
        }
        Action::Complete(map) => {
            state.source.complete = true;
            state.source.map = map;
            note(state, state.source.position, map);
            return;
        }
        _ => {
            state.generation += u8::from(!model.is(Variant::NoNewGeneration));
            let position = Position { generation: state.generation, sequence: 0 };
            // Unknown seats show as held.
            state.source = Source { loaded: true, position, map: 0b11, complete: false, own_run: true };
            if model.is(Variant::NoReset) {
                return;
            }
            Message::Reset { generation: position.generation }
        }
    };
    for room in state.rooms.iter_mut().filter(|room| room.subscribed) {
        room.queue.push(message);
    }
}

/// Remembers what is true at a position.
fn note(state: &mut State, position: Position, map: Map) {
    let truth = &mut state.history[usize::from(position.generation)][usize::from(position.sequence)];
    state.faults.reused |= truth.is_some();
    *truth = Some(map);
}

/// Everybody whose cursor fits gets the round's frame, the others what they lack; a full socket is passed over.
fn round(model: &Feed, state: &mut State, at: usize) {
    let shared = room::begin_round(model, &mut state.rooms[at]);
    let to_all = model.is(Variant::RoundToAll) || model.is(Variant::DeltaOfAnyRange);
    let Some(connection) = state.connection.as_mut().filter(|connection| connection.room == at) else { return };
    if connection.parked != Parked::No || connection.socket.len() >= SOCKET_MAX {
        return;
    }
    if let Some(frame @ Frame::Delta { from, to, .. }) = shared {
        let end = Position { sequence: to, ..from };
        let fits = connection.cursor.is_some_and(|cursor| from <= cursor && cursor < end);
        if fits || (to_all && connection.cursor.is_some()) {
            connection.socket.push(frame);
            connection.cursor = Some(end);
            return;
        }
    }
    pump(model, &state.rooms[at], connection);
}

fn pump(model: &Feed, room: &Room, connection: &mut Connection) {
    if let Some(frame) = room::catch_up(model, room, connection.cursor) {
        connection.socket.push(frame);
        connection.cursor = room.position();
    }
}

fn viewer(model: &Feed, state: &mut State, action: Action) {
    let (source, is_loaded) = (state.source, model.is_loaded(&state.source));
    let Some(connection) = state.connection.as_mut() else { return };
    let room = &mut state.rooms[connection.room];
    match action {
        Action::Pump => pump(model, room, connection),
        Action::Answer if is_loaded => {
            // A room behind the answer is examined by the positions check; the viewer's word makes nothing stale.
            let claim = connection.cursor.unwrap_or_default();
            connection.parked = Parked::Until(claim.min(source.position));
        }
        Action::Unpark => connection.parked = Parked::No,
        _ => {
            connection.parked = Parked::No;
            state.unasked = true;
            state.timeouts_left = state.timeouts_left.saturating_sub(u8::from(action == Action::Timeout));
        }
    }
}

/// The delta rule, as `protocol/src/viewer/seat_map.rs` has it.
fn receive(model: &Feed, state: &mut State, frame: Frame) {
    match (frame, state.view) {
        (Frame::Snapshot { position, map }, view) => {
            let is_lower = view.is_some_and(|view| position.generation < view.position.generation);
            if is_lower && !model.is(Variant::SnapshotOfAnyGeneration) {
                return;
            }
            state.faults.generation_back |= is_lower;
            state.faults.sequence_back |= !is_lower && view.is_some_and(|view| position < view.position);
            state.view = Some(View { position, map });
        }
        (Frame::Delta { .. }, None) => state.faults.gap = true,
        (Frame::Delta { from, to, touched, map }, Some(view)) => {
            let here = view.position;
            if from.generation < here.generation || (from.generation == here.generation && to <= here.sequence) {
                return;
            }
            if from.generation > here.generation || here.sequence < from.sequence {
                state.faults.gap |= !model.is(Variant::DeltaOfAnyRange);
                if !model.is(Variant::DeltaOfAnyRange) {
                    return;
                }
            }
            let position = Position { sequence: to, ..from };
            state.view = Some(View { position, map: view.map & !touched | map });
        }
    }
}
