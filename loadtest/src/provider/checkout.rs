//! The checkout as the customer's browser meets it: a page, and a form that pays or declines and goes back to the shop.
//! Without authentication, as a real one: the order id is unguessable. With `Accept: application/json` it answers JSON.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::entities::{OrderStatus, PaymentStatus};
use super::error::ApiError;
use super::pay_form::{PayOutcome, PayRequest, ReturnUrl, is_json};
use super::{App, now_ms, operations, page};

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/checkout/{id}", get(show)).route("/checkout/{id}/pay", post(pay))
}

async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let shown = (|| {
        let return_url = query.get("return_url").map_or("", String::as_str);
        let return_url = ReturnUrl::parse(return_url)?;
        app.store.read(|ledger| {
            let order = ledger.order(&id).ok_or_else(unknown_order)?;
            let last = ledger.payments_of(&id).last();
            let declined = last.is_some_and(|payment| payment.status == PaymentStatus::Failed);
            Ok(page::checkout(order, &return_url, declined))
        })
    })();
    html(shown)
}

async fn pay(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let request = PayRequest::parse(&headers, &body).map(|request| put_off(&app, request));
    if is_json(&headers, header::ACCEPT) {
        return pay_as_json(&app, &id, request).unwrap_or_else(IntoResponse::into_response);
    }
    let returned = request.and_then(|request| {
        let back = request.return_url.clone().ok_or_else(|| ApiError::field("return_url", "return_url is required"))?;
        let order = app.store.read(|ledger| ledger.order(&id).cloned()).ok_or_else(unknown_order)?;
        // A second press of the button is no second payment, and no error to the customer.
        if order.status != OrderStatus::Paid {
            let payments = app.store.commit(|ledger| operations::pay(ledger, &id, &request, now_ms()))?;
            note_put_off(&app, &request, payments.iter().map(|payment| payment.id.as_str()));
        }
        Ok((StatusCode::SEE_OTHER, [(header::LOCATION, back.as_str().to_owned())]).into_response())
    });
    returned.unwrap_or_else(|error| html(Err(error)))
}

fn pay_as_json(app: &App, id: &str, request: Result<PayRequest, ApiError>) -> Result<Response, ApiError> {
    let request = request?;
    let payments = app.store.commit(|ledger| operations::pay(ledger, id, &request, now_ms()))?;
    let first = payments.first().ok_or_else(|| ApiError::server("no payment was made"))?;
    let ids: Vec<&str> = payments.iter().map(|payment| payment.id.as_str()).collect();
    note_put_off(app, &request, ids.iter().copied());
    Ok(Json(json!({"payment": first.id, "status": first.status, "payments": ids})).into_response())
}

/// Captured later, when that is switched on and the payment does not say when.
fn put_off(app: &App, request: PayRequest) -> PayRequest {
    let after = app.switches.positions().capture_after_ms.filter(|_| request.outcome == PayOutcome::Success);
    PayRequest { capture_after_ms: request.capture_after_ms.or(after), ..request }
}

/// Of payments that are captured and told of: others are found when the shop asks, whose schedule is no part of the fault.
fn note_put_off<'a>(app: &App, request: &PayRequest, payments: impl Iterator<Item = &'a str>) {
    if request.outcome == PayOutcome::Success && request.webhooks.copies > 0 {
        app.switches.note_met(|fault| fault.capture_after_ms.is_some(), payments);
    }
}

fn unknown_order() -> ApiError {
    ApiError::bad("There is no such order.").with_status(StatusCode::NOT_FOUND)
}

fn html(page: Result<String, ApiError>) -> Response {
    match page {
        Ok(page) => (PAGE_HEADERS, Html(page)).into_response(),
        Err(error) => (error.status, PAGE_HEADERS, Html(page::refusal(&error.description))).into_response(),
    }
}

/// The form may lead back to any shop: browsers hold `form-action` against the redirect too.
const PAGE_HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' http: https:; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];
