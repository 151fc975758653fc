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
use seatwire_protocol::ws::ClientMessage;
use seatwire_protocol::{Position, ShowId};

pub(crate) use self::map::{Map, TakenUp};
pub(crate) use self::stats::{Close, Published, Stats, histogram, percentile_ms};
pub(crate) use self::viewer::{Join, Viewer, connect, masked};

/// Frames that wait in one socket's buffer are read with one call up to this size.
const READ_BYTES: usize = 256 << 10;
const EVENTS: usize = 1_024;
/// One viewer in so many notes how old each batch was.
const SAMPLE: usize = 8;
const STEP: Duration = Duration::from_millis(5);

/// The crowd.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    viewers: Vec<Viewer>,
    /// By show, for those who join from now on.
    published: HashMap<ShowId, Arc<Published>>,
    pub(crate) stats: Stats,
}

impl Crowd {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            viewers: Vec::new(),
            published: HashMap::new(),
            stats: Stats::new()?,
        })
    }

    pub(crate) fn viewers(&self) -> &[Viewer] {
        &self.viewers
    }

    /// Counts anew; what must never be stays counted.
    pub(crate) fn clear_stats(&mut self) -> anyhow::Result<()> {
        let Stats { violations_total, violations, errors, .. } = std::mem::replace(&mut self.stats, Stats::new()?);
        self.stats = Stats { violations_total, violations, errors, ..Stats::new()? };
        Ok(())
    }

    /// From now on a sample of the show's viewers compares what comes with these times.
    pub(crate) fn set_published(&mut self, show: ShowId, published: &Arc<Published>) {
        for map in self.viewers.iter_mut().step_by(SAMPLE).flat_map(|viewer| &mut viewer.maps) {
            if map.show == show {
                map.published = Some(Arc::clone(published));
            }
        }
        self.published.insert(show, Arc::clone(published));
    }

    /// Somebody who will join; answers the viewer's number.
    pub(crate) fn expect(&mut self, join: &Join) -> usize {
        let number = self.viewers.len();
        self.viewers.push(Viewer::away(self.maps(number, join)));
        number
    }

    /// This viewer is none of the sample: it is late by its own fault.
    pub(crate) fn leave_sample(&mut self, number: usize) {
        if let Some(viewer) = self.viewers.get_mut(number) {
            viewer.maps.iter_mut().for_each(Map::leave_sample);
        }
    }

    /// Begins a join and answers the viewer's number.
    pub(crate) fn join(&mut self, join: &Join) -> anyhow::Result<usize> {
        let number = self.expect(join);
        self.rejoin(number, join)?;
        Ok(number)
    }

    /// A viewer comes, or comes back from another connection with the maps that it has, to the positions of `join`. One
    /// that can't connect stays away.
    pub(crate) fn rejoin(&mut self, number: usize, join: &Join) -> anyhow::Result<()> {
        self.drop_connection(number);
        let Some(viewer) = self.viewers.get_mut(number) else { bail!("there is no viewer {number}") };
        for (map, (_, position)) in viewer.maps.iter_mut().zip(&join.shows) {
            map.resume(*position);
        }
        viewer.enter(join, number)?;
        if let Some(stream) = &mut viewer.stream {
            self.poll.registry().register(stream, Token(number), Interest::READABLE)?;
        }
        Ok(())
    }

    /// A viewer hides the page, or looks again; nothing when it is away.
    pub(crate) fn hide(&mut self, number: usize, hidden: bool) {
        if let Some(viewer) = self.viewers.get_mut(number) {
            viewer.maps.iter_mut().for_each(|map| map.awaits_catch_up |= !hidden);
            // A connection that breaks is seen by whoever reads.
            let _ = viewer.say(&ClientMessage::Hide { hidden });
        }
    }

    /// A viewer of a bare listener that writes deltas of this show from generation 1 on.
    pub(crate) fn join_bare(&mut self, listener: SocketAddr, show: ShowId, seats: u32) -> anyhow::Result<()> {
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
            Map::new(*show).resumed(*position, published)
        };
        join.shows.iter().map(one).collect()
    }

    fn add(&mut self, mut viewer: Viewer) -> anyhow::Result<usize> {
        let number = self.viewers.len();
        if let Some(stream) = &mut viewer.stream {
            self.poll.registry().register(stream, Token(number), Interest::READABLE)?;
        }
        self.viewers.push(viewer);
        Ok(number)
    }

    /// One viewer's connection breaks.
    pub(crate) fn drop_connection(&mut self, number: usize) {
        if let Some(viewer) = self.viewers.get_mut(number) {
            if let Some(stream) = viewer.stream.as_mut().filter(|_| viewer.reading) {
                let _ = self.poll.registry().deregister(stream);
            }
            viewer.drop_connection();
        }
    }

    /// Stops to read a viewer's socket, or goes on.
    pub(crate) fn set_reading(&mut self, number: usize, reading: bool) -> anyhow::Result<()> {
        let Some(viewer) = self.viewers.get_mut(number).filter(|viewer| viewer.reading != reading) else {
            return Ok(());
        };
        let Some(stream) = &mut viewer.stream else { return Ok(()) };
        viewer.reading = reading;
        viewer.maps.iter_mut().for_each(|map| map.awaits_catch_up |= reading);
        let registry = self.poll.registry();
        if reading {
            // What waits already is told at once.
            registry.register(stream, Token(number), Interest::READABLE)?;
        } else {
            registry.deregister(stream)?;
        }
        Ok(())
    }

    /// Reads whatever is there, waiting for it a little.
    pub(crate) fn step(&mut self, wait: Duration) -> anyhow::Result<()> {
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

    pub(crate) fn run_for(&mut self, length: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + length;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.step(left.min(STEP))?;
        }
        Ok(())
    }

    /// Reads until `condition` holds; answers whether it did in time.
    pub(crate) fn run_until(
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
    pub(crate) fn settle(&mut self) -> anyhow::Result<()> {
        let all_live = |crowd: &Self| {
            !crowd.stats.errors.is_empty() || crowd.viewers.iter().all(|viewer| viewer.is_live() || viewer.is_over())
        };
        if !self.run_until(Duration::from_secs(30), all_live)? {
            let waiting = self.viewers.iter().filter(|viewer| !viewer.is_live()).count();
            bail!(
                "{waiting} of {} viewers did not become live; {} were refused",
                self.viewers.len(),
                self.stats.refused
            );
        }
        if let Some(error) = self.stats.errors.first() {
            bail!("{error}");
        }
        Ok(())
    }

    /// Reads until every reading viewer of the show is at a position; whether they all came there.
    pub(crate) fn reach(&mut self, show: ShowId, position: Position) -> anyhow::Result<bool> {
        self.run_until(Duration::from_secs(10), |crowd| {
            let mut maps = crowd.viewers.iter().filter(|v| v.reading && v.is_live()).flat_map(|v| &v.maps);
            maps.all(|map| map.show != show || map.position == Some(position))
        })
    }
}
