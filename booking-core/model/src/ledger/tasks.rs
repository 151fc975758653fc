//! What each action does: buyers, workers, the relay and the loader, step by step.

use super::state::{BookingState, Buyer, Cause, Change, Payment, Phase, Redis, State, TASKS, Task, hold_of};
use super::transactions::status;
use super::variant::Variant;
use super::{Action, Ledger as Model, scripts, transactions};

pub(super) fn act(model: &Model, state: &mut State, action: Action) {
    match action {
        Action::Hold(buyer) => {
            let hold = hold_of(buyer, state.asked[usize::from(buyer)]);
            state.asked[usize::from(buyer)] += 1;
            scripts::hold(model, &mut state.redis, buyer, hold, Phase::Browse);
        }
        Action::Lapse(hold) => state.redis.end(hold),
        Action::Begin(buyer) => {
            if let (Some(hold), Some(show)) = (model.held(state, buyer), state.redis.show) {
                scripts::begin_book(model, &mut state.redis, hold);
                start(state, Task::Begun { buyer, hold, generation: show.generation });
            }
        }
        Action::Fail(at) => fail(state, at),
        Action::Step(at) => step(model, state, at),
        Action::Crash(at) => {
            if let Task::Begun { hold, .. } | Task::SawFree { hold, .. } | Task::TakeBack { hold, .. } = state.tasks[at]
            {
                scripts::leave_attempt(&mut state.redis, hold);
            }
            state.tasks[at] = Task::Idle;
        }
        Action::LoadUnanswered(at) => {
            if let Task::Taken { generation, .. } = state.tasks[at] {
                scripts::load(model, state, generation);
            }
        }
        Action::Expire(buyer) => {
            let change = transactions::expire(model, state, buyer);
            start(state, apply_now(buyer, Cause::Expire, change));
        }
        Action::Capture(buyer) => state.ledger.bookings[usize::from(buyer)].payment = Payment::Captured,
        Action::Settle(buyer) => {
            let hold = state.ledger.bookings[usize::from(buyer)].hold;
            let change = transactions::confirm(model, state, buyer, hold);
            start(state, apply_now(buyer, Cause::Confirm, change));
        }
        Action::Rescue(buyer) if model.is(Variant::RescueWithoutHold) => {
            start(state, Task::Rescue { buyer, hold: None });
        }
        Action::Rescue(buyer) => match scripts::place_payer_hold(model, &mut state.redis, buyer) {
            Some(hold) => start(state, Task::Rescue { buyer, hold: Some(hold) }),
            None => transactions::refund(state, buyer),
        },
        Action::RescueUnready(buyer) => transactions::refund(state, buyer),
        Action::RescueUnreached(buyer) => start(state, Task::Rescue { buyer, hold: None }),
        Action::Relay(buyer, cause) => {
            let row = &mut state.ledger.outbox[usize::from(buyer)][cause as usize];
            let taken = *row;
            if model.is(Variant::MarkFirst) {
                *row = None;
            }
            if let Some(change) = taken {
                start(state, Task::Apply { buyer, cause, change, again: true });
            }
        }
        Action::Load => start(state, Task::RowRead { expected: state.ledger.generation, renew: false }),
        Action::Renew => {
            state.renews_left -= 1;
            start(state, Task::RowRead { expected: state.ledger.generation, renew: true });
        }
        Action::Wipe { restart } => {
            state.wipes_left -= 1;
            state.run_max += u8::from(restart);
            state.lost = true;
            state.redis = Redis::empty(if restart { state.run_max } else { state.redis.run });
        }
        Action::Copy => {
            state.rollbacks_left -= 1;
            state.copy = Some(state.redis);
        }
        Action::FailOver => fail_over(state),
    }
}

/// Gives a task to a core that has none; without one the work is lost, as in a crash.
fn start(state: &mut State, task: Task) {
    if let Some(idle) = state.tasks.iter_mut().find(|task| **task == Task::Idle) {
        *idle = task;
    }
}

const fn apply_now(buyer: Buyer, cause: Cause, change: Change) -> Task {
    Task::Apply { buyer, cause, change, again: false }
}

/// In a variant: a settlement finds that another worker has the event.
pub(super) fn is_skipped(model: &Model, state: &State, task: &Task) -> bool {
    let Task::Rescue { buyer, hold: Some(_) } = *task else { return false };
    let same = |other: &&Task| matches!(other, Task::Rescue { buyer: of, .. } if *of == buyer);
    model.is(Variant::SkippedGivesUp) && state.tasks.iter().filter(same).count() > 1
}

fn fail(state: &mut State, at: usize) {
    state.tasks[at] = match state.tasks[at] {
        Task::Begun { hold, generation, .. } => Task::TakeBack { hold, generation },
        Task::Rescue { hold: Some(hold), .. } => Task::GiveUp { hold },
        other => other,
    };
}

fn fail_over(state: &mut State) {
    let Some(copy) = state.copy.take() else { return };
    state.run_max += 1;
    state.lost = true;
    state.redis = Redis { run: state.run_max, ..copy };
    // Attempts of the copy whose tasks are over are taken back by nobody.
    for (phase, hold) in state.redis.holds.iter_mut().zip(0_u8..) {
        if let Phase::Paying { attempts, left } = *phase {
            let is_open = |task: &&Task| match task {
                Task::Begun { hold: of, .. } | Task::TakeBack { hold: of, .. } => *of == hold,
                _ => false,
            };
            let open = state.tasks.iter().filter(is_open).take(TASKS).fold(0_u8, |sum, _| sum + 1);
            *phase = Phase::Paying { attempts: attempts.min(open), left: left || open < attempts };
        }
    }
}

