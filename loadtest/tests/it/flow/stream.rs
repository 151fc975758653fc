//! The stream of seat frames across reconnects and encodings.

use seatwire_loadtest::client::{ClientOptions, Encoding, Event, TokenBy, ViewerClient};
use seatwire_protocol::SeatStatus;
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::viewer::Applied;

use crate::shop::{Customer, Seats, Shop, maps_agree};

pub(super) async fn a_viewer_that_was_away_is_brought_up_to_date_by_a_delta(shop: &Shop) {
    let (ann, ben) = (shop.customer().await, shop.customer().await);
    // A gateway that doubts its feed, on a starved machine, fetches a snapshot: then once more.
    let mut tries = 0..5;
    while !comes_back_by_a_delta(shop, &ann, &ben).await {
        tries.next().expect("a delta for who was away for a moment");
    }
}

async fn comes_back_by_a_delta(shop: &Shop, ann: &Customer, ben: &Customer) -> bool {
    let (kept, passing) = (shop.seats(2), shop.seats(2));
    let away_from = ann.client.viewer(shop.show, |v| v.map().position()).unwrap().unwrap();
    ann.client.disconnect().await;
    let hold = ben.holds(shop, &passing.index).await;
    ben.client.release(shop.show, hold.hold).await.unwrap();
    let held = ben.holds(shop, &kept.index).await;
    ann.client.reconnect().await.unwrap();
    ann.sees(shop, &kept, SeatStatus::Held).await;
    maps_agree(shop, ann, ben).await;
    let first_frame = ann.client.read(|state| {
        let mut events = state.history().events().rev().take_while(|event| !matches!(event, Event::Connected));
        events
            .by_ref()
            .filter_map(|event| if let Event::Frame { frame, .. } = event { Some(frame.clone()) } else { None })
            .last()
    });
    // Unless it came to its own end.
    let _ = ben.client.release(shop.show, held.hold).await;
    match first_frame {
        Some(SeatFrame::Delta(delta)) => {
            assert_eq!(delta.generation, away_from.generation);
            assert!(delta.from <= away_from.sequence && away_from.sequence < delta.to, "{away_from}: {delta:?}");
            true
        }
        other => {
            println!("not a delta: {other:?}");
            false
        }
    }
}

pub(super) async fn json_and_messagepack_viewers_see_the_same_map(shop: &Shop) {
    let packed = shop.customer().await;
    let text = shop.customer_with(Encoding::Json).await;
    let seats = shop.seats(4);
    let parts = [&seats.index[..2], &seats.index[2..]];
    for (customer, part) in [&packed, &text].into_iter().zip(parts) {
        let hold = customer.holds(shop, part).await;
        let part = Seats { index: part.to_vec(), ..seats.clone() };
        for viewer in [&packed, &text] {
            viewer.sees(shop, &part, SeatStatus::Held).await;
        }
        customer.client.release(shop.show, hold.hold).await.unwrap();
        for viewer in [&packed, &text] {
            viewer.sees(shop, &part, SeatStatus::Available).await;
        }
    }
    maps_agree(shop, &packed, &text).await;
    for customer in [&packed, &text] {
        let applied =
            customer.client.read(|state| state.history().frames().filter(|f| f.1 == Applied::Applied).count());
        assert!(applied >= 3, "a snapshot and at least two deltas, not {applied}");
    }
    for way in [TokenBy::Subprotocol, TokenBy::Message] {
        for encoding in Encoding::ALL {
            let options = ClientOptions::new(&shop.at.gateway, &text.guest.token).encoding(encoding).token_by(way);
            let client = ViewerClient::open(options).await.unwrap();
            assert_eq!(client.customer().as_ref(), Some(&text.guest.customer), "{way:?} {encoding:?}");
            client.watch(shop.show).await.unwrap();
        }
    }
}
