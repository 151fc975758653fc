//! Redis that forgets, falls silent, is full, or is another one.

use seatwire_loadtest::client::new_key;
use seatwire_loadtest::faults::Fault;
use seatwire_protocol::{SeatStatus, viewer::ShowViewer};

use super::rig::Rig;
use super::witness::{Witness, is_confirmed, pays};
use crate::shop::PATIENCE;
use crate::support::eventually;

pub(super) async fn an_empty_redis_is_filled_again(rig: &mut Rig) {
    let (witness, buyer) = (Witness::with_a_hold(rig).await, Witness::with_a_hold(rig).await);
    let booking = buyer.books(rig).await.unwrap();
    let before = generation(&witness, rig);
    let shot = rig.fire(Fault::EmptyRedis).await;
    rig.measure(&shot).await;
    witness.has_lost_it(rig).await;
    assert!(generation(&witness, rig) > before);
    // What is in the ledger is not lost: the claim is on the new map and can be paid.
    buyer.sees(rig, SeatStatus::Held).await;
    pays(rig, &booking).await;
    is_confirmed(&buyer, &booking).await;
    let next = Witness::holding(rig, witness.seats.clone()).await;
    next.still_holds(rig).await;
}

pub(super) async fn a_restarted_redis_keeps_holds(rig: &mut Rig) {
    let witness = Witness::with_a_hold(rig).await;
    let before = generation(&witness, rig);
    let shot = rig.fire(Fault::KillRedis).await;
    rig.measure(&shot).await;
    witness.still_holds(rig).await;
    assert!(generation(&witness, rig) > before, "another server process is another timeline");
}

/// Two hold one seat after it; one of them gets it, and the other learns so before paying.
pub(super) async fn after_a_failover_the_first_claim_wins(rig: &mut Rig) {
    let kept = Witness::with_a_hold(rig).await;
    let before = generation(&kept, rig);
    Fault::FailOver.prepare(&mut rig.shop.stack).await.unwrap();
    let (lost, claimed) = (Witness::with_a_hold(rig).await, Witness::with_a_hold(rig).await);
    let booking = claimed.books(rig).await.unwrap();
    let shot = rig.fire(Fault::FailOver).await;
    rig.measure(&shot).await;
    assert!(generation(&kept, rig) > before);
    kept.still_holds(rig).await;
    // The replica knew neither the hold nor the claim; the ledger knows the claim.
    claimed.sees(rig, SeatStatus::Held).await;
    let second = Witness::holding(rig, lost.seats.clone()).await;
    let won = second.books(rig).await.unwrap();
    lost.is_refused(&lost.books(rig).await.unwrap_err());
    for (witness, booking) in [(&claimed, &booking), (&second, &won)] {
        pays(rig, booking).await;
        is_confirmed(witness, booking).await;
    }
}

pub(super) async fn a_stopped_redis_stops_holds_and_not_money(rig: &mut Rig) {
    let (witness, booking) = Witness::with_a_booking(rig, rig.shop.last_seats(2)).await;
    let stranger = rig.enter().await;
    let seats = rig.shop.last_seats(1);
    let mut shot = rig.fire(Fault::StopRedis).await;
    let refused = stranger.hold(rig.shop.show, &new_key(), &seats).await.unwrap_err();
    assert!(refused.code.is_retryable(), "{refused:?}");
    pays(rig, &booking).await;
    for viewer in rig.normal.viewers() {
        let told = |viewer: &ShowViewer| !viewer.is_live();
        viewer.wait_until("being told", rig.shop.show, PATIENCE, told).await.unwrap();
    }
    rig.heal(&mut shot).await;
    rig.measure(&shot).await;
    is_confirmed(&witness, &booking).await;
    witness.sees(rig, SeatStatus::Booked).await;
}

/// No memory, or no room for the append-only file: reads go on, writes do not.
pub(super) async fn a_full_redis_stops_holds_and_not_money(rig: &mut Rig, fault: Fault) {
    let (witness, booking) = Witness::with_a_booking(rig, rig.shop.last_seats(2)).await;
    let stranger = rig.enter().await;
    let (show, seats, key) = (rig.shop.show, rig.shop.last_seats(1), new_key());
    let mut shot = rig.fire(fault).await;
    // A full disk is noticed at the next write.
    eventually("a hold is refused", async || match stranger.hold(show, &key, &seats).await {
        Ok(hold) => {
            let _ = stranger.release(show, hold.hold).await;
            false
        }
        Err(error) => error.code.is_retryable(),
    })
    .await;
    pays(rig, &booking).await;
    // Who comes now sees the map as it is.
    let newcomer = rig.enter().await;
    assert!(newcomer.viewer(show, ShowViewer::is_live).unwrap());
    rig.heal(&mut shot).await;
    rig.measure(&shot).await;
    is_confirmed(&witness, &booking).await;
    witness.sees(rig, SeatStatus::Booked).await;
}

pub(super) async fn flushed_scripts_are_not_noticed(rig: &mut Rig) {
    let (client, seats) = (rig.enter().await, rig.shop.last_seats(1));
    let shot = rig.fire(Fault::FlushScripts).await;
    // A script that is not there would be an internal error, which nobody repeats; a busy machine may be asked again.
    let (show, key) = (rig.shop.show, new_key());
    let hold = client.persist(PATIENCE, || client.hold(show, &key, &seats)).await.expect("the same request");
    client.persist(PATIENCE, || client.release(show, hold.hold)).await.expect("the same request");
    rig.measure(&shot).await;
}

fn generation(witness: &Witness, rig: &Rig) -> u64 {
    witness.client.viewer(rig.shop.show, |viewer| viewer.map().generation()).flatten().expect("a map")
}
