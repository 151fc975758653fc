//! Brings a room to life: fetches the show's snapshot through a core until it joins up with the feed. One fetch a room
//! at a time, a bounded number in all, spread a little so that many stale rooms do not ask at once.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use seatwire_protocol::command::GetSnapshot;
use seatwire_protocol::{ErrorBody, ErrorCode};
use tracing::{info, warn};

use super::Topic;
use crate::app::App;
use crate::room::Room;
use crate::room::sync::{Fetch, Installed, Lost};
use crate::{clock, fanout, metrics as names};

/// Time for one snapshot.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// A stale room waits up to this long before its fetch, so that rooms lost together do not ask together.
const SPREAD_MS: u64 = 100;
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A room has just lost the thread: viewers are told, and it is brought back.
pub fn on_lost(app: &Arc<App>, room: &Arc<Room>, why: Lost) {
    info!(show = %room.show, why = why.label(), "room is stale");
    counter!(names::ROOMS_STALE, "reason" => why.label()).increment(1);
    fanout::mark_dirty(app, room);
    start(app, room);
}

/// Starts to fetch, unless there is no need, no subscription, or somebody at it.
pub fn start(app: &Arc<App>, room: &Arc<Room>) {
    let (fetch, opening) = {
        let mut state = room.state();
        (state.begin_fetch(), state.position().is_none())
    };
    if let Some(fetch) = fetch {
        let spread_ms = if opening { 0 } else { rand::random_range(0..SPREAD_MS) };
        let (for_task, room) = (Arc::clone(app), Arc::clone(room));
        app.spawn(async move {
            tokio::time::sleep(Duration::from_millis(spread_ms)).await;
            fetch_until_live(&for_task, &room, fetch).await;
        });
    }
}

async fn fetch_until_live(app: &Arc<App>, room: &Arc<Room>, mut fetch: Fetch) {
    let mut wait = BACKOFF_MIN;
    loop {
        if fetch_once(app, room, fetch).await {
            return;
        }
        tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
        wait = (wait * 2).min(BACKOFF_MAX);
        // Without a subscription, its confirmation starts the next fetch.
        let Some(next) = room.state().begin_fetch() else { return };
        fetch = next;
    }
}

/// Fetches once; `true` when there is nothing more to do.
async fn fetch_once(app: &Arc<App>, room: &Arc<Room>, fetch: Fetch) -> bool {
    counter!(names::SNAPSHOTS).increment(1);
    let answer = {
        let _permit = app.snapshot_permits.acquire().await;
        app.core.call(&GetSnapshot { show: room.show }, FETCH_MAX, 0).await
    };
    match answer {
        Ok(snapshot) => {
            let installed = {
                let mut state = room.state();
                let installed = state.install(fetch, &snapshot, clock::now_ms());
                state.set_unsure(false);
                installed
            };
            fanout::mark_dirty(app, room);
            room.settled.notify_waiters();
            installed == Installed::Live
        }
        Err(error) if error.code == ErrorCode::NoSuchShow => {
            close_room(app, room, &error);
            true
        }
        Err(error) => {
            warn!(show = %room.show, code = %error.code, "no snapshot");
            let told = {
                let mut state = room.state();
                state.abandon_fetch();
                state.set_unsure(true)
            };
            if told {
                fanout::mark_dirty(app, room);
            }
            false
        }
    }
}

/// There is no such show: everybody who asked for it is told, and the room is gone.
fn close_room(app: &Arc<App>, room: &Arc<Room>, error: &ErrorBody) {
    // Before the list is read: who adds its watch later sees this.
    room.set_missing();
    let now_ms = clock::now_ms();
    for viewer in room.viewers.all() {
        let watch = viewer.outbound().remove_watch(room.show);
        if let Some(watch) = watch {
            watch.room.viewers.leave(watch.place, now_ms);
            viewer.refuse(None, ErrorBody { field: Some("show".to_owned()), ..error.clone() });
        }
    }
    app.registry.remove(room);
    app.feed.remove(Topic::Show(room.show));
}
