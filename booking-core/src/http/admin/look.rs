//! What the operator's page reads beside the rest: everything at once, sales by minute, and a show's map.

use axum::Json;
use axum::extract::{Path, Query, State};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{BookingId, ErrorBody};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Shared, show_of};
use crate::commands::{db_error, no_such_booking, no_such_show, settled};
use crate::db;

/// Longest text that is searched for, bytes.
const SEARCH_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

pub(super) async fn overview(State(app): Shared, Query(search): Query<Search>) -> Answer {
    let search = search.q.trim();
    if search.len() > SEARCH_BYTES_MAX {
        return Err(ErrorBody::bad_request("q", format!("q must be at most {SEARCH_BYTES_MAX} bytes")).into());
    }
    Ok(Json(app.overview.tell(&app, search).await?))
}

pub(super) async fn sales(State(app): Shared, Path(show): Path<String>) -> Answer {
    let show = show_of(&show)?;
    Ok(Json(json!({ "show": show, "sales": app.overview.sales_of(&app, show).await? })))
}

pub(super) async fn layout(State(app): Shared, Path(show): Path<String>) -> Answer {
    let show = show_of(&show)?;
    let layout = app.layouts.get(show).await.map_err(db_error)?.ok_or_else(|| no_such_show(show))?;
    Ok(Json(json!(*layout)))
}

/// The status of each seat as a letter: available, held, booked, blocked (`x`). Loads the show when it has to.
pub(super) async fn seats(State(app): Shared, Path(show): Path<String>) -> Answer {
    let show = show_of(&show)?;
    let snapshot = settled(&app, show, app.holds.snapshot(show).await).await?;
    let statuses = PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).unwrap_or_default();
    let letters: String = statuses.iter().map(|status| status.letter()).collect();
    let answer: Value = json!({
        "show": show,
        "generation": snapshot.position.generation,
        "sequence": snapshot.position.sequence,
        "layout_version": snapshot.layout_version,
        "seats": letters,
    });
    Ok(Json(answer))
}

/// What a scanned ticket is worth, and what a customer asks about.
pub(super) async fn booking(State(app): Shared, Path(booking): Path<String>) -> Answer {
    let booking: BookingId = booking.parse().map_err(|e| ErrorBody::bad_request("booking", format!("{e}")))?;
    let found = db::bookings::get(&app.db, booking).await.map_err(db_error)?;
    let (customer, info) = found.ok_or_else(no_such_booking)?;
    Ok(Json(json!({ "customer": customer, "booking": info })))
}
