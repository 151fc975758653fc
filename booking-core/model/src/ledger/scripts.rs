//! What the Lua scripts do to Redis. Each function is one atomic step.

use super::Ledger as Model;
use super::state::{
    Buyer, Change, HoldId, PAYER, Phase, Redis, Rows, SEATS, Seat, Show, State, Status, hold_of, owner,
};
use super::variant::Variant;

/// What apply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    Done,
    NotLoaded,
    /// STALE or BEHIND.
    OtherGeneration,
}

/// The show as a script finds it: of this server.
pub(super) fn show(model: &Model, redis: &Redis) -> Option<Show> {
    redis.show.filter(|show| show.run == redis.run || model.is(Variant::NoRunId))
}

/// The show, when it is whole.
pub(super) fn ready(model: &Model, redis: &Redis) -> Option<Show> {
    show(model, redis).filter(|show| show.complete)
}

fn is_free(model: &Model, redis: &Redis, show: &Show, seat: usize) -> bool {
    let available = show.known[seat].is_some_and(|known| known.status == Status::Available);
    (available || model.is(Variant::HoldIgnoresLedger)) && redis.locks[seat].is_none()
}

/// hold: whether it would be granted.
pub(super) fn can_hold(model: &Model, redis: &Redis, buyer: Buyer) -> bool {
    let Some(show) = ready(model, redis) else { return false };
    let mut seats = model.wish(buyer);
    if model.is(Variant::HoldTakesWhatIsFree) {
        return seats.any(|seat| is_free(model, redis, &show, seat));
    }
    seats.all(|seat| is_free(model, redis, &show, seat))
}

/// hold, granted.
pub(super) fn hold(model: &Model, redis: &mut Redis, buyer: Buyer, hold: HoldId, phase: Phase) {
    let Some(show) = ready(model, redis) else { return };
    redis.holds[usize::from(hold)] = phase;
    for seat in model.wish(buyer) {
        if is_free(model, redis, &show, seat) {
            redis.locks[seat] = Some(hold);
        }
    }
}

/// hold in mode payer: replaces the buyer's own browse holds; `None` when refused.
pub(super) fn place_payer_hold(model: &Model, redis: &mut Redis, buyer: Buyer) -> Option<HoldId> {
    let id = hold_of(buyer, PAYER);
    if redis.is_live(id) {
        return Some(id);
    }
    let show = ready(model, redis)?;
    let mut after = *redis;
    for seat in model.wish(buyer) {
        if let Some(lock) = after.locks[seat]
            && owner(lock) == buyer
            && after.holds[usize::from(lock)] == Phase::Browse
        {
            after.end(lock);
        }
    }
    if !model.wish(buyer).all(|seat| is_free(model, &after, &show, seat)) {
        return None;
    }
    *redis = after;
    hold(model, redis, buyer, id, Phase::Paying { attempts: 0, left: true });
    Some(id)
}

/// begin_book of a live hold.
pub(super) fn begin_book(model: &Model, redis: &mut Redis, hold: HoldId) {
    let phase = &mut redis.holds[usize::from(hold)];
    *phase = match *phase {
        Phase::Paying { attempts, left } => Phase::Paying { attempts: attempts + 1, left },
        before if model.is(Variant::NoPayingPhase) => before,
        _ => Phase::Paying { attempts: 1, left: false },
    };
}

/// end_book of one attempt.
pub(super) fn end_book(model: &Model, redis: &mut Redis, hold: HoldId, generation: u8) {
    if show(model, redis).is_none_or(|show| show.generation != generation) {
        return;
    }
    if let Phase::Paying { attempts, left } = redis.holds[usize::from(hold)] {
        let attempts = attempts.saturating_sub(1);
        let free = (attempts == 0 && !left) || model.is(Variant::EndBookTakesAll);
        redis.holds[usize::from(hold)] = if free { Phase::Browse } else { Phase::Paying { attempts, left } };
    }
}

