//! Razorpay's API under /v1: orders, payments, refunds. Basic authentication, compared in constant time. Bodies are read field
//! by field, so that each refusal names its field.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::control::{ApiFault, RefundFault};
use super::entities::{Order, Payment, Refund, collection};
use super::error::ApiError;
use super::operations::{self, NewOrder, NewRefund};
use super::{App, now_ms};

/// Hashes of the expected `key id:key secret`, and of the secret alone: equally long whatever is compared.
pub(crate) struct Credentials {
    pair: [u8; 32],
    key: [u8; 32],
}

impl Credentials {
    pub(crate) fn new(key_id: &str, key_secret: &str) -> Self {
        let pair = Sha256::digest(format!("{key_id}:{key_secret}")).into();
        Self { pair, key: Sha256::digest(key_secret).into() }
    }

    pub(crate) fn match_key(&self, key: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(key).into();
        bool::from(given.ct_eq(&self.key))
    }

    fn match_header(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(given) = given.and_then(|value| value.strip_prefix("Basic ")) else { return false };
        let Ok(given) = STANDARD.decode(given) else { return false };
        let given: [u8; 32] = Sha256::digest(given).into();
        bool::from(given.ct_eq(&self.pair))
    }
}

pub(crate) fn routes(app: App) -> Router<App> {
    Router::new()
        .route("/v1/orders", post(create_order))
        .route("/v1/orders/{id}", get(order))
        .route("/v1/orders/{id}/payments", get(payments_of_order))
        .route("/v1/payments/{id}", get(payment))
        .route("/v1/payments/{id}/refund", post(refund))
        .route("/v1/payments/{id}/refunds", get(refunds_of_payment))
        .route("/v1/refunds/{id}", get(one_refund))
        .route_layer(from_fn_with_state(app, guard))
}

/// Authentication, then the fault that is switched on.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if !app.credentials.match_header(request.headers()) {
        let refusal = ApiError::bad("Authentication failed").with_status(StatusCode::UNAUTHORIZED);
        return ([(header::WWW_AUTHENTICATE, "Basic realm=\"payment simulation\"")], refusal).into_response();
    }
    match fault(&app).await {
        None => next.run(request).await,
        Some((error, headers)) => (headers, error).into_response(),
    }
}

/// What is switched on, after the delay that is switched on.
pub(crate) async fn fault(app: &App) -> Option<(ApiError, HeaderMap)> {
    let positions = app.switches.positions();
    if let Some(ms) = positions.slow_ms {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let mut headers = HeaderMap::new();
    let error = match positions.fail? {
        ApiFault::ServerError => ApiError::server("We are facing some trouble (switched on)"),
        ApiFault::TooMany => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            ApiError::bad("Too many requests (switched on)").with_status(StatusCode::TOO_MANY_REQUESTS)
        }
        ApiFault::Conflict => {
            let text = "Another request with the same idempotency key is still in progress.";
            ApiError::bad(text).with_status(StatusCode::CONFLICT)
        }
        ApiFault::Hang => {
            app.switches.hang().await;
            ApiError::server("No answer for too long (switched on)")
        }
    };
    Some((error, headers))
}

/// A body that fails ends the connection: the caller can't know what became of the call.
pub(crate) fn lost_answer() -> Response {
    let failing = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("switched on")) });
    Body::from_stream(failing).into_response()
}

async fn create_order(State(app): State<App>, body: Bytes) -> Result<Json<Value>, ApiError> {
    let body = read_object(&body)?;
    let new = NewOrder {
        amount: amount(&body)?.ok_or_else(|| ApiError::field("amount", "The amount field is required."))?,
        currency: currency(&body)?,
        receipt: receipt(&body)?,
        notes: notes(&body)?,
    };
    app.store.commit(|ledger| operations::create_order(ledger, new, now_ms())).map(|order| Json(order.to_json()))
}

async fn order(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.store.read(|ledger| ledger.order(&id).map(Order::to_json)).map(Json).ok_or_else(ApiError::no_such_id)
}

async fn payments_of_order(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.store.read(|ledger| {
        ledger.order(&id).ok_or_else(ApiError::no_such_id)?;
        Ok(Json(collection(ledger.payments_of(&id).map(Payment::to_json).collect())))
    })
}

async fn payment(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.store.read(|ledger| ledger.payment(&id).map(Payment::to_json)).map(Json).ok_or_else(ApiError::no_such_id)
}

