//! Bookings in PostgreSQL beside holds and the seat map in Redis.
//!
//! Two seats, two buyers whose wishes overlap, and tasks on cores: each step of a task is one script call or one commit,
//! between two steps it may pause for ever or crash. Changes reach Redis directly and by the relay, in any order and any
//! number of times; Redis may lose everything or fall back to an older copy at any moment.

mod properties;
mod scenario;
mod scripts;
pub mod state;
mod tasks;
mod transactions;
mod variant;

pub use self::properties::*;
pub use self::scenario::{Scenario, scenario_for, scenarios};
pub use self::variant::Variant;

use self::state::{
    BUYERS, Booking, BookingState, Buyer, CAUSES, Cause, HOLDS_EACH, HoldId, Payment, Phase, Redis, SEATS, Seat, Show,
    State, Status, TASKS, Task, hold_of,
};
use crate::checker::{Milestone, Model};

/// The model under one scenario and one variant.
#[derive(Debug, Clone, Copy)]
pub struct Ledger {
    pub scenario: Scenario,
    pub variant: Variant,
}

/// One atomic step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A buyer asks for seats and gets them.
    Hold(Buyer),
    /// A hold ends: its time is over, or a browse hold is released.
    Lapse(HoldId),
    /// A buyer books; begin_book answers.
    Begin(Buyer),
    /// A claim fails and is known not to have committed (or, in a variant, a rescue).
    Fail(usize),
    /// A task does what is next.
    Step(usize),
    /// A task's core dies.
    Crash(usize),
    /// load is done, but its answer is lost and the task sends it again; in a variant only.
    LoadUnanswered(usize),
    /// A pending booking runs out of time.
    Expire(Buyer),
    /// The provider captures the payment, in time or late.
    Capture(Buyer),
    /// A captured payment of a pending booking is settled.
    Settle(Buyer),
    /// A late payment is looked at, and the payer's hold placed.
    Rescue(Buyer),
    /// The same while the map is not whole: the core gives up waiting, and refunds.
    RescueUnready(Buyer),
    /// The same while Redis is out of reach: the ledger decides alone.
    RescueUnreached(Buyer),
    /// The relay takes an outbox row.
    Relay(Buyer, Cause),
    /// A core finds that the show needs loading.
    Load,
    /// An operator, or the scrubber, wants a new generation.
    Renew,
    /// Redis loses everything; with or without a restart.
    Wipe { restart: bool },
    /// A replica, or a file, has this state.
    Copy,
    /// A failover back to that copy.
    FailOver,
}

impl Ledger {
    pub const fn new(scenario: Scenario, variant: Variant) -> Self {
        Self { scenario, variant }
    }

    fn is(&self, variant: Variant) -> bool {
        self.variant == variant
    }

    /// The seats that a buyer wants.
    fn wish(&self, buyer: Buyer) -> impl Iterator<Item = usize> + use<> {
        let wish = self.scenario.wishes[usize::from(buyer)];
        (0..SEATS).filter(move |seat| wish >> seat & 1 == 1)
    }

    /// Not loaded on this server, partial, or below the ledger's generation.
    fn needs_load(&self, state: &State) -> bool {
        scripts::show(self, &state.redis).is_none_or(|show| {
            (!show.complete && !self.is(Variant::NoTakeover)) || show.generation < state.ledger.generation
        })
    }

    fn buyer_actions(&self, state: &State, buyer: Buyer, has_idle: bool, out: &mut Vec<Action>) {
        let at = usize::from(buyer);
        let booking = &state.ledger.bookings[at];
        let is_ready = scripts::ready(self, &state.redis).is_some();
        if state.asked[at] < self.scenario.holds && scripts::can_hold(self, &state.redis, buyer) {
            out.push(Action::Hold(buyer));
        }
        if is_ready && has_idle && booking.state == BookingState::None && self.held(state, buyer).is_some() {
            out.push(Action::Begin(buyer));
        }
        let expires = booking.state == BookingState::Pending
            || (booking.state == BookingState::Confirmed && self.is(Variant::ExpireAnyState));
        if expires {
            out.push(Action::Expire(buyer));
        }
        if !self.scenario.money {
            return;
        }
        let has_claimed = matches!(booking.state, BookingState::Pending | BookingState::Expired);
        if has_claimed && booking.payment == Payment::None {
            out.push(Action::Capture(buyer));
        }
        if !self.is_due(booking) {
            return;
        }
        match booking.state {
            BookingState::Pending => out.push(Action::Settle(buyer)),
            BookingState::Expired if is_ready && has_idle => out.push(Action::Rescue(buyer)),
            BookingState::Expired if !is_ready => {
                out.push(Action::RescueUnready(buyer));
                if state.lost && has_idle {
                    out.push(Action::RescueUnreached(buyer));
                }
            }
            _ => {}
        }
    }

