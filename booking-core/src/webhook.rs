//! Intake of the providers' webhooks: signature over the raw body, stored in the inbox, committed, 200. What the event
//! leads to is a worker's business; nothing here is refused for a business reason.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::{Digest, Sha256};

use crate::db::inbox::NewEvent;
use crate::payments::{BadWebhook, ParsedEvent, PaymentProvider, ProviderEvent};
use crate::saga::Saga;

/// Largest body.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Reading the body.
const READ_DEADLINE: Duration = Duration::from_secs(2);
/// Storing it: the provider gives up on us after 5 seconds, and sends it again.
const STORE_DEADLINE: Duration = Duration::from_secs(2);

/// Longest id that is stored, and where a kind is cut off; bytes and characters.
const TEXT_MAX: usize = 255;

/// `/webhooks/NAME` of each provider that is configured.
pub fn routes(saga: Saga) -> Router {
    let route = |provider: &Arc<dyn PaymentProvider>| {
        let path = format!("/webhooks/{}", provider.name());
        Router::new().route(&path, post(receive)).with_state((saga.clone(), Arc::clone(provider)))
    };
    saga.providers().iter().map(route).fold(Router::new(), Router::merge)
}

type Answer = (StatusCode, &'static str);

async fn receive(
    State((saga, provider)): State<(Saga, Arc<dyn PaymentProvider>)>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    match take(&saga, &*provider, &headers, body).await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(answer) => {
            let (provider, status) = (provider.name(), answer.0.as_u16());
            tracing::warn!(provider, status, "webhook refused: {}", answer.1.trim_end());
            answer
        }
    }
}

async fn take(saga: &Saga, provider: &dyn PaymentProvider, headers: &HeaderMap, body: Body) -> Result<(), Answer> {
    if !is_json(headers) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "content type must be application/json\n"));
    }
    let body = read(body).await?;
    let parsed = provider.read_webhook(headers, &body, SystemTime::now()).map_err(|bad| match bad {
        BadWebhook::Signature => (StatusCode::BAD_REQUEST, "signature missing, wrong or of another time\n"),
        BadWebhook::Syntax => (StatusCode::BAD_REQUEST, "body is not an event in JSON\n"),
    })?;
    store(saga, new_event(provider.name(), &body, parsed)?).await
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

/// PostgreSQL stores no zero byte, and indexes no endless id: such an event is kept as one that an operator has to look
/// at. Refused by the database, it would keep those out that share its commit.
fn storable(event: ProviderEvent) -> Result<(ProviderEvent, serde_json::Value), Answer> {
    let failed = |_| (StatusCode::INTERNAL_SERVER_ERROR, "event could not be stored\n");
    let body = serde_json::to_value(&event).map_err(failed)?;
    let ids = match &event {
        ProviderEvent::Payment(payment) => [payment.order.len(), payment.id.len()],
        ProviderEvent::Refund(refund) => [refund.payment.len(), refund.id.len()],
        ProviderEvent::Other | ProviderEvent::Unreadable { .. } => [0, 0],
    };
    if ids.iter().all(|length| *length <= TEXT_MAX) && !body.to_string().contains("\\u0000") {
        return Ok((event, body));
    }
    let event = ProviderEvent::Unreadable { why: "an id of it can't be stored".to_owned() };
    let body = serde_json::to_value(&event).map_err(failed)?;
    Ok((event, body))
}

fn new_event(provider: &'static str, body: &[u8], parsed: ParsedEvent) -> Result<NewEvent, Answer> {
    let text = |text: String| text.chars().filter(|c| *c != '\0').take(TEXT_MAX).collect::<String>();
    let (event, stored) = storable(parsed.event)?;
    let (order, payment) = match event {
        ProviderEvent::Payment(payment) => (Some(payment.order), Some(payment.id)),
        ProviderEvent::Refund(refund) => (None, Some(refund.payment)),
        ProviderEvent::Other | ProviderEvent::Unreadable { .. } => (None, None),
    };
    Ok(NewEvent {
        provider,
        body_hash: Sha256::digest(body).into(),
        event_id: parsed.id.map(text),
        fetched: false,
        kind: text(parsed.kind),
        order,
        payment,
        body: stored,
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
