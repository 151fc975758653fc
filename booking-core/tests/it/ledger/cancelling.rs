//! An operator cancels a show: nobody keeps a seat or loses money, whenever the money comes.

use std::process::Stdio;

use seatwire_core::holds::Refusal;
use seatwire_loadtest::launcher::Port;
use seatwire_protocol::command::{BookingState, RefundState};
use seatwire_protocol::{BookingId, SaleState, SeatIndex, ShowId};
use serde_json::json;

use super::rig::{Rig, connect, customer, idempotency_key, wait_for};
use crate::http_listener::request;
use crate::support::SECRET;

const LEFT: &str = "SELECT count(*) FROM bookings WHERE state IN ('PENDING', 'CONFIRMED')";

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_show_gives_all_its_money_back_late_money_too() {
    let rig = Rig::new().await;
    let paid = rig.buy("ann", &[0, 1]).await;
    let unpaid = rig.book("bob", &[4]).await;
    let untold = rig.book("cid", &[8]).await;
    let late = rig.book("dan", &[12]).await;
    rig.sql.batch_execute("UPDATE bookings SET expires_at = now() WHERE customer_id = 'dan'").await.unwrap();
    rig.expire(late.booking).await;
    // A hold that is about to be booked ends with the rest.
    rig.hold(&customer("eve"), "h", &[20]).await;
    rig.pay(&untold, json!({"lose": 1})).await;

    let blocked = rig.saga.cancel_show(rig.show).await.unwrap().unwrap();
    assert_eq!(
        i64::try_from(blocked).unwrap(),
        rig.count(
            "SELECT count(*) FROM seat_history WHERE reason = 'cancel_show'
        AND actor = 'operator'"
        )
        .await
    );
    assert_eq!(rig.count("SELECT count(*) FROM show_seats WHERE show_id = 1 AND status = 'available'").await, 0);
    assert_eq!(rig.saga.cancel_show(rig.show).await.unwrap(), Ok(0), "again it changes nothing");
    assert_eq!(rig.saga.cancel_show(ShowId::new(999_999).unwrap()).await.unwrap(), Err(Refusal::NoSuchShow));
    let opened = rig.saga.set_sale(rig.show, SaleState::Open, None).await.unwrap();
    assert_eq!(opened, Err(Refusal::SaleClosed), "it never opens again");
    let hold = rig.holds.hold(rig.show, &customer("fay"), &idempotency_key("h"), &[SeatIndex(30)], None).await.unwrap();
    assert_eq!(hold, Err(Refusal::SaleClosed));

    // The money of two comes after the cancellation: one while the booking still waits for it, one after its end.
    rig.pay(&late, json!({})).await;
    rig.settle().await;
    let done = async || {
        rig.saga.cancel_shows_once().await.unwrap();
        rig.count("SELECT count(*) FROM shows WHERE cancel_done_at IS NOT NULL").await == 1
    };
    wait_for("the bookings' end", done).await;
    rig.pay(&unpaid, json!({})).await;
    rig.settle().await;
    // Nobody told of cid's; reconciliation finds it.
    rig.sql.batch_execute("UPDATE orders SET next_check_at = now()").await.unwrap();
    rig.saga.reconcile_once().await.unwrap();
    rig.settle().await;
    rig.refund().await;

    for (booking, state) in [
        (&paid, BookingState::Cancelled),
        (&unpaid, BookingState::Cancelled),
        (&untold, BookingState::Cancelled),
        (&late, BookingState::Expired),
    ] {
        let booking = rig.booking(booking.booking).await;
        let refunds: Vec<_> = booking.refunds.iter().map(|refund| (refund.state, refund.amount)).collect();
        assert_eq!((booking.state, refunds), (state, vec![(RefundState::Processed, booking.amount)]));
    }
    let reasons = rig.text("SELECT string_agg(reason, ',' ORDER BY reason) FROM refunds").await;
    assert!(reasons.starts_with("booking_cancelled,booking_cancelled,cancel,"), "{reasons}");
    let who = "SELECT string_agg(DISTINCT actor, ',') FROM seat_history WHERE reason = 'cancel'";
    assert_eq!(rig.text(who).await, "operator");
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_cancels_a_booking_of_any_customer() {
    let rig = Rig::new().await;
    let paid = rig.buy("ann", &[0, 1]).await;
    // Its show has begun: the customer could not any more.
    rig.sql.batch_execute("UPDATE shows SET starts_at = now() WHERE id = 1").await.unwrap();
    for _ in 0..2 {
        let cancelled = rig.saga.cancel_by_operator(paid.booking).await.unwrap().unwrap();
        assert_eq!((cancelled.state, cancelled.refunds.len()), (BookingState::Cancelled, 1));
    }
    assert_eq!(rig.text("SELECT ended_by FROM bookings").await, "operator");
    assert_eq!(rig.saga.cancel_by_operator(BookingId([9; 16])).await.unwrap(), None);
    rig.refund().await;
    rig.check().await;
}

/// A core of its own is killed while it has one booking of several under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_is_killed_leaves_the_rest_of_the_show_to_another() {
    let rig = Rig::new().await;
    for (name, seat) in [("ann", 0), ("bob", 1), ("cid", 2), ("dan", 3), ("eve", 4), ("fay", 5)] {
        rig.buy(name, &[seat]).await;
    }
    let [core_port, http_port] = [(); 2].map(|()| Port::any().unwrap());
    let (core, http) = (core_port.address(), http_port.address());
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_seatwire-core"))
        .env_clear()
        .args(["serve", "--razorpay-key-id=key", "--razorpay-key-secret=secret", "--razorpay-webhook-secrets=unused"])
        .args(["core-secret", "hold-secret", "admin-token"].map(|flag| format!("--{flag}={SECRET}")))
        .args([format!("--core-listen={core}"), format!("--core-http-listen={http}")])
        .args([format!("--redis-url={}", rig.redis.url()), format!("--database-url={}", rig.postgres.core_url())])
        .arg("--checkout-url=http://127.0.0.1:1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    wait_for("the core", async || tokio::net::TcpStream::connect(http).await.is_ok()).await;
    // It can't get past one of the bookings.
    let other = connect(&rig.postgres.superuser_url()).await;
    other.batch_execute("BEGIN; SELECT id FROM bookings WHERE customer_id = 'cid' FOR UPDATE").await.unwrap();
    let (status, body) = request(http, "POST", &format!("/admin/shows/{}/cancel", rig.show), SECRET, "{}").await;
    assert_eq!(status, 200, "{body}");
    wait_for("the others", async || rig.count(LEFT).await == 1).await;
    child.kill().await.unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(rig.count(LEFT).await, 1, "killed in the middle");

    let done = async || {
        rig.saga.cancel_shows_once().await.unwrap();
        rig.count("SELECT count(*) FROM shows WHERE cancel_done_at IS NOT NULL").await == 1
    };
    wait_for("the rest", done).await;
    assert_eq!(rig.count(LEFT).await, 0);
    // What the dead core had begun to refund is due again when its lease is over.
    rig.sql.batch_execute("UPDATE refunds SET next_try_at = now() WHERE state = 'REQUESTED'").await.unwrap();
    rig.refund().await;
    assert_eq!(rig.count("SELECT count(*) FROM refunds WHERE state = 'PROCESSED' AND reason = 'cancel'").await, 6);
    rig.check().await;
}
