//! What the hold scripts count and compare for one customer at a time: caps, lapses, owners, ends, and the sale's state.
//!
//! Two customers, seats without names (who gets which is the ledger model's business), and a clock with a few ticks.
//! News of the ledger about claims and about the sale come in any order and any number of times.

mod act;
mod variant;

pub use self::variant::Variant;

use crate::Bound;
use crate::checker::{Milestone, Model};

pub const CUSTOMERS: usize = 2;
/// Holds of a customer that fit; one more than allowed.
pub const HOLDS: usize = HOLDS_MAX + 1;
/// Caps and times as the scripts get them.
pub const HOLDS_MAX: usize = 2;
pub const SEATS_MAX: u8 = 3;
pub const HOLD_TIME: u8 = 2;
pub const LIFETIME: u8 = 3;
pub const EXTENSIONS_MAX: u8 = 1;
pub const COOL_DOWN: u8 = 2;

/// 0 or 1.
pub type Customer = u8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hold {
    pub seats: u8,
    pub created: u8,
    pub ends: u8,
    pub extensions: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sale {
    /// Opens by itself at this time.
    Before(u8),
    Open,
    Closed,
}

/// What is counted of a customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Counted {
    /// Seats in live holds.
    pub held: u8,
    /// Seats claimed in the ledger.
    pub owned: u8,
    /// The time of the last lapse.
    pub lapsed_at: Option<u8>,
}

/// What went wrong in a step and can't be seen in the state that it led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    pub not_on_sale: bool,
    pub in_cool_down: bool,
    pub foreign: bool,
    pub past_end: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub now: u8,
    pub holds: [[Option<Hold>; HOLDS]; CUSTOMERS],
    /// As Redis counts.
    pub counted: [Counted; CUSTOMERS],
    /// As it is; the ledger's claims.
    pub claimed: [u8; CUSTOMERS],
    pub lapsed_at: [Option<u8>; CUSTOMERS],
    /// The sale in the ledger by version, the newest last, and in Redis.
    pub sales: Vec<Sale>,
    pub sale: Sale,
    pub sale_version: usize,
    /// Redis was told of the newest state.
    pub told: bool,
    pub reloads_left: u8,
    pub faults: Faults,
}

impl Sale {
    /// What it comes to at a time.
    pub const fn at(self, now: u8) -> Self {
        match self {
            Self::Before(opens_at) if opens_at <= now => Self::Open,
            sale => sale,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The clock moves.
    Tick,
    /// A customer asks for so many seats.
    Hold(Customer, u8),
    /// Somebody releases a hold.
    Release { by: Customer, of: Customer, at: usize },
    /// Somebody extends a hold.
    Extend { by: Customer, of: Customer, at: usize },
    /// The sweep finds a hold past its end.
    Lapse(Customer, usize),
    /// A hold becomes a claim, and apply tells Redis.
    Claim(Customer, usize),
    /// apply of a claim comes again.
    ClaimAgain(Customer),
    /// Claims expire, and apply tells Redis.
    Free(Customer),
    /// A new generation: the counts of claims start anew.
    Reload,
    /// An operator changes the sale.
    Change(Sale),
    /// apply brings a version of the sale, maybe an old one.
    ApplySale(usize),
    /// Somebody asks to open the sale.
    Open,
}

/// How much of everything a run allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Customers {
    pub variant: Variant,
    pub time_max: u8,
    pub sales_max: usize,
    pub reloads: u8,
    pub seats: u8,
}

impl Customers {
    pub const fn new(bound: Bound, variant: Variant) -> Self {
        match bound {
            Bound::Small => Self { variant, time_max: 3, sales_max: 2, reloads: 1, seats: 4 },
            Bound::Large => Self { variant, time_max: 5, sales_max: 3, reloads: 1, seats: 6 },
        }
    }

