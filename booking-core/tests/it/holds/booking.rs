//! A hold on its way into a booking, and what news of the ledger does to holds.

use seatwire_core::holds::{Applied, BegunBook, HoldConfig, LedgerStatus, Outcome, Refusal};
use seatwire_protocol::command::HoldPhase;
use seatwire_protocol::ws::{HoldEndReason, Push};
use seatwire_protocol::{BookingId, HoldId, SeatStatus};

use super::stage::{Stage, config, customer, key, seats, until};

async fn begin(stage: &Stage, who: &str, hold: HoldId, with: &str, booking: u8) -> Result<BegunBook, Refusal> {
    let begun: Outcome<_> =
        stage.store.begin_book(stage.show, &customer(who), hold, &key(with), BookingId([booking; 16])).await;
    begun.unwrap()
}

#[tokio::test]
async fn begin_book_blocks_the_hold_and_end_book_gives_it_back() {
    let stage = Stage::new(8, config()).await;
    let ann = customer("ann");
    let hold = stage.hold("ann", &[1, 2]).await;
    assert_eq!(begin(&stage, "ben", hold, "pay", 9).await, Err(Refusal::NotOwner));

    let first = begin(&stage, "ann", hold, "pay", 1).await.unwrap();
    assert_eq!((first.booking, &first.seats), (BookingId([1; 16]), &seats(&[1, 2])));
    assert_eq!(stage.store.release(stage.show, &ann, hold).await.unwrap(), Err(Refusal::InPayment));
    assert_eq!(stage.store.extend(stage.show, &ann, hold, &key("e")).await.unwrap(), Err(Refusal::InPayment));
    assert_eq!(begin(&stage, "ann", hold, "other", 2).await, Err(Refusal::InPayment));

    // The same key: one booking, one more attempt; each takes back only its own.
    let second = begin(&stage, "ann", hold, "pay", 3).await.unwrap();
    assert_eq!(second.booking, BookingId([1; 16]));
    assert_ne!(second.attempt, first.attempt);
    for _ in 0..2 {
        stage.store.end_book(stage.show, &ann, hold, &first).await.unwrap();
    }
    assert_eq!(stage.store.release(stage.show, &ann, hold).await.unwrap(), Err(Refusal::InPayment));
    stage.store.end_book(stage.show, &ann, hold, &second).await.unwrap();
    let own = stage.store.own_holds(stage.show, std::slice::from_ref(&ann)).await.unwrap().unwrap();
    assert_eq!(own[0].0[0].phase, HoldPhase::Browse);
    // Another key may try now.
    let third = begin(&stage, "ann", hold, "other", 2).await.unwrap();
    assert_eq!(third.booking, BookingId([2; 16]));
    stage.store.end_book(stage.show, &ann, hold, &third).await.unwrap();
    stage.store.release(stage.show, &ann, hold).await.unwrap().unwrap();
    assert_eq!(begin(&stage, "ann", hold, "pay", 1).await, Err(Refusal::Gone));
    stage.finish().await;
}

#[tokio::test]
async fn paying_lasts_a_minute_at_least_and_giving_up_leaves_half_a_minute() {
    let stage = Stage::new(8, HoldConfig { hold_ms: 10_000, ..config() }).await;
    let hold = stage.hold("ann", &[1]).await;
    let remaining = || async {
        let own = stage.store.own_holds(stage.show, &[customer("ann")]).await.unwrap().unwrap();
        own[0].0[0].remaining_ms
    };
    let begun = begin(&stage, "ann", hold, "pay", 1).await.unwrap();
    assert!((40_000..=60_000).contains(&remaining().await));
    stage.store.end_book(stage.show, &customer("ann"), hold, &begun).await.unwrap();
    assert!((15_000..=30_000).contains(&remaining().await));
    stage.finish().await;
}

