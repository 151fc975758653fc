//! Ways through the product that together lead past every failpoint. Each answers how it ended, in words that are the
//! same whether a fault was met or not; what was told as confirmed is noted.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use seatwire_loadtest::client::{ClientError, PayOptions, new_key, pay};
use seatwire_protocol::command::{BookingInfo, BookingState, HoldInfo, RefundState};
use seatwire_protocol::{ErrorBody, ErrorCode};

use super::rig::{PATIENCE, Rig, Visitor};

pub(super) type Ended = Result<String, String>;
pub(super) type Route = (&'static str, for<'a> fn(&'a Rig) -> LocalBoxFuture<'a, Ended>);

macro_rules! routes {
    ($($name:ident,)*) => {
        &[$((stringify!($name), |rig| $name(rig).boxed_local())),*]
    };
}

pub(super) const ROUTES: &[Route] = routes![
    purchase,
    told,
    browse,
    second_pending,
    cancel_pending,
    cancel_confirmed,
    double,
    lost_webhook,
    relay,
    operator,
    load,
    unload,
    late,
    late_refused,
];

fn said(error: ErrorBody) -> String {
    format!("{error:?}")
}

fn outcome(booking: &BookingInfo) -> String {
    let refunds: Vec<RefundState> = booking.refunds.iter().map(|refund| refund.state).collect();
    format!("{:?} {refunds:?}", booking.state)
}

async fn hold(rig: &Rig, who: &Visitor) -> Result<HoldInfo, String> {
    let (key, seats) = (new_key(), rig.seats());
    let hold = || who.client.hold(rig.show, &key, &seats);
    who.client.persist(PATIENCE, hold).await.map_err(said)
}

async fn book(rig: &Rig, who: &Visitor) -> Result<BookingInfo, String> {
    let hold = hold(rig, who).await?;
    let key = new_key();
    let book = || who.client.book(rig.show, &key, hold.hold, "ann@example.com");
    who.client.persist(PATIENCE, book).await.map_err(said)
}

async fn pays(who: &Visitor, booking: &BookingInfo, options: &PayOptions) -> Result<(), String> {
    // A booking that is answered after its end has no address any more; its order has.
    let checkout = booking.checkout_url.as_deref().ok_or_else(|| format!("nowhere to pay: {booking:?}"))?;
    let paying = || async {
        match pay(checkout, options).await {
            Ok(_) | Err(ClientError::Refused { status: 400, .. }) => Ok(()),
            Err(away) => Err(ErrorBody::new(ErrorCode::Unavailable, away.to_string())),
        }
    };
    who.client.persist(PATIENCE, paying).await.map_err(said)
}

async fn until(who: &Visitor, booking: &BookingInfo, wanted: impl Fn(&BookingInfo) -> bool) -> Ended {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let info = who.client.persist(PATIENCE, || who.client.booking(booking.booking)).await.map_err(said)?;
        if wanted(&info) {
            return Ok(outcome(&info));
        }
        if std::time::Instant::now() > end {
            return Err(format!("never came to its end: {info:?}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_confirmed(booking: &BookingInfo) -> bool {
    booking.state == BookingState::Confirmed
}

fn is_returned(booking: &BookingInfo) -> bool {
    booking.refunds.iter().any(|refund| refund.state == RefundState::Processed)
}

/// Hold, more time, book, pay; the webhook comes twice.
pub(super) async fn purchase(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let booking = book(rig, &who).await?;
    pays(&who, &booking, &PayOptions { copies: Some(2), ..PayOptions::default() }).await?;
    let end = until(&who, &booking, is_confirmed).await?;
    rig.told_confirmed(booking.booking);
    Ok(end)
}

/// A purchase whose events reach the bus and its customer's mail.
async fn told(rig: &Rig) -> Ended {
    let end = purchase(rig).await?;
    let open = "SELECT count(*) FROM booking_events WHERE bus_next_try_at IS NOT NULL OR mail_next_try_at IS NOT NULL";
    rig.eventually("every event told", async || rig.count(open).await == 0).await?;
    Ok(end)
}

async fn browse(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let (first, second) = (hold(rig, &who).await?, hold(rig, &who).await?);
    let key = new_key();
    let extend = || who.client.extend(rig.show, &key, first.hold);
    let extended = who.client.persist(PATIENCE, extend).await.map_err(said)?;
    let release = || who.client.release(rig.show, first.hold);
    // Released by an earlier try whose answer was lost.
    match who.client.persist(PATIENCE, release).await {
        Ok(_) => {}
        Err(error) if matches!(error.code, ErrorCode::Gone | ErrorCode::NotOwner) => {}
        Err(error) => return Err(said(error)),
    }
    rig.eventually("the end of a hold", async || {
        let own = who.client.persist(PATIENCE, || who.client.own_holds(rig.show)).await;
        own.is_ok_and(|(holds, _)| holds.iter().all(|hold| hold.hold != second.hold && hold.hold != first.hold))
    })
    .await?;
    Ok(format!("released with {} extensions left, the other expired", extended.extensions_left))
}

/// One pending booking a customer and show: the second is refused, and its hold can be used again after the first ended.
async fn second_pending(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let first = book(rig, &who).await?;
    let refused = book(rig, &who).await;
    let cancelled = cancel(&who, &first).await?;
    Ok(format!(
        "{} {cancelled}",
        if refused.is_err_and(|why| why.contains("Limit")) { "refused" } else { "not refused" }
    ))
}

async fn cancel(who: &Visitor, booking: &BookingInfo) -> Ended {
    let key = new_key();
    let cancel = || who.client.cancel(&key, booking.booking);
    who.client.persist(PATIENCE, cancel).await.map_err(said)?;
    until(who, booking, |info| info.state == BookingState::Cancelled).await
}

async fn cancel_pending(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let booking = book(rig, &who).await?;
    cancel(&who, &booking).await
}

async fn cancel_confirmed(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let booking = book(rig, &who).await?;
    pays(&who, &booking, &PayOptions::default()).await?;
    until(&who, &booking, is_confirmed).await?;
    cancel(&who, &booking).await?;
    until(&who, &booking, is_returned).await
}

/// A card that is declined, then two payments that work: one is returned.
async fn double(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let booking = book(rig, &who).await?;
    pays(&who, &booking, &PayOptions { outcome: "failure", ..PayOptions::default() }).await?;
    pays(&who, &booking, &PayOptions { double: true, ..PayOptions::default() }).await?;
    let end = until(&who, &booking, |info| is_confirmed(info) && is_returned(info)).await?;
    rig.told_confirmed(booking.booking);
    // The provider's word of the refund comes after its answer.
    let settled = format!(
        "SELECT count(*) FROM payment_events e JOIN payments p ON p.id = e.payment_id
            WHERE p.booking_id = '{}' AND e.kind LIKE 'refund.%' AND e.processed_at IS NOT NULL",
        booking.booking.to_hex()
    );
    rig.eventually("the refund's event", async || rig.count(&settled).await > 0).await?;
    Ok(end)
}

/// No webhook tells of the payment: asking for the order does.
async fn lost_webhook(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let booking = book(rig, &who).await?;
    pays(&who, &booking, &PayOptions { lose: true, ..PayOptions::default() }).await?;
    rig.sql("UPDATE orders SET next_check_at = clock_timestamp() WHERE checks = 0").await;
    let end = until(&who, &booking, is_confirmed).await?;
    rig.told_confirmed(booking.booking);
    Ok(end)
}

/// Rows that look as if their makers had not applied them.
async fn relay(rig: &Rig) -> Ended {
    let end = purchase(rig).await?;
    rig.sql(
        "UPDATE outbox SET applied_at = NULL, next_try_at = clock_timestamp() WHERE id IN
            (SELECT id FROM outbox WHERE applied_at IS NOT NULL ORDER BY id DESC LIMIT 2)",
    )
    .await;
    let open = "SELECT count(*) FROM outbox WHERE applied_at IS NULL";
    rig.eventually("an empty outbox", async || rig.count(open).await == 0).await?;
    Ok(end)
}

/// Seats taken off sale and put back, a sale closed and opened, the rule against single seats set and lifted.
async fn operator(rig: &Rig) -> Ended {
    let seats = serde_json::json!({ "seats": rig.seats() });
    let (show, other) = (rig.show.get(), rig.other.get());
    for (path, body) in [
        (format!("{show}/block"), seats.clone()),
        (format!("{show}/unblock"), seats),
        (format!("{other}/sale"), serde_json::json!({ "state": "closed" })),
        (format!("{other}/sale"), serde_json::json!({ "state": "open" })),
        (format!("{other}/options"), serde_json::json!({ "no_orphan": true })),
        (format!("{other}/options"), serde_json::json!({ "no_orphan": false })),
    ] {
        rig.admin(&path, &body).await?;
    }
    // A sale that opens by itself.
    let soon = serde_json::json!({ "state": "before", "opens_at_ms": rig.now_ms().await + 300 });
    rig.admin(&format!("{other}/sale"), &soon).await?;
    let opened = format!("SELECT count(*) FROM shows WHERE id = {other} AND sale = 'open'");
    rig.eventually("the opening of a sale", async || rig.count(&opened).await == 1).await?;
    Ok("done".to_owned())
}

/// Redis has lost everything; whoever comes next makes a core load the map.
async fn load(rig: &Rig) -> Ended {
    rig.empty_redis().await;
    purchase(rig).await
}

/// A show that is over leaves Redis when a core starts.
async fn unload(rig: &Rig) -> Ended {
    let other = rig.other.get();
    // Loaded without a viewer: who watches a show keeps it.
    rig.admin(&format!("{other}/reload"), &serde_json::json!({})).await?;
    rig.sql(&format!("UPDATE shows SET starts_at = starts_at - interval '9 days' WHERE id = {other}")).await;
    let loaded = format!("SELECT count(*) FROM show_streams WHERE show_id = {other} AND run_id <> ''");
    let gone = rig
        .eventually("the end of a map", async || {
            rig.kill_core_if_idle().await;
            rig.count(&loaded).await == 0
        })
        .await;
    rig.sql(&format!("UPDATE shows SET starts_at = starts_at + interval '9 days' WHERE id = {other}")).await;
    gone.map(|()| "unloaded".to_owned())
}

/// Paid after its time: the seats are free, so the booking gets them.
async fn late(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let booking = book(rig, &who).await?;
    until(&who, &booking, |info| info.state == BookingState::Expired).await?;
    pays(&who, &booking, &PayOptions::default()).await?;
    let end = until(&who, &booking, is_confirmed).await?;
    rig.told_confirmed(booking.booking);
    Ok(end)
}

/// Paid after its time, and somebody else has booked a seat of it: the money goes back.
async fn late_refused(rig: &Rig) -> Ended {
    let (who, other) = (rig.visitor().await, rig.visitor().await);
    let booking = book(rig, &who).await?;
    until(&who, &booking, |info| info.state == BookingState::Expired).await?;
    let seats: Vec<u32> = booking.seats.iter().map(|seat| seat.0).take(1).collect();
    let (hold_key, book_key) = (new_key(), new_key());
    let hold = other.client.persist(PATIENCE, || other.client.hold(rig.show, &hold_key, &seats)).await.map_err(said)?;
    let next = || other.client.book(rig.show, &book_key, hold.hold, "ben@example.com");
    let next = other.client.persist(PATIENCE, next).await.map_err(said)?;
    pays(&other, &next, &PayOptions::default()).await?;
    until(&other, &next, is_confirmed).await?;
    rig.told_confirmed(next.booking);
    pays(&who, &booking, &PayOptions::default()).await?;
    until(&who, &booking, is_returned).await
}
