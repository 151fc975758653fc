//! Refusals in Stripe's shape.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::provider::error::ApiError;

#[derive(Debug)]
pub(crate) struct StripeError(pub(crate) ApiError);

impl From<ApiError> for StripeError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for StripeError {
    fn into_response(self) -> Response {
        let error = self.0;
        // Stripe does have a 404 for ids.
        let missing = error == ApiError::no_such_id();
        let status = if missing { StatusCode::NOT_FOUND } else { error.status };
        let kind = match status {
            StatusCode::CONFLICT => "idempotency_error",
            status if status.is_server_error() => "api_error",
            _ => "invalid_request_error",
        };
        let body = json!({"error": {
            "type": kind, "code": missing.then_some("resource_missing"), "message": error.description,
            "param": error.field,
        }});
        (status, Json(body)).into_response()
    }
}
