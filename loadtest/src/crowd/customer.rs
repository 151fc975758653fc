//! One customer: the steps of a purchase, each repeated until it is answered, each answer noted as told.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use seatwire_protocol::command::{BookingInfo, HoldInfo};
use seatwire_protocol::viewer::ShowViewer;
use seatwire_protocol::{BookingId, CustomerId, ErrorBody, ErrorCode, SaleState, SeatIndex, SeatStatus};

use super::{Crowd, add};
use crate::client::{ClientError, Paid, PayOptions, State, ViewerClient, new_key, pay};
use crate::faults::Kind;

/// Which of the free seats somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// One of the first: where everybody wants to sit.
    Front,
    /// One of the last: where hardly anybody does.
    Back,
    Anywhere,
}

/// What somebody waits for at the map.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Seats of this number and beyond are not good enough.
    pub first: u32,
    /// One of so many that are free is good enough.
    pub best: usize,
    /// One to so many seats.
    pub most: usize,
    /// Then he goes home.
    pub patience: Duration,
}

type Answer<T> = Result<T, ErrorBody>;

/// Somebody with a window on the map. Dropping it closes the window.
#[derive(Debug)]
pub struct Customer<'a> {
    crowd: &'a Crowd,
    name: CustomerId,
    client: ViewerClient,
    /// When this customer meant to come, until the first attempt for seats was made.
    meant: Mutex<Option<Instant>>,
}

impl<'a> Customer<'a> {
    pub(super) fn new(crowd: &'a Crowd, name: CustomerId, client: ViewerClient) -> Self {
        Self { crowd, name, client, meant: Mutex::default() }
    }

    /// Who came by the clock: had everything gone at once, the first attempt would be made so soon after this moment.
    #[must_use]
    pub fn meant_to_come(self, at: Instant) -> Self {
        *self.meant.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        self
    }

    /// Watches the show.
    pub(super) async fn look(&self) -> Result<(), ClientError> {
        self.client.watch(self.crowd.show()).await
    }

    /// Holds one to `most` free seats, others when somebody was faster.
    ///
    /// # Errors
    /// When none is left, or the command fails.
    pub async fn hold_free(&self, rng: &mut StdRng, zone: Zone, most: usize) -> Answer<HoldInfo> {
        let mut refusal = ErrorBody::new(ErrorCode::Taken, "no seat is free");
        for _ in 0..CHOICES_MAX {
            let free = self.free(zone);
            let count = rng.random_range(1..=most);
            let seats: Vec<u32> = free.choose_multiple(rng, count).copied().collect();
            if seats.is_empty() {
                return Err(refusal);
            }
            let came = self.meant.lock().unwrap_or_else(PoisonError::into_inner).take();
            match self.hold_meant(&seats, came.unwrap_or_else(Instant::now)).await {
                Err(error) if error.code == ErrorCode::Taken => refusal = error,
                answer => return answer,
            }
        }
        Err(refusal)
    }

    /// Fights for the best of the first `hot` seats as a crowd does before a map: chooses of what looks free, needs a
    /// moment to press, and when somebody was faster waits for the next seat that comes back.
    ///
    /// # Errors
    /// The last refusal when it was never granted, or as the core answers.
    pub async fn fight(&self, rng: &mut StdRng, hot: u32, most: usize) -> Answer<HoldInfo> {
        self.seek(rng, &Wish { first: hot, best: BEST, most, patience: FIGHT_PATIENCE }).await
    }

    /// The same for any wish.
    ///
    /// # Errors
    /// As [`Self::fight`].
    pub async fn seek(&self, rng: &mut StdRng, wish: &Wish) -> Answer<HoldInfo> {
        let Wish { first, best, most, patience } = *wish;
        let end = Instant::now() + patience;
        let best = |viewer: &ShowViewer| -> Vec<u32> {
            let open = viewer.is_live() && viewer.map().sale() == Some(SaleState::Open);
            let free = |seat: &u32| open && viewer.map().status(SeatIndex(*seat)) == Some(SeatStatus::Available);
            (0..first).filter(free).take(best).collect()
        };
        loop {
            let at_once = self.client.viewer(self.crowd.show(), best).is_some_and(|free| !free.is_empty());
            let left = end.saturating_duration_since(Instant::now());
            let seen = self.wait_within(left, |viewer| !best(viewer).is_empty()).await;
            let free = self.client.viewer(self.crowd.show(), best).unwrap_or_default();
            let count = rng.random_range(1..=most);
            let seats: Vec<u32> = free.choose_multiple(rng, count).copied().collect();
            // Who finds free seats would have pressed so soon after coming; who waits for one, after seeing it.
            let came = self.meant.lock().unwrap_or_else(PoisonError::into_inner).take().filter(|_| at_once);
            let press = came.unwrap_or_else(Instant::now) + Duration::from_millis(rng.random_range(REACTION_MS));
            tokio::time::sleep_until(press.into()).await;
            let answer = match seen {
                Err(error) => Err(error),
                // Gone again already.
                Ok(()) if seats.is_empty() => Err(ErrorBody::new(ErrorCode::Taken, "no seat is free")),
                Ok(()) => self.hold_meant(&seats, press).await,
            };
            match answer {
                Err(error) if error.code == ErrorCode::Taken && Instant::now() < end => {}
                answer => return answer,
            }
        }
    }

