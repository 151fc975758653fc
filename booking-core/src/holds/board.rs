//! The live counts of many shows at once, for operators: what viewers see, read without loading anything.

use redis::Value;
use serde::Serialize;

use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{SeatStatus, ShowId};

use super::HoldError;
use super::keys::{ShowKeys, show_key};
use super::reply;
use super::store::HoldStore;

/// Seats of a show by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SeatCounts {
    pub available: u32,
    /// Held, or claimed by a booking that waits for its payment.
    pub held: u32,
    pub booked: u32,
    pub blocked: u32,
}

impl SeatCounts {
    /// Counts a whole map.
    #[must_use]
    pub fn of(statuses: &PackedStatuses) -> Self {
        let mut counts = Self::default();
        for status in statuses.iter() {
            match status {
                SeatStatus::Available => counts.available += 1,
                SeatStatus::Held => counts.held += 1,
                SeatStatus::Booked => counts.booked += 1,
                SeatStatus::Blocked => counts.blocked += 1,
            }
        }
        counts
    }
}

impl HoldStore {
    /// The counts of each of these shows with so many seats; `None` for one whose map is not in Redis.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn seat_counts(&self, shows: &[(ShowId, u32)]) -> Result<Vec<Option<SeatCounts>>, HoldError> {
        let connected = self.link().get().await?;
        if shows.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for (show, _) in shows {
            let ShowKeys([_, _, seat_status, ..]) = ShowKeys::new(*show);
            pipe.cmd("HMGET").arg(show_key(*show)).arg(&["complete", "run_id"]);
            pipe.cmd("GET").arg(seat_status);
        }
        let values = self.link().pipeline(&connected, &pipe).await?;
        let whole = |value: &Value| -> Result<bool, HoldError> {
            let [complete, run_id] = reply::list(value)? else { return Err(reply::malformed("state of a show")) };
            let is = |value: &Value, wanted: &str| reply::text(value).is_ok_and(|text| text == wanted);
            Ok(is(complete, "1") && is(run_id, &connected.run_id))
        };
        shows
            .iter()
            .zip(values.chunks_exact(2))
            .map(|((_, seats), pair)| {
                let [state, packed] = pair else { return Ok(None) };
                if !whole(state)? {
                    return Ok(None);
                }
                let packed = if matches!(packed, Value::Nil) { &[] } else { reply::bytes(packed)? };
                Ok(PackedStatuses::from_bytes(*seats, packed).map(|statuses| SeatCounts::of(&statuses)))
            })
            .collect()
    }
}
