//! The JSON of an event; docs/EVENTS.md is its reference. Fields are only ever added within a schema version.

use seatwire_protocol::BookingId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Document;
use crate::db::event_facts::BookingFacts;
use crate::db::events::EventRow;

/// Grows when a field changes its meaning or goes away.
const SCHEMA: u32 = 1;
/// An event beyond this is not what we write; the bus would choke on it.
const BYTES_MAX: usize = 64 << 10;

/// What only some events have, as the triggers store it. An unknown field is one that a newer core wrote: left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rescued: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_follows: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_amount: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_amount: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    schema: u32,
    id: Uuid,
    event: &'a str,
    booking: BookingId,
    version: i32,
    #[serde(with = "time::serde::rfc3339")]
    occurred_at: OffsetDateTime,
    #[serde(flatten)]
    about: Option<About<'a>>,
    #[serde(flatten)]
    facts: Facts,
}

#[derive(Serialize)]
struct About<'a> {
    show: u64,
    customer: &'a str,
    seats: &'a [i32],
    labels: &'a [String],
    amount: u64,
    currency: &'a str,
}

/// Writes an event. An error is the row's own fault.
pub(super) fn write(row: &EventRow, booking: Option<&BookingFacts>) -> Result<Document, String> {
    let facts: Facts = serde_json::from_value(row.facts.clone()).map_err(|e| format!("facts: {e}"))?;
    let about = booking.map(|booking| About {
        show: booking.show,
        customer: &booking.customer,
        seats: &booking.seats,
        labels: &booking.labels,
        amount: booking.amount,
        currency: &booking.currency,
    });
    let body = Body {
        schema: SCHEMA,
        id: row.id,
        event: &row.kind,
        booking: row.booking,
        version: row.version,
        occurred_at: row.occurred_at,
        about,
        facts,
    };
    let body = serde_json::to_string(&body).map_err(|e| e.to_string())?;
    if body.len() > BYTES_MAX {
        return Err(format!("{} bytes, more than {BYTES_MAX}", body.len()));
    }
    let version = u32::try_from(row.version).map_err(|e| e.to_string())?;
    Ok(Document { id: row.id, booking: row.booking, version, kind: row.kind.clone(), body })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(facts: Value) -> EventRow {
        EventRow {
            id: Uuid::from_u128(7),
            booking: BookingId([0xAB; 16]),
            version: 3,
            kind: "BookingConfirmed".to_owned(),
            occurred_at: OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap(),
            facts,
        }
    }

    #[test]
    fn an_event_is_flat_and_names_no_personal_data() {
        let booking = BookingFacts {
            booking: BookingId([0xAB; 16]),
            show: 7,
            customer: "c_1".to_owned(),
            seats: vec![4, 5],
            labels: vec!["A5".to_owned(), "A6".to_owned()],
            amount: 50_000,
            currency: "INR".to_owned(),
        };
        let document = write(&row(json!({ "rescued": false, "of_a_newer_core": 1 })), Some(&booking)).unwrap();
        let body: Value = serde_json::from_str(&document.body).unwrap();
        let expected = json!({
            "schema": 1, "id": "00000000-0000-0000-0000-000000000007", "event": "BookingConfirmed",
            "booking": "abababababababababababababababab", "version": 3, "occurred_at": "2027-01-15T08:00:00Z",
            "show": 7, "customer": "c_1", "seats": [4, 5], "labels": ["A5", "A6"], "amount": 50_000,
            "currency": "INR", "rescued": false,
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_row_that_can_not_be_read_or_is_too_long_is_its_own_fault() {
        assert!(write(&row(json!({ "rescued": "maybe" })), None).unwrap_err().starts_with("facts: "));
        assert!(write(&row(json!({ "reason": "x".repeat(70_000) })), None).unwrap_err().contains("more than"));
        assert!(write(&row(json!({})), None).unwrap().body.contains("\"schema\":1"));
    }
}
