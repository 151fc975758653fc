//! Thousands of viewers in one thread: it waits for sockets, reads what came with one call each, decodes every seat
//! frame and applies it to that viewer's own map. It must cost far less than what it measures, so it parses only what a
//! viewer needs; its own processor time and lateness are part of every report.

mod map;
mod stats;
mod viewer;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use mio::{Events, Interest, Poll, Token};
use seatwire_protocol::{Position, ShowId};

pub(super) use self::map::{Map, TakenUp};
pub(super) use self::stats::{Close, Published, Stats, histogram, percentile_ms};
pub(super) use self::viewer::{Join, Viewer, connect, masked};

/// Frames that wait in one socket's buffer are read with one call up to this size.
const READ_BYTES: usize = 256 << 10;
const EVENTS: usize = 1_024;
/// One viewer in so many notes how old each batch was.
const SAMPLE: usize = 8;
const STEP: Duration = Duration::from_millis(5);

/// The crowd.
pub(super) struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    viewers: Vec<Viewer>,
    /// By show, for those who join from now on.
    published: HashMap<ShowId, Arc<Published>>,
    pub(super) stats: Stats,
}

impl Crowd {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            viewers: Vec::new(),
            published: HashMap::new(),
            stats: Stats::new()?,
        })
    }

    pub(super) fn viewers(&self) -> &[Viewer] {
        &self.viewers
    }

    /// Counts anew; what must never be stays counted.
    pub(super) fn clear_stats(&mut self) -> anyhow::Result<()> {
        self.stats = Stats { gaps: self.stats.gaps, ..Stats::new()? };
        Ok(())
    }

    /// From now on a sample of the show's viewers compares what comes with these times.
    pub(super) fn set_published(&mut self, show: ShowId, published: &Arc<Published>) {
        for map in self.viewers.iter_mut().step_by(SAMPLE).flat_map(|viewer| &mut viewer.maps) {
            if map.show == show {
                map.published = Some(Arc::clone(published));
            }
        }
        self.published.insert(show, Arc::clone(published));
    }

    /// Begins a join and answers the viewer's number.
    pub(super) fn join(&mut self, join: &Join) -> anyhow::Result<usize> {
        let number = self.viewers.len();
        let viewer = Viewer::join(join, number, self.maps(number, join))?;
        self.add(viewer)
    }

    /// A viewer comes back from another connection with the maps that it has.
    pub(super) fn rejoin(&mut self, number: usize, join: &Join) -> anyhow::Result<()> {
        let mut maps = self.maps(number, join);
        let Some(old) = self.viewers.get_mut(number) else { bail!("there is no viewer {number}") };
        for (map, had) in maps.iter_mut().zip(&mut old.maps) {
            if map.position.is_some() {
                map.statuses = std::mem::take(&mut had.statuses);
            }
        }
        let _ = self.poll.registry().deregister(&mut old.stream);
        *old = Viewer::join(join, number, maps)?;
        self.poll.registry().register(&mut old.stream, Token(number), Interest::READABLE)?;
        Ok(())
    }

    /// A viewer of a bare listener that writes deltas of this show from generation 1 on.
    pub(super) fn join_bare(&mut self, listener: SocketAddr, show: ShowId, seats: u32) -> anyhow::Result<()> {
        let number = self.viewers.len();
        let mut map = Map::empty(show, seats);
        map.published = self.published.get(&show).filter(|_| number.is_multiple_of(SAMPLE)).cloned();
        let stream = connect(listener, number, None)?;
        self.add(Viewer::open(stream, vec![map], Instant::now()))?;
        Ok(())
    }

    fn maps(&self, number: usize, join: &Join) -> Vec<Map> {
        let one = |(show, position): &(ShowId, Option<Position>)| {
            let published = self.published.get(show).filter(|_| number.is_multiple_of(SAMPLE)).cloned();
            Map { position: *position, published, ..Map::new(*show) }
        };
        join.shows.iter().map(one).collect()
    }

    fn add(&mut self, mut viewer: Viewer) -> anyhow::Result<usize> {
        let number = self.viewers.len();
        self.poll.registry().register(&mut viewer.stream, Token(number), Interest::READABLE)?;
        self.viewers.push(viewer);
        Ok(number)
    }

    /// One viewer's connection breaks.
    pub(super) fn drop_connection(&mut self, number: usize) {
        if let Some(viewer) = self.viewers.get_mut(number) {
            let _ = self.poll.registry().deregister(&mut viewer.stream);
            viewer.drop_connection();
        }
    }

    /// Stops to read a viewer's socket, or goes on.
    pub(super) fn set_reading(&mut self, number: usize, reading: bool) -> anyhow::Result<()> {
        let Some(viewer) = self.viewers.get_mut(number).filter(|viewer| viewer.reading != reading) else {
            return Ok(());
        };
        viewer.reading = reading;
        let registry = self.poll.registry();
        if reading {
            // What waits already is told at once.
            registry.register(&mut viewer.stream, Token(number), Interest::READABLE)?;
        } else {
            registry.deregister(&mut viewer.stream)?;
        }
        Ok(())
    }

    /// Reads whatever is there, waiting for it a little.
    pub(super) fn step(&mut self, wait: Duration) -> anyhow::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let began = Instant::now();
        for event in &self.events {
            let Token(number) = event.token();
            if let Some(viewer) = self.viewers.get_mut(number) {
                viewer.read(number, &mut self.buffer, event.is_read_closed(), &mut self.stats)?;
            }
        }
        if !self.events.is_empty() {
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            let _ = self.stats.cycles.record(took);
        }
        Ok(())
    }

    pub(super) fn run_for(&mut self, length: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + length;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.step(left.min(STEP))?;
        }
        Ok(())
    }

    /// Reads until `condition` holds; answers whether it did in time.
    pub(super) fn run_until(
        &mut self,
        within: Duration,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> anyhow::Result<bool> {
        let end = Instant::now() + within;
        while !condition(self) {
            if Instant::now() >= end {
                return Ok(false);
            }
            self.step(STEP)?;
        }
        Ok(true)
    }

    /// Reads until everybody who has a connection is live.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        let all_live = |crowd: &Self| crowd.viewers.iter().all(|viewer| viewer.is_live() || viewer.is_over());
        if !self.run_until(Duration::from_secs(30), all_live)? {
            let waiting = self.viewers.iter().filter(|viewer| !viewer.is_live()).count();
            bail!(
                "{waiting} of {} viewers did not become live; {} were refused",
                self.viewers.len(),
                self.stats.refused
            );
        }
        Ok(())
    }

    /// Reads until every reading viewer of the show is at a position; whether they all came there.
    pub(super) fn reach(&mut self, show: ShowId, position: Position) -> anyhow::Result<bool> {
        self.run_until(Duration::from_secs(10), |crowd| {
            let mut maps = crowd.viewers.iter().filter(|v| v.reading && v.is_live()).flat_map(|v| &v.maps);
            maps.all(|map| map.show != show || map.position == Some(position))
        })
    }
}
