//! Random commands. Numbers choose among what is there when the command runs, so that any part of a list of commands
//! still makes sense and proptest can shorten it.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::{select, subsequence};
use proptest::{prop_oneof, strategy::Union};

/// Seats of the first show; the lists below also name one that it does not have.
pub(super) const SEATS: u32 = 10;

#[derive(Debug, Clone)]
pub(super) struct Op {
    pub(super) show: usize,
    /// Sent on a connection to another server than the present one.
    pub(super) other_run: bool,
    /// How far the caller's generation is off.
    pub(super) generation: i64,
    pub(super) act: Act,
}

/// A hold: one that there is, mostly a live one, and who asks for it: its owner, or a customer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) nth: usize,
    pub(super) stranger: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) ms: i64,
    pub(super) seats: i64,
    pub(super) holds: i64,
    pub(super) lapses: i64,
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Hold {
        who: usize,
        key: u8,
        seats: Vec<u32>,
        limits: Limits,
    },
    Best {
        who: usize,
        key: u8,
        count: u32,
        tier: i64,
        limits: Limits,
    },
    /// A hold that saves a late payment.
    Rescue {
        who: usize,
        key: u8,
        seats: Vec<u32>,
        ms: i64,
    },
    /// The key of a hold once more, perhaps with another body.
    Repeat {
        target: Target,
        other_body: bool,
        ms: i64,
    },
    Extend {
        target: Target,
        key: u8,
        ms: i64,
        cap: i64,
        lifetime: i64,
    },
    Release {
        target: Target,
        payer: bool,
    },
    Operator {
        target: Target,
    },
    Begin {
        target: Target,
        key: u8,
        attempt: u8,
        ms: i64,
        latest: i64,
    },
    End {
        target: Target,
        attempt: u8,
        ms: i64,
        latest: i64,
    },
    /// The ledger claims the seats of a hold.
    Claim {
        target: Target,
    },
    /// The ledger changes seats.
    Change {
        seats: Vec<u32>,
        status: u8,
        who: usize,
    },
    Sale {
        state: u8,
        opens_in: i64,
    },
    /// News of the ledger arrive: the latest, or older ones again.
    Apply {
        back: usize,
        with_hold: bool,
        forged: bool,
        operator: bool,
    },
    /// What no ledger says.
    ApplyNonsense {
        seat: u32,
        status: u8,
    },
    Expire {
        limit: usize,
    },
    Due {
        limit: usize,
    },
    Load {
        stale: bool,
    },
    /// The loader brings some seats, as the ledger has them or as they were.
    Fill {
        seats: Vec<u32>,
        late: bool,
    },
    Complete,
    LoadWhole,
    Unload {
        stale: bool,
    },
    Wipe,
    /// Another server takes over, with what Redis has.
    Failover,
    Save,
    /// Another server takes over, with what was saved.
    RollBack,
    Snapshot,
    OwnHolds,
    /// The scrubber looks, and has nothing to find.
    Scrub,
    State,
    Tokens {
        cost: i64,
    },
    /// Up to an instant that means something, and a little off.
    Until {
        nth: usize,
        off: i64,
    },
    Pass {
        ms: i64,
    },
    ClockBack {
        ms: i64,
    },
    /// Another show's entries fill the head of the due-set, or go again.
    Crowd,
}

fn seats() -> impl Strategy<Value = Vec<u32>> {
    subsequence((0..=SEATS).collect::<Vec<_>>(), 1..=4)
}

fn target() -> impl Strategy<Value = Target> {
    let stranger = prop_oneof![9 => Just(None), 1 => (0..3_usize).prop_map(Some)];
    (0..12_usize, stranger).prop_map(|(nth, stranger)| Target { nth, stranger })
}

fn limits() -> impl Strategy<Value = Limits> {
    (select(vec![1, 50, 1_000, 1_000, 2_600]), select(vec![2, 4, 8, 8]), 1..=3_i64, select(vec![1, 1, 2, 3]))
        .prop_map(|(ms, seats, holds, lapses)| Limits { ms, seats, holds, lapses })
}

