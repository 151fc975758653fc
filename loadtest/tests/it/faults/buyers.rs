//! Customers who keep buying while something is broken. Some never pay, some pay late, all want the same seats.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use seatwire_loadtest::client::PayOptions;
use seatwire_loadtest::crowd::{Crowd, Customer, Zone};
use seatwire_loadtest::faults::Kind;
use seatwire_protocol::command::{BookingInfo, BookingState};
use seatwire_protocol::{ErrorBody, ErrorCode};
use tokio_util::sync::CancellationToken;

/// What a customer intends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    Buy,
    ForgetHold,
    ForgetToPay,
    PayLate,
    Release,
    Cancel,
}

/// A plan, and how often it is chosen.
pub(super) type Weighted = (Plan, u32);

/// Nobody waits for the end of a long hold.
pub(super) const BUSY: &[Weighted] = &[(Plan::Buy, 70), (Plan::Release, 20), (Plan::Cancel, 10)];
pub(super) const ALL: &[Weighted] = &[
    (Plan::Buy, 60),
    (Plan::ForgetHold, 10),
    (Plan::ForgetToPay, 10),
    (Plan::PayLate, 8),
    (Plan::Release, 6),
    (Plan::Cancel, 6),
];

/// Longer than any server is away.
const PATIENCE: Duration = Duration::from_secs(60);
/// Purchases under one name: below the seats that one customer may have.
const PURCHASES_PER_NAME: u32 = 2;

pub(super) async fn shop_until(
    stop: CancellationToken,
    crowd: Arc<Crowd>,
    plans: &'static [Weighted],
    mut rng: StdRng,
) {
    while !stop.is_cancelled() {
        let Ok(customer) = crowd.enter(&mut rng).await else {
            // The gateway is away.
            tokio::time::sleep(Duration::from_millis(rng.random_range(50..200))).await;
            continue;
        };
        for _ in 0..PURCHASES_PER_NAME {
            let plan = plans.choose_weighted(&mut rng, |plan| plan.1).unwrap().0;
            if let Err(error) = purchase(&crowd, &customer, plan, &mut rng).await {
                match error.code {
                    // Somebody was faster; or its end came while a server was away.
                    ErrorCode::Taken | ErrorCode::Gone | ErrorCode::NotOwner => {}
                    ErrorCode::Limit | ErrorCode::CoolDown => break,
                    _ => println!("a buyer gave up on {plan:?}: {error}"),
                }
            }
        }
    }
}

async fn purchase(crowd: &Crowd, customer: &Customer<'_>, plan: Plan, rng: &mut StdRng) -> Result<(), ErrorBody> {
    let hold = customer.hold_free(rng, Zone::Front, 3).await?;
    match plan {
        Plan::ForgetHold => return customer.until_lapsed(&hold).await,
        Plan::Release => return customer.release(&hold).await,
        _ => {}
    }
    let booking = customer.book(&hold).await?;
    let over = |b: &BookingInfo| b.state != BookingState::Pending;
    match plan {
        Plan::Cancel => return customer.cancel(&booking).await.map(drop),
        Plan::ForgetToPay => return customer.until(booking.booking, PATIENCE, over).await.map(drop),
        Plan::PayLate => drop(customer.until(booking.booking, PATIENCE, over).await?),
        _ => {}
    }
    let _entered = crowd.in_flight.enter(Kind::Pay);
    let options = PayOptions {
        copies: rng.random_bool(0.2).then_some(3),
        delay_ms: rng.random_bool(0.2).then(|| rng.random_range(1..1_000)),
        ..PayOptions::default()
    };
    customer.pay(&booking, &options).await?;
    let settled = |b: &BookingInfo| b.state == BookingState::Confirmed || !b.refunds.is_empty();
    customer.until(booking.booking, PATIENCE, settled).await.map(drop)
}
