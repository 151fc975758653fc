//! Logging out: every token of the customer is void from now on, and its sockets are closed, at every gateway.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::json;

use super::Reply;
use super::respond::{identity, outcome};
use crate::app::App;
use crate::logouts;

/// `POST /api/logout`.
pub async fn log_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Reply {
    let done = async {
        let identity = identity(&app, &headers)?;
        logouts::log_out(&app, identity).await.map(|()| json!({"logged_out": true}))
    };
    outcome(done.await)
}