    /// Whether a payment waits for its outcome.
    fn is_due(&self, booking: &Booking) -> bool {
        let again = self.is(Variant::SettleTwice) && booking.payment == Payment::Refund && booking.outcomes < 2;
        booking.payment == Payment::Captured || again
    }

    /// The live hold that a buyer asked for.
    fn held(&self, state: &State, buyer: Buyer) -> Option<HoldId> {
        (0..self.scenario.holds).map(|n| hold_of(buyer, n)).find(|hold| state.redis.is_live(*hold))
    }

    /// A paying hold lasts at least 60 s, and COMMIT is sent within 40 s of begin_book: it can't end in between.
    fn can_lapse(&self, state: &State, hold: HoldId) -> bool {
        let in_use = |task: &Task| match task {
            Task::Begun { hold: used, .. } | Task::SawFree { hold: used, .. } => *used == hold,
            Task::Rescue { hold: used, .. } => *used == Some(hold),
            _ => false,
        };
        match state.redis.holds[usize::from(hold)] {
            Phase::None => false,
            Phase::Browse => true,
            Phase::Paying { .. } => self.is(Variant::NoCommitWindow) || !state.tasks.iter().any(in_use),
        }
    }
}

impl Model for Ledger {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let seats = [Seat { version: 1, status: Status::Available }; SEATS];
        let booking = Booking { state: BookingState::None, hold: 0, payment: Payment::None, outcomes: 0 };
        let mut redis = Redis::empty(1);
        let is_loaded = !self.scenario.cold;
        if is_loaded {
            redis.show = Some(Show { generation: 1, run: 1, complete: true, known: seats.map(Some) });
        }
        let generation = u8::from(is_loaded);
        State {
            ledger: state::Ledger { seats, bookings: [booking; BUYERS], generation, outbox: [[None; 3]; BUYERS] },
            redis,
            copy: None,
            tasks: [Task::Idle; TASKS],
            asked: [0; BUYERS],
            wipes_left: self.scenario.wipes,
            rollbacks_left: self.scenario.rollbacks,
            renews_left: self.scenario.renews,
            run_max: 1,
            lost: false,
            late_news: false,
            loaded_generations: if is_loaded { 0b10 } else { 0 },
            complete_max: generation,
            rescued: false,
            faults: state::Faults::default(),
        }
    }

    fn actions(&self, state: &State, out: &mut Vec<Action>) {
        let busy = state.tasks.iter().filter(|task| **task != Task::Idle).count();
        let has_idle = busy < self.scenario.tasks;
        for buyer in [0, 1] {
            self.buyer_actions(state, buyer, has_idle, out);
            for cause in CAUSES {
                let row = state.ledger.outbox[usize::from(buyer)][cause as usize];
                if has_idle && row.is_some() {
                    out.push(Action::Relay(buyer, cause));
                }
            }
        }
        if scripts::show(self, &state.redis).is_some() {
            let holds = (0_u8..).take(BUYERS * HOLDS_EACH);
            out.extend(holds.filter(|hold| self.can_lapse(state, *hold)).map(Action::Lapse));
        }
        for (at, task) in state.tasks.iter().enumerate().take(busy) {
            // Two equal tasks do the same.
            if at > 0 && state.tasks[at - 1] == *task {
                continue;
            }
            out.push(Action::Step(at));
            out.push(Action::Crash(at));
            if matches!(task, Task::Begun { .. }) || tasks::is_skipped(self, state, task) {
                out.push(Action::Fail(at));
            }
            if matches!(task, Task::Taken { .. }) && self.is(Variant::LoadSentAgain) {
                out.push(Action::LoadUnanswered(at));
            }
        }
        if has_idle && state.ledger.generation < self.scenario.generation_max {
            if self.needs_load(state) {
                out.push(Action::Load);
            } else if state.renews_left > 0 {
                out.push(Action::Renew);
            }
        }
        if state.wipes_left > 0 {
            out.extend([Action::Wipe { restart: false }, Action::Wipe { restart: true }]);
        }
        if state.rollbacks_left > 0 && state.copy.is_none() && state.redis.show.is_some() {
            out.push(Action::Copy);
        }
        if state.copy.is_some() {
            out.push(Action::FailOver);
        }
    }

    fn next(&self, state: &State, action: Action) -> State {
        let mut next = state.clone();
        tasks::act(self, &mut next, action);
        // Which core runs a task makes no difference.
        next.tasks.sort_unstable();
        next
    }

    fn violated(&self, state: &State, _: &[Action]) -> Option<&'static str> {
        violated(self, state)
    }

    fn milestones(&self) -> Vec<Milestone<State>> {
        milestones(self)
    }
}
