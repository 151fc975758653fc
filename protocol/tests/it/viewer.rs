//! Whatever truthful frames arrive, in whatever order and from however many gateways, the map is always the true map
//! of its position, and one resume brings it to the end.

use proptest::prelude::*;
use seatwire_protocol::seat::{PackedStatuses, SaleState, SeatStatus};
use seatwire_protocol::seat_frame::{Beat, Delta, SeatFrame, Snapshot};
use seatwire_protocol::viewer::{Applied, Ask, ShowViewer};
use seatwire_protocol::{Position, SeatIndex, ShowId};

const SEATS: u32 = 9;

type Batch = Vec<(u32, SeatStatus)>;

/// What really happened: for each generation its first map, and the batches after it.
#[derive(Debug, Clone)]
struct Truth {
    generations: Vec<(Batch, Vec<Batch>)>,
}

impl Truth {
    fn batches(&self, generation: u64) -> &[Batch] {
        &self.generations[at(generation) - 1].1
    }

    fn last(&self) -> Position {
        let generation = self.generations.len() as u64;
        Position::new(generation, self.batches(generation).len() as u64)
    }

    fn map(&self, position: Position) -> PackedStatuses {
        let mut map = PackedStatuses::new(SEATS);
        let first = &self.generations[at(position.generation) - 1].0;
        let batches = self.batches(position.generation)[..at(position.sequence)].iter().flatten();
        for (seat, status) in first.iter().chain(batches) {
            assert!(map.set(SeatIndex(*seat), *status));
        }
        map
    }

    /// The sale opens with the second batch of a generation.
    fn sale(at: Position) -> SaleState {
        if at.sequence < 2 { SaleState::Before } else { SaleState::Open }
    }

    fn snapshot(&self, at: Position) -> SeatFrame {
        SeatFrame::Snapshot(Snapshot {
            show: show(),
            position: at,
            sale: Self::sale(at),
            opens_in_ms: 0,
            layout_version: 1,
            viewers: 1,
            statuses: self.map(at),
        })
    }

    fn delta(&self, generation: u64, from: u64, to: u64) -> SeatFrame {
        let touched = self.batches(generation)[at(from)..at(to)].iter().flatten();
        let mut seats: Vec<u32> = touched.map(|(seat, _)| *seat).collect();
        seats.sort_unstable();
        seats.dedup();
        let map = self.map(Position::new(generation, to));
        let seats = seats.into_iter().map(|seat| (SeatIndex(seat), map.get(SeatIndex(seat)).unwrap())).collect();
        let sale = Self::sale(Position::new(generation, to));
        SeatFrame::Delta(Delta { show: show(), generation, from, to, sale, viewers: 1, seats })
    }

    /// What a gateway that is at `at` and can catch up from `floor` sends to a viewer that resumes.
    fn answer(&self, at: Position, floor: u64, pos: Option<Position>) -> SeatFrame {
        match pos {
            Some(p) if p == at => Self::beat(at),
            Some(p) if p.generation == at.generation && (floor..at.sequence).contains(&p.sequence) => {
                self.delta(at.generation, p.sequence, at.sequence)
            }
            _ => self.snapshot(at),
        }
    }

    fn beat(position: Position) -> SeatFrame {
        let sale = Self::sale(position);
        SeatFrame::Beat(Beat { show: show(), position, sale, viewers: 1, server_time_ms: 0 })
    }
}

fn at(index: u64) -> usize {
    usize::try_from(index).unwrap()
}

fn show() -> ShowId {
    ShowId::new(7).unwrap()
}

/// One thing that may happen to a viewer; the numbers choose positions of a truth that is generated beside it.
#[derive(Debug, Clone)]
enum Step {
    Snapshot(u64, u64),
    Delta(u64, u64, u64),
    Beat(u64, u64),
    Again,
    Resume(u64, u64, u64),
}

fn batch() -> impl Strategy<Value = Batch> {
    let status = (0_u8..4).prop_map(SeatStatus::from_bits);
    prop::collection::btree_map(0..SEATS, status, 1..4).prop_map(|batch| batch.into_iter().collect())
}

fn truth() -> impl Strategy<Value = Truth> {
    let generation = (batch(), prop::collection::vec(batch(), 0..12));
    prop::collection::vec(generation, 1..4).prop_map(|generations| Truth { generations })
}

fn step() -> impl Strategy<Value = Step> {
    let f = any::<u64>;
    prop_oneof![
        1 => (f(), f()).prop_map(|(g, s)| Step::Snapshot(g, s)),
        6 => (f(), f(), f()).prop_map(|(g, a, b)| Step::Delta(g, a, b)),
        1 => (f(), f()).prop_map(|(g, s)| Step::Beat(g, s)),
        2 => Just(Step::Again),
        2 => (f(), f(), f()).prop_map(|(g, s, floor)| Step::Resume(g, s, floor)),
    ]
}

fn pick(choice: u64, choices: u64) -> u64 {
    choice % choices
}

