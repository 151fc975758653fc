//! Show → room. Nothing here waits: no guard of the map can live across an await.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use metrics::gauge;
use seatwire_protocol::ShowId;

use crate::metrics as names;
use crate::room::Room;

/// All rooms of this process.
pub struct Registry {
    rooms: DashMap<ShowId, Arc<Room>>,
    rooms_max: usize,
}

/// A room, and whether it was made for this call and must be opened by the caller.
pub struct Found {
    pub room: Arc<Room>,
    pub new: bool,
}

/// So many shows are watched that one more is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many shows are watched")]
pub struct Full;

impl Registry {
    pub fn new(rooms_max: u32) -> Self {
        Self { rooms: DashMap::new(), rooms_max: rooms_max as usize }
    }

    pub fn get(&self, show: ShowId) -> Option<Arc<Room>> {
        self.rooms.get(&show).map(|room| Arc::clone(&room))
    }

    /// The show's room, a new one if there is none.
    ///
    /// # Errors
    /// [`Full`] when a new one would be above the limit.
    pub fn find(&self, show: ShowId) -> Result<Found, Full> {
        if let Some(room) = self.get(show) {
            return Ok(Found { room, new: false });
        }
        if self.rooms.len() >= self.rooms_max {
            return Err(Full);
        }
        let (room, new) = match self.rooms.entry(show) {
            Entry::Occupied(entry) => (Arc::clone(entry.get()), false),
            Entry::Vacant(entry) => (Arc::clone(&entry.insert(Arc::new(Room::new(show)))), true),
        };
        if new {
            gauge!(names::ROOMS).increment(1);
        }
        Ok(Found { room, new })
    }

    /// Forgets a closed room, unless another one has taken its place; `true` when it was there.
    pub fn remove(&self, room: &Arc<Room>) -> bool {
        let removed = self.rooms.remove_if(&room.show, |_, other| Arc::ptr_eq(room, other)).is_some();
        if removed {
            gauge!(names::ROOMS).decrement(1);
        }
        removed
    }

    /// All rooms now.
    pub fn rooms(&self) -> Vec<Arc<Room>> {
        self.rooms.iter().map(|room| Arc::clone(&room)).collect()
    }
}
