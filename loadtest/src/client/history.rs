//! What a client saw, in order, and the check that every viewer's history must pass.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::viewer::Applied;
use seatwire_protocol::ws::ServerMessage;
use seatwire_protocol::{Position, ShowId};

use super::Closed;

/// Events that are kept; the oldest go first.
const EVENTS_MAX: usize = 20_000;

/// One thing that happened to a client.
#[derive(Debug, Clone)]
pub enum Event {
    /// The socket opened.
    Connected,
    /// It is gone.
    Disconnected(Closed),
    /// A seat frame came.
    Frame {
        /// When.
        at: Instant,
        /// The frame.
        frame: SeatFrame,
        /// What the viewer made of it.
        applied: Applied,
    },
    /// A message came.
    Message(ServerMessage),
}

/// The last 20,000 events.
#[derive(Debug, Default)]
pub struct History {
    events: VecDeque<Event>,
    /// Positions of the present connection, by show.
    positions: BTreeMap<ShowId, Position>,
    violations: Vec<String>,
}

impl History {
    pub(super) fn push(&mut self, event: Event) {
        match &event {
            Event::Connected => self.positions.clear(),
            Event::Frame { frame, applied, .. } => self.check(frame, *applied),
            _ => {}
        }
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// On one connection positions of a show only grow, and no frame comes that the viewer can't apply: the gateway
    /// knows where each viewer is.
    fn check(&mut self, frame: &SeatFrame, applied: Applied) {
        let (end, moves) = match frame {
            SeatFrame::Snapshot(snapshot) => (snapshot.position, true),
            SeatFrame::Delta(delta) => (Position::new(delta.generation, delta.to), true),
            SeatFrame::Beat(beat) => (beat.position, false),
        };
        let show = frame.show();
        let before = self.positions.get(&show).copied();
        let mut violation = |text: &str| {
            self.violations.push(format!("show {show}: {text} at {end} after {before:?}"));
        };
        match applied {
            Applied::Gap => violation("gap"),
            Applied::NeedsSnapshot if moves => violation("a delta that needs a snapshot"),
            _ => {}
        }
        if before.is_some_and(|before| end < before) {
            violation("the position went back");
        } else if moves {
            self.positions.insert(show, end);
        }
    }

    /// Oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter()
    }

    /// The seat frames, oldest first.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = (&SeatFrame, Applied)> {
        self.events.iter().filter_map(|event| match event {
            Event::Frame { frame, applied, .. } => Some((frame, *applied)),
            _ => None,
        })
    }

    /// Every broken promise of the stream since the client was made; empty is right.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }
}

#[cfg(test)]
mod tests {
    use seatwire_protocol::SaleState;
    use seatwire_protocol::seat_frame::Delta;

    use super::*;

    fn delta(from: u64, to: u64, applied: Applied) -> Event {
        let (show, sale) = (ShowId::new(7).unwrap(), SaleState::Open);
        let frame = SeatFrame::Delta(Delta { show, generation: 1, from, to, sale, viewers: 0, seats: Vec::new() });
        Event::Frame { at: Instant::now(), frame, applied }
    }

    #[test]
    fn gaps_and_steps_back_are_violations_within_a_connection_only() {
        let mut history = History::default();
        history.push(delta(1, 5, Applied::Applied));
        history.push(delta(5, 9, Applied::Applied));
        assert!(history.violations().is_empty());
        history.push(delta(5, 8, Applied::Ignored));
        history.push(delta(20, 21, Applied::Gap));
        assert_eq!(history.violations().len(), 2, "{:?}", history.violations());
        history.push(Event::Connected);
        history.push(delta(2, 3, Applied::Ignored));
        assert_eq!(history.violations().len(), 2);
    }
}
