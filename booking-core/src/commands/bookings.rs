//! `get_booking`, `list_bookings` and `cancel_booking`. Somebody else's booking is answered as one that does not exist.

use seatwire_protocol::ErrorBody;
use seatwire_protocol::command::{BookingInfo, BookingsReply, CancelBooking, GetBooking, ListBookings};

use super::{db_error, no_such_booking};
use crate::app::App;
use crate::db;

pub(crate) async fn get(app: &App, command: GetBooking) -> Result<BookingInfo, ErrorBody> {
    match db::bookings::get(&app.db, command.booking).await.map_err(db_error)? {
        Some((owner, booking)) if owner == command.customer => Ok(booking),
        _ => Err(no_such_booking()),
    }
}

pub(crate) async fn list(app: &App, command: ListBookings) -> Result<BookingsReply, ErrorBody> {
    let found = db::bookings::list(&app.db, &command.customer, command.before_ms).await;
    let (bookings, more) = found.map_err(db_error)?;
    Ok(BookingsReply { bookings, more })
}

pub(crate) async fn cancel(_app: &App, _command: CancelBooking) -> Result<BookingInfo, ErrorBody> {
    Err(super::unavailable("bookings are not served yet"))
}
