//! Stripe's events. The type says what kind of object there is, the object's status what happened: an event is a
//! snapshot, and events come in any order.

use serde::Deserialize;
use serde_json::Value;

use super::entities;
use crate::payments::event::{ParsedEvent, ProviderEvent};

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Data,
}

#[derive(Deserialize, Default)]
struct Data {
    #[serde(default)]
    object: Value,
}

/// Parses a webhook's body.
pub(super) fn parse(body: &[u8]) -> Result<ParsedEvent, serde_json::Error> {
    let envelope: Envelope = serde_json::from_slice(body)?;
    let object = envelope.data.object;
    let event = match envelope.kind.as_str() {
        "payment_intent.succeeded" | "payment_intent.payment_failed" => payment(entities::intent(object)),
        "charge.succeeded" | "charge.captured" | "charge.failed" => payment(entities::charge(object)),
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
            entities::refund(object).map(ProviderEvent::Refund)
        }
        _ => Ok(ProviderEvent::Other),
    };
    Ok(ParsedEvent::new(envelope.id.as_deref(), &envelope.kind, event))
}

fn payment(
    read: Result<Option<crate::payments::Payment>, serde_json::Error>,
) -> Result<ProviderEvent, serde_json::Error> {
    Ok(read?.map_or(ProviderEvent::Other, ProviderEvent::Payment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_knows_and_tells_what_it_cannot() {
        let event = |body: &str| parse(body.as_bytes()).map(|parsed| parsed.event);
        let other =
            r#"{"id":"evt_1","object":"event","type":"charge.dispute.created","data":{"object":{"id":"dp_1"}}}"#;
        assert_eq!(event(other).unwrap(), ProviderEvent::Other);
        for unreadable in [
            r#"{"type":"payment_intent.succeeded"}"#,
            r#"{"type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","amount":-1,"currency":"inr"}}}"#,
            r#"{"type":"refund.updated","data":{"object":{"id":"re_1","amount":1,"charge":null,"status":"failed"}}}"#,
        ] {
            assert!(matches!(event(unreadable).unwrap(), ProviderEvent::Unreadable { .. }), "{unreadable}");
        }
        for bad in [
            "",
            "[]",
            "null",
            "{}",
            "\u{feff}{}",
            r#"{"type":1}"#,
            r#"{"type":"a","type":"b"}"#,
            r#"{"type":"x","data":1e400}"#,
        ] {
            assert!(event(bad).is_err(), "{bad}");
        }
        assert!(event(&"[".repeat(1_000)).is_err());
    }
}
