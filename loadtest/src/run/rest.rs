//! A show's map at rest: what every viewer has to see in the end.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use seatwire_protocol::client::{CoreClient, CoreClientConfig};
use seatwire_protocol::command::GetSnapshot;
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{Position, SeatIndex, SeatStatus, ShowId};

use crate::audit::Sources;
use crate::launcher::Addresses;

/// Waits until the last hold is over, so that the map in Redis is the ledger's; answers both.
pub(super) async fn map_at_rest(at: &Addresses, show: ShowId) -> anyhow::Result<(Position, Vec<u8>)> {
    let config = CoreClientConfig::new(vec![at.core.to_string()], &at.secrets.core, "herd");
    let (core, end) = (CoreClient::new(config), Instant::now() + REST_WITHIN);
    loop {
        let ledger = ledger(&Sources::from(at), show).await?;
        let map = core.call(&GetSnapshot { show }, Duration::from_secs(5), 0).await;
        if let Ok(map) = map {
            let statuses = PackedStatuses::from_bytes(map.seats, &map.statuses).context("statuses")?;
            // At the end the viewers say what differs.
            if statuses == ledger || Instant::now() > end {
                return Ok((map.position, ledger.as_bytes().to_vec()));
            }
        }
        anyhow::ensure!(Instant::now() < end + Duration::from_secs(10), "no core answers");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What viewers have to see at rest: claimed seats are shown as held.
async fn ledger(sources: &Sources, show: ShowId) -> anyhow::Result<PackedStatuses> {
    let database = sources.connect_postgres().await?;
    let query = "SELECT seat, status FROM show_seats WHERE show_id = $1 ORDER BY seat";
    let rows = database.query(query, &[&i64::try_from(show.get())?]).await?;
    let mut statuses = PackedStatuses::new(u32::try_from(rows.len())?);
    for row in rows {
        let status = match row.try_get::<_, &str>(1)? {
            "available" => SeatStatus::Available,
            "claimed" => SeatStatus::Held,
            "booked" => SeatStatus::Booked,
            _ => SeatStatus::Blocked,
        };
        statuses.set(SeatIndex(row.try_get::<_, i32>(0)?.cast_unsigned()), status);
    }
    Ok(statuses)
}

const REST_WITHIN: Duration = Duration::from_secs(30);
