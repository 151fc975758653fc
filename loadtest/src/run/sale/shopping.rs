//! Customers who work off the deck, and how far they are.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use super::deck::{Card, Deck};
use super::purchase::Purchase;
use crate::crowd::Crowd;
use crate::faults::InFlight;
use crate::run::kills::Progress;
use crate::run::live::{Live, Now};
use crate::run::say;

/// Shared by all customers.
#[derive(Debug)]
pub(in crate::run) struct Shopping {
    pub(in crate::run) crowd: Crowd,
    /// How long a booking waits for its payment.
    pub(in crate::run) claim: Duration,
    /// Where everybody fights for seats that are not for quiet purchases; `None`: all take what is free.
    pub(in crate::run) hot: Option<u32>,
    /// Seats that may still stay sold; who books more gives them back for the others.
    keep: AtomicI64,
    cards: Mutex<Cards>,
    total: u64,
    done: AtomicU64,
    paid: AtomicU64,
    given_up: AtomicU64,
    stop: CancellationToken,
}

/// What is left to play.
#[derive(Debug)]
struct Cards {
    fresh: VecDeque<Card>,
    /// Given up once, and to be begun anew.
    again: VecDeque<Card>,
    /// Fresh ones that may be taken before the next kill.
    allowed: u64,
}

impl Shopping {
    pub(in crate::run) fn new(crowd: Crowd, deck: Deck, claim: Duration, stop: CancellationToken) -> Self {
        Self {
            crowd,
            claim,
            hot: None,
            keep: AtomicI64::new(i64::MAX),
            total: deck.cards.len() as u64,
            cards: Mutex::new(Cards { fresh: deck.cards.into(), again: VecDeque::new(), allowed: u64::MAX }),
            done: AtomicU64::new(0),
            paid: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            stop,
        }
    }

    /// For customers who come by the clock: cards are added as they come.
    pub(in crate::run) fn empty(crowd: Crowd, claim: Duration, stop: CancellationToken) -> Self {
        Self::new(crowd, Deck::default(), claim, stop)
    }

    /// A fight for the first `hot` seats, of which, and of all others together, `keep` may be sold in the end.
    pub(in crate::run) fn fight(self, hot: u32, keep: u32) -> Self {
        Self { hot: Some(hot), keep: AtomicI64::new(keep.into()), ..self }
    }

    /// Whether so many seats that were booked may stay sold.
    pub(in crate::run) fn keeps(&self, seats: usize) -> bool {
        let seats = i64::try_from(seats).unwrap_or(i64::MAX);
        self.keep
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left >= seats).then(|| left - seats))
            .is_ok()
    }

    /// More cards, for a run that goes on until something else is reached.
    pub(in crate::run) fn add(&self, deck: Deck) {
        self.lock().fresh.extend(deck.cards);
    }

    /// Cards that came to their end, and those that were begun anew.
    pub(in crate::run) fn played(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.given_up.load(Ordering::Relaxed))
    }

    /// Cards with a payment that came to their end.
    pub(in crate::run) fn paid(&self) -> u64 {
        self.paid.load(Ordering::Relaxed)
    }

    pub(in crate::run) fn take(&self) -> Option<Card> {
        if self.stop.is_cancelled() {
            return None;
        }
        let mut cards = self.lock();
        let taken = self.total.saturating_sub(cards.fresh.len() as u64);
        let fresh = if taken < cards.allowed { cards.fresh.pop_front() } else { None };
        fresh.or_else(|| cards.again.pop_front())
    }

    fn lock(&self) -> MutexGuard<'_, Cards> {
        self.cards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn shop(&self) {
        // A card that somebody still plays may come back.
        while self.done.load(Ordering::Relaxed) < self.total && !self.stop.is_cancelled() {
            let Some(card) = self.take() else {
                tokio::time::sleep(WAIT).await;
                continue;
            };
            if let Some(pause) = self.play(card, None).await {
                // A gateway that is away is not asked without a pause.
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Plays one card, from the moment at which its customer meant to come if that is by the clock; one that was given up is
    /// put back, and a pause is due then.
    pub(in crate::run) async fn play(&self, card: Card, meant: Option<Instant>) -> Option<Duration> {
        let mut rng = StdRng::seed_from_u64(card.seed.wrapping_add(card.tries.into()));
        let purchase = Purchase { shopping: self, card: &card, meant };
        let played = tokio::select! {
            played = purchase.play(&mut rng) => played,
            // Who is in the middle of it may finish.
            () = after_stop(&self.stop) => return None,
        };
        match played {
            Ok(()) => {
                self.done.fetch_add(1, Ordering::Relaxed);
                self.paid.fetch_add(card.way.pays().into(), Ordering::Relaxed);
                None
            }
            Err(error) if card.tries >= TRIES_MAX => {
                say(&format!("{:?} was given up for good: {error}", card.way));
                self.done.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(error) => {
                tracing::debug!("{:?} was given up: {error}", card.way);
                self.given_up.fetch_add(1, Ordering::Relaxed);
                self.lock().again.push_back(Card { tries: card.tries + 1, ..card });
                Some(Duration::from_millis(rng.random_range(50..200)))
            }
        }
    }
}

impl Progress for Shopping {
    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn total(&self) -> u64 {
        self.total
    }

    fn allow(&self, begun: u64) {
        self.lock().allowed = begun;
    }

    fn purchases(&self) -> usize {
        self.crowd.told.confirmed()
    }

    fn in_flight(&self) -> &InFlight {
        &self.crowd.in_flight
    }
}

/// Returns when every card is played, or soon after a stop.
pub(in crate::run) async fn all(shopping: Arc<Shopping>, customers: u32) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..customers {
        let shopping = Arc::clone(&shopping);
        tasks.spawn(async move { shopping.shop().await });
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            say(&format!("a customer's task ended: {error}"));
        }
    }
}

/// Says where it is until `over`.
pub(in crate::run) async fn tell(shopping: Arc<Shopping>, over: CancellationToken) {
    let mut live = Live::begin();
    while tokio::time::timeout(LOOK_EVERY, over.cancelled()).await.is_err() {
        live.show(|| {
            let (crowd, holds) = (&shopping.crowd, shopping.crowd.holds());
            Now {
                towards: vec![("purchases", shopping.done(), shopping.total)],
                levels: vec![("begun anew", shopping.given_up.load(Ordering::Relaxed)), ("hold errors", holds.errors)],
                counts: vec![
                    ("with a payment", shopping.paid()),
                    ("confirmed", crowd.told.confirmed() as u64),
                    ("granted", holds.granted),
                    ("refused", holds.refused),
                ],
                times: vec![("hold", crowd.hold_times.spread())],
            }
        });
    }
}

async fn after_stop(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(FINISH_WITHIN).await;
}

const WAIT: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A purchase that was begun when the run was stopped may take so long.
const FINISH_WITHIN: Duration = Duration::from_secs(10);
const TRIES_MAX: u32 = 20;