    fn is(&self, variant: Variant) -> bool {
        self.variant == variant
    }
}

pub const SEATS_CAP: &str = "nobody holds and claims more seats than the cap";
pub const HOLDS_CAP: &str = "nobody has more holds than the cap";
pub const COUNTS: &str = "Redis counts what is";
pub const LIVES: &str = "no hold lives past its lifetime or has more extensions than the cap";
pub const OWNER: &str = "only its owner changes a hold";
pub const ENDED: &str = "a hold past its end is of no use";
pub const COOLS_DOWN: &str = "no hold during a cool-down";
pub const ON_SALE: &str = "no hold while the show is not on sale";
pub const SALE_FOLLOWS: &str = "Redis told of the newest state of the sale stays with it";

impl Model for Customers {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        State {
            now: 0,
            holds: [[None; HOLDS]; CUSTOMERS],
            counted: [Counted::default(); CUSTOMERS],
            claimed: [0; CUSTOMERS],
            lapsed_at: [None; CUSTOMERS],
            sales: vec![Sale::Before(1)],
            sale: Sale::Before(1),
            sale_version: 0,
            told: true,
            reloads_left: self.reloads,
            faults: Faults::default(),
        }
    }

    fn actions(&self, state: &State, out: &mut Vec<Action>) {
        if state.now < self.time_max {
            out.push(Action::Tick);
        }
        for customer in [0, 1] {
            for seats in [1, 2] {
                if act::may_hold(self, state, customer, seats) {
                    out.push(Action::Hold(customer, seats));
                }
            }
            let at = usize::from(customer);
            if state.claimed[at] > 0 {
                out.extend([Action::Free(customer), Action::ClaimAgain(customer)]);
            }
            for (slot, hold) in state.holds[at].iter().enumerate() {
                let Some(hold) = hold else { continue };
                for by in [0, 1] {
                    out.extend([
                        Action::Release { by, of: customer, at: slot },
                        Action::Extend { by, of: customer, at: slot },
                    ]);
                }
                if hold.ends <= state.now {
                    out.push(Action::Lapse(customer, slot));
                }
                out.push(Action::Claim(customer, slot));
            }
        }
        if state.reloads_left > 0 {
            out.push(Action::Reload);
        }
        if state.sales.len() < self.sales_max {
            out.extend([Sale::Open, Sale::Closed, Sale::Before(3)].map(Action::Change));
        }
        out.extend((0..state.sales.len()).map(Action::ApplySale));
        out.push(Action::Open);
    }

    fn next(&self, state: &State, action: Action) -> State {
        let mut next = state.clone();
        act::act(self, &mut next, action);
        next
    }

    fn violated(&self, state: &State, _: &[Action]) -> Option<&'static str> {
        let each = |holds: fn(&State, usize) -> bool| (0..CUSTOMERS).all(|at| holds(state, at));
        let newest = state.sales.last().copied().unwrap_or(Sale::Closed);
        let checks = [
            (SEATS_CAP, each(|s, at| held(s, at) + s.claimed[at] <= SEATS_MAX)),
            (HOLDS_CAP, each(|s, at| s.holds[at].iter().flatten().count() <= HOLDS_MAX)),
            (COUNTS, each(|s, at| s.counted[at].held == held(s, at) && s.counted[at].owned == s.claimed[at])),
            (LIVES, state.holds.iter().flatten().flatten().all(lives_in_bounds)),
            (OWNER, !state.faults.foreign),
            (ENDED, !state.faults.past_end),
            (COOLS_DOWN, !state.faults.in_cool_down),
            (ON_SALE, !state.faults.not_on_sale),
            (SALE_FOLLOWS, !state.told || state.sale.at(state.now) == newest.at(state.now)),
        ];
        checks.into_iter().find(|(_, holds)| !holds).map(|(property, _)| property)
    }

    fn milestones(&self) -> Vec<Milestone<State>> {
        vec![
            ("a customer had all seats of the cap", |s| (0..CUSTOMERS).any(|at| held(s, at) == SEATS_MAX)),
            ("a customer had all holds", |s| {
                (0..CUSTOMERS).any(|at| s.holds[at].iter().flatten().count() == HOLDS_MAX)
            }),
            ("a claim beside a hold", |s| (0..CUSTOMERS).any(|at| held(s, at) > 0 && s.claimed[at] > 0)),
            ("a hold was extended", |s| s.holds.iter().flatten().flatten().any(|hold| hold.extensions > 0)),
            ("a hold lapsed", |s| s.lapsed_at.iter().any(Option::is_some)),
            ("the sale was closed", |s| s.sale == Sale::Closed),
        ]
    }
}

const fn lives_in_bounds(hold: &Hold) -> bool {
    hold.ends <= hold.created + LIFETIME && hold.extensions <= EXTENSIONS_MAX
}

/// Seats in the live holds of a customer.
fn held(state: &State, at: usize) -> u8 {
    state.holds[at].iter().flatten().map(|hold| hold.seats).sum()
}
