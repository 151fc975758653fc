//! What the scripts do; each function is one atomic step.

use super::variant::Variant;
use super::{
    Action, COOL_DOWN, Customer, Customers, EXTENSIONS_MAX, HOLD_TIME, HOLDS_MAX, Hold, LIFETIME, SEATS_MAX, Sale,
    State, held,
};

/// hold: whether it would be granted.
pub(super) fn may_hold(model: &Customers, state: &State, customer: Customer, seats: u8) -> bool {
    let at = usize::from(customer);
    let taken: u8 = (0..state.holds.len()).map(|at| held(state, at) + state.claimed[at]).sum();
    let holds = state.holds[at].iter().flatten().count();
    let counted = &state.counted[at];
    let owned = if model.is(Variant::ClaimsNotCounted) { 0 } else { counted.owned };
    let fits = counted.held + owned + seats <= SEATS_MAX || model.is(Variant::NoSeatsCap);
    let may_more = holds < HOLDS_MAX || (model.is(Variant::NoHoldsCap) && holds < state.holds[at].len());
    let is_cooling = is_cooling(counted.lapsed_at, state.now) && !model.is(Variant::NoCoolDown);
    let on_sale = match state.sale.at(state.now) {
        Sale::Before(_) => model.is(Variant::HoldBeforeOpening),
        Sale::Open => true,
        Sale::Closed => model.is(Variant::HoldWhenClosed),
    };
    taken + seats <= model.seats && fits && may_more && !is_cooling && on_sale
}

fn is_cooling(lapsed_at: Option<u8>, now: u8) -> bool {
    lapsed_at.is_some_and(|at| now < at + COOL_DOWN)
}

pub(super) fn act(model: &Customers, state: &mut State, action: Action) {
    match action {
        Action::Tick => state.now += 1,
        Action::Hold(customer, seats) => hold(state, customer, seats),
        Action::Release { by, of, at } => release(model, state, by, of, at),
        Action::Extend { by, of, at } => extend(model, state, by, of, at),
        Action::Lapse(of, at) => {
            let customer = usize::from(of);
            state.lapsed_at[customer] = Some(state.now);
            if !model.is(Variant::LapsesForgotten) {
                state.counted[customer].lapsed_at = Some(state.now);
            }
            end(model, state, of, at);
        }
        Action::Claim(of, at) => {
            let customer = usize::from(of);
            let Some(hold) = state.holds[customer][at] else { return };
            if hold.ends <= state.now && !model.is(Variant::UsedPastEnd) {
                return;
            }
            state.faults.past_end |= hold.ends <= state.now;
            state.claimed[customer] += hold.seats;
            state.counted[customer].owned += hold.seats;
            end(model, state, of, at);
        }
        Action::ClaimAgain(of) => {
            let customer = usize::from(of);
            if model.is(Variant::ClaimsCountedTwice) {
                state.counted[customer].owned += state.claimed[customer];
            }
        }
        Action::Free(of) => {
            state.claimed[usize::from(of)] = 0;
            state.counted[usize::from(of)].owned = 0;
        }
        Action::Reload => {
            state.reloads_left -= 1;
            for (counted, claimed) in state.counted.iter_mut().zip(state.claimed) {
                counted.owned = if model.is(Variant::LoadAddsCounts) { counted.owned + claimed } else { claimed };
            }
        }
        Action::Change(sale) => {
            state.sales.push(sale);
            state.told = false;
        }
        Action::ApplySale(version) => {
            if version > state.sale_version || model.is(Variant::SaleOfAnyVersion) {
                (state.sale, state.sale_version) = (state.sales[version].at(state.now), version);
                state.told |= version + 1 == state.sales.len();
            }
        }
        Action::Open => {
            let is_before = matches!(state.sale, Sale::Before(_));
            if is_before && (state.sale.at(state.now) == Sale::Open || model.is(Variant::OpenEarly)) {
                state.sale = Sale::Open;
            }
        }
    }
}

fn hold(state: &mut State, customer: Customer, seats: u8) {
    let at = usize::from(customer);
    state.sale = state.sale.at(state.now);
    state.faults.not_on_sale |= state.sale != Sale::Open;
    state.faults.in_cool_down |= is_cooling(state.lapsed_at[at], state.now);
    state.counted[at].held += seats;
    let hold = Hold { seats, created: state.now, ends: state.now + HOLD_TIME, extensions: 0 };
    if let Some(free) = state.holds[at].iter_mut().find(|hold| hold.is_none()) {
        *free = Some(hold);
    }
}

fn release(model: &Customers, state: &mut State, by: Customer, of: Customer, at: usize) {
    if by != of {
        if !model.is(Variant::ReleaseByAnybody) {
            return;
        }
        state.faults.foreign = true;
    }
    end(model, state, of, at);
}

fn extend(model: &Customers, state: &mut State, by: Customer, of: Customer, at: usize) {
    let now = state.now;
    let Some(hold) = state.holds[usize::from(of)][at].as_mut() else { return };
    if by != of && !model.is(Variant::ExtendByAnybody) {
        return;
    }
    if hold.ends <= now && !model.is(Variant::UsedPastEnd) {
        return;
    }
    if hold.extensions >= EXTENSIONS_MAX && !model.is(Variant::NoExtensionsCap) {
        return;
    }
    let lifetime = if model.is(Variant::NoLifetime) { u8::MAX } else { hold.created + LIFETIME };
    let ends = (hold.ends + HOLD_TIME).min(lifetime);
    if ends <= hold.ends && !model.is(Variant::NoExtensionsCap) {
        return;
    }
    state.faults.foreign |= by != of;
    state.faults.past_end |= hold.ends <= now;
    hold.ends = ends;
    hold.extensions += 1;
}

fn end(model: &Customers, state: &mut State, of: Customer, at: usize) {
    let customer = usize::from(of);
    let Some(hold) = state.holds[customer][at].take() else { return };
    if !model.is(Variant::EndNotCounted) {
        state.counted[customer].held -= hold.seats;
    }
    // Which place a hold has makes no difference.
    state.holds[customer].sort_unstable_by_key(|hold| hold.map(|hold| (hold.created, hold.ends, hold.seats)));
}
