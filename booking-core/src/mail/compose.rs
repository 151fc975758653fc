//! The message of an event: plain text, and the same as simple HTML. Made of the row alone, so that a second try sends
//! the very same bytes.

use std::time::SystemTime;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{MultiPart, SinglePart};
use lettre::{Address, Message, message::Mailbox};
use serde::Deserialize;
use time::macros::format_description;

use super::MailConfig;
use super::text::{clean, escaped, money};
use crate::db::event_facts::MailFacts;
use crate::db::events::EventRow;

/// What a mail says: a subject, and paragraphs of lines.
struct Letter {
    subject: String,
    paragraphs: Vec<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Facts {
    cancelled_by: Option<String>,
    refund_follows: bool,
    refund: Option<String>,
    refund_amount: u64,
    refund_currency: String,
    reason: String,
}

/// Composes the mail of an event. An error is the row's own fault; it never names the address.
pub(super) fn message(config: &MailConfig, event: &EventRow, booking: &MailFacts) -> Result<Message, String> {
    let to: Address = booking.email.parse().map_err(|_| "the address can't be read".to_owned())?;
    let letter = letter(config, event, booking)?;
    let id = format!("<{}@{}>", event.id, config.from.email.domain());
    let body = MultiPart::alternative()
        .boundary(event.id.simple().to_string())
        .singlepart(SinglePart::plain(plain(&letter)))
        .singlepart(SinglePart::html(html(&letter)));
    Message::builder()
        .from(config.from.clone())
        .to(Mailbox::new(None, to))
        .subject(letter.subject)
        .date(SystemTime::from(event.occurred_at))
        .message_id(Some(id))
        // No answer by a machine is wanted.
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .multipart(body)
        .map_err(|e| e.to_string())
}

fn letter(config: &MailConfig, event: &EventRow, booking: &MailFacts) -> Result<Letter, String> {
    let facts: Facts = serde_json::from_value(event.facts.clone()).map_err(|e| format!("facts: {e}"))?;
    let title = clean(&booking.title);
    let paid = money(booking.amount, &booking.currency);
    let hex = event.booking.to_hex();
    let reference = hex.get(24..).unwrap_or(&hex).to_uppercase();
    let when = format_description!("[weekday], [day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    let starts = booking.starts_at.format(when).map_err(|e| e.to_string())?;
    let seats = format!("{}: {}", if booking.labels.len() == 1 { "Seat" } else { "Seats" }, booking.labels.join(", "));
    let show = vec![title.clone(), format!("{}, {starts}", clean(&booking.place)), clean(&seats)];
    let last = vec![format!("Booking reference: {reference}"), format!("{}/?booking={hex}", config.public_url)];
    let (subject, first, then) = match event.kind.as_str() {
        "BookingConfirmed" => (
            format!("Booked: {title}"),
            "Your booking is confirmed. Enjoy the show!".to_owned(),
            vec![format!("Paid: {paid}")],
        ),
        "BookingCancelled" => {
            let who = if facts.cancelled_by.as_deref() == Some("operator") { " by the organiser" } else { "" };
            let money = if facts.refund_follows {
                format!("You get {paid} back in full. We write again when the money is on its way.")
            } else {
                "Nothing was paid for it. Should a payment of yours still arrive, it goes back in full.".to_owned()
            };
            (format!("Cancelled: {title}"), format!("Your booking was cancelled{who}."), vec![money])
        }
        "Refunded" => {
            let back = money(facts.refund_amount, &facts.refund_currency);
            let mut then = vec![
                format!("{back} went back to where it was paid from{}.", why(&facts.reason)),
                "Until your bank shows it, some days may pass.".to_owned(),
            ];
            then.extend(facts.refund.map(|refund| format!("Number of the refund: {}", clean(&refund))));
            (format!("Refunded: {back} for {title}"), "Your money is on its way back.".to_owned(), then)
        }
        other => return Err(format!("no mail is sent about {other}")),
    };
    Ok(Letter { subject, paragraphs: vec![vec![first], show, then, last] })
}

/// The reasons of refunds that customers should understand.
fn why(reason: &str) -> &'static str {
    match reason {
        "cancel" | "booking_cancelled" => ", because the booking was cancelled",
        "second_payment" => ", because the booking had been paid before; it is still yours",
        "seats_taken" => ", because it came too late and somebody else has the seats now",
        "sale_closed" => ", because it came too late and the sale is over",
        "wrong_amount" => ", because the amount was not the price",
        _ => "",
    }
}

fn plain(letter: &Letter) -> String {
    let paragraphs: Vec<String> = letter.paragraphs.iter().map(|lines| lines.join("\n")).collect();
    format!("{}\n", paragraphs.join("\n\n"))
}

fn html(letter: &Letter) -> String {
    let mut out = String::from("<!doctype html>\n<html><body style=\"font-family:sans-serif\">\n");
    for lines in &letter.paragraphs {
        let lines: Vec<String> = lines.iter().map(|line| linked(line)).collect();
        out.push_str(&format!("<p>{}</p>\n", lines.join("<br>\n")));
    }
    out.push_str("</body></html>\n");
    out
}

/// A line that is an address becomes a link.
fn linked(line: &str) -> String {
    let text = escaped(line);
    if line.starts_with("http") && !line.contains(' ') { format!("<a href=\"{text}\">{text}</a>") } else { text }
}

#[cfg(test)]
mod tests {
    use seatwire_protocol::BookingId;
    use serde_json::json;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn event(kind: &str, facts: serde_json::Value) -> EventRow {
        let occurred_at = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let (id, booking) = (Uuid::from_u128(7), BookingId([0xAB; 16]));
        EventRow { id, booking, version: 3, kind: kind.to_owned(), occurred_at, facts }
    }

