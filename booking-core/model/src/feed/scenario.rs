//! Which faults and how much of everything a run allows.

use super::variant::Variant;
use crate::Bound;

/// The bound of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    pub name: &'static str,
    /// Batches in all; at most 4.
    pub changes: u8,
    /// Messages that Redis loses.
    pub losses: u8,
    /// Feed connections lost.
    pub drops: u8,
    /// Times that the viewer's connection breaks; it may come back at either gateway.
    pub moves: u8,
    pub wipes: u8,
    pub failovers: u8,
    /// Times that the core does not answer about a viewer that is ahead.
    pub timeouts: u8,
    /// Whether both rooms are live at first.
    pub warm: bool,
    /// Whether gateways ask for positions.
    pub positions: bool,
}

const BASE: Scenario = Scenario {
    name: "moves",
    changes: 3,
    losses: 0,
    drops: 0,
    moves: 1,
    wipes: 0,
    failovers: 0,
    timeouts: 0,
    warm: true,
    positions: true,
};
const LOSS: Scenario = Scenario { name: "a lost message", changes: 2, losses: 1, ..BASE };
const COLD: Scenario = Scenario { name: "cold rooms", changes: 2, warm: false, ..BASE };
/// What the feed promises by itself: here nothing else may heal a room.
const JOIN: Scenario = Scenario { name: "cold rooms, feed alone", positions: false, ..COLD };
const DROP: Scenario = Scenario { name: "a dropped feed, alone", changes: 2, drops: 1, positions: false, ..BASE };
const WIPE: Scenario = Scenario { name: "wipe", changes: 1, wipes: 1, ..BASE };
const WIPE_ALONE: Scenario = Scenario { name: "wipe, feed alone", moves: 0, positions: false, ..WIPE };
const WIPE_LOSS: Scenario = Scenario { name: "wipe and a lost message", losses: 1, moves: 0, ..WIPE };
const FAIL_OVER: Scenario = Scenario { name: "failover", changes: 2, failovers: 1, moves: 0, ..BASE };
const TIMEOUT: Scenario = Scenario { name: "silent core", timeouts: 1, ..WIPE };

/// The runs of a bound.
pub fn scenarios(bound: Bound) -> Vec<Scenario> {
    match bound {
        Bound::Small => vec![BASE, LOSS, COLD, JOIN, DROP, WIPE, WIPE_ALONE, WIPE_LOSS, FAIL_OVER, TIMEOUT],
        Bound::Large => vec![
            Scenario { name: "four changes", changes: 4, ..BASE },
            Scenario { name: "two moves", moves: 2, ..BASE },
            Scenario { name: "a lost message and a dropped feed", drops: 1, ..LOSS },
            Scenario { name: "wipe, two changes", changes: 2, ..WIPE },
            Scenario { name: "failover and a move", moves: 1, ..FAIL_OVER },
            Scenario { name: "wipe and failover", failovers: 1, moves: 0, ..WIPE },
        ],
    }
}

/// The run in which a variant has to be caught.
pub fn scenario_for(variant: Variant) -> Scenario {
    use Variant as V;
    match variant {
        V::NoFloor | V::FloorKept => DROP,
        V::NoHole | V::NoPositions => LOSS,
        V::NoGeneration => WIPE_LOSS,
        V::NoReset => WIPE_ALONE,
        V::FetchTooEarly | V::NoBacklog => JOIN,
        V::NoRunId => FAIL_OVER,
        V::NoComplete | V::NoNewGeneration => WIPE,
        V::SnapshotOfAnyGeneration => TIMEOUT,
        _ => BASE,
    }
}
