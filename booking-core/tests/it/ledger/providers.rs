//! The same payments, outages and bad webhooks over each provider's shapes: whatever happens, one outcome a payment.

mod intake;
mod outages;
mod outcomes;
mod webhook;

macro_rules! over_both {
    ($($module:ident :: $name:ident,)*) => {
        mod razorpay {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$module::$name(seatwire_loadtest::provider::Shapes::Razorpay).await;
            })*
        }
        mod stripe {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$module::$name(seatwire_loadtest::provider::Shapes::Stripe).await;
            })*
        }
    };
}

over_both! {
    intake::each_kind_of_bad_webhook_gets_its_answer_and_leaves_nothing,
    intake::what_is_signed_has_one_effect_and_what_is_not_ours_none,
    outages::a_provider_that_fails_is_left_alone_and_asked_again_when_it_is_back,
    outages::a_refund_whose_answer_is_lost_or_that_fails_is_made_once,
    outcomes::events_in_any_order_and_number_end_in_one_outcome,
    outcomes::late_lost_double_and_wrong_payments_end_in_seats_or_money_back,
}
