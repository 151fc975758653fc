//! Beginning and ending to watch a show, and where a viewer's map is taken up from.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use seatwire_protocol::command::GetPositions;
use seatwire_protocol::limits::WATCHED_SHOWS_MAX;
use seatwire_protocol::{ErrorBody, ErrorCode, Position, ShowId};
use tokio::time::timeout;

use super::connection::Connection;
use super::frame;
use super::outbound::{Lane, Watch};
use crate::app::App;
use crate::room::Room;
use crate::{clock, metrics as names, own};

/// How long a viewer that claims to be ahead waits for the core's word.
const AHEAD_MAX: Duration = Duration::from_millis(500);
/// The core is asked because of such claims at most this often a room.
const AHEAD_EVERY_MS: u64 = 500;
const AHEAD_LOOK: Duration = Duration::from_millis(20);

/// Watches a show, from `pos` where that is possible.
///
/// # Errors
/// LIMIT, OVERLOADED, NO_SUCH_SHOW.
pub fn start(
    app: &Arc<App>,
    connection: &Arc<Connection>,
    show: ShowId,
    pos: Option<Position>,
) -> Result<(), ErrorBody> {
    let room = join(app, connection, show)?;
    let ahead = pos.is_some_and(|pos| room.position().is_some() && room.can_resume(pos).is_none());
    let how = match (pos, ahead) {
        (None, _) => "new",
        (Some(_), false) => "resume",
        (Some(_), true) => "ahead",
    };
    counter!(names::WATCHES, "how" => how).increment(1);
    if let Some(watch) = connection.outbound().watch_mut(show) {
        watch.cursor = pos;
        watch.parked = ahead;
        watch.resumes = pos.is_some() && room.position().is_none();
    }
    if ahead && let Some(pos) = pos {
        let (for_task, connection, room) = (Arc::clone(app), Arc::clone(connection), Arc::clone(&room));
        app.spawn(async move {
            // Whether or not the core knows more: then this viewer goes on with what this room has.
            let _ = timeout(AHEAD_MAX, settle_claim(&for_task, &room, pos)).await;
            if let Some(watch) = connection.outbound().watch_mut(room.show) {
                watch.parked = false;
            }
            take_up(&connection, &room, Some(pos));
        });
    } else {
        take_up(connection, &room, pos);
    }
    if let Some(customer) = connection.customer() {
        // Before own things are asked for, so that nothing falls in between.
        app.customers.join(app, &customer, connection);
        own::ask(app, &room, customer, connection);
    }
    Ok(())
}

/// Ends watching; harmless when it was not watched.
pub fn stop(connection: &Connection, show: ShowId) {
    let watch = connection.outbound().remove_watch(show);
    if let Some(watch) = watch {
        watch.room.viewers.leave(watch.place, clock::now_ms());
    }
}

/// Makes the connection a viewer of the room. It is in the room's list before its position is read, so that a round
/// either sees it, or was over before.
fn join(app: &Arc<App>, connection: &Arc<Connection>, show: ShowId) -> Result<Arc<Room>, ErrorBody> {
    {
        let mut outbound = connection.outbound();
        if let Some(watch) = outbound.watch_mut(show) {
            // Rounds leave it alone until the new position is known.
            watch.parked = true;
            return Ok(Arc::clone(&watch.room));
        }
        if outbound.watches().len() >= WATCHED_SHOWS_MAX {
            let text = format!("a connection may watch {WATCHED_SHOWS_MAX} shows");
            let error = ErrorBody::new(ErrorCode::Limit, text);
            return Err(ErrorBody { limit: Some(WATCHED_SHOWS_MAX as u64), ..error });
        }
    }
    loop {
        let room = app.open_room(show)?;
        let Some(place) = room.viewers.join(connection) else {
            // It was closed a moment ago; whoever closed it forgets it as well.
            app.registry.remove(&room);
            continue;
        };
        connection.outbound().add_watch(Watch::new(Arc::clone(&room), place, None, true));
        if room.is_missing() {
            stop(connection, show);
            let error = ErrorBody::new(ErrorCode::NoSuchShow, format!("there is no show {show}"));
            return Err(ErrorBody { field: Some("show".to_owned()), ..error });
        }
        return Ok(room);
    }
}

/// Sends what the viewer lacks; one that lacks nothing gets a beat, so that it knows. Where the room has no map yet, the
/// round that follows does the same.
fn take_up(connection: &Connection, room: &Room, pos: Option<Position>) {
    let nothing_new = pos.is_some() && pos == room.position();
    connection.pump();
    if nothing_new && let Some(beat) = pos.and_then(|pos| room.beat(pos)) {
        connection.send(Lane::Control, frame::seat_frame(connection.encoding, &beat));
    }
}

/// A viewer claims a position that this room has not reached. Only the core's word counts: it is asked by one task at a
/// time and not often, all claims of that time share its answer, and the room gets some time to get there; meanwhile the
/// feed is examined.
async fn settle_claim(app: &Arc<App>, room: &Arc<Room>, claim: Position) {
    let Some(answered) = core_position(app, room, claim).await else { return };
    if room.position().is_none_or(|here| here < answered) {
        app.feed.suspect(vec![(Arc::clone(room), answered)]);
    }
    while room.position().is_none_or(|here| here < answered.min(claim)) {
        tokio::time::sleep(AHEAD_LOOK).await;
    }
}

/// Where the core says that the show is; `None` when the room has got there, or when no core knows.
async fn core_position(app: &App, room: &Room, claim: Position) -> Option<Position> {
    loop {
        // Who comes while somebody asks waits here for the same answer.
        let mut last = room.ahead.lock().await;
        if room.position().is_some_and(|here| here >= claim) {
            return None;
        }
        let now_ms = clock::now_ms();
        let again_in_ms = match *last {
            Some((_, answered)) if answered >= Some(claim) => return answered,
            Some((at_ms, _)) => at_ms.saturating_add(AHEAD_EVERY_MS).saturating_sub(now_ms),
            None => 0,
        };
        if again_in_ms == 0 {
            let command = GetPositions { shows: vec![room.show], viewers: None };
            let answer = app.core.call(&command, AHEAD_MAX, 0).await;
            let answered = answer.ok().and_then(|reply| reply.positions.into_iter().next().flatten());
            *last = Some((now_ms, answered));
            return answered;
        }
        // The last answer was not far enough: the show may have moved on since.
        drop(last);
        tokio::time::sleep(Duration::from_millis(again_in_ms)).await;
    }
}
