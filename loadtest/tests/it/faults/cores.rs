//! Cores that die or sleep at bad moments.

use std::time::Duration;

use seatwire_loadtest::client::new_key;
use seatwire_loadtest::faults::Fault;
use seatwire_protocol::SeatStatus;
use seatwire_protocol::client::{CoreClient, CoreClientConfig};
use seatwire_protocol::command::Book;

use super::rig::Rig;
use super::witness::{Witness, is_confirmed, pays};
use crate::shop::PATIENCE;
use crate::support::eventually;

pub(super) async fn a_core_killed_in_a_claim(rig: &mut Rig) {
    let witness = Witness::with_a_hold(rig).await;
    let mut shot = rig.fire(Fault::KillCoreInClaim).await;
    rig.measure(&shot).await;
    witness.still_holds(rig).await;
    rig.heal(&mut shot).await;
}

pub(super) async fn a_core_killed_in_a_settlement(rig: &mut Rig) {
    let witness = Witness::with_a_hold(rig).await;
    let booking = witness.books(rig).await.unwrap();
    let mut shot = rig.fire(Fault::KillCoreInSettle).await;
    rig.measure(&shot).await;
    // The provider delivers to the core that is away: it repeats when that one is back.
    rig.heal(&mut shot).await;
    pays(rig, &booking).await;
    is_confirmed(&witness, &booking).await;
}

/// That the moment was hit is shown by the fault itself: rows of transactions that it had made wait are committed, and
/// not marked as applied, when the last core is dead.
pub(super) async fn cores_killed_between_commit_and_apply(rig: &mut Rig) {
    let witness = Witness::with_a_hold(rig).await;
    let mut shot = rig.fire(Fault::KillCoresBeforeApply).await;
    rig.heal(&mut shot).await;
    rig.measure(&shot).await;
    witness.still_holds(rig).await;
}

/// A booking for the hold waits in the sleeper's socket; when it wakes the seat is another's.
pub(super) async fn a_core_that_wakes_after_a_holds_end_is_refused(rig: &mut Rig) {
    let sleeper = rig.shop.at.core.to_string();
    let direct = CoreClient::new(CoreClientConfig::new(vec![sleeper], &rig.shop.at.secrets.core, "witness"));
    eventually("a connection to the core", async || direct.status().iter().any(|link| link.connected)).await;
    let witness = Witness::with_a_hold(rig).await;
    let mut shot = rig.fire(Fault::StopCore).await;
    let book = Book {
        show: rig.shop.show,
        customer: witness.client.customer().unwrap(),
        hold: witness.hold.hold,
        key: new_key(),
        email: "sleeper@example.com".to_owned(),
    };
    let asked = tokio::spawn(async move { direct.call(&book, Duration::from_secs(60), 0).await });
    let (show, hold) = (rig.shop.show, witness.hold.hold);
    let over = |viewer: &seatwire_protocol::viewer::ShowViewer| viewer.own().hold(&hold).is_none();
    witness.client.wait_until("the end of the hold", show, PATIENCE, over).await.unwrap();
    let (other, booking) = Witness::with_a_booking(rig, witness.seats.clone()).await;
    rig.heal(&mut shot).await;
    rig.measure(&shot).await;
    let answer = asked.await.unwrap();
    assert!(answer.is_err(), "a booking for a hold that was over: {answer:?}");
    pays(rig, &booking).await;
    other.sees(rig, SeatStatus::Booked).await;
}