    /// Whether every seat of this customer's map is sold for good.
    pub fn sees_all_sold(&self) -> bool {
        let sold = |viewer: &ShowViewer| {
            let statuses = viewer.map().statuses()?;
            Some(statuses.iter().all(|status| matches!(status, SeatStatus::Booked | SeatStatus::Blocked)))
        };
        self.client.viewer(self.crowd.show(), sold).flatten().unwrap_or(false)
    }

    /// Holds these seats.
    ///
    /// # Errors
    /// As the core answers; TAKEN is counted as a refusal, all else as an error.
    pub async fn hold(&self, seats: &[u32]) -> Answer<HoldInfo> {
        self.hold_meant(seats, Instant::now()).await
    }

    /// The same; its time is taken from the moment at which the attempt was meant.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub async fn hold_meant(&self, seats: &[u32], meant: Instant) -> Answer<HoldInfo> {
        let (client, show, key) = (&self.client, self.crowd.show(), new_key());
        let _entered = self.crowd.in_flight.enter(Kind::Hold);
        let attempt = self.crowd.contest.enter(seats);
        let answer = self.stubbornly(|| client.hold(show, &key, seats)).await;
        self.crowd.hold_times.note(meant.elapsed());
        let counts = &self.crowd.counts;
        let taken = answer.as_ref().is_err_and(|error| error.code == ErrorCode::Taken);
        if taken || attempt.met_another() {
            add(&counts.holds_contended);
        }
        add(match &answer {
            Ok(_) => &counts.holds_granted,
            Err(error) if error.code == ErrorCode::Taken => &counts.holds_refused,
            Err(_) => &counts.hold_errors,
        });
        answer
    }

    /// Gives a hold back.
    ///
    /// # Errors
    /// As the core answers.
    pub async fn release(&self, hold: &HoldInfo) -> Answer<()> {
        let (client, show) = (&self.client, self.crowd.show());
        let _entered = self.crowd.in_flight.enter(Kind::Any);
        self.stubbornly(|| client.release(show, hold.hold)).await.map(drop)
    }

    /// Waits until a hold that is left alone is over.
    ///
    /// # Errors
    /// When that never happens.
    pub async fn until_lapsed(&self, hold: &HoldInfo) -> Answer<()> {
        self.wait(|viewer| viewer.own().hold(&hold.hold).is_none()).await?;
        add(&self.crowd.counts.holds_expired);
        Ok(())
    }

    /// Turns a hold into a pending booking.
    ///
    /// # Errors
    /// As the core answers.
    pub async fn book(&self, hold: &HoldInfo) -> Answer<BookingInfo> {
        let (client, show, key) = (&self.client, self.crowd.show(), new_key());
        let _entered = self.crowd.in_flight.enter(Kind::Book);
        let answer = self.stubbornly(|| client.book(show, &key, hold.hold, EMAIL)).await;
        match &answer {
            Ok(booking) => {
                self.crowd.told.booked(&self.name, hold.hold, booking);
                self.crowd.told.see(booking);
            }
            Err(error) if matches!(error.code, ErrorCode::Gone | ErrorCode::NotOwner) => {
                add(&self.crowd.counts.holds_expired);
            }
            Err(_) => {}
        }
        answer
    }

    /// Cancels a booking.
    ///
    /// # Errors
    /// As the core answers.
    pub async fn cancel(&self, booking: &BookingInfo) -> Answer<BookingInfo> {
        let (client, key) = (&self.client, new_key());
        let _entered = self.crowd.in_flight.enter(Kind::Any);
        let cancelled = self.stubbornly(|| client.cancel(&key, booking.booking)).await?;
        self.crowd.told.see(&cancelled);
        Ok(cancelled)
    }

    /// Pays at the provider's checkout. Who got no answer pays again: what was paid twice comes back. `None` when the
    /// order turns out to be paid already: the answer was lost.
    ///
    /// # Errors
    /// When the provider stays away.
    pub async fn pay(&self, booking: &BookingInfo, options: &PayOptions) -> Answer<Option<Paid>> {
        let no_checkout = || ErrorBody::new(ErrorCode::Internal, "a pending booking says where to pay");
        let checkout = booking.checkout_url.as_deref().ok_or_else(no_checkout)?;
        let paid = self
            .stubbornly(|| async {
                match pay(checkout, options).await {
                    Ok(paid) => Ok(Some(paid)),
                    Err(ClientError::Refused { status: 400, .. }) => Ok(None),
                    Err(away) => Err(ErrorBody::new(ErrorCode::Unavailable, away.to_string())),
                }
            })
            .await?;
        if let Some(paid) = paid.as_ref().filter(|paid| paid.status == "captured") {
            self.crowd.told.paid(&paid.payments);
        }
        Ok(paid)
    }

    /// Waits until a booking is as wanted, by push or by looking again now and then: a push is sent once.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED with the last state when that does not come.
    pub async fn until(
        &self,
        booking: BookingId,
        within: Duration,
        wanted: impl Fn(&BookingInfo) -> bool,
    ) -> Answer<BookingInfo> {
        let end = Instant::now() + within;
        loop {
            let pushed = |state: &State| {
                let booking = state.viewer(self.crowd.show())?.own().booking(&booking)?;
                wanted(booking).then(|| booking.clone())
            };
            let come = self.client.wait_for_state("the booking to change", LOOK_AGAIN, |s| pushed(s).is_some()).await;
            let info = match come.ok().and_then(|()| self.client.read(pushed)) {
                Some(info) => info,
                None => self.stubbornly(|| self.client.booking(booking)).await?,
            };
            self.crowd.told.see(&info);
            if wanted(&info) {
                return Ok(info);
            }
            if Instant::now() >= end {
                let text = format!("booking {} stays {:?} for {within:?}", info.booking.to_hex(), info.state);
                return Err(ErrorBody::new(ErrorCode::DeadlineExceeded, text));
            }
        }
    }

    /// The first or last free seats on this customer's map.
    fn free(&self, zone: Zone) -> Vec<u32> {
        let seats = |viewer: &ShowViewer| {
            let statuses = viewer.map().statuses()?;
            let free = |seat: &u32| statuses.get(SeatIndex(*seat)) == Some(SeatStatus::Available);
            let all = 0..statuses.len();
            Some(match zone {
                Zone::Front => all.filter(free).take(WANTED).collect(),
                Zone::Back => all.rev().filter(free).take(WANTED).collect(),
                Zone::Anywhere => all.filter(free).collect(),
            })
        };
        self.client.viewer(self.crowd.show(), seats).flatten().unwrap_or_default()
    }

    async fn stubbornly<T, F: Future<Output = Answer<T>>>(&self, attempt: impl Fn() -> F) -> Answer<T> {
        self.stubbornly_within(STUBBORN, attempt).await
    }

    async fn stubbornly_within<T, F: Future<Output = Answer<T>>>(
        &self,
        within: Duration,
        attempt: impl Fn() -> F,
    ) -> Answer<T> {
        let before = self.client.connections();
        let answer = self.client.persist(within, attempt).await;
        self.crowd.counts.reconnects.fetch_add(self.client.connections() - before, Ordering::Relaxed);
        answer
    }

    /// Waits for a change of own things; connects again when the connection is lost meanwhile.
    async fn wait(&self, condition: impl Fn(&ShowViewer) -> bool) -> Answer<()> {
        self.wait_within(STUBBORN, condition).await
    }

    async fn wait_within(&self, within: Duration, condition: impl Fn(&ShowViewer) -> bool) -> Answer<()> {
        let show = self.crowd.show();
        self.stubbornly_within(within, || async {
            let unanswered = |error: ClientError| ErrorBody::new(ErrorCode::DeadlineExceeded, error.to_string());
            let over = |state: &State| state.closed().is_some() || state.viewer(show).is_some_and(&condition);
            self.client.wait_for_state("the map to change", within, over).await.map_err(unanswered)?;
            match self.client.closed() {
                None => Ok(()),
                Some(closed) => Err(ErrorBody::new(ErrorCode::Unavailable, closed.reason)),
            }
        })
        .await
    }
}

/// Whoever leaves says what they saw and should not have.
impl Drop for Customer<'_> {
    fn drop(&mut self) {
        let seen = self.client.read(|state| state.history().violations().to_vec());
        if !seen.is_empty() {
            let name = self.name.as_str();
            self.crowd.lock_violations().extend(seen.iter().map(|what| format!("{name} saw {what}")));
        }
    }
}

/// How long a customer repeats one command; longer than any server is away.
const STUBBORN: Duration = Duration::from_secs(60);
/// Who waits for a booking to change looks at it this often.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Everybody wants one of so many seats.
const WANTED: usize = 64;
/// In a fight, everybody wants one of so many seats.
const BEST: usize = 6;
/// From seeing a free seat until the command leaves.
const REACTION_MS: std::ops::Range<u64> = 20..400;
/// Who gets nothing for so long goes home.
const FIGHT_PATIENCE: Duration = Duration::from_secs(30);
/// Tries to be faster than others.
const CHOICES_MAX: u32 = 40;
const EMAIL: &str = "buyer@example.com";
