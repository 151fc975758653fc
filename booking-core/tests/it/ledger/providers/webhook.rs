//! Webhooks by hand: bodies and signatures in each provider's shape.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seatwire_loadtest::provider::Shapes;
use serde_json::json;
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ledger::rig::{Rig, WEBHOOK_SECRET};

pub(super) type Header = (&'static str, String);

pub(super) fn hmac(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    hex::encode(mac.finalize().into_bytes())
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What the provider would send along.
pub(super) fn signed(shapes: Shapes, secret: &str, body: &[u8]) -> Vec<Header> {
    match shapes {
        Shapes::Razorpay => vec![("x-razorpay-signature", hmac(secret, &[body]))],
        Shapes::Stripe => vec![stripe_signed(secret, &now().to_string(), body)],
    }
}

pub(super) fn stripe_signed(secret: &str, time: &str, body: &[u8]) -> Header {
    ("stripe-signature", format!("t={time},v1={}", hmac(secret, &[time.as_bytes(), b".", body])))
}

pub(super) async fn post(rig: &Rig, headers: &[Header], body: &[u8]) -> u16 {
    let url = format!("http://{}/webhooks/{}", rig.webhooks, rig.shapes.name());
    let mut request = Request::builder().method("POST").uri(url);
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
    client.request(request).await.unwrap().status().as_u16()
}

/// Signed as it should be.
pub(super) async fn send(rig: &Rig, body: &[u8]) -> u16 {
    post(rig, &signed(rig.shapes, WEBHOOK_SECRET, body), body).await
}

/// A captured payment of an order.
pub(super) fn captured(shapes: Shapes, order: &str, payment: &str, amount: u64, currency: &str) -> Vec<u8> {
    let event = match shapes {
        Shapes::Razorpay => json!({"entity": "event", "event": "payment.captured", "payload": {"payment": {"entity": {
            "id": payment, "order_id": order, "amount": amount, "currency": currency, "status": "captured",
            "captured": true, "notes": []}}}}),
        Shapes::Stripe => json!({"id": format!("evt_{payment}"), "object": "event", "type": "charge.succeeded",
            "data": {"object": {"id": payment, "object": "charge", "payment_intent": order, "amount": amount,
            "amount_captured": amount, "captured": true, "currency": currency.to_lowercase(),
            "status": "succeeded"}}}),
    };
    event.to_string().into_bytes()
}

/// An event that means nothing here, with a field nobody knows.
pub(super) fn unknown_event(shapes: Shapes) -> &'static [u8] {
    match shapes {
        Shapes::Razorpay => {
            br#"{"event":"subscription.charged","account_id":"acc_x","payload":{"x":{"notes":{}}},"new":[1]}"#
        }
        Shapes::Stripe => br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"notes":{}}},"new":[1]}"#,
    }
}

/// A captured payment without its entity.
pub(super) fn unreadable_event(shapes: Shapes) -> &'static [u8] {
    match shapes {
        Shapes::Razorpay => br#"{"event":"payment.captured","payload":{"payment":{}}}"#,
        Shapes::Stripe => br#"{"id":"evt_2","type":"charge.succeeded","data":{"object":{"id":"ch_x","amount":-1}}}"#,
    }
}
