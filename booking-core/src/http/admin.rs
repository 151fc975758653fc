//! What operators may do; bearer token on every route, see [`guard`].
//!
//! | route | what |
//! |---|---|
//! | `GET /admin/shows/{show}` | ledger and live state side by side |
//! | `GET /admin/shows/{show}/seats/{seat}/history` | who, when, from → to, why |
//! | `GET /admin/shows/{show}/holds` | every live hold and whose it is |
//! | `POST /admin/shows/{show}/holds/{hold}/release` | ends a hold; its owner is told |
//! | `POST /admin/shows/{show}/sale` `{state, opens_at_ms?}` | opens, closes or schedules the sale |
//! | `POST /admin/shows/{show}/options` `{no_orphan}` | whether holds may leave a single seat alone |
//! | `POST /admin/shows/{show}/block`, `/unblock` `{seats}` | takes seats off sale, and back |
//! | `POST /admin/shows/{show}/cancel` | cancels a show, and all its bookings with their refunds |
//! | `GET /admin/bookings/{booking}` | a booking's state, seats and money: whether a ticket is good |
//! | `POST /admin/bookings/{booking}/cancel` | cancels a booking, with its refund |
//! | `POST /admin/shows/{show}/reload` | starts a new generation and loads the map again |
//! | `GET /admin/overview?q=…` | all shows with viewers, counts and sales; refunds, backlog, cores, gateways |
//! | `GET /admin/shows/{show}/sales` | seats sold by minute in the last hour |
//! | `GET /admin/shows/{show}/layout`, `/seats` | where the seats are, and their statuses |
//! | `GET /admin/backlog` | rows that wait, and rows that wait for an operator |
//! | `GET /admin/parked` | the rows that wait for an operator: what, since when, why |
//! | `POST /admin/requeue/{id}` | tries a parked row again |
//! | `POST /admin/dismiss/{id}` | ends the wait of a row that no money or seat depends on |

mod cancel;
mod guard;
mod look;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use axum::{Json, Router};
use seatwire_protocol::command::{HoldInfo, SnapshotReply};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode, HoldId, SaleState, SeatIndex, SeatStatus, ShowId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::respond::{Body, Failure};
use crate::app::App;
use crate::commands::{db_error, no_such_show, saga_outcome, settled};
use crate::db;
use crate::events::GroupLag;

/// Parked rows in one answer.
const PARKED_MAX: i64 = 100;

type Shared = State<Arc<App>>;
type Answer = Result<Json<Value>, Failure>;

pub(super) fn router(app: Arc<App>) -> Router {
    let guard = guard::Guard::new(Arc::clone(&app));
    Router::new()
        .route("/shows/{show}", get(show_state))
        .route("/shows/{show}/seats/{seat}/history", get(seat_history))
        .route("/shows/{show}/holds", get(holds))
        .route("/shows/{show}/holds/{hold}/release", post(release))
        .route("/shows/{show}/sale", post(set_sale))
        .route("/shows/{show}/options", post(set_options))
        .route("/shows/{show}/block", post(block))
        .route("/shows/{show}/unblock", post(unblock))
        .route("/shows/{show}/cancel", post(cancel::show))
        .route("/bookings/{booking}", get(look::booking))
        .route("/bookings/{booking}/cancel", post(cancel::booking))
        .route("/shows/{show}/reload", post(reload))
        .route("/backlog", get(backlog))
        .route("/parked", get(parked))
        .route("/requeue/{id}", post(requeue))
        .route("/dismiss/{id}", post(dismiss))
        .route("/overview", get(look::overview))
        .route("/shows/{show}/sales", get(look::sales))
        .route("/shows/{show}/layout", get(look::layout))
        .route("/shows/{show}/seats", get(look::seats))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(app)
}

fn show_of(text: &str) -> Result<ShowId, Failure> {
    text.parse().map_err(|e| ErrorBody::bad_request("show", format!("{e}")).into())
}

