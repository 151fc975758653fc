//! Looks at what customers have at one show while they go on: no sample may find anybody above a cap, in Redis or in the
//! ledger. Held seats are counted from the holds themselves, not from the counters that the scripts go by.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use seatwire_protocol::ShowId;
use tokio_postgres::Client;

use super::map::{self, ShowMap};
use super::map_checks::owned_seats;
use super::{Check, Sources};

/// What one customer may have at one show.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Seats held, pending and booked.
    pub seats: u32,
    /// Live holds.
    pub holds: u32,
}

/// Connections that stay, for many samples.
pub struct CapWatch {
    redis: MultiplexedConnection,
    ledger: Client,
    show: ShowId,
    caps: Caps,
    pub check: Check,
}

impl CapWatch {
    /// # Errors
    /// When a server can't be reached.
    pub async fn new(sources: &Sources, show: ShowId, caps: Caps) -> anyhow::Result<Self> {
        let redis = sources.connect_redis().await?;
        let redis = redis.ok_or_else(|| anyhow::anyhow!("there is no Redis to look at"))?;
        let check = Check::new("nobody_was_above_a_cap", "16");
        Ok(Self { redis, ledger: sources.connect_postgres().await?, show, caps, check })
    }

    /// One look; answers the seats that customers hold whose name begins so.
    ///
    /// # Errors
    /// When a server does not answer.
    pub async fn sample(&mut self, whose: &str) -> anyhow::Result<usize> {
        let map = map::read_show(&mut self.redis, self.show).await?;
        if let Some(map) = &map {
            judge_map(map, self.caps, &mut self.check);
        }
        for row in self.ledger.query(OWNED, &[&self.show.as_i64()]).await? {
            let (customer, seats): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            self.check.examined(1);
            self.check.expect(seats <= i64::from(self.caps.seats), || {
                format!("customer {customer}: {seats} seats pending and booked in the ledger")
            });
        }
        let holds = map.iter().flat_map(ShowMap::live_holds).map(|(_, hold)| hold);
        Ok(holds.filter(|hold| hold.customer.starts_with(whose)).map(|hold| hold.seats.len()).sum())
    }
}

fn judge_map(map: &ShowMap, caps: Caps, check: &mut Check) {
    let (mut held, owned) = (BTreeMap::<&str, (usize, usize)>::new(), owned_seats(map));
    for (_, hold) in map.live_holds() {
        let (holds, seats) = held.entry(&hold.customer).or_default();
        *holds += 1;
        *seats += hold.seats.len();
    }
    check.examined(held.len());
    for (customer, (holds, seats)) in held {
        let of = |kind: &str| owned.get(&format!("{kind}{customer}")).copied().unwrap_or(0);
        let together = of("p") + of("b") + i64::try_from(seats).unwrap_or(i64::MAX);
        let within = together <= i64::from(caps.seats) && holds <= usize::try_from(caps.holds).unwrap_or(usize::MAX);
        check.expect(within, || {
            format!("customer {customer}: {seats} seats in {holds} holds, {together} with pending and booked ones")
        });
    }
}

const OWNED: &str = "
    SELECT b.customer_id, count(*) FROM booking_seats s JOIN bookings b ON b.id = s.booking_id
    WHERE s.show_id = $1 AND s.active GROUP BY b.customer_id";

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_bytes::ByteBuf;

    use super::super::map::{Hold, SeatEntry};
    use super::*;

    /// Seat 9 is booked by ann, who holds these seats in holds of their own.
    fn map(holds: &[&[u32]]) -> ShowMap {
        let hold = |seats: &&[u32]| Hold { customer: "ann".to_owned(), seats: seats.to_vec(), phase: 1, ends: 0.0 };
        let holds = holds.iter().enumerate().map(|(id, seats)| (ByteBuf::from(id.to_string()), hold(seats)));
        ShowMap {
            fields: HashMap::new(),
            seats: HashMap::from([(9, SeatEntry { status: 2, version: 1, customer: "ann".to_owned() })]),
            statuses: Vec::new(),
            locks: HashMap::new(),
            holds: holds.collect(),
            holders: HashMap::new(),
            owned: HashMap::new(),
            due: HashMap::new(),
            now_ms: 0.0,
        }
    }

    #[test]
    fn who_has_more_seats_or_holds_than_allowed_is_named() {
        let judged = |holds: &[&[u32]]| {
            let mut check = Check::new("caps", "16");
            judge_map(&map(holds), Caps { seats: 4, holds: 2 }, &mut check);
            (check.examined, check.violations)
        };
        assert_eq!(judged(&[&[1, 2], &[3]]), (1, 0));
        assert_eq!(judged(&[&[1, 2], &[3, 4]]), (1, 1), "four held and one booked");
        assert_eq!(judged(&[&[1], &[2], &[3]]), (1, 1), "three holds");
    }
}