    fn booking(title: &str) -> MailFacts {
        MailFacts {
            email: "ann@example.org".to_owned(),
            title: title.to_owned(),
            place: "Royal, Pune".to_owned(),
            starts_at: OffsetDateTime::from_unix_timestamp(1_800_100_000).unwrap(),
            labels: vec!["A5".to_owned(), "A6".to_owned()],
            amount: 50_000,
            currency: "INR".to_owned(),
        }
    }

    fn config() -> MailConfig {
        let from = "Seatwire <tickets@example.com>".parse().unwrap();
        MailConfig { from, public_url: "http://127.0.0.1:7000".to_owned() }
    }

    fn text(event: &EventRow, booking: &MailFacts) -> String {
        String::from_utf8(message(&config(), event, booking).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_confirmation_tells_all_and_is_the_same_each_time() {
        let confirmed = event("BookingConfirmed", json!({ "rescued": false }));
        let mail = text(&confirmed, &booking("The Long Take"));
        for part in [
            "Message-ID: <00000000-0000-0000-0000-000000000007@example.com>",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
            "Subject: Booked: The Long Take",
            "To: ann@example.org",
            "Auto-Submitted: auto-generated",
            "Seats: A5, A6",
            "Paid: INR 500.00",
            "Booking reference: ABABABAB",
        ] {
            assert!(mail.contains(part), "{part}\nis missing in\n{mail}");
        }
        assert_eq!(mail, text(&confirmed, &booking("The Long Take")));
    }

    #[test]
    fn a_title_can_not_add_a_header_or_a_tag() {
        let title = "Heat\r\nBcc: eve@example.net\r\n\r\n<script>alert(1)</script>";
        let mail = text(&event("BookingConfirmed", json!({})), &booking(title));
        let head = mail.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(!mail.contains("<script>") || !mail.split("text/html").nth(1).unwrap().contains("<script>"), "{mail}");
        let other = text(&event("BookingConfirmed", json!({})), &booking("Été à 東京"));
        assert!(other.split("\r\n\r\n").next().unwrap().is_ascii(), "{other}");
    }

    #[test]
    fn money_back_is_told_plainly() {
        let told = |kind: &str, facts| text(&event(kind, facts), &booking("Heat")).replace("=\r\n", "");
        let facts = json!({ "cancelled_by": "operator", "refund_follows": true });
        assert!(told("BookingCancelled", facts).contains("cancelled by the organiser"));
        assert!(
            told("BookingCancelled", json!({ "refund_follows": true })).contains("You get INR 500.00 back in full")
        );
        assert!(told("BookingCancelled", json!({})).contains("Nothing was paid for it"));
        let facts =
            json!({ "refund_amount": 7_500, "refund_currency": "INR", "reason": "seats_taken", "refund": "r_1" });
        let refunded = told("Refunded", facts);
        assert!(
            refunded.contains("INR 75.00 went back") && refunded.contains("somebody else has the seats"),
            "{refunded}"
        );
        assert!(message(&config(), &event("BookingPending", json!({})), &booking("Heat")).is_err());
    }
}
