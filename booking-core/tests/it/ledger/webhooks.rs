//! What reaches the webhook: answered by its form, never by its business.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seatwire_protocol::command::BookingState;
use serde_json::json;
use sha2::Sha256;

use super::rig::{Rig, WEBHOOK_SECRET, connect, wait_for};

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

pub(super) struct Sent<'a> {
    method: &'a str,
    kind: Option<&'a str>,
    signatures: Vec<String>,
    body: Vec<u8>,
}

impl Sent<'_> {
    pub(super) fn of(body: &[u8]) -> Self {
        let signatures = vec![sign(WEBHOOK_SECRET, body)];
        Self { method: "POST", kind: Some("application/json"), signatures, body: body.to_vec() }
    }

    pub(super) async fn to(self, rig: &Rig) -> u16 {
        let mut request =
            Request::builder().method(self.method).uri(format!("http://{}/webhooks/razorpay", rig.webhooks));
        if let Some(kind) = self.kind {
            request = request.header("content-type", kind);
        }
        for signature in self.signatures {
            request = request.header("x-razorpay-signature", signature);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        client.request(request.body(Full::new(Bytes::from(self.body))).unwrap()).await.unwrap().status().as_u16()
    }
}

fn captured(order: &str, payment: &str, amount: u64) -> Vec<u8> {
    payment_event(order, payment, amount, "INR", "captured")
}

