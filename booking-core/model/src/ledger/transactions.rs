//! What the transactions do to PostgreSQL. Each function is one commit.

use super::Ledger as Model;
use super::state::{BookingState, Buyer, Cause, Change, HoldId, Ledger, Payment, Rows, State, Status, owner};
use super::variant::Variant;

/// The status that a change gives to its seats.
pub(super) const fn status(buyer: Buyer, cause: Cause) -> Status {
    match cause {
        Cause::Claim => Status::Claimed(buyer),
        Cause::Expire => Status::Available,
        Cause::Confirm => Status::Booked(buyer),
    }
}

pub(super) fn all_available(model: &Model, ledger: &Ledger, buyer: Buyer) -> bool {
    model.wish(buyer).all(|seat| ledger.seats[seat].status == Status::Available)
}

/// Changes seats and leaves the outbox row. Answers the row.
fn change(model: &Model, ledger: &mut Ledger, buyer: Buyer, cause: Cause, hold: HoldId) -> Change {
    let mut change = Change { generation: ledger.generation, versions: [0; 2], hold };
    for at in model.wish(buyer) {
        let seat = &mut ledger.seats[at];
        if cause == Cause::Claim && model.is(Variant::ClaimPartly) && seat.status != Status::Available {
            continue;
        }
        seat.version += 1;
        seat.status = status(buyer, cause);
        change.versions[at] = seat.version;
    }
    if !model.is(Variant::NoOutbox) {
        ledger.outbox[usize::from(buyer)][cause as usize] = Some(change);
    }
    change
}

/// The claim; `None`: refused, nothing committed.
pub(super) fn claim(model: &Model, state: &mut State, buyer: Buyer, hold: HoldId, looked: bool) -> Option<Change> {
    let some = model.wish(buyer).any(|seat| state.ledger.seats[seat].status == Status::Available);
    let allowed = looked
        || model.is(Variant::ClaimUnchecked)
        || (some && model.is(Variant::ClaimPartly))
        || all_available(model, &state.ledger, buyer);
    if !allowed {
        return None;
    }
    state.faults.claimed_under_hold |= takes_from_holder(model, state, buyer);
    let booking = &mut state.ledger.bookings[usize::from(buyer)];
    booking.state = BookingState::Pending;
    booking.hold = hold;
    Some(change(model, &mut state.ledger, buyer, Cause::Claim, hold))
}

/// Expiry of an unpaid booking.
pub(super) fn expire(model: &Model, state: &mut State, buyer: Buyer) -> Change {
    let booking = &mut state.ledger.bookings[usize::from(buyer)];
    booking.state = BookingState::Expired;
    let hold = booking.hold;
    change(model, &mut state.ledger, buyer, Cause::Expire, hold)
}

/// The payment's outcome is the booking.
pub(super) fn confirm(model: &Model, state: &mut State, buyer: Buyer, hold: HoldId) -> Change {
    let booking = &mut state.ledger.bookings[usize::from(buyer)];
    booking.state = BookingState::Confirmed;
    booking.payment = Payment::Booking;
    booking.outcomes += 1;
    change(model, &mut state.ledger, buyer, Cause::Confirm, hold)
}

/// The payment's outcome is a refund.
pub(super) fn refund(state: &mut State, buyer: Buyer) {
    let booking = &mut state.ledger.bookings[usize::from(buyer)];
    booking.payment = Payment::Refund;
    booking.outcomes += 1;
}

/// Whether a commit would take a wanted seat from somebody's live hold, without an excuse.
pub(super) fn takes_from_holder(model: &Model, state: &State, buyer: Buyer) -> bool {
    let is_excused = state.lost || state.late_news;
    !is_excused
        && super::scripts::show(model, &state.redis).is_some()
        && model.wish(buyer).any(|seat| state.redis.locks[seat].is_some_and(|lock| owner(lock) != buyer))
}

/// The bump: `None` when somebody was faster.
pub(super) fn bump(model: &Model, ledger: &mut Ledger, expected: u8, seen: u8) -> Option<u8> {
    if ledger.generation != expected && !model.is(Variant::NoCompareAndSet) {
        return None;
    }
    ledger.generation = expected.max(seen) + 1;
    Some(ledger.generation)
}

/// All seats and the generation in one statement.
pub(super) fn read_map(ledger: &Ledger) -> Rows {
    let hold = |seat: usize| match ledger.seats[seat].status {
        Status::Available => None,
        Status::Claimed(buyer) | Status::Booked(buyer) => Some(ledger.bookings[usize::from(buyer)].hold),
    };
    Rows { generation: ledger.generation, seats: ledger.seats, holds: [hold(0), hold(1)] }
}
