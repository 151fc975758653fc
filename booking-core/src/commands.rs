//! What each command does, one file a family; and the one mapping from refusals and failures to the error that the
//! peer gets. Texts name the thing that is wrong: the seat by its label, the field, the cap.
//!
//! Every command of a customer carries who it is for, and reaches only what is that customer's own.

pub(crate) mod book;
pub(crate) mod bookings;
pub(crate) mod catalogue;
pub(crate) mod extend_hold;
pub(crate) mod hold_seats;
pub(crate) mod logouts;
pub(crate) mod own_holds;
pub(crate) mod release_hold;
pub(crate) mod seat_map;

use seatwire_protocol::error::{SeatConflict, SeatConflictReason};
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode, ShowId};

use crate::app::App;
use crate::db::DbError;
use crate::holds::{Allowance, HoldError, LimitKind, Outcome, Refusal};
use crate::saga::SagaError;

/// What a client is told to wait when a server behind is out of reach.
const RETRY_AFTER_MS: u64 = 500;

/// The answer of a hold operation, or the error for the peer.
pub(crate) async fn settled<T>(app: &App, show: ShowId, outcome: Outcome<T>) -> Result<T, ErrorBody> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(refusal)) => Err(refused(app, show, refusal).await),
        Err(error) => Err(hold_error(error)),
    }
}

/// The one mapping of refusals.
pub(crate) async fn refused(app: &App, show: ShowId, refusal: Refusal) -> ErrorBody {
    use ErrorCode as Code;
    match refusal {
        Refusal::NotReady { retry_after_ms } => {
            ErrorBody::new(Code::NotReady, "the seat map is being loaded").retry_after_ms(retry_after_ms)
        }
        Refusal::NoSuchShow => no_such_show(show),
        Refusal::Taken(seats) => seats_refused(app, show, Code::Taken, seats).await,
        Refusal::NoSuchSeat(seats) => seats_refused(app, show, Code::NoSuchSeat, seats).await,
        Refusal::Orphan(seats) => seats_refused(app, show, Code::Orphan, seats).await,
        Refusal::Limit { kind, cap } => {
            let text = match kind {
                LimitKind::Seats => format!("one customer may have at most {cap} seats of a show"),
                LimitKind::Holds => format!("one customer may have at most {cap} holds of a show at a time"),
                LimitKind::Extensions => format!("a hold may be extended {cap} times"),
                LimitKind::Pending => {
                    format!("one customer may have {cap} unpaid booking of a show; pay or cancel it first")
                }
                LimitKind::Lifetime => format!("a hold may last {} minutes in all", cap / 60_000),
            };
            ErrorBody { limit: Some(cap), ..ErrorBody::new(Code::Limit, text) }
        }
        Refusal::NotOnSale { opens_in_ms } => {
            let error = ErrorBody::new(Code::NotOnSale, "the sale has not opened yet");
            ErrorBody { opens_in_ms: Some(opens_in_ms), ..error }
        }
        Refusal::SaleClosed => ErrorBody::new(Code::SaleClosed, "the sale is closed"),
        Refusal::CoolDown { retry_after_ms, seats } if seats.is_empty() => {
            let text = "too many bookings were left unpaid; wait a little before the next";
            ErrorBody::new(Code::CoolDown, text).retry_after_ms(retry_after_ms)
        }
        Refusal::CoolDown { retry_after_ms, seats } => {
            seats_refused(app, show, Code::CoolDown, seats).await.retry_after_ms(retry_after_ms)
        }
        Refusal::RateLimited { retry_after_ms, what } => rate_limited(app, retry_after_ms, what),
        Refusal::InPayment => ErrorBody::new(Code::InPayment, "the hold is being paid for"),
        Refusal::Gone => ErrorBody::new(Code::Gone, "the hold is over"),
        Refusal::NotOwner => ErrorBody::new(Code::NotOwner, "there is no such hold of this customer"),
        Refusal::KeyReused => key_reused(),
        Refusal::InProgress => {
            let text = "another request is at work on this booking; the same key tells what became of it";
            ErrorBody::new(Code::InProgress, text).retry_after_ms(RETRY_AFTER_MS)
        }
        Refusal::NoneLeft => ErrorBody::new(Code::Taken, "no such adjacent seats are left"),
        Refusal::Invalid { field, message } => ErrorBody::bad_request(field, message),
    }
}

