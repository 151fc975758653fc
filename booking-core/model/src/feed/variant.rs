//! The design, and what it would be without one of its guards or rules.

use super::properties as p;

/// One guard or rule taken out; [`Variant::Design`] has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Design,
    /// A round's frame goes to every viewer, wherever its cursor is.
    RoundToAll,
    /// The same, and a viewer applies a delta of its generation whatever its range.
    DeltaOfAnyRange,
    /// A viewer applies a snapshot of a lower generation.
    SnapshotOfAnyGeneration,
    /// A delta leaves out seats that went and came back.
    OnlyDifferences,
    /// A room catches up from below its floor.
    NoFloor,
    /// A room that heals keeps its floor and what it knew of changes.
    FloorKept,
    /// A room applies a batch although others are missing before it.
    NoHole,
    /// A room compares sequences only, not generations.
    NoGeneration,
    /// load does not tell the feed.
    NoReset,
    /// The gateway does not ask for positions.
    NoPositions,
    /// The snapshot may be older than the subscription.
    FetchTooEarly,
    /// What is heard while a snapshot is fetched is thrown away.
    NoBacklog,
    /// A viewer that is ahead of the room does not wait for the core's word.
    NoAheadWait,
    /// Redis is served whatever server its state comes from.
    NoRunId,
    /// A partial map is served.
    NoComplete,
    /// A load starts the sequence again under the same generation.
    NoNewGeneration,
}

impl Variant {
    /// Every variant that lacks something.
    pub const BROKEN: [Self; 16] = [
        Self::RoundToAll,
        Self::DeltaOfAnyRange,
        Self::SnapshotOfAnyGeneration,
        Self::OnlyDifferences,
        Self::NoFloor,
        Self::FloorKept,
        Self::NoHole,
        Self::NoGeneration,
        Self::NoReset,
        Self::NoPositions,
        Self::FetchTooEarly,
        Self::NoBacklog,
        Self::NoAheadWait,
        Self::NoRunId,
        Self::NoComplete,
        Self::NoNewGeneration,
    ];

    /// The property that it violates first; `None` for the design.
    pub const fn violates(self) -> Option<&'static str> {
        Some(match self {
            Self::Design => return None,
            Self::RoundToAll => p::NO_GAP,
            Self::DeltaOfAnyRange | Self::OnlyDifferences | Self::NoFloor | Self::FloorKept => p::VIEW_TRUE,
            Self::SnapshotOfAnyGeneration => p::GENERATION_GROWS,
            Self::NoHole | Self::NoGeneration => p::ROOM_TRUE,
            Self::NoReset | Self::NoPositions | Self::FetchTooEarly | Self::NoBacklog => p::RIGHT_AT_REST,
            Self::NoAheadWait => p::SEQUENCE_GROWS,
            Self::NoRunId => p::ONCE,
            Self::NoComplete | Self::NoNewGeneration => p::NOT_PARTIAL,
        })
    }
}
