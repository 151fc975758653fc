//! `get_snapshot` and `get_positions`: reads of the live seat map.

use seatwire_protocol::ErrorBody;
use seatwire_protocol::command::{GetPositions, GetSnapshot, PositionsReply, SnapshotReply};
use seatwire_protocol::limits::POSITIONS_PER_COMMAND_MAX;

use super::{hold_error, settled};
use crate::app::App;

pub(crate) async fn snapshot(app: &App, command: GetSnapshot) -> Result<SnapshotReply, ErrorBody> {
    settled(app, command.show, app.holds.snapshot(command.show).await).await
}

pub(crate) async fn positions(app: &App, command: GetPositions) -> Result<PositionsReply, ErrorBody> {
    let shows = command.shows;
    if shows.len() > POSITIONS_PER_COMMAND_MAX {
        let text = format!("{} shows in one command; at most {POSITIONS_PER_COMMAND_MAX}", shows.len());
        return Err(ErrorBody::bad_request("shows", text));
    }
    // No shows: how clients ask this core, and not Redis, for a sign of life.
    if shows.is_empty() {
        return Ok(PositionsReply { positions: Vec::new() });
    }
    let positions = app.holds.positions(&shows).await.map_err(hold_error)?;
    Ok(PositionsReply { positions })
}
