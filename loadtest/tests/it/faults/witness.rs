//! Somebody with a hold or a pending booking who is there when a fault strikes and tells afterwards what became of it.

use std::sync::Arc;
use std::time::Instant;

use seatwire_loadtest::client::{PayOptions, ViewerClient, new_key, pay};
use seatwire_protocol::command::{BookingInfo, BookingState, HoldInfo};
use seatwire_protocol::{ErrorBody, ErrorCode, IdempotencyKey, SeatIndex, SeatStatus};

use super::rig::Rig;
use crate::shop::PATIENCE;
use crate::support::{connect, eventually};

pub(super) struct Witness {
    pub(super) client: Arc<ViewerClient>,
    pub(super) seats: Vec<u32>,
    pub(super) key: IdempotencyKey,
    pub(super) hold: HoldInfo,
}

impl Witness {
    /// Holds two seats that nobody else wants.
    pub(super) async fn with_a_hold(rig: &Rig) -> Self {
        Self::holding(rig, rig.shop.last_seats(2)).await
    }

    pub(super) async fn holding(rig: &Rig, seats: Vec<u32>) -> Self {
        let (client, key) = (rig.enter().await, new_key());
        let hold = client.persist(PATIENCE, || client.hold(rig.shop.show, &key, &seats)).await.unwrap();
        Self { client, seats, key, hold }
    }

    /// Holds and books; where holds last a moment, a busy machine may need another try.
    pub(super) async fn with_a_booking(rig: &Rig, seats: Vec<u32>) -> (Self, BookingInfo) {
        let end = Instant::now() + PATIENCE;
        loop {
            let witness = Self::holding(rig, seats.clone()).await;
            match witness.books(rig).await {
                Ok(booking) => return (witness, booking),
                Err(error) if error.code == ErrorCode::Gone && Instant::now() < end => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    pub(super) async fn books(&self, rig: &Rig) -> Result<BookingInfo, ErrorBody> {
        let (key, hold) = (new_key(), self.hold.hold);
        let book = || self.client.book(rig.shop.show, &key, hold, "witness@example.com");
        self.client.persist(PATIENCE, book).await
    }

    /// The same key gives the same hold, and it lives.
    pub(super) async fn still_holds(&self, rig: &Rig) {
        let again = || self.client.hold(rig.shop.show, &self.key, &self.seats);
        let again = self.client.persist(PATIENCE, again).await.unwrap();
        assert_eq!((again.hold, again.phase), (self.hold.hold, self.hold.phase));
        assert!(again.remaining_ms > 0, "{again:?}");
        self.sees(rig, SeatStatus::Held).await;
    }

    /// The owner's page has learnt that the hold is over, and so does who asks for it.
    pub(super) async fn has_lost_it(&self, rig: &Rig) {
        let (show, hold) = (rig.shop.show, self.hold.hold);
        let gone = |viewer: &seatwire_protocol::viewer::ShowViewer| viewer.own().hold(&hold).is_none();
        self.client.wait_until("the loss of the hold", show, PATIENCE, gone).await.unwrap();
        self.is_refused(&self.client.persist(PATIENCE, || self.client.release(show, hold)).await.unwrap_err());
    }

    /// Gone, or, where Redis has forgotten everything, unknown; or the seat is another's.
    pub(super) fn is_refused(&self, error: &ErrorBody) {
        assert!(matches!(error.code, ErrorCode::Gone | ErrorCode::NotOwner | ErrorCode::Taken), "{error:?}");
    }

    pub(super) async fn sees(&self, rig: &Rig, status: SeatStatus) {
        let all = |viewer: &seatwire_protocol::viewer::ShowViewer| {
            viewer.is_live() && self.seats.iter().all(|seat| viewer.map().status(SeatIndex(*seat)) == Some(status))
        };
        let what = format!("{:?} to be {status:?}", self.seats);
        self.client.wait_until(&what, rig.shop.show, PATIENCE, all).await.unwrap();
    }
}

/// Pays, and waits until the ledger says so; Redis may be away.
pub(super) async fn pays(rig: &Rig, booking: &BookingInfo) {
    let checkout = booking.checkout_url.as_deref().expect("a pending booking");
    pay(checkout, &PayOptions::default()).await.unwrap();
    let ledger = connect(&rig.shop.at.postgres).await;
    let id = uuid::Uuid::from_bytes(booking.booking.0);
    eventually("the ledger confirms a paid booking", async || {
        let row = ledger.query_one("SELECT state FROM bookings WHERE id = $1", &[&id]).await.unwrap();
        row.get::<_, &str>(0) == "CONFIRMED"
    })
    .await;
}

/// The buyer is told that the booking is theirs.
pub(super) async fn is_confirmed(witness: &Witness, booking: &BookingInfo) {
    eventually("the buyer reads that the booking is confirmed", async || {
        let read = witness.client.persist(PATIENCE, || witness.client.booking(booking.booking)).await;
        read.unwrap().state == BookingState::Confirmed
    })
    .await;
}
