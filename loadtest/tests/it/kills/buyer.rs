//! A customer who keeps buying while servers die: repeats each command with its key until it is answered, connects
//! again, and believes nothing but answers. Some never pay, some pay late, many want the same seats.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use seatwire_loadtest::client::{
    ClientError, ClientOptions, Encoding, PayOptions, State, ViewerClient, new_key, pay, sign_token,
};
use seatwire_loadtest::faults::Kind;
use seatwire_protocol::command::{BookingInfo, BookingState};
use seatwire_protocol::viewer::ShowViewer;
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode, SeatIndex, SeatStatus, ShowId};
use tokio_util::sync::CancellationToken;

use super::tally::Tally;
use crate::shop::Shop;

/// How long a customer repeats one command; longer than any server is away.
const STUBBORN: Duration = Duration::from_secs(60);
/// A customer who waits for a payment's result looks at the booking this often.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Purchases under one name: below the seats that one customer may have.
const PURCHASES_PER_NAME: u64 = 2;
/// Everybody wants one of the first free seats.
const WANTED: usize = 40;

/// Where they buy.
pub(crate) struct Market {
    gateways: Vec<String>,
    show: ShowId,
    jwt_secret: String,
    names: AtomicU64,
    plans: &'static [Weighted],
}

/// What a customer intends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Buy,
    ForgetHold,
    ForgetToPay,
    PayLate,
    Release,
    Cancel,
}

/// A plan, and how often it is chosen.
pub(crate) type Weighted = (Plan, u32);

pub(crate) const PLANS: [Weighted; 6] = [
    (Plan::Buy, 60),
    (Plan::ForgetHold, 10),
    (Plan::ForgetToPay, 10),
    (Plan::PayLate, 8),
    (Plan::Release, 6),
    (Plan::Cancel, 6),
];

impl Market {
    pub(crate) fn of(shop: &Shop, plans: &'static [Weighted]) -> Self {
        let (gateways, jwt_secret) = (shop.at.gateways.clone(), shop.at.secrets.jwt.clone());
        Self { gateways, jwt_secret, show: shop.show, names: AtomicU64::new(0), plans }
    }

    async fn enter(&self, rng: &mut StdRng) -> Result<ViewerClient, ClientError> {
        let name = format!("buyer-{}", self.names.fetch_add(1, Ordering::Relaxed));
        let customer = CustomerId::new(&name).unwrap();
        let token = sign_token(&self.jwt_secret, &customer, Duration::from_secs(3_600))?;
        let (encoding, gateway) = (*Encoding::ALL.choose(rng).unwrap(), self.gateways.choose(rng).unwrap());
        let client = ViewerClient::open(ClientOptions::new(gateway, &token).encoding(encoding)).await?;
        client.watch(self.show).await?;
        Ok(client)
    }
}

pub(crate) async fn shop_until(
    stop: CancellationToken,
    market: Arc<Market>,
    tally: Arc<Tally>,
    buyer: u64,
    mut rng: StdRng,
) {
    while !stop.is_cancelled() {
        let Ok(client) = market.enter(&mut rng).await else {
            // The gateway is away.
            tokio::time::sleep(Duration::from_millis(rng.random_range(50..200))).await;
            continue;
        };
        for _ in 0..PURCHASES_PER_NAME {
            let plan = market.plans.choose_weighted(&mut rng, |plan| plan.1).unwrap().0;
            let visit = Visit { client: &client, show: market.show, tally: &tally };
            if let Err(error) = visit.purchase(plan, &mut rng).await {
                match error.code {
                    ErrorCode::Taken => Tally::add(&tally.refused),
                    // Its end came while a server was away, or Redis lost it: then nothing is known of it any more.
                    ErrorCode::Gone | ErrorCode::NotOwner => Tally::add(&tally.holds_expired),
                    ErrorCode::Limit | ErrorCode::CoolDown => break,
                    _ => {
                        println!("buyer {buyer} gave up on {plan:?}: {error}");
                        Tally::add(&tally.given_up);
                    }
                }
            }
        }
        let violations = client.read(|state| state.history().violations().to_vec());
        assert!(violations.is_empty(), "buyer {buyer} saw {violations:?}");
    }
}

struct Visit<'a> {
    client: &'a ViewerClient,
    show: ShowId,
    tally: &'a Tally,
}

