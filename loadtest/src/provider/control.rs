//! The switches for what goes wrong (`POST /control`), and the books for the audit (`GET /control/ledger`). Not part of
//! the provider's API, without authentication: this server is a test tool on a private address.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::App;
use super::error::ApiError;

/// What every API call meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ApiFault {
    #[serde(rename = "500")]
    ServerError,
    /// With `Retry-After`.
    #[serde(rename = "429")]
    TooMany,
    /// The same idempotency key is being worked on.
    #[serde(rename = "409")]
    Conflict,
    /// No answer while the switch is on, a minute at most.
    #[serde(rename = "hang")]
    Hang,
}

/// What new refunds meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefundFault {
    /// The refund is made, the connection ends without an answer.
    LoseAnswer,
    /// Pending, then failed.
    Fail,
    /// Refused at once, for good.
    Refuse,
    /// Pending, then processed.
    Pending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Webhooks {
    #[default]
    Send,
    /// They wait; none is lost.
    Hold,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Positions {
    pub(crate) fail: Option<ApiFault>,
    pub(crate) refund: Option<RefundFault>,
    pub(crate) webhooks: Webhooks,
    /// Webhooks leave in no order.
    pub(crate) shuffle: bool,
    /// A payment's list of refunds stays empty: new ones come into it late.
    pub(crate) hide_refunds: bool,
    /// Every API call is answered this much later.
    pub(crate) slow_ms: Option<u64>,
}

/// Written by `/control`, watched by everybody.
pub(crate) struct Switches(watch::Sender<Positions>);

impl Default for Switches {
    fn default() -> Self {
        Self(watch::Sender::new(Positions::default()))
    }
}

impl Switches {
    pub(crate) fn positions(&self) -> Positions {
        *self.0.borrow()
    }

    /// Returns when the switches stand so that `wanted` holds.
    pub(crate) async fn until(&self, wanted: impl Fn(&Positions) -> bool) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(wanted).await;
    }

    /// Until the API no longer hangs.
    pub(crate) async fn hang(&self) {
        let released = self.until(|positions| positions.fail != Some(ApiFault::Hang));
        let _ = tokio::time::timeout(HANG_MAX, released).await;
    }
}

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/control", post(turn).get(show)).route("/control/ledger", get(ledger))
}

/// Only the named switches move; `null` puts one back.
async fn turn(State(app): State<App>, body: Bytes) -> Result<Json<Positions>, ApiError> {
    let wanted: Value = serde_json::from_slice(&body).map_err(|error| ApiError::bad(format!("not JSON: {error}")))?;
    let wanted = wanted.as_object().ok_or_else(|| ApiError::bad("a JSON object is expected"))?;
    let mut positions = app.switches.positions();
    for (name, value) in wanted {
        match name.as_str() {
            "fail" => positions.fail = read("fail", value)?,
            "refund" => positions.refund = read("refund", value)?,
            "webhooks" => positions.webhooks = read::<Option<Webhooks>>("webhooks", value)?.unwrap_or_default(),
            "shuffle" => positions.shuffle = read::<Option<bool>>("shuffle", value)?.unwrap_or_default(),
            "hide_refunds" => positions.hide_refunds = read::<Option<bool>>("hide_refunds", value)?.unwrap_or_default(),
            "slow_ms" => positions.slow_ms = read("slow_ms", value)?,
            _ => {
                return Err(ApiError::bad(
                    "the switches are fail, hide_refunds, refund, shuffle, slow_ms and webhooks",
                ));
            }
        }
    }
    app.switches.0.send_replace(positions);
    Ok(Json(positions))
}

async fn show(State(app): State<App>) -> Json<Positions> {
    Json(app.switches.positions())
}

/// Everything in one consistent read; `webhooks_pending` and `late_pending` are 0 when nothing is under way.
async fn ledger(State(app): State<App>) -> Json<Value> {
    Json(app.store.read(|ledger| {
        let orders: Vec<Value> = ledger.orders().map(super::entities::Order::to_json).collect();
        let payments: Vec<Value> = ledger.payments().map(super::entities::Payment::to_json).collect();
        let refunds: Vec<Value> = ledger.refunds().map(super::entities::Refund::to_json).collect();
        let late = ledger.payments().filter(|payment| payment.later.is_some()).count()
            + ledger.refunds().filter(|refund| refund.later.is_some()).count();
        json!({
            "orders": orders, "payments": payments, "refunds": refunds,
            "webhooks_pending": ledger.events().len(), "late_pending": late,
        })
    }))
}

fn read<T: serde::de::DeserializeOwned>(switch: &'static str, value: &Value) -> Result<T, ApiError> {
    T::deserialize(value.clone()).map_err(|error| ApiError::field(switch, error.to_string()))
}

const HANG_MAX: Duration = Duration::from_secs(60);
