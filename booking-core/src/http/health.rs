//! `/live`, `/ready`, `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::app::App;
use crate::metrics;
use crate::shutdown::Shutdown;

pub(super) fn router(app: Arc<App>, shutdown: Shutdown) -> Router {
    Router::new()
        .route("/live", get(|| async { Json(json!({"live": true})) }))
        .route("/ready", get(ready))
        .route("/metrics", get(render))
        .with_state((app, shutdown))
}

/// 200 while both servers answer and the core is not draining; else 503, saying what is wrong.
async fn ready(State((app, shutdown)): State<(Arc<App>, Shutdown)>) -> impl IntoResponse {
    let health = app.health().await;
    let draining = shutdown.has_started();
    let ready = health.is_good() && !draining;
    let text = |state: Result<(), String>| state.err().unwrap_or_else(|| "ok".to_owned());
    let body = json!({
        "ready": ready,
        "draining": draining,
        "redis": text(health.redis),
        "postgres": text(health.postgres),
    });
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

async fn render() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render())
}
