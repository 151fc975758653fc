//! What is going to happen: one card a purchase, so many of each kind as the shares say, shuffled by the seed. And what
//! has to have come of it for the run to count.

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::Mix;
use crate::run::goals::Goal;
use crate::run::report::Payments;

/// How a purchase goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) enum Way {
    InTime,
    /// Paid after the end; the seats are free.
    LateFree,
    /// Paid after the end; somebody else has, or is about to have, one of the seats.
    LateTaken,
    /// Paid in time, captured after the end.
    LateCapture,
    /// Too little, then the right amount; or too much.
    WrongAmount,
    Double,
    /// Never announced, found when the booking ends.
    UnannouncedInTime,
    /// Never announced, paid after the end.
    UnannouncedLate,
    DeclinedThenPaid,
    /// Declined, and captured a moment later nevertheless.
    DeclinedThenCaptured,
    CancelledThenPaid,
    /// Cancelled and paid in the same moment.
    CancelledWhilePaying,
    /// No payment: the hold is left alone.
    Forgotten,
    /// No payment: the hold is given back.
    Released,
}

/// One purchase.
#[derive(Debug, Clone)]
pub(in crate::run) struct Card {
    pub(in crate::run) way: Way,
    /// Each webhook is sent so often.
    pub(in crate::run) copies: Option<u32>,
    /// And so much later.
    pub(in crate::run) delay_ms: Option<u64>,
    /// Of all other choices.
    pub(in crate::run) seed: u64,
    /// Times that it was given up, for a server that was away too long.
    pub(in crate::run) tries: u32,
}

#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Deck {
    pub(in crate::run) cards: Vec<Card>,
    duplicated: usize,
}

impl Deck {
    pub(in crate::run) fn shuffled(payments: u32, mix: &Mix, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut ways = Vec::new();
        let mut deal = |count: u32, kinds: &[Way]| {
            ways.extend(kinds.iter().copied().cycle().take(usize::try_from(count).unwrap_or(0)));
        };
        deal(mix.late.of(payments), &[Way::LateFree, Way::LateTaken, Way::LateCapture]);
        deal(mix.wrong_amount.of(payments), &[Way::WrongAmount]);
        deal(mix.double.of(payments), &[Way::Double]);
        let unannounced = [Way::UnannouncedInTime, Way::UnannouncedInTime, Way::UnannouncedLate];
        deal(mix.unannounced.of(payments), &unannounced);
        deal(mix.declined.of(payments), &[Way::DeclinedThenPaid, Way::DeclinedThenCaptured]);
        deal(mix.cancelled.of(payments), &[Way::CancelledThenPaid, Way::CancelledWhilePaying]);
        let payments_planned = usize::try_from(payments).unwrap_or(0).max(ways.len());
        ways.resize(payments_planned, Way::InTime);
        let mut deal = |count: u32, kinds: &[Way]| {
            ways.extend(kinds.iter().copied().cycle().take(usize::try_from(count).unwrap_or(0)));
        };
        deal(mix.abandoned.of(payments), &[Way::Forgotten, Way::Released]);
        ways.shuffle(&mut rng);
        let mut duplicates = usize::try_from(mix.duplicates.of(payments)).unwrap_or(0);
        let mut cards: Vec<Card> = ways
            .into_iter()
            .map(|way| {
                let delay_ms = rng.random_bool(DELAYED).then(|| rng.random_range(1..DELAY_MS));
                Card { way, copies: None, delay_ms, seed: rng.random(), tries: 0 }
            })
            .collect();
        // Those that come first in a shuffled deck are as good as any.
        let mut duplicated = 0;
        for card in cards.iter_mut().filter(|card| card.way.is_announced()) {
            if duplicates == 0 {
                break;
            }
            card.copies = Some(rng.random_range(2..=4));
            duplicates -= 1;
            duplicated += 1;
        }
        cards.shuffle(&mut rng);
        // What takes longest is not left to the end.
        let (slow, mut cards): (Vec<Card>, Vec<Card>) =
            cards.into_iter().partition(|card| card.way == Way::UnannouncedLate);
        for card in slow {
            cards.insert(rng.random_range(0..=cards.len() / 2), card);
        }
        Self { cards, duplicated }
    }

    /// Cards that end in a payment.
    pub(in crate::run) fn payments(&self) -> u64 {
        self.cards.iter().filter(|card| card.way.pays()).count() as u64
    }

    /// Four fifths of what was planned have to have come to that; of what a race decides, half.
    pub(in crate::run) fn goals(&self, payments: &Payments) -> Vec<Goal> {
        let planned = |ways: &[Way]| self.cards.iter().filter(|card| ways.contains(&card.way)).count();
        let most = |count: usize| (count * 4 / 5) as u64;
        let half = |count: usize| (count / 2) as u64;
        let late = [Way::LateFree, Way::LateTaken, Way::LateCapture, Way::UnannouncedLate];
        let found = [Way::UnannouncedInTime, Way::UnannouncedLate];
        let Payments { rescued, refunded_late, refunded_double, refunded_wrong_amount, .. } = *payments;
        vec![
            Goal::at_least("late", most(planned(&late)), rescued + refunded_late),
            Goal::at_least("rescued", half(planned(&[Way::LateFree, Way::LateCapture])), rescued),
            Goal::at_least("refunded late", half(planned(&[Way::LateTaken])), refunded_late),
            Goal::at_least("refunded double", most(planned(&[Way::Double])), refunded_double),
            Goal::at_least("refunded wrong amount", most(planned(&[Way::WrongAmount])), refunded_wrong_amount),
            Goal::at_least("found by reconciliation", most(planned(&found)), payments.found_by_reconciliation),
            Goal::at_least("told of more than once", most(self.duplicated), payments.duplicated),
        ]
    }
}

impl Way {
    pub(in crate::run) fn pays(self) -> bool {
        !matches!(self, Self::Forgotten | Self::Released)
    }

    fn is_announced(self) -> bool {
        self.pays() && !matches!(self, Self::UnannouncedInTime | Self::UnannouncedLate)
    }
}

const DELAYED: f64 = 0.2;
const DELAY_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        mix: Mix,
    }

    #[test]
    fn a_deck_has_its_shares_and_the_same_seed_deals_the_same() {
        let mix = Flags::parse_from(["test"]).mix;
        let deck = Deck::shuffled(1_000, &mix, 7);
        let planned = |ways: &[Way]| deck.cards.iter().filter(|card| ways.contains(&card.way)).count();
        assert_eq!((deck.payments(), deck.cards.len(), deck.duplicated), (1_000, 1_050, 130));
        assert_eq!(planned(&[Way::LateFree, Way::LateTaken, Way::LateCapture]), 75);
        assert_eq!((planned(&[Way::WrongAmount]), planned(&[Way::Double])), (30, 30));
        assert_eq!(deck.cards.iter().filter(|card| card.copies.is_some()).count(), 130);
        let ways = |deck: &Deck| deck.cards.iter().map(|card| card.way).collect::<Vec<_>>();
        assert_eq!(ways(&deck), ways(&Deck::shuffled(1_000, &mix, 7)));
        assert_ne!(ways(&deck), ways(&Deck::shuffled(1_000, &mix, 8)));
    }

    #[test]
    fn a_run_in_which_nothing_was_late_misses_its_goals() {
        let deck = Deck::shuffled(1_000, &Flags::parse_from(["test"]).mix, 7);
        let missed: Vec<_> = deck.goals(&Payments::default()).into_iter().filter(|goal| !goal.met).collect();
        assert_eq!(missed.len(), 7, "{missed:?}");
    }
}
