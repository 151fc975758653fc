//! Status and last change of every seat of a show, and what a viewer at some position lacks. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use seatwire_protocol::command::SnapshotReply;
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::seat_frame::{Beat, Delta, SeatFrame, Snapshot};
use seatwire_protocol::{Position, SaleState, SeatIndex, SeatStatus, ShowId};

use crate::ws::frame::{self, Encoding, PerEncoding};

/// While the sale has not opened, a snapshot tells the time that is left, and so can't be kept for longer.
const COUNTDOWN_KEPT_MS: u64 = 200;

/// Recent changes are kept for one in so many seats, and never fewer than [`RECENT_MIN`].
const RECENT_PART: usize = 4;
const RECENT_MIN: usize = 256;

/// The map of one show. `floor` is the position of the snapshot it began with: what changed before it is not known.
pub struct SeatMap {
    show: ShowId,
    position: Position,
    floor: Position,
    sale: SaleState,
    /// By this process's clock; meaningful while the sale is before opening.
    opens_at_ms: u64,
    layout_version: u64,
    statuses: PackedStatuses,
    /// Sequence of each seat's last change; 0 until one is seen.
    changed_at: Vec<u64>,
    /// The last changes, by sequence, so that what changed a moment ago is found without looking at every seat.
    recent: VecDeque<(u64, SeatIndex)>,
    /// Changes after this sequence are all in `recent`.
    recent_from: u64,
    snapshots: PerEncoding<Option<CachedSnapshot>>,
}

struct CachedSnapshot {
    position: Position,
    encoded_at_ms: u64,
    bytes: Bytes,
}

impl SeatMap {
    /// A map from the core's snapshot; `None` when its bytes do not fit its number of seats.
    pub fn new(show: ShowId, snapshot: &SnapshotReply, now_ms: u64) -> Option<Self> {
        Some(Self {
            show,
            position: snapshot.position,
            floor: snapshot.position,
            sale: snapshot.sale,
            opens_at_ms: now_ms.saturating_add(snapshot.opens_in_ms),
            layout_version: snapshot.layout_version,
            statuses: PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses)?,
            changed_at: vec![0; snapshot.seats as usize],
            recent: VecDeque::new(),
            recent_from: snapshot.position.sequence,
            snapshots: PerEncoding::default(),
        })
    }

    pub fn position(&self) -> Position {
        self.position
    }

    /// Applies the batch that follows the present position; the caller checked that it does.
    pub fn apply(&mut self, sale: SaleState, seats: &[(SeatIndex, SeatStatus)]) {
        self.position = self.position.next();
        self.sale = sale;
        for (seat, status) in seats {
            if !self.statuses.set(*seat, *status) {
                continue;
            }
            if let Some(changed_at) = self.changed_at.get_mut(seat.as_usize()) {
                *changed_at = self.position.sequence;
            }
            self.recent.push_back((self.position.sequence, *seat));
        }
        if self.recent.len() > (self.changed_at.len() / RECENT_PART).max(RECENT_MIN) {
            let older = self.recent.len() / 2;
            self.recent_from = self.recent.drain(..older).next_back().map_or(self.recent_from, |(at, _)| at);
        }
    }

    /// What changed since `from`, for everybody whose cursor is within; `None` when nothing did, or it is not known.
    pub fn delta_since(&self, from: Position, viewers: u64) -> Option<Delta> {
        (from != self.position && self.covers(from)).then(|| self.delta(from.sequence, viewers))
    }

    /// Whether a map at `position` can be brought up to date by a delta.
    pub fn covers(&self, position: Position) -> bool {
        position.generation == self.position.generation
            && (self.floor.sequence..=self.position.sequence).contains(&position.sequence)
    }

    /// What brings a viewer from `cursor` to the present position: the seats that changed since, or everything,
    /// whichever is smaller; `None` when it is there already.
    pub fn catch_up(
        &mut self,
        cursor: Option<Position>,
        encoding: Encoding,
        viewers: u64,
        now_ms: u64,
    ) -> Option<Bytes> {
        let Some(cursor) = cursor.filter(|position| self.covers(*position)) else {
            return Some(self.snapshot(encoding, viewers, now_ms));
        };
        if cursor == self.position {
            return None;
        }
        let delta = self.delta(cursor.sequence, viewers);
        // An entry of a delta takes about 9 characters or 2 bytes, one of a snapshot 1 character or 2 bits.
        let smaller = match encoding {
            Encoding::Json => delta.seats.len().saturating_mul(9) <= self.changed_at.len(),
            Encoding::Msgpack => delta.seats.len().saturating_mul(8) <= self.changed_at.len(),
        };
        if !smaller && delta.seats.len() > 8 {
            return Some(self.snapshot(encoding, viewers, now_ms));
        }
        Some(frame::seat_frame(encoding, &SeatFrame::Delta(delta)))
    }

    /// The whole map, encoded once a position.
    pub fn snapshot(&mut self, encoding: Encoding, viewers: u64, now_ms: u64) -> Bytes {
        if let Some(cached) = self.snapshots.get(encoding) {
            let lasting =
                self.sale != SaleState::Before || now_ms.saturating_sub(cached.encoded_at_ms) < COUNTDOWN_KEPT_MS;
            if cached.position == self.position && lasting {
                return cached.bytes.clone();
            }
        }
        let bytes = frame::seat_frame(encoding, &SeatFrame::Snapshot(self.snapshot_frame(viewers, now_ms)));
        let cached = CachedSnapshot { position: self.position, encoded_at_ms: now_ms, bytes: bytes.clone() };
        *self.snapshots.get_mut(encoding) = Some(cached);
        bytes
    }

    /// The whole map as a frame.
    pub fn snapshot_frame(&self, viewers: u64, now_ms: u64) -> Snapshot {
        let opens_in_ms = if self.sale == SaleState::Before { self.opens_at_ms.saturating_sub(now_ms) } else { 0 };
        Snapshot {
            show: self.show,
            position: self.position,
            sale: self.sale,
            opens_in_ms,
            layout_version: self.layout_version,
            viewers,
            statuses: self.statuses.clone(),
        }
    }

    /// A sign of life for a viewer whose last frame ended at `position`.
    pub fn beat(&self, position: Position, viewers: u64, server_time_ms: u64) -> Beat {
        Beat { show: self.show, position, sale: self.sale, viewers, server_time_ms }
    }

    fn delta(&self, from: u64, viewers: u64) -> Delta {
        let changed = self.changed_since(from);
        Delta {
            show: self.show,
            generation: self.position.generation,
            from,
            to: self.position.sequence,
            sale: self.sale,
            viewers,
            seats: changed.into_iter().filter_map(|seat| Some((seat, self.statuses.get(seat)?))).collect(),
        }
    }

    /// Seats whose last change came after a sequence, in their order.
    fn changed_since(&self, sequence: u64) -> Vec<SeatIndex> {
        if sequence < self.recent_from {
            let changed = (0_u32..).zip(&self.changed_at).filter(|(_, at)| **at > sequence);
            return changed.map(|(seat, _)| SeatIndex(seat)).collect();
        }
        let later = self.recent.partition_point(|(at, _)| *at <= sequence);
        let mut seats: Vec<SeatIndex> = self.recent.range(later..).map(|(_, seat)| *seat).collect();
        seats.sort_unstable();
        seats.dedup();
        seats
    }
}

#[cfg(test)]
mod tests;
