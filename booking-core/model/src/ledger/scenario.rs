//! Which faults and how much of everything a run allows. One run with all of it at once would never end.

use super::variant::Variant;
use crate::Bound;

/// The bound of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    pub name: &'static str,
    /// By buyer: a bit a seat.
    pub wishes: [u8; 2],
    /// Tasks at a time.
    pub tasks: usize,
    /// Holds that each buyer may ask for, at most two.
    pub holds: u8,
    pub wipes: u8,
    pub rollbacks: u8,
    /// Loads without need.
    pub renews: u8,
    pub generation_max: u8,
    /// Whether payments are captured.
    pub money: bool,
    /// Whether the show is not loaded at first.
    pub cold: bool,
}

const BASE: Scenario = Scenario {
    name: "",
    wishes: [0b11, 0b10],
    tasks: 2,
    holds: 1,
    wipes: 0,
    rollbacks: 0,
    renews: 0,
    generation_max: 1,
    money: false,
    cold: false,
};
const MONEY: Scenario = Scenario { name: "money, one hold each", money: true, ..BASE };
const HOLDS: Scenario = Scenario { name: "two holds each", holds: 2, ..BASE };
const RENEW: Scenario = Scenario { name: "reload", renews: 1, generation_max: 2, ..BASE };
const WIPE: Scenario = Scenario { name: "wipe", wipes: 1, generation_max: 2, ..BASE };
const ROLLBACK: Scenario = Scenario { name: "failover, one task", tasks: 1, rollbacks: 1, generation_max: 2, ..BASE };
/// Nobody buys: loaders alone, three at a time.
const LOADERS: Scenario =
    Scenario { name: "loaders", cold: true, holds: 0, tasks: 3, wipes: 1, generation_max: 4, ..BASE };

/// The runs of a bound.
pub fn scenarios(bound: Bound) -> Vec<Scenario> {
    match bound {
        Bound::Small => vec![MONEY, HOLDS, RENEW, WIPE, ROLLBACK, LOADERS],
        Bound::Large => vec![
            Scenario { name: "money, two holds each", holds: 2, ..MONEY },
            Scenario { name: "both want both seats", holds: 2, wishes: [0b11, 0b11], ..MONEY },
            Scenario { name: "reload and money", money: true, ..RENEW },
            WIPE,
            Scenario { name: "failover", tasks: 2, ..ROLLBACK },
            LOADERS,
        ],
    }
}

/// The run in which a variant has to be caught.
pub fn scenario_for(variant: Variant) -> Scenario {
    use Variant as V;
    match variant {
        V::SettleTwice | V::RescueUnchecked | V::ExpireAnyState | V::RescueWithoutHold | V::SkippedGivesUp => MONEY,
        V::NoCompareAndSet
        | V::LoadAcceptsAny
        | V::LoadSentAgain
        | V::RowsOfAnyGeneration
        | V::NoComplete
        | V::NoTakeover => LOADERS,
        V::ReadBeforeLoad | V::LookBeforeLock => WIPE,
        V::NoRunId => ROLLBACK,
        V::NoVersion | V::LoadReplaces | V::OwnHoldOnlyWithNews | V::RowsWithoutHolds => RENEW,
        _ => HOLDS,
    }
}