/// Counts a command that may get on without Redis: while that is out of reach nothing is counted.
pub(crate) async fn allowed(app: &App, customer: &CustomerId) -> Result<(), ErrorBody> {
    match app.holds.allow(customer).await {
        Ok(Err(Refusal::RateLimited { retry_after_ms, what })) => Err(rate_limited(app, retry_after_ms, what)),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn rate_limited(app: &App, retry_after_ms: u64, what: Allowance) -> ErrorBody {
    let config = &app.config;
    let (text, limit) = match what {
        Allowance::Commands => ("too many commands of one customer".to_owned(), None),
        Allowance::NewHolds => {
            let (holds, seconds) = (config.customer_holds, config.customer_holds_window.as_secs());
            (format!("one customer may place {holds} holds in {seconds} seconds"), Some(holds.into()))
        }
    };
    ErrorBody { limit, ..ErrorBody::new(ErrorCode::RateLimited, text).retry_after_ms(retry_after_ms) }
}

pub(crate) fn no_such_show(show: ShowId) -> ErrorBody {
    ErrorBody::new(ErrorCode::NoSuchShow, format!("there is no show {show}"))
}

pub(crate) fn no_such_booking() -> ErrorBody {
    ErrorBody::new(ErrorCode::NotOwner, "there is no such booking of this customer")
}

pub(crate) fn key_reused() -> ErrorBody {
    let text = "the idempotency key was used before with another request";
    ErrorBody { field: Some("key".to_owned()), ..ErrorBody::new(ErrorCode::KeyReused, text) }
}

pub(crate) fn unavailable(what: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::Unavailable, what).retry_after_ms(RETRY_AFTER_MS)
}

/// Details of a failure are for the log, not for the peer.
pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> ErrorBody {
    tracing::error!(error, "command failed");
    ErrorBody::new(ErrorCode::Internal, "a fault of the server")
}

pub(crate) fn hold_error(error: HoldError) -> ErrorBody {
    match error {
        HoldError::Unavailable(text) => {
            tracing::warn!("holds are out of reach: {text}");
            unavailable("holds are out of reach")
        }
        HoldError::Internal(_) => internal(&error),
    }
}

pub(crate) fn db_error(error: DbError) -> ErrorBody {
    match error {
        DbError::Unavailable(_) | DbError::InDoubt(_) | DbError::TooLate => {
            tracing::warn!("{error}");
            unavailable("the ledger is out of reach")
        }
        DbError::Constraint(_) | DbError::Fault(_) => internal(&error),
    }
}

/// The same for what the saga answers.
pub(crate) async fn saga_outcome<T>(
    app: &App,
    show: ShowId,
    outcome: Result<Result<T, Refusal>, SagaError>,
) -> Result<T, ErrorBody> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(refusal)) => Err(refused(app, show, refusal).await),
        Err(error) => Err(saga_error(&error)),
    }
}

pub(crate) fn saga_error(error: &SagaError) -> ErrorBody {
    match error {
        SagaError::Unavailable(text) => {
            tracing::warn!("saga: {text}");
            unavailable("a server behind is out of reach; the same key tells whether it took effect")
        }
        SagaError::Internal(_) => internal(error),
    }
}

/// A refusal that lists seats, each with its label where the layout can be had.
async fn seats_refused(app: &App, show: ShowId, code: ErrorCode, mut seats: Vec<SeatConflict>) -> ErrorBody {
    // Without the layout the refusal is as true, only less readable.
    if let Ok(Some(layout)) = app.layouts.get(show).await {
        for conflict in seats.iter_mut().filter(|conflict| conflict.label.is_none()) {
            conflict.label = layout.label(conflict.seat);
        }
    }
    ErrorBody { message: name_seats(&seats), seats, ..ErrorBody::new(code, "") }
}

/// "A5 is held by somebody else, A6 is sold".
fn name_seats(seats: &[SeatConflict]) -> String {
    let one = |conflict: &SeatConflict| {
        let name = conflict.label.clone().unwrap_or_else(|| format!("seat number {}", conflict.seat));
        match conflict.reason {
            SeatConflictReason::Held => format!("{name} is held by somebody else"),
            SeatConflictReason::Booked => format!("{name} is sold"),
            SeatConflictReason::Blocked => format!("{name} is not for sale"),
            SeatConflictReason::NoSuchSeat => format!("{name} does not exist"),
            SeatConflictReason::Orphan => format!("{name} would be left alone"),
            SeatConflictReason::CoolDown => format!("{name} was left to lapse too often by this customer"),
            _ => format!("{name} can't be had"),
        }
    };
    seats.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use seatwire_protocol::SeatIndex;

    use super::*;

    #[test]
    fn refused_seats_are_named_with_their_reason() {
        let conflict = |seat, reason, label: Option<&str>| SeatConflict {
            seat: SeatIndex(seat),
            reason,
            label: label.map(str::to_owned),
        };
        let seats = [
            conflict(4, SeatConflictReason::Held, Some("A5")),
            conflict(5, SeatConflictReason::Booked, Some("A6")),
            conflict(999, SeatConflictReason::NoSuchSeat, None),
        ];
        assert_eq!(name_seats(&seats), "A5 is held by somebody else, A6 is sold, seat number 999 does not exist");
    }
}