fn position(truth: &Truth, g: u64, s: u64) -> Position {
    let generation = 1 + pick(g, truth.generations.len() as u64);
    Position::new(generation, pick(s, truth.batches(generation).len() as u64 + 1))
}

/// The delta rule, word by word.
fn expected(before: Option<Position>, frame: &SeatFrame) -> Applied {
    match (before, frame) {
        (None, SeatFrame::Snapshot(_)) => Applied::Applied,
        (Some(p), SeatFrame::Snapshot(s)) if s.position.generation >= p.generation => Applied::Applied,
        (None, _) => Applied::NeedsSnapshot,
        (Some(p), SeatFrame::Delta(d)) if d.generation == p.generation => match () {
            () if d.from <= p.sequence && p.sequence < d.to => Applied::Applied,
            () if p.sequence >= d.to => Applied::Ignored,
            () => Applied::Gap,
        },
        (Some(p), SeatFrame::Delta(d)) if d.generation > p.generation => Applied::NeedsSnapshot,
        (Some(p), SeatFrame::Beat(b)) if b.position > p => {
            if b.position.generation > p.generation {
                Applied::NeedsSnapshot
            } else {
                Applied::Gap
            }
        }
        _ => Applied::Ignored,
    }
}

fn feed(truth: &Truth, viewer: &mut ShowViewer, frame: &SeatFrame) -> Result<(), TestCaseError> {
    let before = viewer.map().position();
    let applied = viewer.on_frame(frame);
    prop_assert_eq!(applied, expected(before, frame));
    let after = viewer.map().position();
    if let Some(at) = after {
        prop_assert_eq!(viewer.map().statuses(), Some(&truth.map(at)), "the map is the true map of its position");
        prop_assert_eq!(viewer.map().sale(), Some(Truth::sale(at)));
    }
    if matches!(frame, SeatFrame::Snapshot(_)) {
        prop_assert!(after.map(|p| p.generation) >= before.map(|p| p.generation), "no generation comes back");
    } else {
        prop_assert!(after >= before, "only a snapshot may move a position back");
    }
    if matches!(applied, Applied::Gap | Applied::NeedsSnapshot) {
        prop_assert!(!viewer.is_live());
    }
    Ok(())
}

fn resume(viewer: &mut ShowViewer) -> Option<Position> {
    viewer.on_disconnected();
    viewer.on_connected();
    let asks = viewer.take_asks();
    let Some(Ask::Watch { pos }) = asks.first() else { panic!("a connected viewer watches first: {asks:?}") };
    *pos
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_mix_of_frames_keeps_the_map_true_and_ends_at_the_end(
        truth in truth(),
        steps in prop::collection::vec(step(), 0..60),
        floor in any::<u64>(),
    ) {
        let mut viewer = ShowViewer::new(show());
        viewer.on_connected();
        let mut last: Option<SeatFrame> = None;
        for step in steps {
            let frame = match step {
                Step::Snapshot(g, s) => Some(truth.snapshot(position(&truth, g, s))),
                Step::Delta(g, a, b) => {
                    let (a, b) = (position(&truth, g, a), position(&truth, g, b));
                    let (from, to) = (a.sequence.min(b.sequence), a.sequence.max(b.sequence));
                    (from < to).then(|| truth.delta(a.generation, from, to))
                }
                Step::Beat(g, s) => Some(Truth::beat(position(&truth, g, s))),
                Step::Again => last.clone(),
                Step::Resume(g, s, floor) => {
                    let at = position(&truth, g, s);
                    Some(truth.answer(at, pick(floor, at.sequence + 1), resume(&mut viewer)))
                }
            };
            if let Some(frame) = frame {
                feed(&truth, &mut viewer, &frame)?;
                last = Some(frame);
            }
        }
        let end = truth.last();
        let taken_up = resume(&mut viewer);
        prop_assert!(!viewer.is_live(), "the map may be old");
        feed(&truth, &mut viewer, &truth.answer(end, pick(floor, end.sequence + 1), taken_up))?;
        prop_assert_eq!(viewer.map().position(), Some(end));
        prop_assert!(viewer.is_live());
    }

    #[test]
    fn a_gateway_that_only_goes_forward_never_moves_a_position_back(
        truth in truth(),
        hops in prop::collection::vec(any::<(u64, u64)>(), 1..40),
    ) {
        let mut viewer = ShowViewer::new(show());
        viewer.on_connected();
        let mut at = Position::new(1, 0);
        for (hop, floor) in hops {
            let all = truth.batches(at.generation).len() as u64;
            at = if at.sequence < all {
                Position::new(at.generation, at.sequence + 1 + pick(hop, all - at.sequence))
            } else if at.generation < truth.last().generation {
                Position::new(at.generation + 1, 0)
            } else {
                at
            };
            let before = viewer.map().position();
            let frame = truth.answer(at, pick(floor, at.sequence + 1), resume(&mut viewer));
            feed(&truth, &mut viewer, &frame)?;
            prop_assert!(viewer.map().position() >= before);
            prop_assert_eq!(viewer.map().position(), Some(at));
        }
    }
}