impl Visit<'_> {
    async fn purchase(&self, plan: Plan, rng: &mut StdRng) -> Result<(), ErrorBody> {
        let Some(seats) = self.choose(rng) else { return Ok(()) };
        let (client, show) = (self.client, self.show);
        let key = new_key();
        let in_flight = &self.tally.in_flight;
        let hold = {
            let _entered = in_flight.enter(Kind::Hold);
            self.stubbornly(|| client.hold(show, &key, &seats)).await?
        };
        match plan {
            Plan::ForgetHold => {
                self.wait(|viewer| viewer.own().hold(&hold.hold).is_none()).await?;
                Tally::add(&self.tally.holds_expired);
                return Ok(());
            }
            Plan::Release => {
                let _entered = in_flight.enter(Kind::Any);
                self.stubbornly(|| client.release(show, hold.hold)).await?;
                Tally::add(&self.tally.released);
                return Ok(());
            }
            _ => {}
        }
        let key = new_key();
        let booking = {
            let _entered = in_flight.enter(Kind::Book);
            self.stubbornly(|| client.book(show, &key, hold.hold, "buyer@example.com")).await?
        };
        match plan {
            Plan::Cancel => {
                let _entered = in_flight.enter(Kind::Any);
                let key = new_key();
                self.stubbornly(|| client.cancel(&key, booking.booking)).await?;
                Tally::add(&self.tally.cancelled);
            }
            Plan::ForgetToPay => self.until_expired(&booking).await?,
            Plan::PayLate => {
                self.until_expired(&booking).await?;
                Tally::add(&self.tally.late_payments);
                let _entered = in_flight.enter(Kind::Pay);
                self.pay(&booking, rng).await?;
                self.result(&booking).await?;
            }
            _ => {
                let _entered = in_flight.enter(Kind::Pay);
                self.pay(&booking, rng).await?;
                self.result(&booking).await?;
            }
        }
        Ok(())
    }

    /// One to three of the first free seats on this customer's map; not always neighbours.
    fn choose(&self, rng: &mut StdRng) -> Option<Vec<u32>> {
        let free: Vec<u32> = self.client.viewer(self.show, |viewer| {
            let statuses = viewer.map().statuses()?;
            let free = |seat: &u32| statuses.get(SeatIndex(*seat)) == Some(SeatStatus::Available);
            Some((0..statuses.len()).filter(free).take(WANTED).collect())
        })??;
        let count = rng.random_range(1..=3);
        Some(free.choose_multiple(rng, count).copied().collect())
    }

    async fn stubbornly<T, F: Future<Output = Result<T, ErrorBody>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, ErrorBody> {
        let before = self.client.connections();
        let answer = self.client.persist(STUBBORN, attempt).await;
        self.tally.reconnects.fetch_add(self.client.connections() - before, Ordering::Relaxed);
        answer
    }

    /// Waits for a change of own things; connects again when the connection is lost meanwhile.
    async fn wait(&self, condition: impl Fn(&ShowViewer) -> bool) -> Result<(), ErrorBody> {
        self.stubbornly(|| async {
            let unanswered = |error: ClientError| ErrorBody::new(ErrorCode::DeadlineExceeded, error.to_string());
            let over = |state: &State| state.closed().is_some() || state.viewer(self.show).is_some_and(&condition);
            self.client.wait_for_state("own things to change", STUBBORN, over).await.map_err(unanswered)?;
            match self.client.closed() {
                None => Ok(()),
                Some(closed) => Err(ErrorBody::new(ErrorCode::Unavailable, closed.reason)),
            }
        })
        .await
    }

    async fn until_expired(&self, booking: &BookingInfo) -> Result<(), ErrorBody> {
        self.wait(|viewer| viewer.own().booking(&booking.booking).is_some_and(|b| b.state != BookingState::Pending))
            .await?;
        Tally::add(&self.tally.bookings_expired);
        Ok(())
    }

    /// A customer who got no answer pays again; what was paid twice comes back.
    async fn pay(&self, booking: &BookingInfo, rng: &mut StdRng) -> Result<(), ErrorBody> {
        let Some(checkout) = &booking.checkout_url else { return Ok(()) };
        let options = PayOptions {
            copies: rng.random_bool(0.2).then_some(3),
            delay_ms: rng.random_bool(0.2).then(|| rng.random_range(1..1_000)),
            ..PayOptions::default()
        };
        self.stubbornly(|| async {
            match pay(checkout, &options).await {
                // Refused: an earlier try has paid the order, and its answer was lost.
                Ok(_) | Err(ClientError::Refused { status: 400, .. }) => Ok(()),
                Err(away) => Err(ErrorBody::new(ErrorCode::Unavailable, away.to_string())),
            }
        })
        .await
    }

    /// What became of a paid booking: confirmed, or the money back. Looks again now and then: a push is sent once.
    async fn result(&self, booking: &BookingInfo) -> Result<(), ErrorBody> {
        let settled = |b: &BookingInfo| b.state == BookingState::Confirmed || !b.refunds.is_empty();
        let end = Instant::now() + STUBBORN;
        loop {
            let told = |state: &State| {
                state.viewer(self.show).and_then(|v| v.own().booking(&booking.booking)).is_some_and(settled)
            };
            let _ = self.client.wait_for_state("the result of a payment", LOOK_AGAIN, told).await;
            let info = self.stubbornly(|| self.client.booking(booking.booking)).await?;
            match info.state {
                BookingState::Confirmed => {
                    self.tally.tell_confirmed(booking.booking);
                    return Ok(());
                }
                _ if settled(&info) => {
                    Tally::add(&self.tally.refunded);
                    return Ok(());
                }
                _ if Instant::now() >= end => {
                    return Err(ErrorBody::new(
                        ErrorCode::DeadlineExceeded,
                        format!("paid, and nothing became of {info:?}"),
                    ));
                }
                _ => {}
            }
        }
    }
}
