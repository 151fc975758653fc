//! Commands to the core, whether they came over a WebSocket or HTTP: the customer is the token's, the deadline is ours,
//! and a trace id links the logs of both sides.

use std::time::Instant;

use metrics::{counter, histogram};
use seatwire_protocol::command::{
    Book, BookingInfo, BookingState, CancelBooking, Command, ExtendHold, GetBooking, HoldSeats, ListBookings, OwnHolds,
    ReleaseHold,
};
use seatwire_protocol::limits::{EMAIL_BYTES_MAX, INTEGER_MAX, SEATS_PER_HOLD_MAX};
use seatwire_protocol::ws::{ClientMessage, ReplyBody};
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode, SeatIndex, ShowId};
use tracing::debug;

use crate::app::App;
use crate::metrics as names;

/// Sends one command, and counts it.
///
/// # Errors
/// The core's answer, or the client's own when no core answers.
pub async fn call<C: Command>(app: &App, command: &C) -> Result<C::Reply, ErrorBody> {
    let number = rand::random_range(1..=INTEGER_MAX);
    // As the core writes it, so that one search finds both.
    let trace = format!("{number:016x}");
    let started = Instant::now();
    let answer = app.core.call(command, app.config.command, number).await;
    let outcome = answer.as_ref().map_or_else(|error| error.code.to_string(), |_| "OK".to_owned());
    debug!(command = C::NAME, trace, outcome, "command");
    histogram!(names::COMMAND_SECONDS, "command" => C::NAME).record(started.elapsed().as_secs_f64());
    counter!(names::COMMANDS, "command" => C::NAME, "outcome" => outcome).increment(1);
    answer.map_err(|error| match error.trace_id {
        None => ErrorBody { trace_id: Some(trace), ..error },
        Some(_) => error,
    })
}

/// Runs a client's command in the name of `customer`.
///
/// # Errors
/// BAD_REQUEST for what is wrong on sight, and everything that the core refuses.
pub async fn run(app: &App, customer: CustomerId, message: ClientMessage) -> Result<ReplyBody, ErrorBody> {
    match message {
        ClientMessage::Hold { show, key, seats, best, .. } => {
            check_seats(&seats, best.as_ref().map(|best| best.count))?;
            call(app, &HoldSeats { show, customer, key, seats, best }).await.map(ReplyBody::Hold)
        }
        ClientMessage::Extend { show, hold, key, .. } => {
            call(app, &ExtendHold { show, customer, hold, key }).await.map(ReplyBody::Hold)
        }
        ClientMessage::Release { show, hold, .. } => {
            call(app, &ReleaseHold { show, customer, hold }).await.map(ReplyBody::Released)
        }
        ClientMessage::OwnHolds { show, .. } => own_holds(app, show, customer).await,
        ClientMessage::Book { show, hold, key, email, .. } => {
            check_email(&email)?;
            let booked = call(app, &Book { show, customer: customer.clone(), hold, key, email }).await;
            noted(app, &customer, booked)
        }
        ClientMessage::Booking { booking, .. } => {
            let found = call(app, &GetBooking { customer: customer.clone(), booking }).await;
            noted(app, &customer, found)
        }
        ClientMessage::Cancel { booking, key, .. } => {
            let cancelled = call(app, &CancelBooking { customer: customer.clone(), booking, key }).await;
            noted(app, &customer, cancelled)
        }
        ClientMessage::Bookings { before_ms, .. } => {
            let reply = call(app, &ListBookings { customer, before_ms }).await?;
            Ok(ReplyBody::Bookings { bookings: reply.bookings, more: reply.more })
        }
        _ => Err(ErrorBody::bad_request("t", "not a command")),
    }
}

async fn own_holds(app: &App, show: ShowId, customer: CustomerId) -> Result<ReplyBody, ErrorBody> {
    let reply = call(app, &OwnHolds { show, customers: vec![customer.clone()] }).await?;
    let own = reply.customers.into_iter().find(|own| own.customer == customer);
    let (holds, pending) = own.map(|own| (own.holds, own.pending)).unwrap_or_default();
    pending.iter().for_each(|booking| app.customers.note_booking(&customer, booking));
    Ok(ReplyBody::OwnHolds { show, holds, pending })
}

