//! `get_booking`, `list_bookings` and `cancel_booking`. Somebody else's booking is answered as one that does not exist.

use seatwire_protocol::command::{BookingInfo, BookingsReply, CancelBooking, GetBooking, ListBookings};
use seatwire_protocol::{ErrorBody, ErrorCode};

use super::{allowed, db_error, key_reused, no_such_booking, saga_error};
use crate::app::App;
use crate::db;
use crate::holds::Refusal;

pub(crate) async fn get(app: &App, command: GetBooking) -> Result<BookingInfo, ErrorBody> {
    match db::bookings::get(&app.db, command.booking).await.map_err(db_error)? {
        Some((owner, booking)) if owner == command.customer => Ok(app.saga.with_checkout(booking)),
        _ => Err(no_such_booking()),
    }
}

pub(crate) async fn list(app: &App, command: ListBookings) -> Result<BookingsReply, ErrorBody> {
    let found = db::bookings::list(&app.db, &command.customer, command.before_ms).await;
    let (bookings, more) = found.map_err(db_error)?;
    let bookings = bookings.into_iter().map(|booking| app.saga.with_checkout(booking)).collect();
    Ok(BookingsReply { bookings, more })
}

pub(crate) async fn cancel(app: &App, command: CancelBooking) -> Result<BookingInfo, ErrorBody> {
    allowed(app, &command.customer).await?;
    let outcome = app.saga.cancel(&command).await;
    failpoint!("cancel.reply");
    match outcome {
        Ok(Ok(booking)) => Ok(booking),
        Ok(Err(Refusal::KeyReused)) => Err(key_reused()),
        Ok(Err(Refusal::SaleClosed)) => {
            Err(ErrorBody::new(ErrorCode::SaleClosed, "the show has begun; its bookings can't be cancelled any more"))
        }
        // The only one left is NOT_OWNER; a booking has no other reason.
        Ok(Err(_)) => Err(no_such_booking()),
        Err(error) => Err(saga_error(&error)),
    }
}
