//! What must hold in every state.

use super::Ledger as Model;
use super::scripts::{ready, show};
use super::state::{
    BUYERS, BookingState, HOLDS_EACH, PAYER, Payment, Phase, SEATS, State, Status, Task, hold_of, owner,
};
use crate::checker::Milestone;

pub const ONE_OWNER: &str = "a seat has one owner, and a booking all of its seats or none";
pub const WHOLE_HOLDS: &str = "a live hold has all of its seats";
pub const NO_HOLD_ON_SOLD: &str = "no live hold is on a seat that is known to be gone";
pub const KNOWS_ALL: &str = "a map that is served knows every seat";
pub const RIGHT_AT_REST: &str = "at rest the map is whole and equals the ledger";
pub const GENERATIONS: &str = "no generation is loaded twice, and none after a higher one";
pub const NOT_DEAD: &str = "no map is filled under a generation that the ledger had left";
pub const HOLD_COUNTS: &str =
    "no claim or rescue takes seats from a live hold, unless Redis lost something or news came late";
pub const NOT_TOLD_LOST: &str = "no booking tells its owner that the hold it came from is lost";
pub const MONEY: &str = "a payment has one outcome, and BOOKING means confirmed";
pub const OWN_HOLD_GONE: &str = "at rest the hold of a booking is over";

/// Nobody has anything left to do but buyers.
pub fn is_at_rest(model: &Model, state: &State) -> bool {
    state.tasks.iter().all(|task| *task == Task::Idle)
        && state.ledger.outbox.iter().flatten().all(Option::is_none)
        && !model.needs_load(state)
}

/// The first property that a state violates.
pub fn violated(model: &Model, state: &State) -> Option<&'static str> {
    let faults = &state.faults;
    let checks = [
        (ONE_OWNER, one_owner(model, state)),
        (WHOLE_HOLDS, whole_holds(model, state)),
        (NO_HOLD_ON_SOLD, no_hold_on_sold(model, state)),
        (KNOWS_ALL, ready(model, &state.redis).is_none_or(|show| show.known.iter().all(Option::is_some))),
        (RIGHT_AT_REST, !is_at_rest(model, state) || right_at_rest(model, state)),
        (GENERATIONS, !faults.reused && !faults.went_back),
        (NOT_DEAD, !faults.dead_filled),
        (HOLD_COUNTS, !faults.claimed_under_hold && !faults.rescued_under_hold),
        (NOT_TOLD_LOST, !faults.told_lost),
        (MONEY, money(state)),
        (OWN_HOLD_GONE, state.lost || !is_at_rest(model, state) || own_holds_gone(state)),
    ];
    checks.into_iter().find(|(_, holds)| !holds).map(|(property, _)| property)
}

fn one_owner(model: &Model, state: &State) -> bool {
    (0..BUYERS).all(|at| {
        let buyer = u8::try_from(at).unwrap_or_default();
        let has = |seat: usize, status| state.ledger.seats[seat].status == status;
        let nothing = (0..SEATS).all(|seat| !has(seat, Status::Claimed(buyer)) && !has(seat, Status::Booked(buyer)));
        match state.ledger.bookings[at].state {
            BookingState::Pending => model.wish(buyer).all(|seat| has(seat, Status::Claimed(buyer))),
            BookingState::Confirmed => model.wish(buyer).all(|seat| has(seat, Status::Booked(buyer))),
            BookingState::None | BookingState::Expired => nothing,
        }
    })
}

fn whole_holds(model: &Model, state: &State) -> bool {
    let redis = &state.redis;
    show(model, redis).is_none()
        || (0..BUYERS * HOLDS_EACH).all(|at| {
            let hold = u8::try_from(at).unwrap_or_default();
            redis.holds[at] == Phase::None || model.wish(owner(hold)).all(|seat| redis.locks[seat] == Some(hold))
        }) && redis.locks.iter().flatten().all(|hold| redis.is_live(*hold))
}

fn no_hold_on_sold(model: &Model, state: &State) -> bool {
    let Some(show) = show(model, &state.redis) else { return true };
    let is_gone = |seat: usize| show.known[seat].is_some_and(|known| known.status != Status::Available);
    (0..SEATS).all(|seat| state.redis.locks[seat].is_none() || !is_gone(seat))
}

fn right_at_rest(model: &Model, state: &State) -> bool {
    ready(model, &state.redis).is_some_and(|show| show.known == state.ledger.seats.map(Some))
}

fn money(state: &State) -> bool {
    state.ledger.bookings.iter().all(|booking| {
        booking.outcomes <= 1 && (booking.payment == Payment::Booking) == (booking.state == BookingState::Confirmed)
    })
}

fn own_holds_gone(state: &State) -> bool {
    state.ledger.bookings.iter().zip(0_u8..).all(|(booking, buyer)| {
        let payer = hold_of(buyer, PAYER);
        (booking.state == BookingState::None || !state.redis.is_live(booking.hold))
            && (booking.payment != Payment::Booking || !state.redis.is_live(payer))
    })
}

/// What a run without money, or without faults, does not reach is left out by its scenario.
pub fn milestones(model: &Model) -> Vec<Milestone<State>> {
    let mut all: Vec<Milestone<State>> = Vec::new();
    let scenario = &model.scenario;
    if scenario.money {
        all.push(("a late payment was refunded", |s| s.ledger.bookings.iter().any(|b| b.payment == Payment::Refund)));
        all.push(("a late payment was rescued", |s| s.rescued));
    }
    if scenario.wipes + scenario.rollbacks + scenario.renews > 0 {
        all.push(("a second generation was complete", |s| s.complete_max >= 2));
    }
    if scenario.holds == 0 {
        return all;
    }
    all.push(("seats were sold one buyer after the other", |s| {
        s.ledger.bookings.iter().all(|b| b.state != BookingState::None)
    }));
    all.push(("an attempt was taken back", |s| s.tasks.iter().any(|t| matches!(t, Task::TakeBack { .. }))));
    all
}
