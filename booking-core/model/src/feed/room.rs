//! What a gateway's room does with the feed and with snapshots, as `gateway/src/room/sync.rs` and `seat_map.rs` do.

use super::Feed;
use super::state::{Fetch, Frame, Map, Mask, Message, Position, Room, RoomMap};
use super::variant::Variant;

fn changed_since(map: &RoomMap, sequence: u8) -> Mask {
    u8::from(map.changed_at[0] > sequence) | u8::from(map.changed_at[1] > sequence) << 1
}

fn apply(map: &mut RoomMap, position: Position, touched: Mask, statuses: Map) {
    map.map = map.map & !touched | statuses & touched;
    map.position = position;
    for (seat, changed_at) in map.changed_at.iter_mut().enumerate() {
        if touched >> seat & 1 == 1 {
            *changed_at = position.sequence;
        }
    }
}

/// A message of the feed arrives.
pub(super) fn on_feed(model: &Feed, room: &mut Room, message: Message) {
    let (true, Some(map)) = (room.live, room.map.as_mut()) else {
        if !model.is(Variant::NoBacklog) {
            room.backlog.push(message);
        }
        return;
    };
    let here = map.position;
    match message {
        Message::Reset { generation } if generation <= here.generation => {}
        Message::Batch { position, touched, map: statuses } => {
            let same = position.generation == here.generation;
            if same && position <= here {
                return;
            }
            if position < here && !model.is(Variant::NoGeneration) {
                return;
            }
            let is_next = position.sequence == here.sequence + 1 || model.is(Variant::NoHole);
            if is_next && (same || model.is(Variant::NoGeneration)) {
                apply(map, position, touched, statuses);
            } else {
                room.backlog.push(message);
                room.live = false;
            }
        }
        Message::Reset { .. } => {
            room.backlog.push(message);
            room.live = false;
        }
    }
}

/// The snapshot arrives; unless it joins up with what was heard, the room stays as it is and fetches again.
pub(super) fn install(model: &Feed, room: &mut Room) {
    let Some(Fetch { position, map, void }) = room.fetch.take() else { return };
    if void || room.position().is_some_and(|here| position < here) {
        return;
    }
    let mut fresh = RoomMap { position, floor: position, map, changed_at: [0; 2], rounded: position, rounded_map: map };
    if let Some(old) =
        room.map.filter(|old| model.is(Variant::FloorKept) && old.position.generation == position.generation)
    {
        fresh = RoomMap { floor: old.floor, changed_at: old.changed_at, ..fresh };
    }
    room.backlog.retain(|message| match message {
        Message::Batch { position: at, .. } => *at > position,
        Message::Reset { generation } => *generation > position.generation,
    });
    for message in &room.backlog {
        match *message {
            Message::Batch { position: at, .. } if at <= fresh.position => {}
            Message::Batch { position: at, touched, map: statuses }
                if at.generation == fresh.position.generation && at.sequence == fresh.position.sequence + 1 =>
            {
                apply(&mut fresh, at, touched, statuses);
            }
            _ => return,
        }
    }
    room.backlog.clear();
    room.map = Some(fresh);
    room.live = true;
}

/// What a viewer at `cursor` lacks; `None` when nothing.
pub(super) fn catch_up(model: &Feed, room: &Room, cursor: Option<Position>) -> Option<Frame> {
    let map = room.map.as_ref()?;
    let is_covered = |cursor: &Position| {
        let floor = if model.is(Variant::NoFloor) { 0 } else { map.floor.sequence };
        cursor.generation == map.position.generation && (floor..=map.position.sequence).contains(&cursor.sequence)
    };
    let Some(cursor) = cursor.filter(is_covered) else {
        return Some(Frame::Snapshot { position: map.position, map: map.map });
    };
    if cursor == map.position {
        return None;
    }
    let touched = changed_since(map, cursor.sequence);
    Some(Frame::Delta { from: cursor, to: map.position.sequence, touched, map: map.map & touched })
}

/// The frame that a round sends to everybody whose cursor fits.
pub(super) fn begin_round(model: &Feed, room: &mut Room) -> Option<Frame> {
    let map = room.map.as_mut()?;
    let (from, before) = (map.rounded, map.rounded_map);
    (map.rounded, map.rounded_map) = (map.position, map.map);
    if from == map.position {
        return None;
    }
    let touched = if model.is(Variant::OnlyDifferences) { before ^ map.map } else { changed_since(map, from.sequence) };
    Some(Frame::Delta { from, to: map.position.sequence, touched, map: map.map & touched })
}
