//! Cancelling by an operator. Both may be called again: what is cancelled is answered as it is.

use axum::Json;
use axum::extract::{Path, State};
use seatwire_protocol::{BookingId, ErrorBody};
use serde_json::json;

use super::{Answer, Shared, show_of};
use crate::commands::{db_error, no_such_booking, saga_error, saga_outcome};
use crate::db;

/// The sale is closed and the seats are blocked when this is answered; bookings follow.
pub(super) async fn show(State(app): Shared, Path(show): Path<String>) -> Answer {
    let show = show_of(&show)?;
    let outcome = app.saga.cancel_show(show).await;
    let blocked = saga_outcome(&app, show, outcome).await?;
    let progress = db::cancellations::progress(&app.db, show).await.map_err(db_error)?;
    tracing::info!(%show, blocked, ?progress, "operator cancelled the show");
    Ok(Json(json!({ "show": show, "blocked": blocked, "cancelled": progress })))
}

pub(super) async fn booking(State(app): Shared, Path(booking): Path<String>) -> Answer {
    let booking: BookingId = booking.parse().map_err(|e| ErrorBody::bad_request("booking", format!("{e}")))?;
    let found = app.saga.cancel_by_operator(booking).await.map_err(|error| saga_error(&error))?;
    let info = found.ok_or_else(no_such_booking)?;
    Ok(Json(json!({
        "booking": booking.to_hex(), "show": info.show, "state": info.state, "labels": info.labels,
        "amount": info.amount, "currency": info.currency, "refunds": info.refunds,
    })))
}
