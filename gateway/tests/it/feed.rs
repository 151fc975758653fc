//! A gateway that falls behind its feed piles nothing up: what it does not read stays with Redis, which cuts it off.

use std::fs;
use std::time::Duration;

use seatwire_loadtest::client::{ViewerClient, guest};
use seatwire_loadtest::launcher::{Process, Stack, StackOptions};
use seatwire_protocol::SeatStatus;
use seatwire_protocol::feed::feed_channel;

use crate::stack::{ONE_AT_A_TIME, PATIENCE, free_seats, hold, is_right, metric, sees, show};

const PIECE: usize = 256 << 10;
/// So much is published at most while the gateway does not read: many times what kernels and Redis keep.
const PIECES_MAX: usize = 400;

fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_read_its_feed_is_cut_off_and_right_again() {
    let _one = ONE_AT_A_TIME.lock().await;
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let addresses = stack.addresses();
    let token = guest(&addresses.gateway).await.unwrap().token;
    let buyer = ViewerClient::connect(&addresses.gateway, &token, show()).await.unwrap();
    let redis = redis::Client::open(addresses.redis.as_str()).unwrap();
    let mut connection = redis.get_connection().unwrap();
    let limit = ["SET", "client-output-buffer-limit", "pubsub 2mb 1mb 5"];
    redis::cmd("CONFIG").arg(&limit).exec(&mut connection).unwrap();
    let pid = stack.pid(Process::Gateway(0)).unwrap();
    let before = resident_bytes(pid);
    stack.stop(Process::Gateway(0));
    let mut pieces = 0;
    // No message of a feed: each of them would make the room stale as well.
    while redis::cmd("PUBLISH").arg(feed_channel(show())).arg(vec![0_u8; PIECE]).query::<u64>(&mut connection).unwrap()
        > 0
    {
        pieces += 1;
        assert!(pieces < PIECES_MAX, "{pieces} pieces were taken by somebody");
    }
    stack.cont(Process::Gateway(0));
    let cut = tokio::time::timeout(PATIENCE, async {
        while metric(&addresses.gateway_metrics[0], "seatwire_gateway_feed_disconnects_total").await < 1.0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    cut.await.expect("the connection was cut");
    let seats = free_seats(&buyer, 2);
    hold(&buyer, show(), &seats).await;
    sees(&buyer, &seats, SeatStatus::Held).await;
    is_right(&buyer);
    let grown = resident_bytes(pid).saturating_sub(before);
    println!("{} MiB were published, the gateway has grown by {} KiB", (pieces * PIECE) >> 20, grown >> 10);
    assert!(grown < 16 << 20, "it has grown by {grown} bytes");
    stack.shutdown().await;
}
