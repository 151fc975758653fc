//! What the scripts publish.

use seatwire_core::holds::LedgerStatus;
use seatwire_protocol::feed::{FeedMessage, FeedReason};
use seatwire_protocol::{Position, SaleState, SeatIndex, SeatStatus};

use super::stage::{Stage, config, customer, seats};

#[tokio::test]
async fn the_scripts_pack_what_the_protocol_packs() {
    let stage = Stage::new(20_000, config()).await;
    let mut feed = stage.feed().await;
    let (start, _) = stage.map().await;
    assert_eq!(start, Position::new(1, 0));
    let ann = customer("ann");
    let hold = stage.hold("ann", &[19_999, 3]).await;
    stage.store.release(stage.show, &ann, hold).await.unwrap().unwrap();
    stage.store.apply(&stage.ledger.change(stage.show, &[7], LedgerStatus::Booked, None)).await.unwrap();
    let mut blocked = stage.ledger.change(stage.show, &[8], LedgerStatus::Blocked, None);
    blocked.operator = true;
    stage.store.apply(&blocked).await.unwrap();
    stage.store.apply(&stage.ledger.change_sale(stage.show, SaleState::Closed, None)).await.unwrap();

    let batch = |sequence, sale, reason, seats: &[(u32, SeatStatus)], holds: &[_]| FeedMessage::Batch {
        position: Position::new(1, sequence),
        sale,
        reason: Some(reason),
        seats: seats.iter().map(|(seat, status)| (SeatIndex(*seat), *status)).collect(),
        holds: holds.to_vec(),
    };
    let both = |status| [(3, status), (19_999, status)];
    let expected = [
        FeedMessage::Reset { generation: 1 },
        batch(1, SaleState::Open, FeedReason::Held, &both(SeatStatus::Held), &[hold]),
        batch(2, SaleState::Open, FeedReason::Released, &both(SeatStatus::Available), &[hold]),
        batch(3, SaleState::Open, FeedReason::Ledger, &[(7, SeatStatus::Booked)], &[]),
        batch(4, SaleState::Open, FeedReason::Operator, &[(8, SeatStatus::Blocked)], &[]),
        batch(5, SaleState::Closed, FeedReason::Sale, &[], &[]),
    ];
    let heard = feed.drain().await;
    assert_eq!(heard.len(), expected.len());
    for (bytes, message) in heard.iter().zip(&expected) {
        assert_eq!(FeedMessage::parse(bytes).as_ref(), Some(message));
        assert_eq!(bytes, &message.to_bytes());
    }
    assert_eq!(stage.map().await.0, Position::new(1, 5));
    stage.finish().await;
}

#[tokio::test]
async fn a_whole_show_is_blocked_in_chunks_and_every_hold_on_it_ends() {
    let stage = Stage::new(2_500, config()).await;
    stage.map().await;
    let mut lost = 0;
    for n in 0..120 {
        stage.hold(&format!("c{n}"), &[n * 20, n * 20 + 1, n * 20 + 7]).await;
    }
    let mut feed = stage.feed().await;
    let all: Vec<u32> = (0..2_500).collect();
    stage.store.apply(&stage.ledger.change(stage.show, &all, LedgerStatus::Blocked, None)).await.unwrap();
    let (_, map) = stage.map().await;
    assert!(map.iter().all(|status| status == SeatStatus::Blocked));
    let mut blocked = 0;
    for bytes in feed.drain().await {
        let Some(FeedMessage::Batch { seats, holds, .. }) = FeedMessage::parse(&bytes) else { panic!("a batch") };
        lost += holds.len();
        blocked += seats.iter().filter(|(_, status)| *status == SeatStatus::Blocked).count();
    }
    assert_eq!((lost, blocked), (120, 2_500));
    let refused = stage.store.hold(stage.show, &customer("c1"), &super::stage::key("x"), &seats(&[1]), None).await;
    assert!(refused.unwrap().is_err());
    stage.finish().await;
}
