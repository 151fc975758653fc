//! One card of the deck, played by one customer, or two who want the same seat.

use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::rngs::StdRng;
use seatwire_protocol::command::{BookingInfo, BookingState, HoldInfo};
use seatwire_protocol::{ErrorBody, ErrorCode};

use super::deck::{Card, Way};
use super::shopping::Shopping;
use crate::client::{ClientError, PayOptions};
use crate::crowd::{Crowd, Customer, Zone};
use crate::faults::Kind;

pub(in crate::run) struct Purchase<'a> {
    pub(in crate::run) shopping: &'a Shopping,
    pub(in crate::run) card: &'a Card,
    /// When this customer meant to come, if by the clock.
    pub(in crate::run) meant: Option<Instant>,
}

type Done<T = ()> = Result<T, ErrorBody>;

impl Purchase<'_> {
    /// # Errors
    /// When it did not come to its end: a hold was lost, a server was away for too long. It is begun anew then.
    pub(in crate::run) async fn play(&self, rng: &mut StdRng) -> Done {
        let who = self.enter(rng).await?;
        let who = if let Some(meant) = self.meant { who.meant_to_come(meant) } else { who };
        let hold = match self.shopping.hot.filter(|_| !self.card.way.wants_quiet()) {
            Some(hot) => who.fight(rng, hot, SEATS_MAX).await?,
            None if self.card.way.wants_quiet() => who.hold_free(rng, Zone::Back, SEATS_MAX).await?,
            None => who.hold_free(rng, Zone::Front, SEATS_MAX).await?,
        };
        match self.card.way {
            Way::Forgotten => return who.until_lapsed(&hold).await,
            Way::Released => return who.release(&hold).await,
            _ => {}
        }
        let booking = who.book(&hold).await?;
        self.end(rng, &who, &hold, &booking).await?;
        if !self.shopping.keeps(hold.seats.len()) {
            self.gives_back(&who, &booking).await?;
        }
        Ok(())
    }

    /// Pays in the card's way, until it is known what came of it.
    async fn end(&self, rng: &mut StdRng, who: &Customer<'_>, hold: &HoldInfo, booking: &BookingInfo) -> Done {
        let plain = self.plain();
        match self.card.way {
            Way::LateFree => {
                self.until_over(who, booking).await?;
                self.pays(who, booking, &plain).await
            }
            Way::LateTaken => self.late_for_taken_seats(rng, who, hold, booking).await,
            Way::LateCapture => {
                let after = self.shopping.claim + Duration::from_millis(rng.random_range(1_000..3_000));
                self.pays(who, booking, &PayOptions { capture_after_ms: Some(ms(after)), ..plain }).await
            }
            Way::WrongAmount => self.wrong_amount(rng, who, booking).await,
            Way::Double => self.pays(who, booking, &PayOptions { double: true, ..plain }).await,
            Way::UnannouncedInTime => self.pays(who, booking, &PayOptions { lose: true, ..plain }).await,
            Way::UnannouncedLate => {
                self.until_over(who, booking).await?;
                self.pays(who, booking, &PayOptions { lose: true, ..plain }).await
            }
            Way::DeclinedThenPaid => {
                who.pay(booking, &PayOptions { outcome: "failure", ..plain.clone() }).await?;
                self.pays(who, booking, &plain).await
            }
            Way::DeclinedThenCaptured => {
                let after = Some(rng.random_range(300..1_500));
                let declined = PayOptions { outcome: "failure", capture_after_ms: after, ..plain };
                self.pays(who, booking, &declined).await
            }
            Way::CancelledThenPaid => {
                who.cancel(booking).await?;
                self.pays(who, booking, &plain).await
            }
            Way::CancelledWhilePaying => {
                let (cancelled, paid) = tokio::join!(who.cancel(booking), self.pays(who, booking, &plain));
                // Too late to cancel, or not a booking any more that can be.
                cancelled.map(drop).or_else(|error| if error.code.is_retryable() { Err(error) } else { Ok(()) })?;
                paid
            }
            Way::InTime | Way::Forgotten | Way::Released => self.pays(who, booking, &plain).await,
        }
    }

    /// A confirmed booking is cancelled for the money; whatever else it came to stays as it is.
    async fn gives_back(&self, who: &Customer<'_>, booking: &BookingInfo) -> Done {
        match who.cancel(booking).await {
            Ok(_) => {}
            Err(error) if error.code.is_retryable() => return Err(error),
            Err(_) => return Ok(()),
        }
        let over = |b: &BookingInfo| b.state != BookingState::Confirmed;
        who.until(booking.booking, SETTLED_WITHIN, over).await.map(drop)
    }

    async fn enter(&self, rng: &mut StdRng) -> Done<Customer<'_>> {
        let crowd: &Crowd = &self.shopping.crowd;
        let away = |error: ClientError| ErrorBody::new(ErrorCode::Unavailable, error.to_string());
        crowd.enter(rng).await.map_err(away)
    }

    fn plain(&self) -> PayOptions {
        PayOptions { copies: self.card.copies, delay_ms: self.card.delay_ms, ..PayOptions::default() }
    }

    /// Pays, and waits for what becomes of it: confirmed, or the money back.
    async fn pays(&self, who: &Customer<'_>, booking: &BookingInfo, options: &PayOptions) -> Done {
        let _paying = self.shopping.crowd.in_flight.enter(Kind::Pay);
        who.pay(booking, options).await?;
        let settled = |b: &BookingInfo| b.state == BookingState::Confirmed || !b.refunds.is_empty();
        who.until(booking.booking, SETTLED_WITHIN, settled).await.map(drop)
    }

    async fn until_over(&self, who: &Customer<'_>, booking: &BookingInfo) -> Done {
        let over = |b: &BookingInfo| b.state != BookingState::Pending;
        who.until(booking.booking, OVER_WITHIN, over).await.map(drop)
    }

    /// Somebody else wants a seat as soon as it is free: holds it, has booked it, or has paid for it when the late payment
    /// comes.
    async fn late_for_taken_seats(
        &self,
        rng: &mut StdRng,
        who: &Customer<'_>,
        hold: &HoldInfo,
        booking: &BookingInfo,
    ) -> Done {
        let rival = self.enter(rng).await?;
        self.until_over(who, booking).await?;
        let seats: Vec<u32> = hold.seats.iter().take(1).map(|seat| seat.0).collect();
        let stage = rng.random_range(0..3);
        let rivals = match rival.hold(&seats).await {
            Ok(held) => held,
            // A third one was faster.
            Err(error) if error.code == ErrorCode::Taken => return self.pays(who, booking, &self.plain()).await,
            Err(error) => return Err(error),
        };
        let buys = async {
            let rivals = rival.book(&rivals).await?;
            self.pays(&rival, &rivals, &PayOptions::default()).await
        };
        let plain = self.plain();
        let pays = self.pays(who, booking, &plain);
        // A rival whose hold was lost meanwhile is none of this card's business.
        match stage {
            0 => {
                pays.await?;
                let _ = buys.await;
            }
            1 => {
                let (paid, _) = tokio::join!(pays, buys);
                paid?;
            }
            _ => {
                let _ = buys.await;
                pays.await?;
            }
        }
        Ok(())
    }

    /// Too little is followed by the right amount; after too much the provider takes no more.
    async fn wrong_amount(&self, rng: &mut StdRng, who: &Customer<'_>, booking: &BookingInfo) -> Done {
        let too_little = rng.random_bool(0.7);
        let amount = if too_little { booking.amount.saturating_sub(1) } else { booking.amount.saturating_add(100) };
        let wrong = PayOptions { amount: Some(amount), ..self.plain() };
        self.pays(who, booking, &wrong).await?;
        if too_little {
            let _paying = self.shopping.crowd.in_flight.enter(Kind::Pay);
            who.pay(booking, &PayOptions::default()).await?;
            // Late, if the first payment took its time: then the money comes back once more.
            let settled = |b: &BookingInfo| b.state == BookingState::Confirmed || b.refunds.len() > 1;
            who.until(booking.booking, SETTLED_WITHIN, settled).await?;
        }
        Ok(())
    }
}

impl Way {
    /// Whether it depends on seats that hardly anybody wants.
    fn wants_quiet(self) -> bool {
        matches!(self, Self::LateFree | Self::LateTaken | Self::LateCapture | Self::UnannouncedLate)
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const SEATS_MAX: usize = 2;
/// A payment that no webhook tells of is found when its order is asked for: at the latest after some rounds of asking.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// The provider is asked first, and may be away.
const OVER_WITHIN: Duration = Duration::from_secs(90);