fn act() -> Union<impl Strategy<Value = Act>> {
    use Act::*;
    let hold =
        (0..3_usize, 0..4_u8, seats(), limits()).prop_map(|(who, key, seats, limits)| Hold { who, key, seats, limits });
    let best = (0..3_usize, 0..4_u8, 1..=4_u32, -1..=2_i64, limits())
        .prop_map(|(who, key, count, tier, limits)| Best { who, key, count, tier, limits });
    let rescue = (0..3_usize, 0..2_u8, seats(), select(vec![50, 600_i64])).prop_map(|(who, key, seats, ms)| Rescue {
        who,
        key,
        seats,
        ms,
    });
    let repeat = (target(), any::<bool>(), select(vec![50, 600_i64])).prop_map(|(target, other_body, ms)| Repeat {
        target,
        other_body,
        ms,
    });
    let extend = (target(), 0..3_u8, select(vec![10, 1_000_i64]), 0..=2_i64, select(vec![500, 2_500_i64]))
        .prop_map(|(target, key, ms, cap, lifetime)| Extend { target, key, ms, cap, lifetime });
    let release = (target(), any::<bool>()).prop_map(|(target, payer)| Release { target, payer });
    let begin = (target(), 0..2_u8, 0..2_u8, select(vec![10, 600_i64]), select(vec![700, 3_000_i64]))
        .prop_map(|(target, key, attempt, ms, latest)| Begin { target, key, attempt, ms, latest });
    let end = (target(), 0..2_u8, select(vec![10, 300_i64]), select(vec![700, 3_000_i64]))
        .prop_map(|(target, attempt, ms, latest)| End { target, attempt, ms, latest });
    let change = (seats(), 0..=3_u8, 0..3_usize).prop_map(|(seats, status, who)| Change { seats, status, who });
    let sale = (select(vec![0, 0, 1, 1, 1, 2_u8]), select(vec![-100, 0, 1, 700, 700_i64]))
        .prop_map(|(state, opens_in)| Sale { state, opens_in });
    let apply = (prop_oneof![3 => Just(0), 2 => 0..6_usize], any::<bool>(), 0..4_u8, any::<bool>())
        .prop_map(|(back, with_hold, forged, operator)| Apply { back, with_hold, forged: forged == 0, operator });
    let fill = (seats(), any::<bool>()).prop_map(|(seats, late)| Fill { seats, late });
    let until = (prop_oneof![4 => 0..2_usize, 1 => 0..12_usize], -1..=1_i64).prop_map(|(nth, off)| Until { nth, off });
    let plain = |weight: u32, act: Act| (weight, Just(act).boxed());
    Union::new_weighted(vec![
        (28, hold.boxed()),
        (8, best.boxed()),
        (8, rescue.boxed()),
        (8, repeat.boxed()),
        (10, extend.boxed()),
        (12, release.boxed()),
        (2, target().prop_map(|target| Operator { target }).boxed()),
        (16, begin.boxed()),
        (10, end.boxed()),
        (8, target().prop_map(|target| Claim { target }).boxed()),
        (8, change.boxed()),
        (4, sale.boxed()),
        (18, apply.boxed()),
        (2, (0..=SEATS, 3..=4_u8).prop_map(|(seat, status)| ApplyNonsense { seat, status }).boxed()),
        (8, select(vec![1, 2, 64_usize]).prop_map(|limit| Expire { limit }).boxed()),
        (2, select(vec![1, 100_usize]).prop_map(|limit| Due { limit }).boxed()),
        (2, prop_oneof![3 => Just(Load { stale: false }), 1 => Just(Load { stale: true })].boxed()),
        (4, fill.boxed()),
        plain(4, Complete),
        plain(4, LoadWhole),
        (3, (0..3_u8).prop_map(|n| Unload { stale: n > 0 }).boxed()),
        plain(1, Wipe),
        plain(1, Failover),
        plain(2, Save),
        plain(1, RollBack),
        plain(2, Snapshot),
        plain(4, OwnHolds),
        plain(2, Scrub),
        plain(2, State),
        (2, (1..=3_i64).prop_map(|cost| Tokens { cost }).boxed()),
        (16, until.boxed()),
        (4, select(vec![1, 30, 400, 6_000_i64]).prop_map(|ms| Pass { ms }).boxed()),
        (2, select(vec![1, 500, 10_000_i64]).prop_map(|ms| ClockBack { ms }).boxed()),
        plain(2, Crowd),
    ])
}

pub(super) fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    let show = prop_oneof![5 => Just(0_usize), 1 => Just(1)];
    let other_run = prop_oneof![40 => Just(false), 1 => Just(true)];
    let generation = prop_oneof![20 => Just(0_i64), 1 => Just(-1), 1 => Just(1)];
    let op = (show, other_run, generation, act()).prop_map(|(show, other_run, generation, act)| Op {
        show,
        other_run,
        generation,
        act,
    });
    vec(op, most / 2..=most)
}
