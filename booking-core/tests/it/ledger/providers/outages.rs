//! The provider's API fails, hangs, refuses, or loses an answer.

use seatwire_core::saga::SagaError;
use seatwire_loadtest::provider::Shapes;
use seatwire_protocol::command::{BookingState, RefundState};
use serde_json::{Value, json};

use crate::ledger::rig::{Rig, book, customer, wait_for};

pub(super) async fn a_provider_that_fails_is_left_alone_and_asked_again_when_it_is_back(shapes: Shapes) {
    let rig = Rig::of(shapes, |config| config.reconcile_ms = 1).await;
    let lost = rig.book("ann", &[0]).await;
    rig.pay(&lost, json!({"lose": 1})).await;
    let hold = rig.hold(&customer("bob"), "h", &[4, 5]).await;
    let command = book(rig.show, &customer("bob"), hold, "b");
    for fault in ["429", "409", "hang", "500"] {
        rig.control(json!({"fail": fault})).await;
        let refused = rig.saga.book(&command).await;
        assert!(matches!(refused, Err(SagaError::Unavailable(_))), "{fault}: {refused:?}");
        rig.sql.batch_execute("UPDATE orders SET next_check_at = now()").await.unwrap();
        assert!(rig.saga.reconcile_once().await.is_err(), "{fault}: nobody could be asked");
    }
    // After some failures nobody is sent there any more; rows wait.
    let left_alone = async || matches!(rig.saga.book(&command).await, Err(SagaError::Unavailable(text)) if text.contains("not asked"));
    wait_for("the breaker", left_alone).await;
    rig.control(json!({"fail": null})).await;
    let booked = async || rig.saga.book(&command).await.is_ok_and(|booked| booked.is_ok());
    wait_for("the provider to be tried again", booked).await;
    let found = async || {
        rig.sql.batch_execute("UPDATE orders SET next_check_at = now()").await.unwrap();
        let _ = rig.saga.reconcile_once().await;
        rig.drain_inbox().await;
        rig.booking(lost.booking).await.state == BookingState::Confirmed
    };
    wait_for("the payment that no webhook told of", found).await;
    rig.check().await;
}

/// Refunds at the provider with this status.
fn refunds(ledger: &Value, status: &str) -> usize {
    ledger["refunds"].as_array().unwrap().iter().filter(|refund| refund["status"] == status).count()
}

pub(super) async fn a_refund_whose_answer_is_lost_or_that_fails_is_made_once(shapes: Shapes) {
    let rig = Rig::of(shapes, |_| {}).await;
    let mut made = 0;
    // What is switched on for the first attempts; then how many failed ones the provider knows in the end.
    for (seat, switches, failed) in [
        (0, json!({"refund": "lose_answer"}), 0),
        (4, json!({"refund": "fail"}), 1),
        (8, json!({"refund": "pending"}), 1),
        (12, json!({"fail": "500"}), 1),
        (13, json!({"fail": "409"}), 1),
    ] {
        let booking = rig.book(&format!("c{seat}"), &[seat]).await;
        rig.pay(&booking, json!({"double": 1})).await;
        rig.settle().await;
        rig.control(switches.clone()).await;
        rig.saga.refund_once().await.unwrap();
        rig.control(json!({"refund": null, "fail": null})).await;
        made += 1;
        let done = async || {
            rig.sql.batch_execute(DUE_NOW).await.unwrap();
            rig.saga.refund_once().await.unwrap();
            rig.saga.settle_once().await.unwrap();
            rig.saga.backlog().await.unwrap().refunds == 0
        };
        wait_for("the refund", done).await;
        rig.settle().await;
        let ledger = rig.provider_ledger().await;
        assert_eq!((refunds(&ledger, "processed"), refunds(&ledger, "failed")), (made, failed), "{switches}");
        let booking = rig.booking(booking.booking).await;
        assert_eq!(booking.state, BookingState::Confirmed);
        assert!(booking.refunds.iter().any(|refund| refund.state == RefundState::Processed), "{switches}");
    }
    // Stripe repeats a stored failure under its key, so that only another key helps.
    let spent = if shapes == Shapes::Stripe { 2 } else { 1 };
    assert_eq!(rig.count("SELECT count(*) FROM refunds WHERE state = 'FAILED'").await, spent);
    if shapes == Shapes::Stripe {
        spent_keys(&rig).await;
    }
    refused_for_good(&rig).await;
    rig.check().await;
}

const DUE_NOW: &str = "UPDATE refunds SET next_try_at = now() WHERE ended_at IS NULL";

/// However many keys are spent: only what the provider definitely refused counts.
async fn spent_keys(rig: &Rig) {
    let booking = rig.book("sue", &[15]).await;
    rig.pay(&booking, json!({"double": 1})).await;
    rig.settle().await;
    let attempt = "SELECT attempt::bigint FROM refunds ORDER BY created_at DESC LIMIT 1";
    let spend_one = async || {
        for fault in [json!("500"), json!(null)] {
            rig.control(json!({"fail": fault})).await;
            rig.sql.batch_execute(DUE_NOW).await.unwrap();
            rig.saga.refund_once().await.unwrap();
        }
        rig.count(attempt).await > 6
    };
    wait_for("six keys to be spent", spend_one).await;
    rig.control(json!({"refund": "refuse"})).await;
    let failures = "SELECT failures::bigint FROM refunds ORDER BY created_at DESC LIMIT 1";
    let refused_once = async || {
        rig.sql.batch_execute(DUE_NOW).await.unwrap();
        rig.saga.refund_once().await.unwrap();
        rig.count(failures).await >= 1
    };
    wait_for("a definite no", refused_once).await;
    assert_eq!(rig.saga.backlog().await.unwrap().refunds_parked, 0, "one definite failure is not eight");
    rig.control(json!({"refund": null})).await;
    rig.refund().await;
    assert_eq!(rig.saga.backlog().await.unwrap().refunds, 0);
}

/// After eight attempts an operator has to look, and can start it anew.
async fn refused_for_good(rig: &Rig) {
    let booking = rig.book("zoe", &[9]).await;
    rig.pay(&booking, json!({"double": 1})).await;
    rig.settle().await;
    rig.control(json!({"refund": "refuse"})).await;
    let parked = async || {
        rig.sql.batch_execute(DUE_NOW).await.unwrap();
        rig.saga.refund_once().await.unwrap();
        rig.saga.backlog().await.unwrap().refunds_parked == 1
    };
    wait_for("parking", parked).await;
    assert_eq!(rig.count("SELECT failures::bigint FROM refunds WHERE parked_at IS NOT NULL").await, 8);
    let row = rig.text("SELECT 'refund-' || id FROM refunds WHERE parked_at IS NOT NULL").await;
    assert!(rig.saga.requeue(&row).await.unwrap(), "{row}");
    // A fresh start is eight more tries, not one.
    rig.saga.refund_once().await.unwrap();
    assert_eq!(rig.saga.backlog().await.unwrap().refunds_parked, 0);
    rig.control(json!({"refund": null})).await;
    rig.refund().await;
    assert_eq!(rig.saga.backlog().await.unwrap().refunds_parked, 0);
}
