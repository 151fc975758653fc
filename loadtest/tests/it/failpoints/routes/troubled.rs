//! Routes on which something is wrong already: a server that is away, a row that can't be read. The failpoint meets the
//! step that notes it, and the end is the one of a healthy day all the same.

use seatwire_loadtest::client::{PayOptions, pay};
use serde_json::json;

use super::{Ended, book, bought, is_confirmed, pays, until};
use crate::failpoints::rig::Rig;

/// An order of ours whose claim never committed is paid while the provider can't be asked about it.
pub(super) async fn adopted(rig: &Rig) -> Ended {
    let order = rig.stray_order().await?;
    rig.provider(&json!({ "fail": "500" })).await?;
    let paid = pay(&format!("{}/checkout/{order}", rig.provider_url()), &PayOptions::default()).await;
    let waits = format!(
        "SELECT count(*) FROM payment_events WHERE order_id = '{order}'
            AND next_try_at > received_at + interval '800 milliseconds'"
    );
    let put_off = rig.eventually("an event that waits", async || rig.count(&waits).await > 0).await;
    rig.provider(&json!({ "fail": null })).await?;
    paid.map_err(|error| error.to_string())?;
    put_off?;
    let returned = format!(
        "SELECT count(*) FROM refunds r JOIN payments p ON p.id = r.payment_id
            WHERE p.order_id = '{order}' AND r.state = 'PROCESSED'"
    );
    rig.eventually("the money of an order that nobody has", async || rig.count(&returned).await == 1).await?;
    Ok("given back".to_owned())
}

/// No webhook tells of a payment, and the provider does not answer the first question about it.
pub(super) async fn unanswered(rig: &Rig) -> Ended {
    let who = rig.visitor().await;
    let booking = book(rig, &who).await?;
    let order = booking.order.clone().ok_or("no order")?;
    pays(&who, &booking, &PayOptions { lose: true, ..PayOptions::default() }).await?;
    rig.provider(&json!({ "fail": "500" })).await?;
    let ask = format!("UPDATE orders SET next_check_at = clock_timestamp() WHERE id = '{order}'");
    let later = "next_check_at BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 seconds'";
    let asked = format!("SELECT count(*) FROM orders WHERE id = '{order}' AND {later}");
    let taken_back = rig
        .nudged("a question that is asked again", async |nudge| {
            if nudge {
                rig.sql(&ask).await;
            }
            rig.count(&asked).await == 1
        })
        .await;
    rig.provider(&json!({ "fail": null })).await?;
    taken_back?;
    rig.sql(&ask).await;
    let end = until(&who, &booking, is_confirmed).await?;
    rig.told_confirmed(booking.booking);
    Ok(end)
}

/// An event in the inbox that can't be read until somebody mends it; then it turns out to change nothing.
pub(super) async fn unreadable_event(rig: &Rig) -> Ended {
    let event = "INSERT INTO payment_events (provider, body_hash, source, kind, body)
        VALUES ('razorpay', sha256(gen_random_uuid()::text::bytea), 'webhook', 'test', '{}') RETURNING id";
    let id = rig.count(event).await;
    let failed = format!("SELECT count(*) FROM payment_events WHERE id = {id} AND failures > 0");
    rig.eventually("an event's failure", async || rig.count(&failed).await == 1).await?;
    rig.sql(&format!(
        r#"UPDATE payment_events SET body = '{{"type":"other"}}', next_try_at = clock_timestamp() WHERE id = {id}"#
    ))
    .await;
    let done = format!("SELECT count(*) FROM payment_events WHERE id = {id} AND result = 'ignored'");
    rig.eventually("an event's end", async || rig.count(&done).await == 1).await?;
    // As one that an operator has to look at, and has.
    rig.sql(&format!("UPDATE payment_events SET parked_at = clock_timestamp() WHERE id = {id}")).await;
    rig.admin(&format!("dismiss/inbox-{id}"), &json!({})).await?;
    let dismissed = format!("SELECT count(*) FROM payment_events WHERE id = {id} AND parked_at IS NULL");
    rig.eventually("a dismissal", async || rig.count(&dismissed).await == 1).await?;
    Ok("ignored".to_owned())
}

