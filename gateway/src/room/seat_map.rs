//! Status and last change of every seat of a show, and what a viewer at some position lacks. Pure.

use bytes::Bytes;
use seatwire_protocol::command::SnapshotReply;
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::seat_frame::{Beat, Delta, SeatFrame, Snapshot};
use seatwire_protocol::{Position, SaleState, SeatIndex, SeatStatus, ShowId};

use crate::ws::frame::{self, Encoding, PerEncoding};

/// While the sale has not opened, a snapshot tells the time that is left, and so can't be kept for longer.
const COUNTDOWN_KEPT_MS: u64 = 200;

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
    /// Where the last round ended.
    rounded: Position,
    /// Seats changed since the last round, in any order, some more than once; bounded by folding at the seat count.
    touched: Vec<SeatIndex>,
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
            rounded: snapshot.position,
            touched: Vec::new(),
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
            self.touched.push(*seat);
        }
        if self.touched.len() > self.changed_at.len() {
            self.touched.sort_unstable();
            self.touched.dedup();
        }
    }

    /// What changed since the last call, for everybody whose cursor is within; `None` when nothing did.
    pub fn begin_round(&mut self, viewers: u64) -> Option<Delta> {
        let from = std::mem::replace(&mut self.rounded, self.position);
        let mut touched = std::mem::take(&mut self.touched);
        if from == self.position {
            return None;
        }
        touched.sort_unstable();
        touched.dedup();
        let seats = touched.into_iter().filter_map(|seat| Some((seat, self.statuses.get(seat)?))).collect();
        Some(self.delta(from.sequence, viewers, seats))
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
        let changed = (0_u32..).zip(&self.changed_at).filter(|(_, at)| **at > cursor.sequence);
        let seats: Vec<_> =
            changed.filter_map(|(seat, _)| Some((SeatIndex(seat), self.statuses.get(SeatIndex(seat))?))).collect();
        // An entry of a delta takes about 9 characters or 2 bytes, one of a snapshot 1 character or 2 bits.
        let smaller = match encoding {
            Encoding::Json => seats.len().saturating_mul(9) <= self.changed_at.len(),
            Encoding::Msgpack => seats.len().saturating_mul(8) <= self.changed_at.len(),
        };
        if !smaller && seats.len() > 8 {
            return Some(self.snapshot(encoding, viewers, now_ms));
        }
        let delta = self.delta(cursor.sequence, viewers, seats);
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

    fn delta(&self, from: u64, viewers: u64, seats: Vec<(SeatIndex, SeatStatus)>) -> Delta {
        Delta {
            show: self.show,
            generation: self.position.generation,
            from,
            to: self.position.sequence,
            sale: self.sale,
            viewers,
            seats,
        }
    }
}

#[cfg(test)]
mod tests;
