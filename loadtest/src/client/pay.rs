//! Pays at the simulated provider's checkout, as a customer's browser would, with its switches for what goes wrong.

use serde::{Deserialize, Serialize};

use super::{ClientError, Http};

/// How to pay; the default is a captured payment whose webhook is sent at once.
#[derive(Debug, Clone, Serialize)]
pub struct PayOptions {
    /// `success` or `failure`.
    pub outcome: &'static str,
    /// The webhook is sent this much later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The webhook is sent this often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<u32>,
    /// The webhook is never sent.
    pub lose: bool,
    /// Another amount than the order's is captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<u64>,
    /// Captured this much later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture_after_ms: Option<u64>,
    /// Two payments for the same order.
    pub double: bool,
}

impl Default for PayOptions {
    fn default() -> Self {
        Self {
            outcome: "success",
            delay_ms: None,
            copies: None,
            lose: false,
            amount: None,
            capture_after_ms: None,
            double: false,
        }
    }
}

/// The provider's answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Paid {
    /// The first payment.
    pub payment: String,
    /// All payments that were made.
    #[serde(default)]
    pub payments: Vec<String>,
    /// Status of the first payment.
    pub status: String,
}

/// Pays the order of a checkout address (a booking's `checkout_url`).
///
/// # Errors
/// [`ClientError`] when the provider can't be reached or refuses.
pub async fn pay(checkout_url: &str, options: &PayOptions) -> Result<Paid, ClientError> {
    let page = checkout_url.split_once('?').map_or(checkout_url, |(page, _)| page);
    Http::default().post(&format!("{page}/pay"), &[], options).await?.json()
}
