//! Events of webhooks, reduced to what settlement needs, the same for every provider: personal data of the payer are
//! not kept. Each provider's parser is tolerant of unknown fields and events, strict on ids, amounts, currency, status.

use serde::{Deserialize, Serialize};

use super::{Payment, Refund};

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ProviderEvent {
    /// A payment was captured or failed.
    Payment(Payment),
    /// A refund was accepted, processed or failed.
    Refund(Refund),
    /// Nothing that changes anything.
    Other,
    /// Of a kind that matters, but not to be understood: an operator has to look.
    Unreadable {
        /// What was missing.
        why: String,
    },
}

/// An event with its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedEvent {
    /// The provider's id of the event: information only.
    pub id: Option<String>,
    /// The provider's event type.
    pub kind: String,
    /// What it says.
    pub event: ProviderEvent,
}

/// Longest event type, and longest event id, that is stored.
const TEXT_MAX: usize = 100;

impl ParsedEvent {
    /// What can't be read is told in `event`, so that it is stored and looked at.
    pub(super) fn new(id: Option<&str>, kind: &str, event: Result<ProviderEvent, serde_json::Error>) -> Self {
        let short = |text: &str| text.chars().take(TEXT_MAX).collect();
        let event = event.unwrap_or_else(|e| ProviderEvent::Unreadable { why: e.to_string() });
        Self { id: id.map(short), kind: short(kind), event }
    }
}
