//! What is read from the map, and what is done to a show as a whole.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use seatwire_protocol::command::{HoldInfo, SnapshotReply};
use seatwire_protocol::{CustomerId, Position, SaleState, ShowId};

use crate::metrics as names;

use super::keys::{show_key, watched_key};
use super::loader::Landed;
use super::reply::{self, malformed};
use super::store::HoldStore;
use super::{HoldError, Outcome, Refusal};

/// Shows in one round trip.
const POSITIONS_CHUNK: usize = 1_000;
/// Holds in one step of a list, about.
const HOLDS_CHUNK: u32 = 500;
/// An opening so near is noted in the timing wheel by whoever reads the map; the sweep finds any other.
const OPENING_NOTED_MS: u64 = 600_000;

impl HoldStore {
    /// The whole map; loads the show when it has to.
    ///
    /// # Errors
    /// When Redis or, for a show that is not loaded, the ledger is out of reach.
    pub async fn snapshot(&self, show: ShowId) -> Outcome<SnapshotReply> {
        let reply = match self.call_ready(&self.scripts().snapshot, show, &|_| {}).await? {
            Ok(reply) => reply,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let position = reply.position(0)?;
        self.loader().note_whole(show, position.generation);
        let seats = u32::try_from(reply.number(5)?).map_err(|_| malformed("number of seats"))?;
        let mut statuses = reply::bytes(reply.field(6)?)?.to_vec();
        // Redis does not keep trailing bytes that were never written.
        statuses.resize(seats.div_ceil(4) as usize, 0);
        let opens_in_ms = reply.number(3)?;
        if (1..OPENING_NOTED_MS).contains(&opens_in_ms) {
            self.wheel().note(show, opens_in_ms);
        }
        let sale = u8::try_from(reply.number(2)?).ok().and_then(SaleState::from_code);
        Ok(Ok(SnapshotReply {
            position,
            sale: sale.ok_or_else(|| malformed("sale state"))?,
            opens_in_ms,
            layout_version: reply.number(4)?,
            seats,
            statuses,
        }))
    }

    /// Where the streams are; `None` for a show that is not loaded, not yet whole, or of a dead timeline.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn positions(&self, shows: &[ShowId]) -> Result<Vec<Option<Position>>, HoldError> {
        self.watched().note(shows, Instant::now());
        self.read_positions(shows).await
    }

    async fn read_positions(&self, shows: &[ShowId]) -> Result<Vec<Option<Position>>, HoldError> {
        let connected = self.link().get().await?;
        let mut out = Vec::with_capacity(shows.len());
        for chunk in shows.chunks(POSITIONS_CHUNK) {
            let mut pipe = redis::pipe();
            for show in chunk {
                pipe.cmd("HMGET").arg(show_key(*show)).arg(&["generation", "sequence", "complete", "run_id"]);
            }
            let values = self.link().pipeline(&connected, &pipe).await?;
            for (show, value) in chunk.iter().zip(&values) {
                let position = read_position(value, &connected.run_id)?;
                let position = position.filter(|p| p.generation >= self.loader().floor(*show));
                if let Some(position) = position {
                    self.loader().note_whole(*show, position.generation);
                }
                out.push(position);
            }
        }
        Ok(out)
    }

