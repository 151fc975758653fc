//! Ways through the product that together lead past every failpoint. Each answers how it ended, in words that are the
//! same whether a fault was met or not; what was told as confirmed is noted.

mod shows;
mod troubled;

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use seatwire_loadtest::client::{ClientError, PayOptions, new_key, pay};
use seatwire_protocol::command::{BookingInfo, BookingState, HoldInfo, RefundState};
use seatwire_protocol::{ErrorBody, ErrorCode, ShowId};

use super::rig::{PATIENCE, Rig, Visitor};
use shows::{cancelled_show, unload, wrong_map};
use troubled::{adopted, mail_troubles, parked_change, redis_away, unanswered, unreadable_event};

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
    lapse,
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
    together,
    cancelled_show,
    adopted,
    unanswered,
    unreadable_event,
    parked_change,
    redis_away,
    mail_troubles,
    wrong_map,
    logout,
];

fn said(error: ErrorBody) -> String {
    format!("{error:?}")
}

fn outcome(booking: &BookingInfo) -> String {
    let refunds: Vec<RefundState> = booking.refunds.iter().map(|refund| refund.state).collect();
    format!("{:?} {refunds:?}", booking.state)
}

async fn hold_on(who: &Visitor, show: ShowId, seats: &[u32]) -> Result<HoldInfo, String> {
    let key = new_key();
    who.client.persist(PATIENCE, || who.client.hold(show, &key, seats)).await.map_err(said)
}

async fn hold(rig: &Rig, who: &Visitor) -> Result<HoldInfo, String> {
    hold_on(who, rig.show, &rig.seats()).await
}

async fn book_on(who: &Visitor, show: ShowId, seats: &[u32]) -> Result<BookingInfo, String> {
    let hold = hold_on(who, show, seats).await?;
    let key = new_key();
    let book = || who.client.book(show, &key, hold.hold, "ann@example.com");
    who.client.persist(PATIENCE, book).await.map_err(said)
}

async fn book(rig: &Rig, who: &Visitor) -> Result<BookingInfo, String> {
    book_on(who, rig.show, &rig.seats()).await
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
    Ok(bought(rig).await?.1)
}

async fn bought(rig: &Rig) -> Result<(BookingInfo, String), String> {
    let who = rig.visitor().await;
    let booking = book(rig, &who).await?;
    pays(&who, &booking, &PayOptions { copies: Some(2), ..PayOptions::default() }).await?;
    let end = until(&who, &booking, is_confirmed).await?;
    rig.told_confirmed(booking.booking);
    Ok((booking, end))
}

/// Two payments that the settling worker finds in one look, because a trigger of the test keeps both back until then.
async fn together(rig: &Rig) -> Ended {
    let (ann, ben) = (rig.visitor().await, rig.visitor().await);
    let (first, second) = (book(rig, &ann).await?, book(rig, &ben).await?);
    let orders = [&first, &second].map(|booking| format!("'{}'", booking.order.as_deref().unwrap_or_default()));
    let orders = orders.join(", ");
    rig.sql(&format!(
        "DROP TRIGGER IF EXISTS keep_back ON payment_events;
        CREATE OR REPLACE FUNCTION keep_back() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.next_try_at := NEW.next_try_at + interval '1 minute'; RETURN NEW; END $$;
        CREATE TRIGGER keep_back BEFORE INSERT ON payment_events FOR EACH ROW
            WHEN (NEW.order_id IN ({orders})) EXECUTE FUNCTION keep_back()"
    ))
    .await;
    pays(&ann, &first, &PayOptions::default()).await?;
    pays(&ben, &second, &PayOptions::default()).await?;
    let told = format!("SELECT count(DISTINCT order_id) FROM payment_events WHERE order_id IN ({orders})");
    rig.eventually("two events", async || rig.count(&told).await == 2).await?;
    // One transaction: both come to light at once.
    rig.sql(&format!(
        "DROP TRIGGER keep_back ON payment_events;
        UPDATE payment_events SET next_try_at = clock_timestamp() WHERE order_id IN ({orders}) AND processed_at IS NULL"
    ))
    .await;
    let ends = (until(&ann, &first, is_confirmed).await?, until(&ben, &second, is_confirmed).await?);
    rig.told_confirmed(first.booking);
    rig.told_confirmed(second.booking);
    Ok(format!("{} {}", ends.0, ends.1))
}

/// The customer's token is void.
async fn logout(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    // A try whose answer was lost may have taken effect.
    rig.eventually("a logout", async || rig.log_out(&who).await.is_ok_and(|status| matches!(status, 200 | 401)))
        .await?;
    Ok(format!("{}", rig.log_out(&who).await?))
}

