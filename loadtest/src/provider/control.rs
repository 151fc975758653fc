//! The switches for what goes wrong (`POST /control`), and the books for the audit (`GET /control/ledger`). Not part of
//! the provider's API, without authentication: this server is a test tool on a private address. Named faults have
//! switches of their own (`POST /control/fault`), so that neither puts the other's back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    /// The refund is made and no webhook will tell of it; its answer waits while the switch is on.
    HoldAnswer,
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
    /// Payments that do not say when they are captured are so this much later.
    pub(crate) capture_after_ms: Option<u64>,
}

impl Positions {
    /// What is on in either.
    fn or(self, other: Self) -> Self {
        Self {
            fail: self.fail.or(other.fail),
            refund: self.refund.or(other.refund),
            webhooks: if self.webhooks == Webhooks::Hold { self.webhooks } else { other.webhooks },
            shuffle: self.shuffle || other.shuffle,
            hide_refunds: self.hide_refunds || other.hide_refunds,
            slow_ms: self.slow_ms.or(other.slow_ms),
            capture_after_ms: self.capture_after_ms.or(other.capture_after_ms),
        }
    }
}

/// Named faults' own, and the others.
#[derive(Debug, Clone, Copy, Default)]
struct Both {
    fault: Positions,
    usual: Positions,
}

/// Written by `/control`, watched by everybody.
pub(crate) struct Switches {
    both: watch::Sender<Both>,
    met: Mutex<Vec<String>>,
    accepted: Mutex<VecDeque<String>>,
}

impl Default for Switches {
    fn default() -> Self {
        Self { both: watch::Sender::new(Both::default()), met: Mutex::default(), accepted: Mutex::default() }
    }
}

impl Switches {
    pub(crate) fn positions(&self) -> Positions {
        let both = *self.both.borrow();
        both.fault.or(both.usual)
    }

    /// Payments that a named fault met: their capture put off, or the answer of their refund held or lost.
    pub(crate) fn note_met<'a>(&self, is_on: fn(&Positions) -> bool, payments: impl IntoIterator<Item = &'a str>) {
        if is_on(&self.both.borrow().fault) {
            lock(&self.met).extend(payments.into_iter().map(str::to_owned));
        }
    }

    /// A webhook with a body of this hash was answered with success.
    pub(crate) fn note_accepted(&self, body_hash: String) {
        let mut accepted = lock(&self.accepted);
        if accepted.len() == ACCEPTED_KEPT {
            accepted.pop_front();
        }
        accepted.push_back(body_hash);
    }

    /// Returns when the switches stand so that `wanted` holds.
    pub(crate) async fn until(&self, wanted: impl Fn(&Positions) -> bool) {
        // The sender lives as long as `self`.
        let _ = self.both.subscribe().wait_for(|both| wanted(&both.fault.or(both.usual))).await;
    }

    /// Until the API no longer hangs.
    pub(crate) async fn hang(&self) {
        let released = self.until(|positions| positions.fail != Some(ApiFault::Hang));
        let _ = tokio::time::timeout(HANG_MAX, released).await;
    }

    /// Until refunds are answered again.
    pub(crate) async fn hold_answer(&self) {
        let released = self.until(|positions| positions.refund != Some(RefundFault::HoldAnswer));
        let _ = tokio::time::timeout(HANG_MAX, released).await;
    }
}

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/control", post(turn).get(show))
        .route("/control/fault", post(turn_fault).get(show_fault))
        .route("/control/held", post(retime))
        .route("/control/ledger", get(ledger))
}

/// Only the named switches move; `null` puts one back.
async fn turn(State(app): State<App>, body: Bytes) -> Result<Json<Positions>, ApiError> {
    let positions = moved(app.switches.both.borrow().usual, &body)?;
    app.switches.both.send_modify(|both| both.usual = positions);
    Ok(Json(positions))
}

/// The same for named faults.
async fn turn_fault(State(app): State<App>, body: Bytes) -> Result<Json<Positions>, ApiError> {
    let positions = moved(app.switches.both.borrow().fault, &body)?;
    app.switches.both.send_modify(|both| both.fault = positions);
    Ok(Json(positions))
}

fn moved(mut positions: Positions, body: &[u8]) -> Result<Positions, ApiError> {
    let wanted: Value = serde_json::from_slice(body).map_err(|error| ApiError::bad(format!("not JSON: {error}")))?;
    let wanted = wanted.as_object().ok_or_else(|| ApiError::bad("a JSON object is expected"))?;
    for (name, value) in wanted {
        match name.as_str() {
            "fail" => positions.fail = read("fail", value)?,
            "refund" => positions.refund = read("refund", value)?,
            "webhooks" => positions.webhooks = read::<Option<Webhooks>>("webhooks", value)?.unwrap_or_default(),
            "shuffle" => positions.shuffle = read::<Option<bool>>("shuffle", value)?.unwrap_or_default(),
            "hide_refunds" => positions.hide_refunds = read::<Option<bool>>("hide_refunds", value)?.unwrap_or_default(),
            "slow_ms" => positions.slow_ms = read("slow_ms", value)?,
            "capture_after_ms" => positions.capture_after_ms = read("capture_after_ms", value)?,
            _ => {
                return Err(ApiError::bad(
                    "the switches are capture_after_ms, fail, hide_refunds, refund, shuffle, slow_ms and webhooks",
                ));
            }
        }
    }
    Ok(positions)
}

/// What a named fault met, and the latest webhooks that were accepted; asked for once, the former is forgotten.
async fn show_fault(State(app): State<App>) -> Json<Value> {
    let met = std::mem::take(&mut *lock(&app.switches.met));
    Json(json!({ "met": met, "accepted": *lock(&app.switches.accepted) }))
}

/// Webhooks that are held back leave otherwise than they came.
#[derive(Debug, Deserialize)]
struct Retime {
    /// Each is sent so often.
    #[serde(default)]
    copies: u32,
    /// So much later.
    #[serde(default)]
    later_ms: u64,
    /// The latest first.
    #[serde(default)]
    reverse: bool,
}

async fn retime(State(app): State<App>, body: Bytes) -> Result<Json<Value>, ApiError> {
    let Retime { copies, later_ms, reverse } =
        serde_json::from_slice(&body).map_err(|error| ApiError::bad(format!("not a retiming: {error}")))?;
    Ok(Json(json!({ "webhooks": app.store.retime(copies, later_ms, reverse)? })))
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const HANG_MAX: Duration = Duration::from_secs(60);
const ACCEPTED_KEPT: usize = 256;
