//! Wall clocks that jump by a quarter of an hour, and back.

use seatwire_loadtest::faults::Fault;
use seatwire_loadtest::launcher::Clock;
use seatwire_protocol::{SeatStatus, viewer::ShowViewer};

use super::rig::Rig;
use super::witness::{Witness, is_confirmed, pays};
use crate::shop::PATIENCE;

/// A hold from before the step and one from within it end in seconds, not in a quarter of an hour, and what is paid is
/// confirmed, once. Answers the second one; it is looked at after the last step.
pub(super) async fn a_step_sells_nothing_twice(rig: &mut Rig, fault: Fault) -> Witness {
    let early = Witness::with_a_hold(rig).await;
    let mut shot = rig.fire(fault).await;
    rig.measure(&shot).await;
    tokio::join!(buys(rig), ends(rig, &early));
    let late = Witness::with_a_hold(rig).await;
    rig.heal(&mut shot).await;
    rig.normal.wait().await.unwrap();
    late
}

async fn buys(rig: &Rig) {
    let (witness, booking) = Witness::with_a_booking(rig, rig.shop.last_seats(2)).await;
    pays(rig, &booking).await;
    is_confirmed(&witness, &booking).await;
    witness.sees(rig, SeatStatus::Booked).await;
}

/// On the owner's page and on the map.
pub(super) async fn ends(rig: &Rig, witness: &Witness) {
    let hold = witness.hold.hold;
    let over = |viewer: &ShowViewer| viewer.own().hold(&hold).is_none();
    witness.client.wait_until("the end of the hold", rig.shop.show, PATIENCE, over).await.unwrap();
    witness.sees(rig, SeatStatus::Available).await;
}

/// Claims made while PostgreSQL's clock was ahead last until that time comes: it comes now.
pub(super) fn end_what_the_steps_left(rig: &Rig) {
    if rig.shop.stack.has_clocks() {
        rig.shop.stack.step_clock(Clock::Postgres, 20 * 60).unwrap();
    }
}