/// A purchase whose events reach the bus and its customer's mail.
async fn told(rig: &Rig) -> Ended {
    let end = purchase(rig).await?;
    let open = "SELECT count(*) FROM booking_events WHERE bus_next_try_at IS NOT NULL OR mail_next_try_at IS NOT NULL";
    rig.eventually("every event told", async || rig.count(open).await == 0).await?;
    Ok(end)
}

/// A hold, more time for it, and given back.
async fn browse(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let held = hold(rig, &who).await?;
    let key = new_key();
    let extend = || who.client.extend(rig.show, &key, held.hold);
    let extended = who.client.persist(PATIENCE, extend).await.map_err(said)?;
    give_back(rig, &who, &held).await?;
    Ok(format!("released with {} extensions left", extended.extensions_left))
}

/// A hold that is left alone.
async fn lapse(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let held = hold(rig, &who).await?;
    over(rig, &who, &held).await?;
    Ok("expired".to_owned())
}

async fn give_back(rig: &Rig, who: &Visitor, held: &HoldInfo) -> Result<(), String> {
    match who.client.persist(PATIENCE, || who.client.release(rig.show, held.hold)).await {
        Ok(_) => {}
        // Released by an earlier try whose answer was lost.
        Err(error) if matches!(error.code, ErrorCode::Gone | ErrorCode::NotOwner) => {}
        // Nobody could take the attempt to book back: it ends by itself.
        Err(error) if error.code == ErrorCode::InPayment => {}
        Err(error) => return Err(said(error)),
    }
    over(rig, who, held).await
}

async fn over(rig: &Rig, who: &Visitor, held: &HoldInfo) -> Result<(), String> {
    rig.eventually("the end of a hold", async || {
        let own = who.client.persist(PATIENCE, || who.client.own_holds(rig.show)).await;
        own.is_ok_and(|(holds, _)| holds.iter().all(|hold| hold.hold != held.hold))
    })
    .await
}

/// One pending booking a customer and show: the second is refused, and its hold can be used again.
async fn second_pending(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let first = book(rig, &who).await?;
    let (held, key) = (hold(rig, &who).await?, new_key());
    let second = || who.client.book(rig.show, &key, held.hold, "ann@example.com");
    let refused = who.client.persist(PATIENCE, second).await;
    let refused = refused.is_err_and(|error| error.code == ErrorCode::Limit);
    give_back(rig, &who, &held).await?;
    let cancelled = cancel(&who, &first).await?;
    Ok(format!("{} {cancelled}", if refused { "refused" } else { "not refused" }))
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
        (format!("shows/{show}/block"), seats.clone()),
        (format!("shows/{show}/unblock"), seats),
        (format!("shows/{other}/sale"), serde_json::json!({ "state": "closed" })),
        (format!("shows/{other}/sale"), serde_json::json!({ "state": "open" })),
        (format!("shows/{other}/options"), serde_json::json!({ "no_orphan": true })),
        (format!("shows/{other}/options"), serde_json::json!({ "no_orphan": false })),
    ] {
        rig.admin(&path, &body).await?;
    }
    // A sale that opens by itself.
    let soon = serde_json::json!({ "state": "before", "opens_at_ms": rig.now_ms().await + 300 });
    rig.admin(&format!("shows/{other}/sale"), &soon).await?;
    let opened = format!("SELECT count(*) FROM shows WHERE id = {other} AND sale = 'open'");
    rig.eventually("the opening of a sale", async || rig.count(&opened).await == 1).await?;
    Ok("done".to_owned())
}

/// Redis has lost everything; whoever comes next makes a core load the map.
async fn load(rig: &Rig) -> Ended {
    rig.redis::<()>(&redis::cmd("FLUSHALL")).await;
    purchase(rig).await
}

/// The booking's time is over at once, and a core sees to its end.
async fn expire(rig: &Rig, who: &Visitor, booking: &BookingInfo) -> Result<(), String> {
    let id = booking.booking.to_hex();
    rig.sql(&format!("UPDATE bookings SET expires_at = clock_timestamp() WHERE id = '{id}' AND state = 'PENDING'"))
        .await;
    until(who, booking, |info| info.state == BookingState::Expired).await.map(drop)
}

/// Paid after its time: the seats are free, so the booking gets them.
async fn late(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let booking = book(rig, &who).await?;
    expire(rig, &who, &booking).await?;
    pays(&who, &booking, &PayOptions::default()).await?;
    let end = until(&who, &booking, is_confirmed).await?;
    rig.told_confirmed(booking.booking);
    Ok(end)
}

/// Paid after its time, and somebody else has booked a seat of it: the money goes back.
async fn late_refused(rig: &Rig) -> Ended {
    let (who, other) = (rig.visitor().await, rig.visitor().await);
    let booking = book(rig, &who).await?;
    expire(rig, &who, &booking).await?;
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
