//! What may happen, and random lists of it.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Customers, and seats that they all want.
pub(super) const CUSTOMERS: usize = 3;
pub(super) const SEATS: u32 = 5;

/// How somebody pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Right,
    /// The webhook comes three times.
    Copied,
    /// Not what the booking costs.
    Wrong,
    /// Two payments.
    Double,
    /// The card is declined.
    Declined,
    /// The card is declined, and the payment is captured after all.
    Revived,
    /// No webhook tells of it.
    Untold,
}

/// One step. `who` is a customer, `back` which of his bookings, counted from the latest.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Hold {
        who: usize,
        seats: Vec<u32>,
    },
    Release {
        who: usize,
    },
    Book {
        who: usize,
        twice: bool,
    },
    Pay {
        who: usize,
        back: usize,
        how: How,
    },
    Cancel {
        who: usize,
        back: usize,
        twice: bool,
    },
    /// The time of a pending booking is over.
    Expire {
        who: usize,
        back: usize,
    },
    CancelByOperator {
        who: usize,
        back: usize,
    },
    /// The provider is asked for a booking's order.
    Reconcile {
        who: usize,
        back: usize,
    },
    Refund,
    CancelShow,
}

impl Op {
    /// The list of a seed.
    pub(super) fn list(seed: u64, steps: usize) -> Vec<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let steps = rng.random_range(steps / 3..=steps);
        let mut list = Vec::new();
        while list.len() < steps {
            Self::some(&mut rng, &mut list);
        }
        list
    }

    /// One step; a hold is mostly booked at once, and a booking mostly paid.
    fn some(rng: &mut StdRng, list: &mut Vec<Self>) {
        let who = rng.random_range(0..CUSTOMERS);
        let back = if rng.random_bool(0.7) { 0 } else { rng.random_range(0..3) };
        let twice = rng.random_bool(0.3);
        match rng.random_range(0..100) {
            0..40 => {
                let first = rng.random_range(0..SEATS);
                let count = rng.random_range(1..=2);
                let seats: Vec<u32> = (first..(first + count).min(SEATS)).collect();
                list.push(Self::Hold { who, seats: seats.clone() });
                if rng.random_bool(0.8) {
                    list.push(Self::Book { who, twice });
                }
                // Some pay in time, some late, and some when another one may have a seat.
                let late = rng.random_range(0..5);
                match late {
                    2 | 3 => list.push(Self::Expire { who, back: 0 }),
                    4 => list.push(Self::CancelByOperator { who, back: 0 }),
                    _ => {}
                }
                if late == 3 {
                    list.push(Self::Hold { who: (who + 1) % CUSTOMERS, seats });
                }
                if late > 0 {
                    list.push(Self::Pay { who, back: 0, how: How::some(rng) });
                }
            }
            40..44 => list.push(Self::Release { who }),
            44..48 => list.push(Self::Book { who, twice }),
            48..66 => list.push(Self::Pay { who, back, how: How::some(rng) }),
            66..74 => list.push(Self::Cancel { who, back, twice }),
            74..86 => list.push(Self::Expire { who, back }),
            86..91 => {
                list.push(Self::CancelByOperator { who, back });
                // Who was at the provider's page pays all the same.
                if rng.random_bool(0.5) {
                    list.push(Self::Pay { who, back, how: How::some(rng) });
                }
            }
            91..94 => list.push(Self::Reconcile { who, back }),
            94..98 => list.push(Self::Refund),
            _ => list.push(Self::CancelShow),
        }
    }
}

impl How {
    fn some(rng: &mut StdRng) -> Self {
        match rng.random_range(0..20) {
            0..8 => Self::Right,
            8..11 => Self::Copied,
            11..13 => Self::Wrong,
            13..15 => Self::Double,
            15 => Self::Declined,
            16..18 => Self::Revived,
            _ => Self::Untold,
        }
    }
}
