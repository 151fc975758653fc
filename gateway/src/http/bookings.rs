//! Bookings over HTTP: the same commands as over the socket.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use seatwire_protocol::ws::ClientMessage;
use seatwire_protocol::{BookingId, HoldId, IdempotencyKey, ShowId};
use serde::Deserialize;

use super::Reply;
use super::holds::{Keyed, bare};
use super::respond::{body, identity, outcome, part};
use crate::app::App;
use crate::commands;

#[derive(Deserialize)]
struct New {
    show: ShowId,
    hold: HoldId,
    key: IdempotencyKey,
    email: String,
}

/// Where a page of bookings begins.
#[derive(Deserialize)]
pub struct Page {
    before_ms: Option<String>,
}

/// `POST /api/bookings`.
pub async fn book(State(app): State<Arc<App>>, headers: HeaderMap, input: Body) -> Reply {
    let booked = async {
        let customer = identity(&app, &headers)?.customer;
        let New { show, hold, key, email } = body(input).await?;
        commands::run(&app, customer, ClientMessage::Book { id: 0, show, hold, key, email }).await
    };
    outcome(booked.await.map(bare))
}

/// `GET /api/bookings`.
pub async fn list(State(app): State<Arc<App>>, Query(page): Query<Page>, headers: HeaderMap) -> Reply {
    let listed = async {
        let customer = identity(&app, &headers)?.customer;
        let before_ms = page.before_ms.map(|text| part::<u64>("before_ms", &text)).transpose()?;
        commands::run(&app, customer, ClientMessage::Bookings { id: 0, before_ms }).await
    };
    outcome(listed.await.map(bare))
}

/// `GET /api/bookings/{booking}`.
pub async fn show(State(app): State<Arc<App>>, Path(booking): Path<String>, headers: HeaderMap) -> Reply {
    let found = async {
        let customer = identity(&app, &headers)?.customer;
        let booking = part::<BookingId>("booking", &booking)?;
        commands::run(&app, customer, ClientMessage::Booking { id: 0, booking }).await
    };
    outcome(found.await.map(bare))
}

/// `POST /api/bookings/{booking}/cancel`.
pub async fn cancel(
    State(app): State<Arc<App>>,
    Path(booking): Path<String>,
    headers: HeaderMap,
    input: Body,
) -> Reply {
    let cancelled = async {
        let customer = identity(&app, &headers)?.customer;
        let booking = part::<BookingId>("booking", &booking)?;
        let Keyed { key } = body(input).await?;
        commands::run(&app, customer, ClientMessage::Cancel { id: 0, booking, key }).await
    };
    outcome(cancelled.await.map(bare))
}