async fn show_state(State(app): Shared, Path(show): Path<String>) -> Answer {
    let show = show_of(&show)?;
    let row = db::shows::load_show(&app.db, show).await.map_err(db_error)?.ok_or_else(|| no_such_show(show))?;
    let sale = json!({
        "state": row.sale.state, "opens_at_ms": row.sale.opens_at_ms, "version": row.sale.version,
        "no_orphan": row.sale.no_orphan,
    });
    let cancelled = db::cancellations::progress(&app.db, show).await.map_err(db_error)?;
    let live = match settled(&app, show, app.holds.snapshot(show).await).await {
        Ok(snapshot) => live_state(&snapshot),
        // The ledger's half is worth having while Redis is down.
        Err(error) => json!({ "error": error }),
    };
    Ok(Json(json!({
        "show": show,
        "ledger": {
            "seats": row.seats, "sale": sale, "generation": row.generation, "layout_version": row.layout_version,
            "cancelled": cancelled,
        },
        "live": live,
    })))
}

fn live_state(snapshot: &SnapshotReply) -> Value {
    let statuses = PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).unwrap_or_default();
    let count = |status: SeatStatus| statuses.iter().filter(|seat| *seat == status).count();
    json!({
        "generation": snapshot.position.generation,
        "sequence": snapshot.position.sequence,
        "sale": snapshot.sale,
        "opens_in_ms": snapshot.opens_in_ms,
        "available": count(SeatStatus::Available),
        "held": count(SeatStatus::Held),
        "booked": count(SeatStatus::Booked),
        "blocked": count(SeatStatus::Blocked),
    })
}

async fn seat_history(State(app): Shared, Path((show, seat)): Path<(String, String)>) -> Answer {
    let show = show_of(&show)?;
    let seat = seat_of(&app, show, &seat).await?;
    let changes = db::history::of_seat(&app.db, show, seat).await.map_err(db_error)?;
    Ok(Json(json!({ "show": show, "seat": seat, "changes": changes })))
}

/// A seat by its index, or by its label where that is not a number.
async fn seat_of(app: &App, show: ShowId, text: &str) -> Result<SeatIndex, Failure> {
    let layout = app.layouts.get(show).await.map_err(db_error)?.ok_or_else(|| no_such_show(show))?;
    let found = match text.parse() {
        Ok(index) => Some(SeatIndex(index)).filter(|seat| seat.0 < layout.seats),
        Err(_) => (0..layout.seats).map(SeatIndex).find(|seat| layout.label(*seat).as_deref() == Some(text)),
    };
    found.ok_or_else(|| {
        let text = format!("show {show} has no seat {text}");
        ErrorBody { field: Some("seat".to_owned()), ..ErrorBody::new(ErrorCode::NoSuchSeat, text) }.into()
    })
}

async fn holds(State(app): Shared, Path(show): Path<String>) -> Answer {
    let show = show_of(&show)?;
    let holds = settled(&app, show, app.holds.all_holds(show).await).await?;
    let layout = app.layouts.get(show).await.map_err(db_error)?.ok_or_else(|| no_such_show(show))?;
    let one = |(customer, hold): &(CustomerId, HoldInfo)| {
        let labels: Vec<_> = hold.seats.iter().map(|seat| layout.label(*seat)).collect();
        json!({
            "hold": hold.hold.to_hex(), "customer": customer, "phase": hold.phase, "remaining_ms": hold.remaining_ms,
            "seats": hold.seats, "labels": labels,
        })
    };
    Ok(Json(json!({ "show": show, "holds": holds.iter().map(one).collect::<Vec<_>>() })))
}

