//! Routes over a whole show: one that is cancelled, one whose map is wrong, one that is over.

use seatwire_loadtest::client::PayOptions;
use seatwire_protocol::command::BookingState;
use serde_json::json;

use super::{Ended, book_on, is_confirmed, is_returned, pays, until};
use crate::failpoints::rig::Rig;

/// A show is cancelled by its operator: paid bookings get their money back, and no other stays.
pub(super) async fn cancelled_show(rig: &Rig) -> Ended {
    let (ann, bob) = (rig.visitor().await, rig.visitor().await);
    let show = rig.new_show().await;
    let paid = book_on(&ann, show, &[0, 1]).await?;
    pays(&ann, &paid, &PayOptions::default()).await?;
    until(&ann, &paid, is_confirmed).await?;
    let unpaid = book_on(&bob, show, &[4, 5]).await?;
    rig.admin(&format!("shows/{show}/cancel"), &json!({})).await?;
    let end = until(&ann, &paid, is_returned).await?;
    // Its time may have been over before.
    until(&bob, &unpaid, |info| matches!(info.state, BookingState::Cancelled | BookingState::Expired)).await?;
    let done = format!("SELECT count(*) FROM shows WHERE id = {show} AND cancel_done_at IS NOT NULL");
    rig.eventually("the end of a cancellation", async || rig.count(&done).await == 1).await?;
    Ok(format!("{end}, the other over"))
}

/// The packed status of a seat is wrong, and so is what a customer owns: whoever compares the map with the ledger rights
/// them.
pub(super) async fn wrong_map(rig: &Rig) -> Ended {
    let (who, show) = (rig.visitor().await, rig.other);
    rig.eventually("a map", async || who.client.watch(show).await.is_ok()).await?;
    let of_show = |what: &str| format!("{what}:{{{}}}:{show}", show.bucket());
    let (status, owned, turn) = (of_show("seat_status"), of_show("owned_by"), of_show("scrubbed"));
    let right: Vec<i64> = rig.redis(redis::cmd("BITFIELD").arg(&status).arg(&["GET", "u2", "#0"])).await;
    rig.redis::<Vec<i64>>(redis::cmd("BITFIELD").arg(&status).arg(&["SET", "u2", "#0", "3"])).await;
    rig.redis::<i64>(redis::cmd("HSET").arg(&owned).arg(&["bnobody", "1"])).await;
    let righted = rig.nudged("a map that is right again", async |nudge| {
        if nudge {
            // Whoever looked last keeps the others from it for a while.
            rig.redis::<i64>(redis::cmd("DEL").arg(&turn)).await;
        }
        let now: Vec<i64> = rig.redis(redis::cmd("BITFIELD").arg(&status).arg(&["GET", "u2", "#0"])).await;
        let nobody: i64 = rig.redis(redis::cmd("HEXISTS").arg(&owned).arg("bnobody")).await;
        now == right && nobody == 0
    });
    righted.await?;
    Ok("right again".to_owned())
}

/// A show that is over leaves Redis when a core starts. One of its own: gateways keep the map of a show that somebody
/// watched for minutes.
pub(super) async fn unload(rig: &Rig) -> Ended {
    let show = rig.new_show().await;
    rig.admin(&format!("shows/{show}/reload"), &json!({})).await?;
    rig.sql(&format!("UPDATE shows SET starts_at = clock_timestamp() - interval '9 days' WHERE id = {show}")).await;
    let loaded = format!("SELECT count(*) FROM show_streams WHERE show_id = {show} AND run_id <> ''");
    rig.eventually("the end of a map", async || {
        rig.kill_core_if_idle().await;
        rig.count(&loaded).await == 0
    })
    .await?;
    let map = format!("show:{{{}}}:{show}", show.bucket());
    let left: i64 = rig.redis(redis::cmd("EXISTS").arg(&map)).await;
    Ok(if left == 0 { "unloaded" } else { "marked, and its map is still there" }.to_owned())
}
