//! People who buy seats, over the real processes: what both windows show, what a refusal says, what becomes of a hold
//! left alone and of a late payment. Ends with the audit.

mod bookings;
mod holds;
mod late;
mod stream;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, join_all};
use seatwire_loadtest::launcher::{Service, StackOptions};
use seatwire_loadtest::provider::Shapes;

use crate::shop::Shop;

/// Short, so that a test can wait for the end of a hold and of a claim; long enough for a busy machine to act before it.
const HOLD: Duration = Duration::from_millis(10_000);
const GRACE: Duration = Duration::from_millis(500);
const CLAIM: Duration = Duration::from_millis(15_000);

type Scenario = (&'static str, for<'a> fn(&'a Shop) -> LocalBoxFuture<'a, ()>);

macro_rules! scenarios {
    ($($module:ident :: $name:ident,)*) => {
        &[$((stringify!($name), |shop| $module::$name(shop).boxed_local())),*]
    };
}

const SCENARIOS: &[Scenario] = scenarios![
    holds::a_second_buyer_of_a_held_seat_is_refused_with_its_name_and_reason,
    holds::a_hold_left_alone_returns_on_every_screen_and_not_before_its_end,
    holds::a_released_hold_returns_at_once_and_every_window_of_its_owner_is_told,
    holds::an_extended_hold_lasts_longer_and_only_as_often_as_allowed,
    holds::a_repeated_hold_has_one_effect,
    holds::somebody_elses_hold_can_be_neither_released_nor_extended_nor_booked,
    bookings::a_paid_booking_is_confirmed_and_its_seats_are_sold_on_every_screen,
    bookings::a_declined_card_can_be_followed_by_a_payment_that_works,
    bookings::a_second_payment_of_a_booking_is_returned,
    bookings::a_wrong_amount_is_returned_and_the_booking_waits_on,
    bookings::a_cancelled_booking_frees_its_seats,
    bookings::a_hold_and_a_booking_by_plain_http_are_seen_on_the_socket,
    late::a_late_payment_gets_the_seats_when_nobody_else_has_them,
    late::a_late_payment_is_returned_when_somebody_else_has_the_seats,
    stream::a_viewer_that_was_away_is_brought_up_to_date_by_a_delta,
    stream::json_and_messagepack_viewers_see_the_same_map,
];

/// What a payment can come to; the same over another provider's shapes.
const PAYMENTS: &[Scenario] = scenarios![
    bookings::a_paid_booking_is_confirmed_and_its_seats_are_sold_on_every_screen,
    bookings::a_declined_card_can_be_followed_by_a_payment_that_works,
    bookings::a_second_payment_of_a_booking_is_returned,
    bookings::a_wrong_amount_is_returned_and_the_booking_waits_on,
    late::a_late_payment_gets_the_seats_when_nobody_else_has_them,
    late::a_late_payment_is_returned_when_somebody_else_has_the_seats,
];

#[tokio::test]
async fn people_hold_book_and_pay_and_the_books_balance() {
    let least = [("confirmed", 6), ("expired", 1), ("cancelled", 1), ("refunds", 3)];
    run(Shapes::Razorpay, SCENARIOS, &least).await;
}

#[tokio::test]
async fn people_pay_by_stripe_and_the_books_balance() {
    run(Shapes::Stripe, PAYMENTS, &[("confirmed", 4), ("expired", 1), ("refunds", 3)]).await;
}

async fn run(provider: Shapes, scenarios: &[Scenario], least: &[(&str, u64)]) {
    let hold = [("SEATWIRE_HOLD_MS", HOLD), ("SEATWIRE_HOLD_GRACE_MS", GRACE), ("SEATWIRE_CLAIM_MS", CLAIM)];
    let options = hold.iter().fold(StackOptions::new().provider(provider), |options, (name, value)| {
        options.env(Service::Core, *name, value.as_millis())
    });
    let shop = Shop::open(options).await;
    let runs = scenarios.iter().map(async |(name, scenario)| {
        let start = Instant::now();
        let failed = AssertUnwindSafe(scenario(&shop)).catch_unwind().await.is_err();
        println!("{} {name} ({:.1} s)", if failed { "FAILED" } else { "ok" }, start.elapsed().as_secs_f32());
        failed.then_some(*name)
    });
    let failed: Vec<&str> = join_all(runs).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{} of {} failed, see above: {failed:#?}", failed.len(), scenarios.len());
    shop.check_histories();
    shop.audit(least).await;
    shop.stack.shutdown().await;
}
