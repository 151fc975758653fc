//! Subscriptions that break, loudly or in silence. Buyers change the map all the while.

use seatwire_loadtest::faults::Fault;
use seatwire_protocol::viewer::ShowViewer;

use super::rig::Rig;
use crate::shop::PATIENCE;

pub(super) async fn a_dropped_subscription_ends_in_a_snapshot(rig: &mut Rig) {
    let shot = rig.fire(Fault::DropFeed).await;
    rig.measure(&shot).await;
}

/// Changes are late while it lasts, and nobody loses the thread for it.
pub(super) async fn a_slow_feed_is_late_and_right(rig: &mut Rig) {
    let mut shot = rig.fire(Fault::SlowFeed).await;
    rig.normal.wait().await.unwrap();
    rig.heal(&mut shot).await;
    rig.measure(&shot).await;
}

pub(super) async fn viewers_are_told_of_a_half_open_feed(rig: &mut Rig) {
    let mut shot = rig.fire(Fault::HalfOpenFeed).await;
    for viewer in rig.normal.viewers() {
        let told = |viewer: &ShowViewer| !viewer.is_live();
        viewer.wait_until("being told", rig.shop.show, PATIENCE, told).await.unwrap();
    }
    rig.heal(&mut shot).await;
    rig.measure(&shot).await;
}

/// Right again while the fault lasts: what is published is lost, and yet seen.
pub(super) async fn a_deaf_subscription_is_found(rig: &mut Rig) {
    let mut shot = rig.fire(Fault::DeafFeed).await;
    rig.measure(&shot).await;
    rig.heal(&mut shot).await;
    rig.normal.wait().await.unwrap();
}
