//! Honest buyers: each wants one or two seats, waits for some as long as people do, presses as slowly as people do, and pays.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use seatwire_protocol::command::{BookingInfo, BookingState};
use seatwire_protocol::{ErrorBody, ErrorCode};

use crate::client::PayOptions;
use crate::crowd::{Crowd, Wish};
use crate::times::Times;

/// How a visit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Confirmed,
    /// No seat in all the time, although some were not sold.
    NoSeat,
    /// Every seat was sold: nobody could have finished.
    SoldOut,
    /// Something else: an error, or a hold that was over too early.
    Failed(String),
}

pub(super) struct Honest<'a> {
    pub(super) crowd: &'a Crowd,
    pub(super) seats: u32,
    pub(super) patience: Duration,
    /// From having seats to having paid, at most.
    pub(super) thinks: Duration,
    pub(super) seed: u64,
    pub(super) ends: Mutex<Vec<End>>,
    /// From the moment at which somebody meant to come until the seats were his.
    pub(super) waits: Times,
    /// And until the booking was confirmed.
    pub(super) bookings: Times,
}

impl Honest<'_> {
    pub(super) async fn visit(&self, number: u32, meant: Instant) {
        let mut rng = StdRng::seed_from_u64(self.seed.wrapping_add(u64::from(number)));
        let end = self.buy(&mut rng, meant).await.unwrap_or_else(|error| End::Failed(error.to_string()));
        if end == End::Confirmed {
            self.bookings.note(meant.elapsed());
        }
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).push(end);
    }

    async fn buy(&self, rng: &mut StdRng, meant: Instant) -> Result<End, ErrorBody> {
        let away = |error: crate::client::ClientError| ErrorBody::new(ErrorCode::Unavailable, error.to_string());
        let who = self.crowd.enter(rng).await.map_err(away)?.meant_to_come(meant);
        let booking = loop {
            let patience = (meant + self.patience).saturating_duration_since(Instant::now());
            let wish = Wish { first: self.seats, best: usize::MAX, most: SEATS_MAX, patience };
            let hold = match who.seek(rng, &wish).await {
                Ok(hold) => hold,
                Err(_) if who.sees_all_sold() => return Ok(End::SoldOut),
                Err(error) if meant.elapsed() >= self.patience => {
                    tracing::debug!("an honest buyer went home: {error}");
                    return Ok(End::NoSeat);
                }
                Err(error) => return Err(error),
            };
            let waited = meant.elapsed();
            tokio::time::sleep(self.thinks.mul_f64(rng.random_range(0.1..1.0))).await;
            match who.book(&hold).await {
                // He thought for too long, and chooses again.
                Err(error) if error.code == ErrorCode::Gone => {}
                answer => {
                    self.waits.note(waited);
                    break answer?;
                }
            }
        };
        who.pay(&booking, &PayOptions::default()).await?;
        let confirmed = |b: &BookingInfo| b.state == BookingState::Confirmed;
        who.until(booking.booking, CONFIRMED_WITHIN, confirmed).await?;
        Ok(End::Confirmed)
    }
}

const SEATS_MAX: usize = 2;
const CONFIRMED_WITHIN: Duration = Duration::from_secs(60);
