//! Intake of the provider's webhooks: signature over the raw body, stored in the inbox, committed, 200. What the event
//! leads to is a worker's business; nothing here is refused for a business reason.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::{Digest, Sha256};

use crate::db::inbox::NewEvent;
use crate::payments::event::{self, ParsedEvent};
use crate::payments::{ProviderEvent, signature};
use crate::saga::Saga;

/// Largest body.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Reading the body.
const READ_DEADLINE: Duration = Duration::from_secs(2);
/// Storing it: the provider gives up on us after 5 seconds, and sends it again.
const STORE_DEADLINE: Duration = Duration::from_secs(2);
/// Longest event id that is kept.
const EVENT_ID_MAX: usize = 100;

/// The route of the webhook.
pub fn routes(saga: Saga) -> Router {
    Router::new().route("/webhooks/razorpay", post(razorpay)).with_state(saga)
}

type Answer = (StatusCode, &'static str);

async fn razorpay(State(saga): State<Saga>, headers: HeaderMap, body: Body) -> Answer {
    match take(&saga, &headers, body).await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(answer) => {
            tracing::warn!(status = answer.0.as_u16(), "webhook refused: {}", answer.1.trim_end());
            answer
        }
    }
}

async fn take(saga: &Saga, headers: &HeaderMap, body: Body) -> Result<(), Answer> {
    if !is_json(headers) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "content type must be application/json\n"));
    }
    let body = read(body).await?;
    let mut signatures = headers.get_all("x-razorpay-signature").iter();
    let signed = match (signatures.next(), signatures.next()) {
        (Some(one), None) => one.to_str().is_ok_and(|one| signature::is_valid(saga.webhook_secrets(), &body, one)),
        _ => false,
    };
    if !signed {
        return Err((StatusCode::BAD_REQUEST, "signature missing or wrong\n"));
    }
    let parsed = event::parse(&body).map_err(|_| (StatusCode::BAD_REQUEST, "body is not an event in JSON\n"))?;
    let event_id = headers.get("x-razorpay-event-id").and_then(|id| id.to_str().ok());
    let event_id = event_id.map(|id| id.chars().take(EVENT_ID_MAX).collect());
    store(saga, new_event(saga, &body, event_id, parsed)?).await
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn read(body: Body) -> Result<Bytes, Answer> {
    let read = tokio::time::timeout(READ_DEADLINE, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err((StatusCode::PAYLOAD_TOO_LARGE, "body is larger than 256 KiB\n"))
        }
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "body could not be read\n")),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "body did not arrive in time\n")),
    }
}

fn new_event(saga: &Saga, body: &[u8], event_id: Option<String>, parsed: ParsedEvent) -> Result<NewEvent, Answer> {
    let (order, payment) = match &parsed.event {
        ProviderEvent::Payment(payment) => (Some(payment.order.clone()), Some(payment.id.clone())),
        ProviderEvent::Refund(refund) => (None, Some(refund.payment.clone())),
        ProviderEvent::Other | ProviderEvent::Unreadable { .. } => (None, None),
    };
    let stored = serde_json::to_value(&parsed.event);
    Ok(NewEvent {
        provider: saga.provider_name(),
        body_hash: Sha256::digest(body).into(),
        event_id,
        fetched: false,
        kind: parsed.kind,
        order,
        payment,
        body: stored.map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "event could not be stored\n"))?,
    })
}

/// A repetition is answered like the first.
async fn store(saga: &Saga, event: NewEvent) -> Result<(), Answer> {
    let later = (StatusCode::SERVICE_UNAVAILABLE, "not stored, send it again\n");
    match tokio::time::timeout(STORE_DEADLINE, saga.take_in(event)).await {
        Ok(Ok(_)) => {
            failpoint!("webhook.stored");
            saga.wake_settle();
            Ok(())
        }
        Ok(Err(error)) => {
            tracing::error!("webhook not stored: {error}");
            Err(later)
        }
        Err(_) => Err(later),
    }
}
