//! Answers in JSON, and the only place that turns an error into an HTTP status.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::LengthLimitError;
use seatwire_protocol::{ErrorBody, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::Reply;
use crate::app::App;
use crate::commands;
use crate::tokens::Identity;
use crate::ws::diagnose;

/// A request's body.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Time for it.
const BODY_MAX: Duration = Duration::from_secs(5);

/// A success that nobody may keep.
pub fn json(value: &impl Serialize) -> Reply {
    // The protocol's plain types always serialise.
    json_bytes(serde_json::to_vec(value).unwrap_or_default().into())
}

/// The same, encoded already.
pub fn json_bytes(bytes: Bytes) -> Reply {
    let mut reply = Response::new(Body::from(bytes));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// `GET /api/openapi.json`: the document of this API; a test compares it with the answers.
pub async fn openapi() -> Reply {
    json_bytes(Bytes::from_static(include_bytes!("openapi.json")))
}

/// An outcome of a command.
pub fn outcome<T: Serialize>(outcome: Result<T, ErrorBody>) -> Reply {
    outcome.map_or_else(|error| refuse(&error), |value| json(&value))
}

/// A refusal.
pub fn refuse(error: &ErrorBody) -> Reply {
    let mut reply = json(error);
    *reply.status_mut() = StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(ms) = error.retry_after_ms {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
    }
    reply
}

/// A refusal that is about HTTP itself.
pub fn refuse_as(status: StatusCode, text: &str) -> Reply {
    let mut reply = refuse(&ErrorBody::new(ErrorCode::BadRequest, text));
    *reply.status_mut() = status;
    reply
}

/// The bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Who asks.
///
/// # Errors
/// UNAUTHENTICATED.
pub fn identity(app: &App, headers: &HeaderMap) -> Result<Identity, ErrorBody> {
    let token = bearer(headers).ok_or_else(commands::unauthenticated)?;
    app.tokens.verify(token).map_err(|_| commands::unauthenticated())
}

/// Parses a part of the path or query.
///
/// # Errors
/// BAD_REQUEST that names the part.
pub fn part<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, ErrorBody> {
    text.parse().map_err(|error: T::Err| ErrorBody::bad_request(name, error.to_string()))
}

/// Reads a JSON body.
///
/// # Errors
/// TOO_LARGE, or BAD_REQUEST that names the field.
pub async fn body<T: DeserializeOwned>(body: Body) -> Result<T, ErrorBody> {
    let read = timeout(BODY_MAX, axum::body::to_bytes(body, BODY_BYTES_MAX)).await;
    let read = read.map_err(|_| ErrorBody::bad_request("body", "came too slowly"))?;
    let bytes = read.map_err(|error| match error.into_inner().downcast_ref::<LengthLimitError>() {
        Some(_) => ErrorBody::new(ErrorCode::TooLarge, format!("the body is above {BODY_BYTES_MAX} bytes")),
        None => ErrorBody::bad_request("body", "broke off"),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let Ok(Value::Object(fields)) = serde_json::from_slice(&bytes) else {
            return ErrorBody::bad_request("body", error.to_string());
        };
        let (field, text) = diagnose::fault_in::<T>(&fields).unwrap_or_else(|| ("body".to_owned(), error.to_string()));
        ErrorBody::bad_request(&field, text)
    })
}
