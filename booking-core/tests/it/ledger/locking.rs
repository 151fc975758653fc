//! Seat rows are locked in one order everywhere: whoever wants the same seats waits, and nobody waits in a circle.

use std::sync::Arc;

use seatwire_protocol::SeatIndex;

use super::rig::{Rig, wait_for};

const TASKS: u32 = 6;
const ROUNDS: u32 = 8;
/// All of them want the same ones, so many.
const SEATS: i64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_the_same_seats_waits_and_never_in_a_circle() {
    let rig = Arc::new(Rig::new().await);
    let free = "SELECT seat FROM show_seats WHERE show_id = 1 AND status = 'available' ORDER BY seat LIMIT $1";
    let rows = rig.sql.query(free, &[&SEATS]).await.unwrap();
    let seats: Vec<SeatIndex> = rows.iter().map(|row| SeatIndex(row.get::<_, i32>(0).unsigned_abs())).collect();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (rig, seats) = (Arc::clone(&rig), seats.clone());
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let done = if (task + round) % 2 == 0 {
                        rig.saga.block_seats(rig.show, seats.clone()).await
                    } else {
                        rig.saga.unblock_seats(rig.show, seats.clone()).await
                    };
                    // Done, or refused by name: which, the order of the locks decides.
                    let _ = done.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(rig.count("SELECT count(*) FROM seat_history").await >= SEATS, "seats were changed");
    // A backend counts its deadlocks at its end, if not before.
    let core = "FROM pg_stat_activity WHERE usename = 'seatwire_core'";
    rig.count(&format!("SELECT count(pg_terminate_backend(pid)) {core}")).await;
    wait_for("the backends' end", async || rig.count(&format!("SELECT count(*) {core}")).await == 0).await;
    assert_eq!(rig.count("SELECT deadlocks FROM pg_stat_database WHERE datname = 'seatwire'").await, 0);
}
