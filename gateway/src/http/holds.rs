//! Holds over HTTP: the same commands as over the socket.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use seatwire_protocol::command::BestAvailable;
use seatwire_protocol::ws::{ClientMessage, ReplyBody};
use seatwire_protocol::{HoldId, IdempotencyKey, SeatIndex, ShowId};
use serde::Deserialize;
use serde_json::json;

use super::Reply;
use super::respond::{body, identity, outcome, part};
use crate::app::App;
use crate::commands;

#[derive(Deserialize)]
struct Place {
    key: IdempotencyKey,
    #[serde(default)]
    seats: Vec<SeatIndex>,
    #[serde(default)]
    best: Option<BestAvailable>,
}

/// A body with nothing but an idempotency key.
#[derive(Deserialize)]
pub struct Keyed {
    pub key: IdempotencyKey,
}

/// `POST /api/shows/{show}/holds`.
pub async fn place(State(app): State<Arc<App>>, Path(show): Path<String>, headers: HeaderMap, input: Body) -> Reply {
    let placed = async {
        let customer = identity(&app, &headers)?.customer;
        let show = part::<ShowId>("show", &show)?;
        let Place { key, seats, best } = body(input).await?;
        commands::run(&app, customer, ClientMessage::Hold { id: 0, show, key, seats, best }).await
    };
    outcome(placed.await.map(bare))
}

/// `POST /api/shows/{show}/holds/{hold}/extend`.
pub async fn extend(
    State(app): State<Arc<App>>,
    Path((show, hold)): Path<(String, String)>,
    headers: HeaderMap,
    input: Body,
) -> Reply {
    let extended = async {
        let customer = identity(&app, &headers)?.customer;
        let (show, hold) = (part::<ShowId>("show", &show)?, part::<HoldId>("hold", &hold)?);
        let Keyed { key } = body(input).await?;
        commands::run(&app, customer, ClientMessage::Extend { id: 0, show, hold, key }).await
    };
    outcome(extended.await.map(bare))
}

/// `DELETE /api/shows/{show}/holds/{hold}`.
pub async fn release(
    State(app): State<Arc<App>>,
    Path((show, hold)): Path<(String, String)>,
    headers: HeaderMap,
) -> Reply {
    let released = async {
        let customer = identity(&app, &headers)?.customer;
        let (show, hold) = (part::<ShowId>("show", &show)?, part::<HoldId>("hold", &hold)?);
        commands::run(&app, customer, ClientMessage::Release { id: 0, show, hold }).await
    };
    outcome(released.await.map(bare))
}

/// `GET /api/shows/{show}/holds`: own holds and pending bookings.
pub async fn own(State(app): State<Arc<App>>, Path(show): Path<String>, headers: HeaderMap) -> Reply {
    let own = async {
        let customer = identity(&app, &headers)?.customer;
        let show = part::<ShowId>("show", &show)?;
        commands::run(&app, customer, ClientMessage::OwnHolds { id: 0, show }).await
    };
    outcome(own.await.map(bare))
}

/// A reply without the name of its kind, which the route tells already.
pub fn bare(reply: ReplyBody) -> serde_json::Value {
    let value = match reply {
        ReplyBody::Hold(hold) => serde_json::to_value(hold),
        ReplyBody::Released(released) => serde_json::to_value(released),
        ReplyBody::Booking(booking) => serde_json::to_value(booking),
        ReplyBody::OwnHolds { holds, pending, .. } => Ok(json!({"holds": holds, "pending": pending})),
        ReplyBody::Bookings { bookings, more } => Ok(json!({"bookings": bookings, "more": more})),
        other => serde_json::to_value(other),
    };
    value.unwrap_or_default()
}
