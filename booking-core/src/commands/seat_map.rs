//! `get_snapshot` and `get_positions`: reads of the live seat map; the second tells how many watch it.

use seatwire_protocol::ErrorBody;
use seatwire_protocol::command::{GetPositions, GetSnapshot, PositionsReply, SnapshotReply, Viewers};
use seatwire_protocol::limits::{POSITIONS_PER_COMMAND_MAX, VIEWER_PARTS_MAX};

use super::{hold_error, settled};
use crate::app::App;
use crate::holds::presence::viewers_note;

const GATEWAY_NAME_MAX: usize = 64;

pub(crate) async fn snapshot(app: &App, command: GetSnapshot) -> Result<SnapshotReply, ErrorBody> {
    settled(app, command.show, app.holds.snapshot(command.show).await).await
}

pub(crate) async fn positions(app: &App, command: GetPositions) -> Result<PositionsReply, ErrorBody> {
    let shows = command.shows;
    if shows.len() > POSITIONS_PER_COMMAND_MAX {
        let text = format!("{} shows in one command; at most {POSITIONS_PER_COMMAND_MAX}", shows.len());
        return Err(ErrorBody::bad_request("shows", text));
    }
    if let Some(viewers) = &command.viewers {
        check_viewers(viewers, shows.len())?;
    }
    // No shows: how clients ask this core, and not Redis, for a sign of life.
    if shows.is_empty() {
        return Ok(PositionsReply { positions: Vec::new() });
    }
    let note = async {
        if let Some(viewers) = &command.viewers {
            let name = format!("gateway/{}/{}", viewers.gateway, viewers.part);
            // Who can't be counted is served all the same.
            if let Err(error) = app.holds.leave_note(&name, &viewers_note(&shows, viewers)).await {
                tracing::debug!(%error, "viewers not counted");
            }
        }
    };
    let (positions, ()) = tokio::join!(app.holds.positions(&shows), note);
    let positions = positions.map_err(hold_error)?;
    Ok(PositionsReply { positions })
}

/// Names go into keys, so they are short and plain.
fn check_viewers(viewers: &Viewers, shows: usize) -> Result<(), ErrorBody> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !(1..=GATEWAY_NAME_MAX).contains(&viewers.gateway.len()) || !viewers.gateway.bytes().all(plain) {
        let text = format!("gateway must be 1-{GATEWAY_NAME_MAX} letters, digits, - and _");
        return Err(ErrorBody::bad_request("viewers.gateway", text));
    }
    if viewers.part >= VIEWER_PARTS_MAX {
        return Err(ErrorBody::bad_request("viewers.part", format!("part must be below {VIEWER_PARTS_MAX}")));
    }
    if viewers.counts.len() != shows {
        let text = format!("{} counts for {shows} shows", viewers.counts.len());
        return Err(ErrorBody::bad_request("viewers.counts", text));
    }
    Ok(())
}