pub(super) fn payment_event(order: &str, payment: &str, amount: u64, currency: &str, status: &str) -> Vec<u8> {
    let entity = json!({"id": payment, "order_id": order, "amount": amount, "currency": currency, "status": status});
    json!({"event": format!("payment.{status}"), "payload": {"payment": {"entity": entity}}}).to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_bad_webhook_gets_its_answer_and_leaves_nothing() {
    let rig = Rig::new().await;
    let good = captured("order_x", "pay_x", 1);
    let unsigned = || Sent { signatures: vec![], ..Sent::of(&good) };
    assert_eq!(unsigned().to(&rig).await, 400);
    let wrong = sign("another secret", &good);
    assert_eq!(Sent { signatures: vec![wrong], ..Sent::of(&good) }.to(&rig).await, 400);
    let twice = vec![sign(WEBHOOK_SECRET, &good); 2];
    assert_eq!(Sent { signatures: twice, ..Sent::of(&good) }.to(&rig).await, 400);
    let moved = [&good[..], b" "].concat();
    assert_eq!(Sent { signatures: vec![sign(WEBHOOK_SECRET, &good)], ..Sent::of(&moved) }.to(&rig).await, 400);
    for body in [&b"not json"[..], b"", b"[]", b"{}", b"\xEF\xBB\xBF{}"] {
        assert_eq!(Sent::of(body).to(&rig).await, 400, "{body:?}");
    }
    assert_eq!(Sent::of("[".repeat(1_000).as_bytes()).to(&rig).await, 400);
    assert_eq!(Sent { kind: Some("text/plain"), ..Sent::of(&good) }.to(&rig).await, 415);
    assert_eq!(Sent { kind: None, ..Sent::of(&good) }.to(&rig).await, 415);
    assert_eq!(Sent { method: "GET", ..Sent::of(&good) }.to(&rig).await, 405);
    assert_eq!(Sent::of(&vec![b' '; (256 << 10) + 1]).to(&rig).await, 413);
    assert_eq!(rig.count("SELECT count(*) FROM payment_events").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_is_stored_once_and_what_is_not_ours_is_left_alone() {
    let rig = Rig::new().await;
    let booking = rig.buy("ann", &[0]).await;
    let events = rig.count("SELECT count(*) FROM payment_events").await;
    // Somebody else's order on the same account, an event that we don't know, one that can't be read.
    let foreign = captured("order_of_another", "pay_of_another", 500);
    for _ in 0..3 {
        assert_eq!(Sent::of(&foreign).to(&rig).await, 200);
    }
    assert_eq!(Sent::of(br#"{"event":"subscription.charged","payload":{"x":[]}}"#).to(&rig).await, 200);
    assert_eq!(Sent::of(br#"{"event":"payment.captured","payload":{"payment":{}}}"#).to(&rig).await, 200);
    // A known payment under another order, signed: not believed.
    let order = booking.order.clone().unwrap();
    assert_eq!(Sent::of(&captured(&order, "pay_forged", booking.amount)).to(&rig).await, 200);
    assert_eq!(rig.count("SELECT count(*) FROM payment_events").await, events + 4);
    rig.drain_inbox().await;
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE result = 'quarantined'").await, 1);
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE result = 'unreadable'").await, 1);
    assert_eq!(rig.count("SELECT count(*) FROM payments WHERE id = 'pay_of_another'").await, 0);
    // The payment for the same booking is a second one: refunded, never a second booking.
    assert_eq!(rig.text("SELECT outcome_reason FROM payments WHERE id = 'pay_forged'").await, "second_payment");
    assert_eq!(rig.saga.backlog().await.unwrap().inbox_parked, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_event_is_parked_and_the_rest_goes_on() {
    let rig = Rig::new().await;
    let booking = rig.book("ann", &[0]).await;
    let order = booking.order.clone().unwrap();
    // No payment is of nothing: the database refuses its row.
    assert_eq!(Sent::of(&captured(&order, "pay_nothing", 0)).to(&rig).await, 200);
    rig.pay(&booking, json!({})).await;
    let parked = async || {
        rig.saga.settle_once().await.unwrap();
        rig.sql.batch_execute("UPDATE payment_events SET next_try_at = now()").await.unwrap();
        rig.saga.backlog().await.unwrap().inbox_parked == 1
    };
    wait_for("parking", parked).await;
    rig.settle().await;
    assert_eq!(rig.booking(booking.booking).await.state, BookingState::Confirmed);
    assert_eq!(rig.count("SELECT failures::bigint FROM payment_events WHERE parked_at IS NOT NULL").await, 5);
    let row = rig.text("SELECT 'inbox-' || id FROM payment_events WHERE parked_at IS NOT NULL").await;
    assert!(rig.saga.requeue(&row).await.unwrap());
    assert!(!rig.saga.requeue(&row).await.unwrap(), "not parked any more");
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_answered_when_its_event_is_committed() {
    let rig = Rig::new().await;
    let body = captured("order_x", "pay_x", 1);
    let other = connect(&rig.postgres.superuser_url()).await;
    other.batch_execute("BEGIN; LOCK TABLE payment_events").await.unwrap();
    assert_eq!(Sent::of(&body).to(&rig).await, 503);
    other.batch_execute("ROLLBACK").await.unwrap();
    // Sent again, and the first may have been stored in the end.
    wait_for("the event", async || Sent::of(&body).to(&rig).await == 200).await;
    assert_eq!(rig.count("SELECT count(*) FROM payment_events").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_can_not_be_stored_as_it_is_keeps_no_other_out() {
    let rig = Rig::new().await;
    let odd = [
        captured("order\0x", "pay_x", 1),
        captured("order_x", &"p".repeat(20_000), 1),
        json!({"event": "kind\0".repeat(9_000)}).to_string().into_bytes(),
    ];
    let fine: Vec<Vec<u8>> = (0..20).map(|n| captured("order_of_others", &format!("pay_{n}"), 1)).collect();
    let answers = odd.iter().chain(&fine).map(|body| Sent::of(body).to(&rig));
    assert!(futures_util::future::join_all(answers).await.iter().all(|status| *status == 200));
    assert_eq!(rig.count("SELECT count(*) FROM payment_events").await, 23);
    rig.drain_inbox().await;
    assert_eq!(rig.count("SELECT count(*) FROM payment_events WHERE result = 'unreadable'").await, 2);
}
