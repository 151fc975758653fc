//! The delta rule: a seat map that follows snapshots and deltas from any gateway and never shows a state that never
//! was. Pure; [`super::ShowViewer`] decides what to ask for when the map can't follow.

use crate::id::{SeatIndex, ShowId};
use crate::position::Position;
use crate::seat::{PackedStatuses, SaleState, SeatStatus};
use crate::seat_frame::{Beat, Delta, SeatFrame, Snapshot};

/// What became of a seat frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The map is at the frame's end now.
    Applied,
    /// Nothing new in it: older than the map, of a lower generation, a beat, or another show's.
    Ignored,
    /// It needs a map that is not here: there is none yet, or the frame's generation is higher.
    NeedsSnapshot,
    /// Batches between the map and the frame are missing.
    Gap,
}

/// Statuses of all seats of a show at a position.
#[derive(Debug, Clone)]
pub struct SeatMap {
    show: ShowId,
    /// `None` until the first snapshot.
    position: Option<Position>,
    statuses: Option<PackedStatuses>,
    sale: Option<SaleState>,
    opens_in_ms: u64,
    layout_version: u64,
    viewers: u64,
    /// A frame told of batches that this map does not have.
    behind: bool,
}

impl SeatMap {
    pub(super) const fn new(show: ShowId) -> Self {
        Self {
            show,
            position: None,
            statuses: None,
            sale: None,
            opens_in_ms: 0,
            layout_version: 0,
            viewers: 0,
            behind: false,
        }
    }

    pub(super) fn apply(&mut self, frame: &SeatFrame) -> Applied {
        if frame.show() != self.show {
            return Applied::Ignored;
        }
        let applied = match frame {
            SeatFrame::Snapshot(snapshot) => self.apply_snapshot(snapshot),
            SeatFrame::Delta(delta) => self.apply_delta(delta),
            SeatFrame::Beat(beat) => self.apply_beat(beat),
        };
        match applied {
            Applied::Applied => self.behind = false,
            Applied::NeedsSnapshot | Applied::Gap => self.behind = true,
            Applied::Ignored => {}
        }
        applied
    }

    /// Replaces the map whatever its sequence: the gateway's word on where this viewer is. Only a lower generation,
    /// from a gateway that has not heard of the new one yet, is refused.
    fn apply_snapshot(&mut self, snapshot: &Snapshot) -> Applied {
        if self.generation().is_some_and(|own| snapshot.position.generation < own) {
            return Applied::Ignored;
        }
        self.position = Some(snapshot.position);
        self.statuses = Some(snapshot.statuses.clone());
        self.sale = Some(snapshot.sale);
        self.opens_in_ms = snapshot.opens_in_ms;
        self.layout_version = snapshot.layout_version;
        self.viewers = snapshot.viewers;
        Applied::Applied
    }

    fn apply_delta(&mut self, delta: &Delta) -> Applied {
        let (Some(at), Some(statuses)) = (self.position, self.statuses.as_mut()) else { return Applied::NeedsSnapshot };
        if delta.generation != at.generation {
            return if delta.generation < at.generation { Applied::Ignored } else { Applied::NeedsSnapshot };
        }
        if at.sequence >= delta.to {
            return Applied::Ignored;
        }
        if at.sequence < delta.from {
            return Applied::Gap;
        }
        // Checked before the first change: a frame is applied whole or not at all.
        if delta.seats.iter().any(|(seat, _)| seat.0 >= statuses.len()) {
            return Applied::NeedsSnapshot;
        }
        for (seat, status) in &delta.seats {
            statuses.set(*seat, *status);
        }
        self.position = Some(Position::new(delta.generation, delta.to));
        self.sale = Some(delta.sale);
        if delta.sale != SaleState::Before {
            self.opens_in_ms = 0;
        }
        self.viewers = delta.viewers;
        Applied::Applied
    }

    /// A beat tells the last position written to this viewer: above the map's own, something was lost on the way.
    fn apply_beat(&mut self, beat: &Beat) -> Applied {
        match self.position {
            Some(at) if beat.position <= at => {
                self.viewers = beat.viewers;
                Applied::Ignored
            }
            Some(at) if beat.position.generation == at.generation => Applied::Gap,
            // A viewer that was written nothing yet is at 0/0.
            None if beat.position == Position::default() => Applied::Ignored,
            _ => Applied::NeedsSnapshot,
        }
    }

    /// Position of the map; `None` before the first snapshot.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        self.position
    }

    /// Generation of the map.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.position.map(|position| position.generation)
    }

    /// Statuses of all seats.
    #[must_use]
    pub const fn statuses(&self) -> Option<&PackedStatuses> {
        self.statuses.as_ref()
    }

    /// Status of one seat.
    #[must_use]
    pub fn status(&self, seat: SeatIndex) -> Option<SeatStatus> {
        self.statuses.as_ref()?.get(seat)
    }

    /// Sale state.
    #[must_use]
    pub const fn sale(&self) -> Option<SaleState> {
        self.sale
    }

    /// Milliseconds until the sale opens, counted from the arrival of the last snapshot; 0 unless before.
    #[must_use]
    pub const fn opens_in_ms(&self) -> u64 {
        self.opens_in_ms
    }

    /// Version of the layout that the seat indexes belong to.
    #[must_use]
    pub const fn layout_version(&self) -> u64 {
        self.layout_version
    }

    /// Approximate number of viewers; 0 is unknown.
    #[must_use]
    pub const fn viewers(&self) -> u64 {
        self.viewers
    }

    /// Whether there is a map and no frame told of batches that it lacks.
    #[must_use]
    pub const fn is_followed(&self) -> bool {
        self.position.is_some() && !self.behind
    }
}