/// Nobody will take this attempt back: its task crashed, or its claim is in the ledger. Redis does not notice; only so
/// many attempts are left that anybody may take back.
pub(super) fn leave_attempt(redis: &mut Redis, hold: HoldId) {
    if let Phase::Paying { attempts, left: _ } = redis.holds[usize::from(hold)] {
        redis.holds[usize::from(hold)] = Phase::Paying { attempts: attempts.saturating_sub(1), left: true };
    }
}

/// apply of a committed change.
pub(super) fn apply_change(model: &Model, state: &mut State, change: &Change, status: Status) -> Applied {
    let Some(show) = show(model, &state.redis) else { return Applied::NotLoaded };
    if show.generation != change.generation {
        return Applied::OtherGeneration;
    }
    let seat = |seat: usize| (change.versions[seat] > 0).then_some(Seat { version: change.versions[seat], status });
    apply(model, state, show, [seat(0), seat(1)], &[change.hold], model.is(Variant::NoVersion));
    Applied::Done
}

/// apply of the loader's rows; `false`: another generation.
pub(super) fn apply_rows(model: &Model, state: &mut State, generation: u8, rows: &Rows) -> bool {
    let Some(show) = show(model, &state.redis).filter(|show| show.generation == generation) else { return false };
    let replace = model.is(Variant::NoVersion) || model.is(Variant::LoadReplaces);
    let own: Vec<HoldId> = rows.holds.iter().flatten().copied().collect();
    let own = if model.is(Variant::RowsWithoutHolds) { &[][..] } else { &own[..] };
    apply(model, state, show, rows.seats.map(Some), own, replace);
    true
}

fn apply(model: &Model, state: &mut State, mut show: Show, seats: [Option<Seat>; SEATS], own: &[HoldId], any: bool) {
    let newer = |known: Option<Seat>, seat: &Seat| any || known.is_none_or(|known| seat.version > known.version);
    let mut news: Vec<(usize, Seat)> = Vec::new();
    for (at, seat) in seats.iter().enumerate() {
        if let Some(seat) = seat.filter(|seat| newer(show.known[at], seat)) {
            news.push((at, seat));
        }
    }
    if !news.is_empty() || !model.is(Variant::OwnHoldOnlyWithNews) {
        for hold in own {
            state.redis.end(*hold);
        }
    }
    for (at, seat) in news {
        show.known[at] = Some(seat);
        if let Some(other) = state.redis.locks[at].filter(|_| seat.status != Status::Available)
            && !model.is(Variant::OthersStay)
        {
            state.faults.told_lost |= is_own(state, seat.status, other);
            state.late_news |= matches!(state.redis.holds[usize::from(other)], Phase::Paying { .. });
            state.redis.end(other);
        }
    }
    state.redis.show = Some(show);
}

/// Whether the news of a booking reached the very hold that it came from.
fn is_own(state: &State, status: Status, hold: HoldId) -> bool {
    let (Status::Claimed(buyer) | Status::Booked(buyer)) = status else { return false };
    owner(hold) == buyer && state.ledger.bookings[usize::from(buyer)].hold == hold
}

/// load: `false` when it has a generation that is as high.
pub(super) fn load(model: &Model, state: &mut State, generation: u8) -> bool {
    let found = state.redis.show.map_or(0, |show| show.generation);
    if generation <= found && !model.is(Variant::LoadAcceptsAny) {
        return false;
    }
    state.faults.went_back |= generation < found;
    let bit = 1_u16 << generation;
    state.faults.reused |= state.loaded_generations & bit != 0;
    state.loaded_generations |= bit;
    let complete = model.is(Variant::NoComplete);
    state.redis.show = Some(Show { generation, run: state.redis.run, complete, known: [None; SEATS] });
    true
}

/// complete: refused while a seat is unknown.
pub(super) fn complete(model: &Model, state: &mut State, generation: u8) {
    let Some(mut show) = show(model, &state.redis).filter(|show| show.generation == generation) else { return };
    if show.known.iter().any(Option::is_none) {
        return;
    }
    show.complete = true;
    state.redis.show = Some(show);
    state.faults.went_back |= generation <= state.complete_max;
    state.complete_max = state.complete_max.max(generation);
}
