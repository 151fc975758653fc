//! Once a second the gateway asks a core where the streams of its watched shows are, and tells it how many watch each. A
//! room that is behind is a suspect: its feed lost a message or is deaf. A core that can't be asked for two seconds makes
//! every room doubtful. Also lets go of rooms that nobody watches any more.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use seatwire_protocol::ShowId;
use seatwire_protocol::command::{GetPositions, Viewers};
use seatwire_protocol::limits::{POSITIONS_PER_COMMAND_MAX, VIEWER_PARTS_MAX};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::warn;

use super::{Topic, resync};
use crate::app::App;
use crate::room::Room;
use crate::room::sync::{Heard, Lost};
use crate::{clock, fanout, metrics as names};

const EVERY: Duration = Duration::from_secs(1);
/// Without an answer for this long, viewers are told.
const DOUBT_AFTER: Duration = Duration::from_secs(2);

/// Runs for the life of the process.
pub async fn run(app: Arc<App>) {
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered_at = Instant::now();
    loop {
        timer.tick().await;
        app.metrics.run_upkeep();
        let mut rooms = app.registry.rooms();
        rooms.retain(|room| !let_go(&app, room));
        count(&rooms);
        if check(&app, &rooms).await {
            answered_at = Instant::now();
        } else if answered_at.elapsed() >= DOUBT_AFTER {
            for room in &rooms {
                tell(&app, room, true);
            }
        }
    }
}

fn count(rooms: &[Arc<Room>]) {
    let viewers: usize = rooms.iter().map(|room| room.viewers.count()).sum();
    let doubtful = rooms.iter().filter(|room| room.state().is_doubtful()).count();
    let gauge_of = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    gauge!(names::VIEWERS).set(gauge_of(viewers));
    gauge!(names::ROOMS_DOUBTFUL).set(gauge_of(doubtful));
}

/// Asks for the positions of all rooms with a map; `false` when no core could tell.
async fn check(app: &Arc<App>, rooms: &[Arc<Room>]) -> bool {
    let known: Vec<&Arc<Room>> = rooms.iter().filter(|room| room.position().is_some()).collect();
    let mut suspects = Vec::new();
    for (part, some) in (0..).zip(known.chunks(POSITIONS_PER_COMMAND_MAX)) {
        let shows: Vec<ShowId> = some.iter().map(|room| room.show).collect();
        let counts = some.iter().map(|room| u32::try_from(room.viewers.count()).unwrap_or(u32::MAX)).collect();
        let viewers = (part < VIEWER_PARTS_MAX).then(|| Viewers { gateway: app.name.clone(), part, counts });
        let answer = match app.core.call(&GetPositions { shows, viewers }, EVERY, 0).await {
            Ok(answer) => answer,
            Err(error) => {
                warn!(code = %error.code, "no positions from the core");
                return false;
            }
        };
        for (room, answered) in some.iter().zip(answer.positions) {
            tell(app, room, false);
            match answered {
                None => {
                    let heard = room.state().lose(Lost::NotLoaded);
                    if let Heard::Lost(why) = heard {
                        resync::on_lost(app, room, why);
                    }
                }
                Some(answered) if room.position().is_some_and(|here| here < answered) => {
                    suspects.push((Arc::clone(room), answered));
                }
                Some(_) => {}
            }
        }
    }
    app.feed.suspect(suspects);
    true
}

fn tell(app: &Arc<App>, room: &Arc<Room>, unsure: bool) {
    let changed = room.state().set_unsure(unsure);
    if changed {
        fanout::mark_dirty(app, room);
    }
}

/// Forgets a room that has had no viewer for a while.
fn let_go(app: &App, room: &Arc<Room>) -> bool {
    let keep_ms = u64::try_from(app.config.room_keep.as_millis()).unwrap_or(u64::MAX);
    let closed = room.viewers.close_if_idle(clock::now_ms(), keep_ms);
    if closed && app.registry.remove(room) {
        app.feed.remove(Topic::Show(room.show));
    }
    closed
}
