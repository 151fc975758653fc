//! Idempotency keys as Stripe has them: the first answer to a key is stored, whatever it was, and repeated with the
//! header `Idempotent-Replayed`; another request under the same key is refused. What was refused before anything was
//! done (no key of ours, too many requests, in progress) is not stored. In memory: a restart forgets them, but for
//! refunds, whose keys are in the journal.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, Limited};

use super::error::StripeError;
use crate::provider::control::RefundFault;
use crate::provider::error::ApiError;
use crate::provider::{App, BODY_BYTES_MAX};

/// Answers by key.
#[derive(Default)]
pub(crate) struct StoredAnswers(Mutex<HashMap<String, Stored>>);

#[derive(Clone)]
struct Stored {
    request: (String, Bytes),
    status: StatusCode,
    body: Bytes,
}

impl StoredAnswers {
    fn get(&self, key: &str) -> Option<Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: String, stored: Stored) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= KEYS_MAX {
            answers.clear();
        }
        answers.insert(key, stored);
    }
}

pub(crate) async fn repeat(State(app): State<App>, request: Request, next: Next) -> Response {
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let Some(key) = key.filter(|_| request.method() == Method::POST) else { return next.run(request).await };
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return StripeError(ApiError::bad("The body can't be read")).into_response();
    };
    let sent = (path, body.to_bytes());
    if let Some(stored) = app.stored.get(&key) {
        if stored.request != sent {
            let text = "Keys for idempotent requests can only be used with the same parameters";
            return StripeError(ApiError::bad(text)).into_response();
        }
        let mut answer = answer(stored.status, stored.body);
        answer.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        return answer;
    }
    let response = next.run(Request::from_parts(parts, Body::from(sent.1.clone()))).await;
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let body = body.to_bytes();
    let is_refund = sent.0 == "/v1/refunds" && parts.status.is_success();
    if !UNSTORED.contains(&parts.status) {
        app.stored.put(key, Stored { request: sent, status: parts.status, body: body.clone() });
    }
    if is_refund && app.switches.positions().refund == Some(RefundFault::LoseAnswer) {
        return crate::provider::api::lost_answer();
    }
    Response::from_parts(parts, Body::from(body))
}

fn answer(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

const UNSTORED: [StatusCode; 3] = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS, StatusCode::CONFLICT];
const KEYS_MAX: usize = 100_000;
