//! The simulated provider's switches for named faults.

use serde_json::{Value, json};

use crate::client::Http;
use crate::launcher::Stack;

/// What is switched on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Switch {
    /// What every API call meets: 500, 429, hang.
    Fail(&'static str),
    HoldWebhooks,
    DelayCaptures,
    LoseRefundAnswers,
    HoldRefundAnswers,
}

pub(super) async fn turn(stack: &Stack, switch: Switch) -> anyhow::Result<()> {
    // What an earlier fault met is forgotten.
    heard(stack).await?;
    let switches = match switch {
        Switch::Fail(how) => json!({ "fail": how }),
        Switch::HoldWebhooks => json!({ "webhooks": "hold" }),
        Switch::DelayCaptures => json!({ "capture_after_ms": CAPTURED_AFTER_MS }),
        Switch::LoseRefundAnswers => json!({ "refund": "lose_answer" }),
        Switch::HoldRefundAnswers => json!({ "refund": "hold_answer" }),
    };
    post(stack, "fault", &switches).await.map(drop)
}

/// Everything back.
pub(super) async fn calm(stack: &Stack) -> anyhow::Result<()> {
    let calm = json!({ "fail": null, "refund": null, "webhooks": null, "capture_after_ms": null });
    post(stack, "fault", &calm).await.map(drop)
}

/// Webhooks that are held back leave so, as soon as they are let go; answers how many.
pub(super) async fn thrice_in_reverse(stack: &Stack) -> anyhow::Result<u64> {
    retime(stack, &json!({ "copies": 3, "reverse": true })).await
}

pub(super) async fn put_off(stack: &Stack) -> anyhow::Result<u64> {
    retime(stack, &json!({ "later_ms": WITHHELD_MS })).await
}

async fn retime(stack: &Stack, how: &Value) -> anyhow::Result<u64> {
    let count = post(stack, "held", how).await?;
    Ok(count.get("webhooks").and_then(Value::as_u64).unwrap_or(0))
}

/// What the provider says of a fault.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Heard {
    /// Payments that the fault met since it was last asked.
    pub(super) met: Vec<String>,
    /// Hashes of the bodies of webhooks that were lately answered with success.
    pub(super) accepted: Vec<String>,
}

pub(super) async fn heard(stack: &Stack) -> anyhow::Result<Heard> {
    let url = format!("{}/control/fault", stack.addresses().provider);
    Ok(Http::default().get(&url, &[]).await?.json::<Heard>()?)
}

async fn post(stack: &Stack, what: &str, body: &Value) -> anyhow::Result<Value> {
    let url = format!("{}/control/{what}", stack.addresses().provider);
    let reply = Http::default().post(&url, &[], body).await?;
    anyhow::ensure!(reply.status == 200, "the provider refuses {body}: {}", reply.status);
    Ok(reply.json::<Value>()?)
}

/// Longer than a booking waits in a load test.
const CAPTURED_AFTER_MS: u64 = 6_000;
/// Longer than it takes until an order is asked for.
const WITHHELD_MS: u64 = 30_000;