#[tokio::test]
async fn a_claim_replaces_its_hold_unseen_and_booking_is_seen() {
    let stage = Stage::new(8, config()).await;
    let ann = customer("ann");
    let hold = stage.hold("ann", &[1, 2]).await;
    let begun = begin(&stage, "ann", hold, "pay", 1).await.unwrap();
    let (before, _) = stage.map().await;
    let claim = stage.ledger.change(stage.show, &[1, 2], LedgerStatus::Claimed, Some((&ann, Some(hold))));
    assert_eq!(claim.generation, begun.generation);
    assert_eq!(stage.store.apply(&claim).await.unwrap(), Applied::Done);
    let (after, map) = stage.map().await;
    assert_eq!(after, before);
    assert_eq!(map.get(seats(&[1])[0]), Some(SeatStatus::Held));
    // The hold is over; a late end_book changes nothing.
    stage.store.end_book(stage.show, &ann, hold, &begun).await.unwrap();
    assert_eq!(stage.store.release(stage.show, &ann, hold).await.unwrap(), Err(Refusal::Gone));

    let booked = stage.ledger.change(stage.show, &[1, 2], LedgerStatus::Booked, Some((&ann, Some(hold))));
    for change in [&booked, &claim, &booked] {
        stage.store.apply(change).await.unwrap();
    }
    assert_eq!(stage.map().await.0.sequence, before.sequence + 1);
    assert_eq!(stage.status(2).await, SeatStatus::Booked);
    stage.finish().await;
}

#[tokio::test]
async fn an_own_hold_is_dropped_even_by_old_news() {
    let stage = Stage::new(8, config()).await;
    let ann = customer("ann");
    stage.map().await;
    // The ledger claims and frees the seats; the second change arrives first, under a hold that is still there.
    let hold = stage.hold("ann", &[1]).await;
    begin(&stage, "ann", hold, "pay", 1).await.unwrap();
    let claim = stage.ledger.change(stage.show, &[1], LedgerStatus::Claimed, Some((&ann, Some(hold))));
    let freed = stage.ledger.change(stage.show, &[1], LedgerStatus::Available, None);
    stage.store.apply(&freed).await.unwrap();
    assert_eq!(stage.status(1).await, SeatStatus::Held);
    stage.store.apply(&claim).await.unwrap();
    assert_eq!(stage.status(1).await, SeatStatus::Available);
    assert_eq!(stage.store.release(stage.show, &ann, hold).await.unwrap(), Err(Refusal::Gone));
    stage.finish().await;
}