fn step(model: &Model, state: &mut State, at: usize) {
    let task = state.tasks[at];
    state.tasks[at] = match task {
        Task::Begun { .. } | Task::SawFree { .. } | Task::TakeBack { .. } => book(model, state, task),
        Task::Apply { buyer, cause, mut change, again } => {
            match scripts::apply_change(model, state, &change, status(buyer, cause)) {
                scripts::Applied::OtherGeneration if again => {
                    change.generation = state.ledger.generation;
                    Task::Apply { buyer, cause, change, again: false }
                }
                scripts::Applied::OtherGeneration => Task::Idle,
                _ => Task::Mark { buyer, cause, generation: change.generation },
            }
        }
        Task::Mark { buyer, cause, generation } => {
            if state.ledger.generation == generation {
                state.ledger.outbox[usize::from(buyer)][cause as usize] = None;
            }
            Task::Idle
        }
        Task::Rescue { buyer, hold } => rescue(model, state, buyer, hold),
        Task::GiveUp { hold } => {
            if scripts::show(model, &state.redis).is_some() {
                state.redis.end(hold);
            }
            Task::Idle
        }
        _ => load(model, state, task),
    };
}

fn book(model: &Model, state: &mut State, task: Task) -> Task {
    match task {
        Task::Begun { buyer, hold, generation } => {
            if state.ledger.bookings[usize::from(buyer)].state != BookingState::None {
                // The key took effect in another attempt.
                scripts::leave_attempt(&mut state.redis, hold);
                return Task::Idle;
            }
            if model.is(Variant::LookBeforeLock) {
                let free = transactions::all_available(model, &state.ledger, buyer);
                return if free { Task::SawFree { buyer, hold } } else { Task::TakeBack { hold, generation } };
            }
            claim(model, state, buyer, hold, false).unwrap_or(Task::TakeBack { hold, generation })
        }
        Task::SawFree { buyer, .. } if state.ledger.bookings[usize::from(buyer)].state != BookingState::None => {
            Task::Idle
        }
        Task::SawFree { buyer, hold } => claim(model, state, buyer, hold, true).unwrap_or(Task::Idle),
        Task::TakeBack { hold, generation } => {
            scripts::end_book(model, &mut state.redis, hold, generation);
            if state.redis.show.is_none_or(|show| show.generation != generation) {
                scripts::leave_attempt(&mut state.redis, hold);
            }
            Task::Idle
        }
        other => other,
    }
}

fn claim(model: &Model, state: &mut State, buyer: Buyer, hold: u8, looked: bool) -> Option<Task> {
    let change = transactions::claim(model, state, buyer, hold, looked)?;
    scripts::leave_attempt(&mut state.redis, hold);
    Some(apply_now(buyer, Cause::Claim, change))
}

fn rescue(model: &Model, state: &mut State, buyer: Buyer, hold: Option<u8>) -> Task {
    let booking = state.ledger.bookings[usize::from(buyer)];
    if booking.state != BookingState::Expired || !model.is_due(&booking) {
        return match hold {
            Some(hold) if model.is(Variant::SkippedGivesUp) => Task::GiveUp { hold },
            _ => Task::Idle,
        };
    }
    if transactions::all_available(model, &state.ledger, buyer) || model.is(Variant::RescueUnchecked) {
        state.faults.rescued_under_hold |= transactions::takes_from_holder(model, state, buyer);
        state.rescued = true;
        let change = transactions::confirm(model, state, buyer, hold.unwrap_or(booking.hold));
        return apply_now(buyer, Cause::Confirm, change);
    }
    transactions::refund(state, buyer);
    hold.map_or(Task::Idle, |hold| Task::GiveUp { hold })
}

fn load(model: &Model, state: &mut State, task: Task) -> Task {
    match task {
        Task::RowRead { expected, renew } => {
            // Looked at after the row was read: who loads in between makes the bump fail.
            let seen = state.redis.show.map_or(0, |show| show.generation);
            if renew || model.needs_load(state) { Task::Looked { expected, seen } } else { Task::Idle }
        }
        Task::Looked { expected, seen } => transactions::bump(model, &mut state.ledger, expected, seen)
            .map_or(Task::Idle, |generation| Task::Taken { generation, early: None }),
        Task::Taken { generation, early: None } if model.is(Variant::ReadBeforeLoad) => {
            Task::Taken { generation, early: Some(transactions::read_map(&state.ledger)) }
        }
        Task::Taken { generation, early } => match (scripts::load(model, state, generation), early) {
            (false, _) => Task::Idle,
            (true, Some(rows)) => Task::HasRows { generation, rows },
            (true, None) => Task::Loaded { generation },
        },
        Task::Loaded { generation } => {
            let rows = transactions::read_map(&state.ledger);
            if rows.generation == generation || model.is(Variant::RowsOfAnyGeneration) {
                Task::HasRows { generation, rows }
            } else {
                Task::Idle
            }
        }
        Task::HasRows { generation, rows } => {
            if !scripts::apply_rows(model, state, generation, &rows) {
                return Task::Idle;
            }
            state.faults.dead_filled |= rows.generation != generation;
            Task::Filled { generation }
        }
        Task::Filled { generation } => {
            scripts::complete(model, state, generation);
            Task::Idle
        }
        other => other,
    }
}
