//! One viewer's map of one show, brought forward by packed seat frames with as little work as the protocol allows: each
//! entry is decoded and written into the viewer's own map, nothing is allocated.

use std::collections::VecDeque;
use std::fmt;
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
pub(crate) enum TakenUp {
    Snapshot,
    Delta,
    /// Nothing had changed.
    Beat,
}

/// A frame that came.
#[derive(Debug, Clone, Copy)]
struct Step {
    kind: &'static str,
    from: Option<u64>,
    end: Position,
}

/// The map, and what its viewer saw.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) show: ShowId,
    /// `None`: nothing came yet.
    pub(crate) position: Option<Position>,
    pub(crate) statuses: PackedStatuses,
    pub(crate) taken_up: Option<TakenUp>,
    /// Batches that the last frame brought it forward by.
    pub(crate) last_leap: u64,
    /// Deltas and snapshots that came.
    pub(crate) frames: u64,
    /// On the present connection.
    reached: Option<Position>,
    /// The next delta is what was missed.
    pub(super) awaits_catch_up: bool,
    /// The last frames, oldest first.
    steps: VecDeque<Step>,
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
            frames: 0,
            reached: None,
            awaits_catch_up: false,
            steps: VecDeque::new(),
            published: None,
        }
    }

    /// From another viewer's position, or none.
    pub(super) fn resumed(self, position: Option<Position>, published: Option<Arc<Published>>) -> Self {
        Self { position, published, ..self }
    }

    pub(super) fn leave_sample(&mut self) {
        self.published = None;
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

    /// From another connection; `None`: as somebody who has no map.
    pub(super) fn resume(&mut self, position: Option<Position>) {
        if position.is_none() {
            self.statuses = PackedStatuses::default();
        }
        self.position = position;
        self.taken_up = None;
        self.reached = None;
        self.awaits_catch_up = position.is_some();
    }

    /// Applies a frame of this show, and checks it against the delta rule.
    pub(super) fn on_frame(&mut self, frame: &[u8], now: Instant, stats: &mut Stats) -> anyhow::Result<()> {
        match frame.first() {
            Some(&DELTA) => {
                stats.deltas += 1;
                self.frames += 1;
                self.taken_up.get_or_insert(TakenUp::Delta);
                self.on_delta(frame, now, stats).context("a delta ended early")
            }
            Some(&SNAPSHOT | &BEAT) => self.on_other(&SeatFrame::from_packed(frame)?, frame.len() as u64, now, stats),
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
        let end = Position::new(generation, to);
        self.remember(Step { kind: "delta", from: Some(from), end });
        self.reach(end, frame, stats);
        let Some(here) = self.position.filter(|here| here.generation >= generation) else {
            self.violated("a delta that needs a snapshot", frame, stats);
            return Some(());
        };
        if end <= here {
            return Some(());
        }
        if from > here.sequence {
            self.violated("a gap", frame, stats);
            return Some(());
        }
        let mut next = 0_u32;
        for _ in 0..count {
            let entry = int()?;
            let seat = next.checked_add(u32::try_from(entry >> 2).ok()?)?;
            self.statuses.set(SeatIndex(seat), SeatStatus::from_bits((entry & 3) as u8));
            next = seat + 1;
        }
        stats.entries += count;
        self.last_leap = to - here.sequence;
        stats.batches += self.last_leap;
        if std::mem::take(&mut self.awaits_catch_up) {
            // It was away: how late the changes are says nothing.
            stats.catch_ups += 1;
            self.position = Some(end);
        } else {
            self.move_to(here, end, now, stats);
        }
        Some(())
    }

    fn on_other(&mut self, frame: &SeatFrame, length: u64, now: Instant, stats: &mut Stats) -> anyhow::Result<()> {
        match frame {
            SeatFrame::Snapshot(snapshot) => {
                stats.snapshots += 1;
                stats.snapshot_bytes = length;
                self.frames += 1;
                self.remember(Step { kind: "snapshot", from: None, end: snapshot.position });
                // A heal, not an arrival.
                let seen = self.reached.and(self.position);
                self.reach(snapshot.position, &[], stats);
                self.taken_up.get_or_insert(TakenUp::Snapshot);
                self.awaits_catch_up = false;
                if self.position.is_none_or(|here| here.generation <= snapshot.position.generation) {
                    let here = self.position.map_or(0, |here| here.sequence);
                    self.last_leap = snapshot.position.sequence.saturating_sub(here);
                    self.statuses = snapshot.statuses.clone();
                    self.move_to(seen.unwrap_or(snapshot.position), snapshot.position, now, stats);
                }
            }
            SeatFrame::Beat(beat) => {
                stats.beats += 1;
                self.remember(Step { kind: "beat", from: None, end: beat.position });
                self.taken_up.get_or_insert(TakenUp::Beat);
                if self.reached.is_some_and(|reached| beat.position < reached) {
                    self.violated("a beat from before", &[], stats);
                }
                let lost = |here: Position| here.generation == beat.position.generation && here < beat.position;
                if self.position.is_some_and(lost) {
                    self.violated("a beat beyond the map", &[], stats);
                }
            }
            SeatFrame::Delta(_) => bail!("a delta on the wrong way"),
        }
        Ok(())
    }

    fn move_to(&mut self, here: Position, end: Position, now: Instant, stats: &mut Stats) {
        self.position = Some(end);
        let Some(published) = self.published.as_ref().filter(|_| here.generation == end.generation) else { return };
        for sequence in here.sequence + 1..=end.sequence {
            if let Some(age) = published.age(Position::new(end.generation, sequence), now) {
                let _ = stats.latency.record(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
            }
        }
    }

    /// On one connection positions only grow.
    fn reach(&mut self, end: Position, frame: &[u8], stats: &mut Stats) {
        if self.reached.is_some_and(|reached| end < reached) {
            self.violated("the position went back", frame, stats);
        }
        self.reached = self.reached.max(Some(end));
    }

    fn remember(&mut self, step: Step) {
        if self.steps.len() == STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }

    /// The frames that came last, oldest first.
    pub(crate) fn last_frames(&self) -> String {
        let steps: Vec<String> = self.steps.iter().map(Step::to_string).collect();
        steps.join(", ")
    }

    fn violated(&self, what: &str, frame: &[u8], stats: &mut Stats) {
        let at = self.position.map_or_else(|| "nowhere".to_owned(), |at| at.to_string());
        let (show, seats, last) = (self.show, seats(frame), self.last_frames());
        stats.violated(format!("show {show}: {what}{seats}; the map is at {at}, the last frames {last}"));
    }
}

/// Those that a delta is about, the first ones.
fn seats(frame: &[u8]) -> String {
    let Ok(SeatFrame::Delta(delta)) = SeatFrame::from_packed(frame) else { return String::new() };
    let shown: Vec<String> =
        delta.seats.iter().take(SEATS_SHOWN).map(|(seat, status)| format!("{} {status:?}", seat.0)).collect();
    format!(", of seats {}", shown.join(", "))
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, from, end } = self;
        match from {
            Some(from) => write!(f, "{kind} {from}..{end}"),
            None => write!(f, "{kind} {end}"),
        }
    }
}

/// Frames that are remembered.
const STEPS: usize = 8;
const SEATS_SHOWN: usize = 8;

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
            delta(14, 15, &[(2, SeatStatus::Held)]),
            delta(8, 11, &[(1, SeatStatus::Held)]),
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
        assert_eq!((stats.entries, stats.batches, stats.deltas), (3, 2, 3));
        // The gap, and what came after it from before.
        assert_eq!(stats.violations_total, 2, "{:?}", stats.violations);
        assert!(stats.violations[0].contains("a gap, of seats 2 Held; the map is at 3/12"), "{:?}", stats.violations);
        assert!(stats.violations[1].contains("the position went back"), "{:?}", stats.violations);
    }
}