/// A change for the map can't be read; it is parked, mended, and requeued by an operator.
pub(super) async fn parked_change(rig: &Rig) -> Ended {
    let (booking, end) = bought(rig).await?;
    let row = applied_row(rig, &booking.booking.to_hex()).await?;
    rig.sql(&format!(
        "UPDATE outbox SET applied_at = NULL, next_try_at = clock_timestamp(),
            change = jsonb_build_object('broken', change) WHERE id = {row}"
    ))
    .await;
    let failed = format!("SELECT count(*) FROM outbox WHERE id = {row} AND failures > 0");
    rig.eventually("a change's failure", async || rig.count(&failed).await == 1).await?;
    rig.sql(&format!("UPDATE outbox SET parked_at = clock_timestamp(), change = change -> 'broken' WHERE id = {row}"))
        .await;
    rig.admin(&format!("requeue/outbox-{row}"), &json!({})).await?;
    applied_row(rig, &booking.booking.to_hex()).await?;
    Ok(end)
}

/// Redis takes no writes for a while: the relay puts changes off.
pub(super) async fn redis_away(rig: &Rig) -> Ended {
    let (booking, end) = bought(rig).await?;
    let row = applied_row(rig, &booking.booking.to_hex()).await?;
    // Longer than a call waits for its answer.
    rig.redis::<()>(redis::cmd("CLIENT").arg(&["PAUSE", "4000", "WRITE"])).await;
    rig.sql(&format!("UPDATE outbox SET applied_at = NULL, next_try_at = clock_timestamp() WHERE id = {row}")).await;
    applied_row(rig, &booking.booking.to_hex()).await?;
    Ok(end)
}

/// The latest change of a booking, once it is marked as applied.
async fn applied_row(rig: &Rig, booking: &str) -> Result<i64, String> {
    let open = format!("SELECT count(*) FROM outbox WHERE booking_id = '{booking}' AND applied_at IS NULL");
    rig.eventually("a booking that is on the map", async || rig.count(&open).await == 0).await?;
    Ok(rig.count(&format!("SELECT max(id) FROM outbox WHERE booking_id = '{booking}'")).await)
}

/// Mail can't be sent at all, then not this one as it is, then not now; at last it is.
pub(super) async fn mail_troubles(rig: &Rig) -> Ended {
    let folder = rig.mail_folder();
    let broken = rig.break_mail(|folder| std::fs::write(folder, "not a folder"));
    let (booking, end) = bought(rig).await?;
    let row = format!("booking_id = '{}' AND kind = 'BookingConfirmed'", booking.booking.to_hex());
    let now = format!("UPDATE booking_events SET mail_next_try_at = clock_timestamp() WHERE {row}");
    let is = async |what: &str| rig.count(&format!("SELECT count(*) FROM booking_events WHERE {row} AND {what}")).await;
    let wait = async |what: &str, condition: &str| {
        let come = async |nudge| {
            if nudge {
                rig.sql(&now).await;
            }
            is(condition).await == 1
        };
        rig.nudged(what, come).await
    };
    let rest = async {
        wait(
            "mail that waits",
            "bus_done_at IS NOT NULL AND mail_next_try_at BETWEEN clock_timestamp() + interval '200 milliseconds'
                AND clock_timestamp() + interval '2 seconds'",
        )
        .await?;
        rig.sql(&format!(
            "UPDATE booking_events SET facts = jsonb_build_object('refund_follows', facts),
                mail_next_try_at = clock_timestamp() WHERE {row}"
        ))
        .await;
        drop(broken);
        wait("mail that can't be written", "mail_failures > 0").await?;
        // Nobody can write there, and it is a folder.
        let broken = rig.break_mail(|folder| std::os::unix::fs::symlink("/proc", folder));
        rig.sql(&format!("UPDATE booking_events SET facts = facts -> 'refund_follows' WHERE {row}")).await;
        wait("mail that is put off", "last_error LIKE 'mail: %os error%'").await?;
        drop(broken);
        wait("mail that is sent", "mail_done_at IS NOT NULL").await
    };
    rest.await?;
    let mails = std::fs::read_dir(folder).map_err(|error| error.to_string())?.count();
    Ok(if mails > 0 { end } else { "no mail".to_owned() })
}