async fn release(State(app): Shared, Path((show, hold)): Path<(String, String)>) -> Answer {
    let show = show_of(&show)?;
    let hold: HoldId = hold.parse().map_err(|e| ErrorBody::bad_request("hold", format!("{e}")))?;
    let released = settled(&app, show, app.holds.force_release(show, hold).await).await?;
    tracing::info!(%show, ?hold, "operator released a hold");
    let position = released.position;
    Ok(Json(json!({ "show": show, "generation": position.generation, "sequence": position.sequence })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaleBody {
    state: SaleState,
    opens_at_ms: Option<i64>,
}

async fn set_sale(State(app): Shared, Path(show): Path<String>, Body(body): Body<SaleBody>) -> Answer {
    let show = show_of(&show)?;
    if (body.state == SaleState::Before) != body.opens_at_ms.is_some() {
        let text = "opens_at_ms (milliseconds since 1970) belongs to the state before, and only to it";
        return Err(ErrorBody::bad_request("opens_at_ms", text).into());
    }
    let outcome = app.saga.set_sale(show, body.state, body.opens_at_ms).await;
    let sale = saga_outcome(&app, show, outcome).await?;
    tracing::info!(%show, state = ?body.state, "operator changed the sale");
    Ok(Json(json!({
        "show": show, "state": sale.state, "opens_at_ms": sale.opens_at_ms, "version": sale.version,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionsBody {
    no_orphan: bool,
}

async fn set_options(State(app): Shared, Path(show): Path<String>, Body(body): Body<OptionsBody>) -> Answer {
    let show = show_of(&show)?;
    let outcome = app.saga.set_no_orphan(show, body.no_orphan).await;
    let sale = saga_outcome(&app, show, outcome).await?;
    tracing::info!(%show, no_orphan = sale.no_orphan, "operator changed the rules of holds");
    Ok(Json(json!({ "show": show, "no_orphan": sale.no_orphan, "version": sale.version })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeatsBody {
    seats: Vec<SeatIndex>,
}

async fn block(State(app): Shared, Path(show): Path<String>, Body(body): Body<SeatsBody>) -> Answer {
    change_seats(&app, &show, body.seats, Blocking::Block).await
}

async fn unblock(State(app): Shared, Path(show): Path<String>, Body(body): Body<SeatsBody>) -> Answer {
    change_seats(&app, &show, body.seats, Blocking::Unblock).await
}

#[derive(Debug, Clone, Copy)]
enum Blocking {
    Block,
    Unblock,
}

async fn change_seats(app: &App, show: &str, mut seats: Vec<SeatIndex>, what: Blocking) -> Answer {
    let show = show_of(show)?;
    seats.sort_unstable();
    seats.dedup();
    if seats.is_empty() {
        return Err(ErrorBody::bad_request("seats", "name at least one seat").into());
    }
    let outcome = match what {
        Blocking::Block => app.saga.block_seats(show, seats.clone()).await,
        Blocking::Unblock => app.saga.unblock_seats(show, seats.clone()).await,
    };
    saga_outcome(app, show, outcome).await?;
    tracing::info!(%show, seats = seats.len(), ?what, "operator changed seats");
    Ok(Json(json!({ "show": show, "seats": seats })))
}

async fn reload(State(app): Shared, Path(show): Path<String>) -> Answer {
    let show = show_of(&show)?;
    let position = settled(&app, show, app.holds.reload(show).await).await?;
    tracing::info!(%show, %position, "operator reloaded the show");
    Ok(Json(json!({ "show": show, "generation": position.generation, "sequence": position.sequence })))
}

async fn backlog(State(app): Shared) -> Answer {
    let backlog = app.saga.backlog().await.map_err(db_error)?;
    let mut answer = json!(backlog);
    // The rows are worth having while the bus is away.
    let (name, bus) = match app.exporter.groups().await {
        Ok(groups) => {
            let lag = |group: GroupLag| (group.group, json!({ "lag": group.lag, "pending": group.pending }));
            ("bus_groups", Value::Object(groups.into_iter().map(lag).collect()))
        }
        Err(error) => ("bus_error", json!(error.to_string())),
    };
    if let Some(answer) = answer.as_object_mut() {
        answer.insert(name.to_owned(), bus);
    }
    Ok(Json(answer))
}

async fn parked(State(app): Shared) -> Answer {
    let mut rows = app.saga.parked(PARKED_MAX + 1).await.map_err(db_error)?;
    let most = usize::try_from(PARKED_MAX).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    Ok(Json(json!({ "parked": rows, "more": more })))
}

async fn dismiss(State(app): Shared, Path(id): Path<String>) -> Answer {
    if app.saga.dismiss(&id).await.map_err(db_error)? {
        tracing::info!(id, "operator dismissed a parked row");
        return Ok(Json(json!({ "dismissed": id })));
    }
    let error = ErrorBody::bad_request("id", format!("no parked row {id} that may be dismissed"));
    Err(Failure::new(StatusCode::NOT_FOUND, error))
}

async fn requeue(State(app): Shared, Path(id): Path<String>) -> Answer {
    if app.saga.requeue(&id).await.map_err(db_error)? {
        tracing::info!(id, "operator requeued a parked row");
        return Ok(Json(json!({ "requeued": id })));
    }
    let error = ErrorBody::bad_request("id", format!("no parked row {id}"));
    Err(Failure::new(StatusCode::NOT_FOUND, error))
}
