//! One viewer's map of one show, brought forward by packed seat frames with as little work as the protocol allows: each
//! entry is decoded and written into the viewer's own map, nothing is allocated.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::{Position, SeatIndex, SeatStatus, ShowId, varint};

use super::stats::{Published, Stats};

const SNAPSHOT: u8 = 1;
const DELTA: u8 = 2;
const BEAT: u8 = 3;

/// How a viewer's map was taken up after it joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum TakenUp {
    Snapshot,
    Delta,
    /// Nothing had changed.
    Beat,
}

/// The map.
#[derive(Debug)]
pub(in crate::bench) struct Map {
    pub(in crate::bench) show: ShowId,
    /// `None`: nothing came yet.
    pub(in crate::bench) position: Option<Position>,
    pub(in crate::bench) statuses: PackedStatuses,
    pub(in crate::bench) taken_up: Option<TakenUp>,
    /// Batches that the last frame brought it forward by.
    pub(in crate::bench) last_leap: u64,
    /// When the show's batches were published; only where this viewer is one of the sample.
    pub(super) published: Option<Arc<Published>>,
}

impl Map {
    pub(super) fn new(show: ShowId) -> Self {
        Self {
            show,
            position: None,
            statuses: PackedStatuses::default(),
            taken_up: None,
            last_leap: 0,
            published: None,
        }
    }

    /// A map that deltas fit without a snapshot.
    pub(super) fn empty(show: ShowId, seats: u32) -> Self {
        let position = Some(Position::new(1, 0));
        Self { position, statuses: PackedStatuses::new(seats), ..Self::new(show) }
    }

    /// The show that a packed frame is about.
    pub(super) fn show_of(mut frame: &[u8]) -> Option<u64> {
        frame.split_off_first()?;
        varint::take(&mut frame)
    }

    /// Applies a frame of this show.
    pub(super) fn on_frame(&mut self, frame: &[u8], now: Instant, stats: &mut Stats) -> anyhow::Result<()> {
        match frame.first() {
            Some(&DELTA) => {
                stats.deltas += 1;
                self.taken_up.get_or_insert(TakenUp::Delta);
                self.on_delta(frame, now, stats).context("a delta ended early")
            }
            Some(&SNAPSHOT | &BEAT) => self.on_other(&SeatFrame::from_packed(frame)?, frame.len() as u64, stats),
            other => bail!("a seat frame of kind {other:?}"),
        }
    }

    /// The way of almost all frames; `None` when it is cut off.
    fn on_delta(&mut self, frame: &[u8], now: Instant, stats: &mut Stats) -> Option<()> {
        let mut input = frame.get(1..)?;
        let mut int = || varint::take(&mut input);
        let (_, generation, from, to) = (int()?, int()?, int()?, int()?);
        input.split_off_first()?;
        let mut int = || varint::take(&mut input);
        let (_, count) = (int()?, int()?);
        let Some(here) = self.position.filter(|here| here.generation == generation && from <= here.sequence) else {
            stats.gaps += 1;
            return Some(());
        };
        if to <= here.sequence {
            return Some(());
        }
        let mut next = 0_u32;
        for _ in 0..count {
            let entry = int()?;
            let seat = next.checked_add(u32::try_from(entry >> 2).ok()?)?;
            self.statuses.set(SeatIndex(seat), SeatStatus::from_bits((entry & 3) as u8));
            next = seat + 1;
        }
        if let Some(published) = &self.published {
            for sequence in here.sequence + 1..=to {
                if let Some(age) = published.age(sequence, now) {
                    let _ = stats.latency.record(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
                }
            }
        }
        stats.entries += count;
        self.last_leap = to - here.sequence;
        stats.batches += self.last_leap;
        self.position = Some(Position::new(generation, to));
        Some(())
    }

    fn on_other(&mut self, frame: &SeatFrame, length: u64, stats: &mut Stats) -> anyhow::Result<()> {
        match frame {
            SeatFrame::Snapshot(snapshot) => {
                stats.snapshots += 1;
                stats.snapshot_bytes = length;
                self.taken_up.get_or_insert(TakenUp::Snapshot);
                if self.position.is_none_or(|here| here.generation <= snapshot.position.generation) {
                    let here = self.position.map_or(0, |here| here.sequence);
                    self.last_leap = snapshot.position.sequence.saturating_sub(here);
                    self.position = Some(snapshot.position);
                    self.statuses = snapshot.statuses.clone();
                }
            }
            SeatFrame::Beat(beat) => {
                stats.beats += 1;
                self.taken_up.get_or_insert(TakenUp::Beat);
                stats.gaps += u64::from(self.position.is_none_or(|here| beat.position > here));
            }
            SeatFrame::Delta(_) => bail!("a delta on the wrong way"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use seatwire_protocol::SaleState;
    use seatwire_protocol::seat_frame::{Delta, Snapshot};

    use super::*;

    #[test]
    fn deltas_are_applied_where_they_fit_as_any_viewer_would() {
        let show = ShowId::new(7).unwrap();
        let delta = |from, to, seats: &[(u32, SeatStatus)]| {
            let seats = seats.iter().map(|(seat, status)| (SeatIndex(*seat), *status)).collect();
            let delta = Delta { show, generation: 3, from, to, sale: SaleState::Open, viewers: 9, seats };
            SeatFrame::Delta(delta)
        };
        let mut statuses = PackedStatuses::new(20_000);
        statuses.set(SeatIndex(5), SeatStatus::Blocked);
        let (position, sale) = (Position::new(3, 10), SaleState::Open);
        let snapshot = Snapshot {
            show,
            position,
            sale,
            opens_in_ms: 0,
            layout_version: 1,
            viewers: 9,
            statuses: statuses.clone(),
        };
        let frames = [
            SeatFrame::Snapshot(snapshot),
            delta(8, 12, &[(0, SeatStatus::Held), (300, SeatStatus::Booked), (19_999, SeatStatus::Held)]),
            delta(8, 11, &[(1, SeatStatus::Held)]),
            delta(14, 15, &[(2, SeatStatus::Held)]),
        ];
        let (mut map, mut stats) = (Map::new(show), Stats::new().unwrap());
        for frame in frames {
            let mut bytes = Vec::new();
            frame.put_packed(&mut bytes);
            assert_eq!(Map::show_of(&bytes), Some(7));
            map.on_frame(&bytes, Instant::now(), &mut stats).unwrap();
        }
        for (seat, status) in [(0, SeatStatus::Held), (300, SeatStatus::Booked), (19_999, SeatStatus::Held)] {
            statuses.set(SeatIndex(seat), status);
        }
        assert_eq!((map.position, &map.statuses), (Some(Position::new(3, 12)), &statuses));
        assert_eq!((stats.entries, stats.batches, stats.gaps, stats.deltas), (3, 2, 1, 3));
    }
}
