//! Layouts of shows, kept in memory: for `get_layout`, and for the labels in refusals.
//!
//! One load at a time per show, however many ask; bounded; short-lived, so that a new version is seen within
//! `FRESH`. Labels never change, so they may come from a layout of any age.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seatwire_protocol::ShowId;
use seatwire_protocol::catalogue::Layout;
use tokio::sync::OnceCell;

use crate::db::{self, Db, DbError};

const FRESH: Duration = Duration::from_secs(5);
/// Shows kept; a layout of 20,000 seats takes about 300 KiB.
const SHOWS_MAX: usize = 256;

/// `None` inside: there is no such show.
type Cell = Arc<OnceCell<Option<Arc<Layout>>>>;

pub struct Layouts {
    db: Db,
    shows: Mutex<HashMap<ShowId, (Instant, Cell)>>,
}

impl Layouts {
    pub fn new(db: Db) -> Self {
        Self { db, shows: Mutex::default() }
    }

    /// The layout; `None` when there is no such show.
    pub async fn get(&self, show: ShowId) -> Result<Option<Arc<Layout>>, DbError> {
        let cell = self.cell(show, Instant::now());
        let load = || async { Ok(db::shows::layout(&self.db, show).await?.map(Arc::new)) };
        // A failed load leaves the cell empty: the next in line tries again.
        cell.get_or_try_init(load).await.cloned()
    }

    fn cell(&self, show: ShowId, now: Instant) -> Cell {
        let mut shows = self.shows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, cell)) = shows.get(&show)
            && now.duration_since(*since) < FRESH
        {
            return Arc::clone(cell);
        }
        if shows.len() >= SHOWS_MAX {
            let oldest = shows.iter().min_by_key(|(_, (since, _))| *since).map(|(show, _)| *show);
            oldest.and_then(|show| shows.remove(&show));
        }
        let cell = Cell::default();
        shows.insert(show, (now, Arc::clone(&cell)));
        cell
    }
}