#[tokio::test]
async fn news_that_come_late_leave_a_newer_hold_of_the_same_id() {
    // Holds and their records last a moment, instead of minutes; the first one until it is being paid for.
    let moment = HoldConfig { hold_ms: 3_000, paying_ms: 50, grace_ms: 0, ended_kept_ms: 1, ..config() };
    let stage = Stage::new(8, moment).await;
    let lasting = stage.another_core(config());
    let ann = customer("ann");
    let first = stage.hold("ann", &[1]).await;
    begin(&stage, "ann", first, "pay", 1).await.unwrap();
    let claim = stage.ledger.change(stage.show, &[1], LedgerStatus::Claimed, Some((&ann, Some(first))));
    let freed = stage.ledger.change(stage.show, &[1], LedgerStatus::Available, Some((&ann, Some(first))));
    // Redis hears of the end alone, after the hold has lapsed and is forgotten: the same key makes the same id again.
    until("the first hold is forgotten", async || {
        stage.store.sweep_once().await.unwrap();
        stage.store.release(stage.show, &ann, first).await.unwrap() == Err(Refusal::NotOwner)
    })
    .await;
    stage.store.apply(&freed).await.unwrap();
    let again = key("ann-[1]");
    let second = lasting.hold(stage.show, &ann, &again, &seats(&[1]), None).await.unwrap().unwrap().hold;
    assert_eq!(second, first);
    for late in [&claim, &freed] {
        stage.store.apply(late).await.unwrap();
        assert_eq!(stage.status(1).await, SeatStatus::Held, "the newer hold is over");
    }
    // Nor does it end while it is being paid for another booking.
    lasting.begin_book(stage.show, &ann, second, &key("pay-again"), BookingId([2; 16])).await.unwrap().unwrap();
    for late in [&claim, &freed] {
        stage.store.apply(late).await.unwrap();
        assert_eq!(stage.status(1).await, SeatStatus::Held, "the newer hold is over");
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_booking_does_not_drop_somebody_elses_hold() {
    let stage = Stage::new(8, config()).await;
    let hold = stage.hold("ann", &[1]).await;
    let named = Some((&customer("ben"), Some(hold)));
    stage.store.apply(&stage.ledger.change(stage.show, &[2], LedgerStatus::Claimed, named)).await.unwrap();
    assert_eq!(stage.status(1).await, SeatStatus::Held);
    stage.store.release(stage.show, &customer("ann"), hold).await.unwrap().unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn a_hold_that_loses_a_seat_ends_whole_and_its_owner_is_told() {
    let stage = Stage::running(8, config()).await;
    let (ann, ben) = (customer("ann"), customer("ben"));
    let mut pushes = stage.pushes(&ann).await;
    let hold = stage.hold("ann", &[1, 2]).await;
    let Push::Hold { hold: granted } = pushes.push().await else { panic!("a hold") };
    // Somebody else's claim, of a hold that Redis lost.
    let claim = stage.ledger.change(stage.show, &[2], LedgerStatus::Claimed, Some((&ben, Some(HoldId([5; 16])))));
    stage.store.apply(&claim).await.unwrap();
    let Push::HoldEnded { hold: ended, reason, seats: lost, position, .. } = pushes.push().await else {
        panic!("its end")
    };
    assert_eq!((ended, reason, lost), (hold, HoldEndReason::SeatsLost, seats(&[1, 2])));
    assert!(position > granted.position);
    assert_eq!(stage.status(1).await, SeatStatus::Available);
    assert_eq!(stage.status(2).await, SeatStatus::Held);
    stage.finish().await;
}

#[tokio::test]
async fn a_late_payer_gets_his_seats_unless_somebody_else_holds_one() {
    let stage = Stage::new(12, HoldConfig { seats_max: 3, ..config() }).await;
    let (ann, ben) = (customer("ann"), customer("ben"));
    let own = stage.hold("ann", &[1, 2, 3]).await;
    let blocked = stage.hold("ben", &[4]).await;
    let payer = |named: &'static [u32]| {
        let (store, ann) = (stage.store.clone(), ann.clone());
        async move { store.place_payer_hold(stage.show, &ann, &seats(named), "pay_1").await.unwrap() }
    };
    let Err(Refusal::Taken(conflicts)) = payer(&[3, 4]).await else { panic!("taken") };
    assert_eq!(conflicts.len(), 1);
    // Refused: his own hold is untouched.
    assert!(stage.store.extend(stage.show, &ann, own, &key("e")).await.unwrap().is_ok());
    stage.store.release(stage.show, &ben, blocked).await.unwrap().unwrap();
    let saved = payer(&[3, 4]).await.unwrap();
    assert_eq!(payer(&[3, 4]).await, Ok(saved));
    assert_eq!(stage.store.release(stage.show, &ann, own).await.unwrap(), Err(Refusal::Gone));
    assert_eq!(stage.store.release(stage.show, &ann, saved).await.unwrap(), Err(Refusal::InPayment));
    let booked = stage.ledger.change(stage.show, &[3, 4], LedgerStatus::Booked, Some((&ann, Some(saved))));
    stage.store.apply(&booked).await.unwrap();
    let (_, map) = stage.map().await;
    let statuses: Vec<_> = map.iter().take(6).collect();
    let (free, sold) = (SeatStatus::Available, SeatStatus::Booked);
    assert_eq!(statuses, [free, free, free, sold, sold, free]);
    // Given up instead, the seats are free again.
    let given_up = stage.store.place_payer_hold(stage.show, &ben, &seats(&[5]), "pay_2").await.unwrap().unwrap();
    stage.store.end_payer_hold(stage.show, &ben, given_up).await.unwrap();
    assert_eq!(stage.status(5).await, SeatStatus::Available);
    stage.finish().await;
}