/// Remembers a pending booking, so that its end is noticed even if the push is lost.
fn noted(app: &App, customer: &CustomerId, answer: Result<BookingInfo, ErrorBody>) -> Result<ReplyBody, ErrorBody> {
    answer.map(|booking| {
        app.customers.note_booking(customer, &booking);
        ReplyBody::Booking(booking)
    })
}

/// Refuses what no core would accept, so that it costs no core anything.
fn check_seats(seats: &[SeatIndex], best: Option<u32>) -> Result<(), ErrorBody> {
    let count = match (seats.len(), best) {
        (0, Some(count)) => usize::try_from(count).unwrap_or(usize::MAX),
        (_, Some(_)) => return Err(ErrorBody::bad_request("seats", "must be empty when best is given")),
        (count, None) => count,
    };
    let field = if best.is_some() { "best" } else { "seats" };
    if !(1..=SEATS_PER_HOLD_MAX).contains(&count) {
        let text = format!("expected 1 to {SEATS_PER_HOLD_MAX} seats, got {count}");
        return Err(ErrorBody { limit: Some(SEATS_PER_HOLD_MAX as u64), ..ErrorBody::bad_request(field, text) });
    }
    let mut sorted = seats.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair.first() == pair.last()).and_then(<[_]>::first) {
        Some(seat) => Err(ErrorBody::bad_request("seats", format!("seat {seat} is named twice"))),
        None => Ok(()),
    }
}

fn check_email(email: &str) -> Result<(), ErrorBody> {
    let shaped = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
    });
    let plain = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if shaped && plain && email.len() <= EMAIL_BYTES_MAX {
        return Ok(());
    }
    Err(ErrorBody::bad_request("email", "expected an e-mail address of at most 254 bytes"))
}

/// Whether an answer shows that the customer has something whose changes it should be told.
pub fn tells_of_own(reply: &ReplyBody) -> bool {
    match reply {
        ReplyBody::OwnHolds { holds, pending, .. } => !holds.is_empty() || !pending.is_empty(),
        ReplyBody::Booking(booking) => booking.state == BookingState::Pending,
        _ => false,
    }
}

/// A request id of a command, to answer it by; `None` for messages that are no commands.
pub fn request_id(message: &ClientMessage) -> Option<u64> {
    match message {
        ClientMessage::Hold { id, .. }
        | ClientMessage::Extend { id, .. }
        | ClientMessage::Release { id, .. }
        | ClientMessage::OwnHolds { id, .. }
        | ClientMessage::Book { id, .. }
        | ClientMessage::Booking { id, .. }
        | ClientMessage::Cancel { id, .. }
        | ClientMessage::Bookings { id, .. } => Some(*id),
        _ => None,
    }
}

/// The answer to whoever is not known.
pub fn unauthenticated() -> ErrorBody {
    ErrorBody::new(ErrorCode::Unauthenticated, "a valid token is needed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_checked_on_sight() {
        let seats = |list: &[u32]| list.iter().copied().map(SeatIndex).collect::<Vec<_>>();
        assert!(check_seats(&seats(&[4, 5]), None).is_ok());
        assert!(check_seats(&[], Some(3)).is_ok());
        for (list, best, field) in [
            (vec![], None, "seats"),
            ((0..11).collect(), None, "seats"),
            (vec![4, 5, 4], None, "seats"),
            (vec![4], Some(2), "seats"),
            (vec![], Some(0), "best"),
            (vec![], Some(11), "best"),
        ] {
            let error = check_seats(&seats(&list), best).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (ErrorCode::BadRequest, Some(field)), "{list:?} {best:?}");
        }
    }

    #[test]
    fn emails_are_checked_for_shape() {
        for good in ["a@b.c", "anna.b+x@mail.example.org"] {
            assert!(check_email(good).is_ok(), "{good}");
        }
        for bad in
            ["", "a", "a@b", "@b.c", "a@b@c.d", "a b@c.d", "a@b.c\n", "a@.c", &format!("{}@b.c", "x".repeat(260))]
        {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }
}
