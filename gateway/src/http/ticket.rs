//! A confirmed booking as a QR code: what a door scans. It says nothing but the booking's id, in the alphabet that keeps
//! the code small; whoever scans it asks the core what the booking is.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use qrcode::{Color, EcLevel, QrCode};
use seatwire_protocol::command::{BookingInfo, BookingState};
use seatwire_protocol::ws::{ClientMessage, ReplyBody};
use seatwire_protocol::{BookingId, ErrorBody, ErrorCode};

use super::Reply;
use super::respond::{identity, part, refuse};
use crate::app::App;
use crate::commands;

/// Light modules around the code, without which scanners do not find it.
const QUIET: usize = 4;

/// `GET /api/bookings/{booking}/code.svg`, for the booking's own customer only.
pub async fn code(State(app): State<Arc<App>>, Path(booking): Path<String>, headers: HeaderMap) -> Reply {
    let drawn = async {
        let customer = identity(&app, &headers)?.customer;
        let booking = part::<BookingId>("booking", &booking)?;
        let found = commands::run(&app, customer, ClientMessage::Booking { id: 0, booking }).await?;
        match found {
            ReplyBody::Booking(BookingInfo { state: BookingState::Confirmed, .. }) => draw(booking),
            _ => Err(ErrorBody::new(ErrorCode::Gone, "the booking is not confirmed")),
        }
    };
    match drawn.await {
        Ok(picture) => {
            let mut reply = super::respond::json_bytes(picture.into());
            reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
            reply
        }
        Err(error) => refuse(&error),
    }
}

/// What the code says.
fn content(booking: BookingId) -> String {
    format!("SEATWIRE:{}", booking.to_hex().to_uppercase())
}

fn draw(booking: BookingId) -> Result<String, ErrorBody> {
    let failed = |_| ErrorBody::new(ErrorCode::Internal, "a fault of the server");
    let code = QrCode::with_error_correction_level(content(booking), EcLevel::M).map_err(failed)?;
    let side = code.width() + 2 * QUIET;
    // One path of unit squares; black on white in dark themes too, because scanners want it so.
    let mut path = String::new();
    for (y, row) in code.to_colors().chunks(code.width()).enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
            // Writing to a string can't fail.
            let _ = write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_the_booking_and_is_as_small_as_it_can_be() {
        let booking: BookingId = "00112233445566778899aabbccddeeff".parse().unwrap();
        assert_eq!(content(booking), "SEATWIRE:00112233445566778899AABBCCDDEEFF");
        let picture = draw(booking).unwrap();
        // 25 modules a side: capitals, digits and the colon are stored in the small alphabet.
        assert!(picture.contains("viewBox=\"0 0 33 33\""), "{picture}");
        // The three corners that scanners look for.
        for corner in ["M4 4h1", "M28 4h1", "M4 28h1"] {
            assert!(picture.contains(corner), "{corner} is light");
        }
    }
}
