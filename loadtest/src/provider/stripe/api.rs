//! Stripe's API as far as a shop needs it: PaymentIntents, charges, refunds. Forms in, JSON out.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value};

use super::entities;
use super::error::StripeError;
use super::stored::repeat;
use crate::provider::api::{AMOUNT_MAX, AMOUNT_MIN, RECEIPT_CHARS_MAX, fault};
use crate::provider::control::RefundFault;
use crate::provider::error::ApiError;
use crate::provider::operations::{self, NewOrder, NewRefund};
use crate::provider::pay_form::read_form;
use crate::provider::{App, now_ms};

type Answer = Result<Json<Value>, StripeError>;
type Fields = BTreeMap<String, String>;

pub(crate) fn routes(app: App) -> Router<App> {
    Router::new()
        .route("/v1/payment_intents", post(create_intent))
        .route("/v1/payment_intents/{id}", get(intent))
        .route("/v1/charges", get(charges))
        .route("/v1/charges/{id}", get(charge))
        .route("/v1/refunds", post(create_refund).get(refunds))
        .route("/v1/refunds/{id}", get(refund))
        .route_layer(from_fn_with_state(app.clone(), fail))
        .route_layer(from_fn_with_state(app.clone(), repeat))
        .route_layer(from_fn_with_state(app, authenticate))
}

async fn authenticate(State(app): State<App>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|key| app.credentials.match_key(key)) {
        return next.run(request).await;
    }
    StripeError(ApiError::bad("Invalid API Key provided").with_status(StatusCode::UNAUTHORIZED)).into_response()
}

/// The fault that is switched on.
async fn fail(State(app): State<App>, request: Request, next: Next) -> Response {
    match fault(&app).await {
        None => next.run(request).await,
        Some((error, headers)) => (headers, StripeError(error)).into_response(),
    }
}

async fn create_intent(State(app): State<App>, body: Bytes) -> Answer {
    let form = read_form(&body)?;
    known(&form, &["amount", "currency", "metadata[receipt]", "automatic_payment_methods[enabled]"])?;
    let receipt = form.get("metadata[receipt]").cloned();
    if receipt.as_ref().is_some_and(|receipt| receipt.is_empty() || receipt.len() > RECEIPT_CHARS_MAX) {
        return Err(ApiError::field("metadata[receipt]", "metadata must be 1 to 40 characters").into());
    }
    let currency = match form.get("currency") {
        Some(code) if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_lowercase()) => code.to_uppercase(),
        _ => return Err(ApiError::field("currency", "Invalid currency").into()),
    };
    let amount = amount(&form)?.ok_or_else(|| ApiError::field("amount", "Missing required param: amount."))?;
    let new = NewOrder { amount, currency, receipt, notes: Map::new() };
    let order = app.store.commit(|ledger| operations::create_order(ledger, new, now_ms()))?;
    Ok(Json(entities::payment_intent(&order, None)))
}

async fn intent(State(app): State<App>, Path(id): Path<String>) -> Answer {
    let found = app.store.read(|ledger| ledger.order(&id).map(|order| entities::current_intent(ledger, order)));
    Ok(found.map(Json).ok_or_else(ApiError::no_such_id)?)
}

/// Those of one PaymentIntent, the newest first.
async fn charges(State(app): State<App>, Query(query): Query<Fields>) -> Answer {
    let intent = query.get("payment_intent").ok_or_else(|| ApiError::field("payment_intent", "which one?"))?;
    app.store.read(|ledger| {
        ledger.order(intent).ok_or_else(ApiError::no_such_id)?;
        let mut data: Vec<Value> = ledger.payments_of(intent).map(entities::charge).collect();
        data.reverse();
        Ok(Json(entities::list("/v1/charges", data)))
    })
}

async fn charge(State(app): State<App>, Path(id): Path<String>) -> Answer {
    Ok(app.store.read(|ledger| ledger.payment(&id).map(entities::charge)).map(Json).ok_or_else(ApiError::no_such_id)?)
}

async fn create_refund(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Answer {
    let form = read_form(&body)?;
    known(&form, &["charge", "amount"])?;
    let charge = form.get("charge").ok_or_else(|| ApiError::field("charge", "Missing required param: charge."))?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > 255) {
        return Err(ApiError::field("Idempotency-Key", "Idempotency keys are 1 to 255 characters").into());
    }
    let new = NewRefund {
        amount: amount(&form)?,
        receipt: None,
        notes: Map::new(),
        idempotency_key: key,
        request: serde_json::json!(form).to_string(),
    };
    let fault = app.switches.positions().refund;
    let (refund, order) = app.store.commit(|ledger| {
        let (refund, record) = operations::refund(ledger, charge, new, fault, now_ms())?;
        let order = ledger.payment(charge).map(|payment| payment.order_id.clone()).unwrap_or_default();
        Ok(((refund, order), record))
    })?;
    app.switches.note_met(|fault| fault.refund.is_some(), [charge.as_str()]);
    if fault == Some(RefundFault::HoldAnswer) {
        app.switches.hold_answer().await;
    }
    Ok(Json(entities::refund(&refund, &order)))
}

/// Those of one charge, the newest first.
async fn refunds(State(app): State<App>, Query(query): Query<Fields>) -> Answer {
    let charge = query.get("charge").ok_or_else(|| ApiError::field("charge", "which one?"))?;
    let listed = !app.switches.positions().hide_refunds;
    app.store.read(|ledger| {
        let payment = ledger.payment(charge).ok_or_else(ApiError::no_such_id)?;
        let refunds = ledger.refunds_of(charge).filter(|_| listed);
        let refunds = refunds.map(|refund| entities::refund(refund, &payment.order_id));
        let mut data: Vec<Value> = refunds.collect();
        data.reverse();
        Ok(Json(entities::list("/v1/refunds", data)))
    })
}

async fn refund(State(app): State<App>, Path(id): Path<String>) -> Answer {
    let found = app.store.read(|ledger| {
        let refund = ledger.refund(&id)?;
        let payment = ledger.payment(&refund.payment_id)?;
        Some(entities::refund(refund, &payment.order_id))
    });
    Ok(found.map(Json).ok_or_else(ApiError::no_such_id)?)
}

fn amount(form: &Fields) -> Result<Option<u64>, ApiError> {
    let Some(text) = form.get("amount") else { return Ok(None) };
    match text.parse() {
        Ok(amount) if (AMOUNT_MIN..=AMOUNT_MAX).contains(&amount) => Ok(Some(amount)),
        Ok(_) => Err(ApiError::field("amount", "Amount is out of range")),
        Err(_) => Err(ApiError::field("amount", "Invalid integer")),
    }
}

fn known(form: &Fields, names: &[&str]) -> Result<(), ApiError> {
    match form.keys().find(|name| !names.contains(&name.as_str())) {
        Some(unknown) => Err(ApiError::bad(format!("Received unknown parameter: {unknown:.40}"))),
        None => Ok(()),
    }
}
