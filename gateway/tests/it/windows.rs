//! Several windows of one customer, at one gateway and at two: what one of them does, the others know at once.

use seatwire_loadtest::client::{Event, ViewerClient, guest, new_key};
use seatwire_loadtest::launcher::{Service, Stack, StackOptions};
use seatwire_protocol::feed::{FeedMessage, FeedReason, feed_channel};
use seatwire_protocol::viewer::ShowViewer;
use seatwire_protocol::ws::{HoldEndReason, Push, ServerMessage};
use seatwire_protocol::{HoldId, Position, SaleState};

use crate::stack::{ONE_AT_A_TIME, PATIENCE, free_seats, hold, is_right, show};

async fn pushed<T>(window: &ViewerClient, what: &str, pick: impl Fn(&Push) -> Option<T>) -> T {
    let found = window.wait_for_event(what, PATIENCE, |event| match event {
        Event::Message(ServerMessage::Push { push }) => pick(push),
        _ => None,
    });
    found.await.unwrap()
}

/// The window is told of the hold, with so many extensions left, and has it among its own.
async fn knows(window: &ViewerClient, id: HoldId, extensions_left: u32) {
    pushed(window, "the hold", |push| match push {
        Push::Hold { hold } if hold.hold == id && hold.extensions_left == extensions_left => Some(()),
        _ => None,
    })
    .await;
    let own = |v: &ShowViewer| v.own().hold(&id).is_some();
    window.wait_until("own hold", show(), PATIENCE, own).await.unwrap();
}

async fn knows_its_end(window: &ViewerClient, id: HoldId, why: HoldEndReason) {
    let reason = pushed(window, "the end", |push| match push {
        Push::HoldEnded { hold, reason, .. } if *hold == id => Some(*reason),
        _ => None,
    });
    assert_eq!(reason.await, why);
    let gone = |v: &ShowViewer| v.own().hold(&id).is_none();
    window.wait_until("no own hold", show(), PATIENCE, gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_window_does_the_others_know_at_once() {
    let _one = ONE_AT_A_TIME.lock().await;
    let options = StackOptions::new().gateways(2).cores(2);
    let stack = Stack::start(options.env(Service::Core, "SEATWIRE_HOLD_MS", 12_000)).await.unwrap();
    let [first, second] = [&stack.addresses().gateways[0], &stack.addresses().gateways[1]].map(String::clone);
    let token = guest(&first).await.unwrap().token;
    let window = async |gateway: &str| ViewerClient::connect(gateway, &token, show()).await.unwrap();
    let (one, beside, elsewhere) = (window(&first).await, window(&first).await, window(&second).await);
    let stranger = ViewerClient::connect(&second, &guest(&second).await.unwrap().token, show()).await.unwrap();
    let others = [&beside, &elsewhere];

    let seats = free_seats(&one, 2);
    let held = hold(&one, show(), &seats).await;
    for window in others {
        knows(window, held.hold, held.extensions_left).await;
    }
    let key = new_key();
    let extended = elsewhere.persist(PATIENCE, || elsewhere.extend(show(), &key, held.hold)).await.unwrap();
    for window in [&one, &beside] {
        knows(window, held.hold, extended.extensions_left).await;
    }
    beside.persist(PATIENCE, || beside.release(show(), held.hold)).await.unwrap();
    for window in [&one, &elsewhere] {
        knows_its_end(window, held.hold, HoldEndReason::Released).await;
    }
    // One that nobody gives back is lost in all of them.
    let lost = hold(&elsewhere, show(), &seats).await;
    for window in [&one, &beside, &elsewhere] {
        knows_its_end(window, lost.hold, HoldEndReason::Expired).await;
    }
    let pushes = |m: &ServerMessage| matches!(m, ServerMessage::Push { .. });
    assert!(!stranger.messages().iter().any(pushes), "{:?}", stranger.messages());

    // The owner's channel loses the word of an end that the show's feed tells: the owner is asked to read again.
    let held = hold(&one, show(), &seats).await;
    knows(&elsewhere, held.hold, held.extensions_left).await;
    let feed = FeedMessage::Batch {
        position: Position::new(held.position.generation, held.position.sequence + 1),
        sale: SaleState::Open,
        reason: Some(FeedReason::Expired),
        seats: Vec::new(),
        holds: vec![held.hold],
    };
    let redis = redis::Client::open(stack.addresses().redis.as_str()).unwrap();
    let mut connection = redis.get_connection().unwrap();
    let heard: u64 =
        redis::cmd("PUBLISH").arg(feed_channel(show())).arg(feed.to_bytes()).query(&mut connection).unwrap();
    assert_eq!(heard, 2);
    for window in [&one, &beside, &elsewhere] {
        pushed(window, "a wish to read again", |push| matches!(push, Push::Reread).then_some(())).await;
    }
    [&one, &beside, &elsewhere, &stranger].into_iter().for_each(is_right);
    stack.shutdown().await;
}
