//! What must hold in every state.

use super::state::{Parked, State};
use super::{Action, Feed};
use crate::checker::Milestone;

pub const VIEW_TRUE: &str = "the viewer's map is the true map at its position";
pub const ROOM_TRUE: &str = "a room's map is the true map at its position";
pub const GENERATION_GROWS: &str = "the viewer's generation never goes back";
pub const SEQUENCE_GROWS: &str = "within a generation the viewer never goes back, unless the core could not be asked";
pub const NO_GAP: &str = "the viewer gets no frame that it can't use";
pub const ONCE: &str = "no position is given out twice";
pub const NOT_PARTIAL: &str = "nobody is shown a map that is not whole";
pub const RIGHT_AT_REST: &str = "at rest the show is served, and rooms and viewer have its present state";

/// The first property that a state violates.
pub fn violated(model: &Feed, state: &State, enabled: &[Action]) -> Option<&'static str> {
    let faults = &state.faults;
    let is_at_rest = !enabled.iter().any(|action| action.is_of_the_system());
    let source = &state.source;
    // A dead timeline's copy may be partial; what was shown of its generation was whole, and nobody is served from it.
    let is_partial = model.is_loaded(source) && !source.complete;
    let partial_seen = state.view.is_some_and(|view| view.position.generation == source.position.generation)
        || state
            .rooms
            .iter()
            .any(|room| room.map.is_some_and(|map| map.position.generation == source.position.generation));
    let checks = [
        (ONCE, !faults.reused),
        (NOT_PARTIAL, !(is_partial && partial_seen)),
        (VIEW_TRUE, state.view.is_none_or(|view| state.truth(view.position) == Some(view.map))),
        (ROOM_TRUE, rooms_true(state)),
        (GENERATION_GROWS, !faults.generation_back),
        (SEQUENCE_GROWS, !faults.sequence_back || state.unasked),
        (NO_GAP, !faults.gap),
        (RIGHT_AT_REST, !is_at_rest || right_at_rest(model, state)),
    ];
    checks.into_iter().find(|(_, holds)| !holds).map(|(property, _)| property)
}

fn rooms_true(state: &State) -> bool {
    state.rooms.iter().filter_map(|room| room.map).all(|map| state.truth(map.position) == Some(map.map))
}

fn right_at_rest(model: &Feed, state: &State) -> bool {
    let source = &state.source;
    let rooms_right =
        state.rooms.iter().filter(|room| room.open).all(|room| {
            room.live && room.map.is_some_and(|map| map.position == source.position && map.map == source.map)
        });
    let viewer_right = state.view.is_some_and(|view| view.position == source.position && view.map == source.map);
    model.is_served(source) && rooms_right && viewer_right
}

/// What a run should have come across.
pub fn milestones(model: &Feed) -> Vec<Milestone<State>> {
    let mut all: Vec<Milestone<State>> =
        vec![("the viewer saw a change", |s| s.view.is_some_and(|view| view.position.sequence > 0))];
    let scenario = &model.scenario;
    if scenario.moves > 0 && scenario.warm {
        all.push(("the viewer was ahead of the other gateway", |s| {
            s.connection.as_ref().is_some_and(|connection| connection.parked != Parked::No)
        }));
    }
    if scenario.wipes + scenario.failovers > 0 {
        all.push(("the viewer saw a second generation", |s| s.view.is_some_and(|v| v.position.generation >= 2)));
    }
    all
}
