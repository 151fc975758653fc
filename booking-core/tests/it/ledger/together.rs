//! Payments settled several to a commit: the same ends as one by one, in fewer commits.
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "the numbers of these tests are small")]

use futures_util::future::join_all;
use seatwire_protocol::command::{BookingInfo, BookingState};
use serde_json::json;

use super::rig::{Rig, wait_for};

const BOOKINGS: usize = 24;

impl Rig {
    /// Pending bookings of so many seats each.
    async fn booked(&self, seats: usize) -> Vec<BookingInfo> {
        let free = "SELECT seat FROM show_seats WHERE show_id = 1 AND status = 'available' ORDER BY seat";
        let free: Vec<u32> =
            self.sql.query(free, &[]).await.unwrap().iter().map(|row| row.get::<_, i32>(0) as u32).collect();
        let mut bookings = Vec::new();
        for (n, seats) in free.chunks_exact(seats).take(BOOKINGS).enumerate() {
            bookings.push(self.book(&format!("c{n}"), seats).await);
        }
        assert_eq!(bookings.len(), BOOKINGS);
        bookings
    }

    /// Waits until the inbox has all that the provider tells, and settles nothing.
    async fn told(&self) {
        let told = async || {
            let ledger = self.provider_ledger().await;
            ledger["webhooks_pending"] == 0 && ledger["late_pending"] == 0
        };
        wait_for("webhooks", told).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_plainly_in_time_shares_a_commit_and_the_rest_is_settled_alone() {
    let rig = Rig::new().await;
    let bookings = rig.booked(2).await;
    for (n, booking) in bookings.iter().enumerate() {
        let switches = match n {
            0 => json!({"amount": 100}),
            1 => json!({"double": 1}),
            2 => json!({"copies": 3}),
            _ => json!({}),
        };
        rig.pay(booking, switches).await;
    }
    rig.told().await;
    rig.drain_inbox().await;
    rig.refund().await;

    let mut confirmed = 0;
    for booking in &bookings {
        confirmed += usize::from(rig.booking(booking.booking).await.state == BookingState::Confirmed);
    }
    assert_eq!(confirmed, BOOKINGS - 1, "all but the one that paid a wrong amount");
    let reasons = rig.text("SELECT string_agg(reason, ',' ORDER BY reason) FROM refunds").await;
    assert_eq!(reasons, "second_payment,wrong_amount");
    // Rows of one commit share their xmin.
    let commits = rig.count("SELECT count(DISTINCT xmin::text) FROM show_seats WHERE status = 'booked'").await;
    assert!(commits < BOOKINGS as i64 / 2, "{commits} commits booked {confirmed} bookings");
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cores_that_settle_the_same_payments_settle_each_once() {
    let rig = Rig::new().await;
    let bookings = rig.booked(3).await;
    for booking in &bookings {
        rig.pay(booking, json!({"copies": 2})).await;
    }
    rig.told().await;
    let (_, other) = rig.another(&rig.redis);
    let settling = (0..8).map(|n| {
        let saga = if n % 2 == 0 { rig.saga.clone() } else { other.clone() };
        async move { saga.settle_once().await.unwrap() }
    });
    join_all(settling).await;
    rig.drain_inbox().await;
    for booking in &bookings {
        assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);
    }
    let versions = rig.count("SELECT count(*) FROM seat_history WHERE reason = 'settle'").await;
    assert_eq!(versions, BOOKINGS as i64 * 3, "each seat was booked once");
    rig.check().await;
}
