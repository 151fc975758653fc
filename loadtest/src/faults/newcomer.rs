//! A customer who has never been here: joins, holds a seat, gives it back. What works for them works.

use std::time::Duration;

use seatwire_protocol::{CustomerId, ErrorCode, Position, ShowId};

use crate::client::{ClientOptions, ViewerClient, new_key, sign_token};

/// Returns the position at which the seat was free again. One of `seats` is enough: an earlier newcomer whose answer was
/// lost may still hold another.
pub(super) async fn visit(gateway: &str, jwt: &str, show: ShowId, seats: &[u32]) -> anyhow::Result<Position> {
    let customer = CustomerId::new(&format!("newcomer-{}", uuid::Uuid::new_v4().simple()))?;
    let token = sign_token(jwt, &customer, Duration::from_secs(600))?;
    let options = ClientOptions { timeout: PATIENCE, ..ClientOptions::new(gateway, &token) };
    let client = ViewerClient::open(options).await?;
    client.watch(show).await?;
    for seat in seats {
        match client.hold(show, &new_key(), &[*seat]).await {
            Ok(hold) => return Ok(client.release(show, hold.hold).await?.position),
            Err(error) if error.code == ErrorCode::Taken => {}
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("all {} seats are taken", seats.len())
}

/// For one step; then another newcomer tries.
const PATIENCE: Duration = Duration::from_secs(2);
