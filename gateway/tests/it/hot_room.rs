//! A room with so many viewers that its rounds are written by all cores at once: everybody gets everything, once, also
//! while others come and go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use seatwire_loadtest::client::{ViewerClient, sign_token};
use seatwire_loadtest::launcher::{Stack, StackOptions};
use seatwire_protocol::{CustomerId, SeatIndex, SeatStatus};

use crate::stack::{ONE_AT_A_TIME, PATIENCE, free_seats, hold, is_right, metric, show};

const VIEWERS: usize = 1_500;
const CHANGES: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_rooms_round_is_written_by_all_cores_and_reaches_everybody_once() {
    let _one = ONE_AT_A_TIME.lock().await;
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let addresses = stack.addresses();
    let (gateway, secret) = (&addresses.gateway, &addresses.secrets.jwt);
    let connect = |name: String| async move {
        let token = sign_token(secret, &CustomerId::new(&name).unwrap(), Duration::from_secs(600));
        ViewerClient::connect(gateway, &token.unwrap(), show()).await.unwrap()
    };
    let buyer = connect("buyer".to_owned()).await;
    let viewers = join_all((0..VIEWERS).map(|n| connect(format!("viewer{n}")))).await;
    let seats = free_seats(&buyer, 2);
    let over = AtomicBool::new(false);
    let come_and_go = async {
        let (restless, _) = viewers.split_at(VIEWERS / 10);
        let mut moves = 0_usize;
        while !over.load(Ordering::Acquire) {
            for viewer in restless {
                viewer.disconnect().await;
                viewer.reconnect().await.unwrap();
                moves += 1;
                if over.load(Ordering::Acquire) {
                    break;
                }
            }
        }
        moves
    };
    let change = async {
        for _ in 0..CHANGES {
            let held = hold(&buyer, show(), &seats).await;
            buyer.persist(PATIENCE, || buyer.release(show(), held.hold)).await.unwrap();
        }
        let last = hold(&buyer, show(), &seats).await;
        over.store(true, Ordering::Release);
        last.position
    };
    let (last, moves) = tokio::join!(change, come_and_go);
    assert!(moves > 0, "nobody came or went");
    for viewer in &viewers {
        let there = |v: &seatwire_protocol::viewer::ShowViewer| {
            v.is_live()
                && v.map().position() >= Some(last)
                && seats.iter().all(|seat| v.map().status(SeatIndex(*seat)) == Some(SeatStatus::Held))
        };
        viewer.wait_until("the last change", show(), PATIENCE, there).await.unwrap();
        is_right(viewer);
    }
    if std::thread::available_parallelism().unwrap().get() > 1 {
        assert!(metric(&addresses.gateway_metrics[0], "seatwire_gateway_rounds_shared_total").await >= 1.0);
    }
    stack.shutdown().await;
}
