//! What the claim refuses under its locks although Redis and the order's price had nothing against it.

use seatwire_core::holds::{LimitKind, Refusal};
use seatwire_protocol::command::BookingState;

use super::rig::{Rig, book, customer};

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_changed_after_the_order_was_made_is_not_charged() {
    let rig = Rig::new().await;
    let ann = customer("ann");
    let hold = rig.hold(&ann, "h", &[7]).await;
    // Between the quote and the locks, every time.
    rig.sql
        .batch_execute(
            "CREATE FUNCTION reprice() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
                UPDATE show_seats SET price = price + 100 WHERE show_id = NEW.show_id AND seat = 7; RETURN NEW; END $$;
            CREATE TRIGGER reprice BEFORE INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION reprice()",
        )
        .await
        .unwrap();
    assert!(rig.saga.book(&book(rig.show, &ann, hold, "k")).await.is_err());
    assert_eq!(rig.count("SELECT count(*) FROM bookings").await, 0);
    rig.sql.batch_execute("DROP TRIGGER reprice ON bookings").await.unwrap();
    // The hold came back, and another key may try.
    let booking = rig.saga.book(&book(rig.show, &ann, hold, "k2")).await.unwrap().unwrap();
    assert_eq!(booking.state, BookingState::Pending);
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_counts_seats_and_lapses_by_itself() {
    let rig = Rig::with(|config| {
        config.seats_max = 3;
        config.lapses_max = 1;
        config.claim_ms = 1;
    })
    .await;
    let ann = customer("ann");
    rig.buy("ann", &[0, 1]).await;
    let hold = rig.hold(&ann, "two_more", &[10, 11]).await;
    let refused = rig.saga.book(&book(rig.show, &ann, hold, "k2")).await.unwrap();
    assert_eq!(refused, Err(Refusal::Limit { kind: LimitKind::Seats, cap: 3 }));
    rig.holds.release(rig.show, &ann, hold).await.unwrap().unwrap();

    let lapsed = rig.book("bob", &[4]).await;
    rig.expire(lapsed.booking).await;
    let hold = rig.hold(&customer("bob"), "again", &[5]).await;
    let refused = rig.saga.book(&book(rig.show, &customer("bob"), hold, "k2")).await.unwrap();
    assert!(matches!(refused, Err(Refusal::CoolDown { retry_after_ms: 1.., .. })), "{refused:?}");
    rig.check().await;
}
