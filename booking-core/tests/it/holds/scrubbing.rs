//! The scrubber finds and repairs what the map got wrong.

use seatwire_core::holds::{LedgerStatus, Scrubbed};
use seatwire_protocol::ws::{HoldEndReason, Push};
use seatwire_protocol::{SeatStatus, ShowId};

use super::stage::{Stage, config, customer, until};

#[tokio::test]
async fn a_map_that_missed_news_is_repaired() {
    let stage = Stage::running(2_000, config()).await;
    assert_eq!(stage.store.scrub_once(stage.show).await.unwrap(), Scrubbed::NotLoaded);
    let ann = customer("ann");
    let hold = stage.hold("ann", &[1, 2]).await;
    stage.store.apply(&stage.ledger.change(stage.show, &[7], LedgerStatus::Booked, None)).await.unwrap();
    assert_eq!(stage.store.scrub_once(stage.show).await.unwrap(), Scrubbed::Clean);

    let mut pushes = stage.pushes(&ann).await;
    stage.ledger.change(stage.show, &[2, 1_999], LedgerStatus::Booked, Some((&customer("ben"), None)));
    stage.ledger.change(stage.show, &[7], LedgerStatus::Available, None);
    assert_eq!(stage.store.scrub_once(stage.show).await.unwrap(), Scrubbed::Repaired(3));
    let (position, map) = stage.map().await;
    let statuses = [1, 2, 7, 1_999].map(|seat| map.get(seatwire_protocol::SeatIndex(seat)).unwrap());
    let (free, sold) = (SeatStatus::Available, SeatStatus::Booked);
    assert_eq!((position.generation, statuses), (1, [free, sold, free, sold]));
    let Push::HoldEnded { hold: ended, reason, .. } = pushes.push().await else { panic!("an end") };
    assert_eq!((ended, reason), (hold, HoldEndReason::SeatsLost));
    assert_eq!(stage.store.scrub_once(stage.show).await.unwrap(), Scrubbed::Clean);
    stage.finish().await;
}

#[tokio::test]
async fn a_map_that_contradicts_the_ledger_is_loaded_again() {
    let stage = Stage::new(10, config()).await;
    stage.hold("ann", &[1]).await;
    let mut connection = stage.connection().await;
    // Ahead of the ledger; then the same version with another status.
    for entry in ["29:ghost", "21:ghost"] {
        let versions = stage.redis_key("seat_version");
        let _: () = redis::cmd("HSET").arg(versions).arg(5).arg(entry).query_async(&mut connection).await.unwrap();
        let (before, _) = stage.map().await;
        assert_eq!(stage.store.scrub_once(stage.show).await.unwrap(), Scrubbed::Reloaded);
        let (after, map) = stage.map().await;
        assert_eq!(after.generation, before.generation + 1);
        assert_eq!(map.iter().filter(|status| *status != SeatStatus::Available).count(), 1);
        assert_eq!(stage.store.scrub_once(stage.show).await.unwrap(), Scrubbed::Clean);
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_map_below_the_ledgers_generation_is_served_no_longer() {
    let stage = Stage::new(10, config()).await;
    stage.map().await;
    stage.ledger.lose_a_generation(stage.show);
    assert_eq!(stage.store.scrub_once(stage.show).await.unwrap(), Scrubbed::NotLoaded);
    until("a new generation", || async {
        let shows = [stage.show, ShowId::new(1).unwrap()];
        let positions = stage.store.positions(&shows).await.unwrap();
        positions[0].is_some_and(|position| position.generation == 3) && positions[1].is_none()
    })
    .await;
    stage.finish().await;
}
