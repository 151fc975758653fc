//! How far each slice of a room's viewers was brought. A round goes through the slices one after another, and each gets
//! what happened up to its own turn, so who comes last does not get old news.

use std::sync::{Mutex, MutexGuard, PoisonError};

use seatwire_protocol::Position;

/// What the viewers of a slice were told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Where the map was; `None` while there was none.
    pub position: Option<Position>,
    /// Whether viewers must not take the map for the present state.
    pub doubtful: bool,
}

/// A slice's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// No viewer that keeps up is behind this; `None`: each is looked at alone.
    pub from: Option<Position>,
    pub to: Told,
}

/// Every slice of a room.
#[derive(Default)]
pub struct Slices(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    told: Vec<Told>,
    /// Where this round and the one before it began.
    began: [Option<Position>; 2],
}

impl Slices {
    /// Begins a round; where the last one began.
    pub fn begin(&self, position: Option<Position>) -> Option<Position> {
        let mut inner = self.lock();
        inner.began = [position, inner.began[0]];
        inner.began[1]
    }

    /// A slice's turn comes; `None` when it knows already. Viewers of a slice that had no turn yet came after the last
    /// round began.
    pub fn turn(&self, slice: usize, to: Told) -> Option<Turn> {
        let mut inner = self.lock();
        if inner.told.len() <= slice {
            inner.told.resize(slice.saturating_add(1), Told::default());
        }
        let last = inner.began[1];
        let told = inner.told.get_mut(slice)?;
        let before = std::mem::replace(told, to);
        (before != to).then(|| Turn { from: before.position.or(last), to })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Told {
        Told { position: Some(Position::new(1, sequence)), doubtful: false }
    }

    #[test]
    fn a_slice_goes_on_where_its_own_turn_ended() {
        let slices = Slices::default();
        assert_eq!(slices.begin(at(5).position), None);
        assert_eq!(slices.turn(0, at(5)), Some(Turn { from: None, to: at(5) }));
        // Two changes came before the second slice had its turn.
        assert_eq!(slices.turn(1, at(7)), Some(Turn { from: None, to: at(7) }));
        assert_eq!(slices.begin(at(7).position), at(5).position);
        assert_eq!(slices.turn(0, at(7)), Some(Turn { from: at(5).position, to: at(7) }));
        assert_eq!(slices.turn(1, at(7)), None, "it has had them");
        // One that is new, and one that must hear of doubt.
        assert_eq!(slices.turn(2, at(8)), Some(Turn { from: at(5).position, to: at(8) }));
        let doubt = Told { doubtful: true, ..at(8) };
        assert_eq!(slices.turn(2, doubt), Some(Turn { from: at(8).position, to: doubt }));
    }
}
