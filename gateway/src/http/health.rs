//! For operators: alive, ready, and how it goes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;

use super::{Reply, respond};
use crate::app::App;

/// What load balancers look at.
pub fn probes() -> Router<Arc<App>> {
    Router::new().route("/live", get(live)).route("/ready", get(ready))
}

/// `GET /live`: the process answers.
async fn live() -> Reply {
    respond::json(&json!({"live": true}))
}

/// `GET /ready`: whoever joins now sees something. 503 with the reason otherwise.
async fn ready(State(app): State<Arc<App>>) -> Reply {
    let (draining, core, feed) = (app.is_draining(), app.core.is_connected(), app.feed.is_up());
    let mut reply = respond::json(&json!({
        "ready": app.is_ready(), "draining": draining, "core": core, "redis": feed,
        "logouts": app.logouts.is_known(),
        "connections": app.admission.open(),
    }));
    if !app.is_ready() {
        *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    reply
}

/// `GET /metrics`: Prometheus text.
pub async fn metrics(State(app): State<Arc<App>>) -> Reply {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response()
}