async fn refunds_of_payment(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let listed = !app.switches.positions().hide_refunds;
    app.store.read(|ledger| {
        ledger.payment(&id).ok_or_else(ApiError::no_such_id)?;
        let refunds = ledger.refunds_of(&id).filter(|_| listed);
        Ok(Json(collection(refunds.map(Refund::to_json).collect())))
    })
}

async fn one_refund(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.store.read(|ledger| ledger.refund(&id).map(Refund::to_json)).map(Json).ok_or_else(ApiError::no_such_id)
}

async fn refund(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let body = if body.is_empty() { Map::new() } else { read_object(&body)? };
    let new = NewRefund {
        amount: amount(&body)?,
        receipt: receipt(&body)?,
        notes: notes(&body)?,
        idempotency_key: idempotency_key(&headers)?,
        // A map of serde_json is sorted: the same fields give the same text.
        request: Value::Object(body).to_string(),
    };
    let fault = app.switches.positions().refund;
    let refund = app.store.commit(|ledger| operations::refund(ledger, &id, new, fault, now_ms()))?;
    app.switches.note_met(|fault| fault.refund.is_some(), [id.as_str()]);
    match fault {
        Some(RefundFault::LoseAnswer) => return Ok(lost_answer()),
        Some(RefundFault::HoldAnswer) => app.switches.hold_answer().await,
        _ => {}
    }
    Ok(Json(refund.to_json()).into_response())
}

fn read_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| ApiError::bad(format!("The body is not JSON: {error}")))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(ApiError::bad("The body must be a JSON object")),
    }
}

fn amount(body: &Map<String, Value>) -> Result<Option<u64>, ApiError> {
    let Some(value) = body.get("amount").filter(|value| !value.is_null()) else { return Ok(None) };
    match value.as_u64() {
        None => Err(ApiError::field("amount", "The amount must be an integer.")),
        Some(amount) if amount < AMOUNT_MIN => Err(ApiError::field("amount", "The amount must be at least 100.")),
        Some(amount) if amount > AMOUNT_MAX => Err(ApiError::field("amount", "Amount exceeds maximum amount allowed.")),
        Some(amount) => Ok(Some(amount)),
    }
}

fn currency(body: &Map<String, Value>) -> Result<String, ApiError> {
    match body.get("currency").and_then(Value::as_str) {
        Some(code) if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) => Ok(code.to_owned()),
        Some(_) => Err(ApiError::field("currency", "Currency is not supported")),
        None => Err(ApiError::field("currency", "The currency field is required.")),
    }
}

fn receipt(body: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    match body.get("receipt") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(receipt)) if (1..=RECEIPT_CHARS_MAX).contains(&receipt.chars().count()) => {
            Ok(Some(receipt.clone()))
        }
        Some(_) => Err(ApiError::field("receipt", "The receipt must be a string of 1 to 40 characters.")),
    }
}

/// `[]` counts as empty, as in the provider's own samples.
fn notes(body: &Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    let notes = match body.get("notes") {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Array(empty)) if empty.is_empty() => return Ok(Map::new()),
        Some(Value::Object(notes)) => notes,
        Some(_) => return Err(ApiError::field("notes", "notes must be an object")),
    };
    let short = |value: &Value| match value {
        Value::String(text) => text.chars().count() <= NOTE_CHARS_MAX,
        Value::Number(_) | Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    let keys_short = notes.keys().all(|key| key.chars().count() <= NOTE_CHARS_MAX);
    if notes.len() > NOTES_MAX || !keys_short || !notes.values().all(short) {
        return Err(ApiError::field("notes", "notes may be 15 pairs of at most 256 characters"));
    }
    Ok(notes.clone())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    const FIELD: &str = "X-Refund-Idempotency";
    let Some(value) = headers.get(FIELD) else { return Ok(None) };
    let allowed = |key: &&str| {
        (10..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    match value.to_str().ok().filter(allowed) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(ApiError::field(FIELD, "The idempotency key must be 10 to 255 of A-Z a-z 0-9 _ -")),
    }
}

/// One rupee.
pub(crate) const AMOUNT_MIN: u64 = 100;
/// Far above any booking, far below what JavaScript reads exactly.
pub(crate) const AMOUNT_MAX: u64 = 10_000_000_000_000;
pub(crate) const RECEIPT_CHARS_MAX: usize = 40;
const NOTES_MAX: usize = 15;
const NOTE_CHARS_MAX: usize = 256;