    /// Live holds of each customer, and how many seats each has in pending bookings (0: no need to ask the ledger).
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn own_holds(&self, show: ShowId, customers: &[CustomerId]) -> Outcome<Vec<(Vec<HoldInfo>, u32)>> {
        let config = self.config();
        let arguments = |cmd: &mut Cmd| {
            cmd.arg(config.grace_ms);
            for customer in customers {
                cmd.arg(customer.as_str());
            }
        };
        let reply = match self.call_ready(&self.scripts().own_holds, show, &arguments).await? {
            Ok(reply) => reply,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let one = |value: &Value| {
            let (pending, holds) = reply::list(value)?.split_first().ok_or_else(|| malformed("customer"))?;
            let holds = holds.iter().map(|hold| reply::hold_info(show, hold, config)).collect::<Result<_, _>>()?;
            Ok((holds, u32::try_from(reply::number(pending)?).unwrap_or(u32::MAX)))
        };
        reply::list(reply.field(0)?)?.iter().map(one).collect::<Result<_, _>>().map(Ok)
    }

    /// Starts a new generation and loads the show again.
    ///
    /// # Errors
    /// When Redis or the ledger is out of reach.
    pub async fn reload(&self, show: ShowId) -> Outcome<Position> {
        let deadline = Instant::now() + Duration::from_millis(self.config().load_wait_ms);
        match self.loader().renew(show, deadline).await {
            Some(Landed::Ready) => {
                let position = self.read_positions(&[show]).await?.pop().flatten();
                Ok(position.ok_or(Refusal::NotReady { retry_after_ms: 100 }))
            }
            Some(Landed::NoSuchShow) => Ok(Err(Refusal::NoSuchShow)),
            Some(Landed::Failed(error)) => Err(error),
            None => Ok(Err(Refusal::NotReady { retry_after_ms: 100 })),
        }
    }

    /// Removes a show that is over; whoever touches it again loads it again.
    ///
    /// # Errors
    /// When Redis or, for what is left of a dead timeline, the ledger is out of reach.
    pub async fn unload(&self, show: ShowId) -> Result<(), HoldError> {
        let mut position = self.read_positions(&[show]).await?.pop().flatten();
        if position.is_none() && self.exists(&show_key(show)).await? {
            // Only a live timeline can be removed: its due entries are found by its holds.
            let deadline = Instant::now() + Duration::from_millis(self.config().load_wait_ms);
            if self.loader().ensure(show, deadline).await == Some(Landed::Ready) {
                position = self.read_positions(&[show]).await?.pop().flatten();
            }
            if position.is_none() {
                return Err(HoldError::Unavailable(format!("show {show} is being loaded")));
            }
        }
        if let Some(position) = position {
            let reply = self.call(&self.scripts().unload, show, position.generation, &|_| {}).await?;
            if reply.code() != "OK" {
                return Err(HoldError::Unavailable(format!("show {show} is being loaded")));
            }
            metrics::counter!(names::SHOWS_UNLOADED).increment(1);
        }
        self.loader().forget(show);
        Ok(())
    }

    /// Whether some gateway watched the show within the last minute and a half.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn is_watched(&self, show: ShowId) -> Result<bool, HoldError> {
        Ok(self.watched().contains(show) || self.exists(&watched_key(show)).await?)
    }

    async fn exists(&self, key: &str) -> Result<bool, HoldError> {
        let connected = self.link().get().await?;
        let count = self.link().command(&connected, redis::cmd("EXISTS").arg(key)).await?;
        reply::number(&count).map(|count| count > 0)
    }

    /// Every live hold of a show and whose it is, for operators.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn all_holds(&self, show: ShowId) -> Outcome<Vec<(CustomerId, HoldInfo)>> {
        let (mut cursor, mut found) = ("0".to_owned(), BTreeMap::new());
        loop {
            let arguments = |cmd: &mut Cmd| {
                cmd.arg(&cursor).arg(HOLDS_CHUNK);
            };
            let reply = match self.call_ready(&self.scripts().list_holds, show, &arguments).await? {
                Ok(reply) => reply,
                Err(refusal) => return Ok(Err(refusal)),
            };
            for one in reply::list(reply.field(1)?)? {
                let [customer, hold] = reply::list(one)? else { return Err(malformed("hold of a customer")) };
                let customer = CustomerId::new(reply::text(customer)?).map_err(|_| malformed("customer"))?;
                let hold = reply::hold_info(show, hold, self.config())?;
                // A hold may be met twice while the hash grows.
                found.insert(hold.hold.0, (customer, hold));
            }
            reply::text(reply.field(0)?)?.clone_into(&mut cursor);
            if cursor == "0" {
                return Ok(Ok(found.into_values().collect()));
            }
        }
    }
}

fn read_position(value: &Value, run_id: &str) -> Result<Option<Position>, HoldError> {
    let [generation, sequence, complete, of_run] = reply::list(value)? else { return Err(malformed("position")) };
    if matches!(of_run, Value::Nil) || reply::text(of_run)? != run_id || reply::text(complete)? != "1" {
        return Ok(None);
    }
    let parse = |value| reply::text(value)?.parse().map_err(|_| malformed("number"));
    Ok(Some(Position::new(parse(generation)?, parse(sequence)?)))
}
