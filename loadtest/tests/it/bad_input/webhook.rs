//! The payment provider's webhook at the core's own listener.

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Method;
use seatwire_loadtest::client::Http;
use sha2::Sha256;

use super::Findings;
use crate::shop::Shop;
use crate::support;

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

const EVENT: &str = r#"{"entity":"event","event":"invoice.paid","contains":[],"payload":{},"created_at":1790000000}"#;

pub(super) async fn every_bad_call(shop: &Shop) -> Findings {
    let secret = &shop.at.secrets.webhook;
    let good = sign(secret, EVENT.as_bytes());
    let signed = |body: &str| (body.to_owned(), sign(secret, body.as_bytes()));
    let spaced = EVENT.replace(':', ": ");
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(300_000));
    let url = "/webhooks/razorpay";
    let json = "application/json";
    let post = Method::POST;
    let pair = |(body, signature): (String, String)| (body, Some(signature));
    // What, method, path, content type, (body, signature), status, a word of the reason.
    let table = [
        ("no signature", &post, url, json, (EVENT.to_owned(), None), 400, "signature"),
        ("a wrong signature", &post, url, json, (EVENT.to_owned(), Some("0".repeat(64))), 400, "signature"),
        (
            "a signature that is no hex",
            &post,
            url,
            json,
            (EVENT.to_owned(), Some("not hex".to_owned())),
            400,
            "signature",
        ),
        ("a short signature", &post, url, json, (EVENT.to_owned(), Some(good[..32].to_owned())), 400, "signature"),
        (
            "another secret",
            &post,
            url,
            json,
            (EVENT.to_owned(), Some(sign("another", EVENT.as_bytes()))),
            400,
            "signature",
        ),
        ("the same event written otherwise", &post, url, json, (spaced, Some(good.clone())), 400, "signature"),
        ("not json", &post, url, json, pair(signed("{")), 400, "JSON"),
        ("json that is no event", &post, url, json, pair(signed("[]")), 400, "event"),
        ("deep json", &post, url, json, pair(signed(&deep)), 400, "JSON"),
        ("another type", &post, url, "text/plain", pair(signed(EVENT)), 415, "application/json"),
        ("a large body", &post, url, json, pair(signed(&large)), 413, "larger"),
        ("another method", &Method::GET, url, json, pair(signed("")), 405, ""),
        ("another path", &post, "/webhooks/nobody", json, pair(signed(EVENT)), 404, ""),
        ("a provider that is not configured", &post, "/webhooks/stripe", json, pair(signed(EVENT)), 404, ""),
    ];
    let http = Http::default();
    let mut wrong = Vec::new();
    let asked = table.len();
    for (what, method, path, kind, (body, signature), status, word) in table {
        let mut headers = vec![("content-type", kind)];
        headers.extend(signature.as_deref().map(|signature| ("x-razorpay-signature", signature)));
        match http.send(method.clone(), &format!("{}{path}", shop.at.core_http), &headers, body).await {
            Ok(reply) if reply.status == status && reply.text().contains(word) => {}
            Ok(reply) => wrong.push(format!("{what}: wanted {status} {word:?}, got {} {}", reply.status, reply.text())),
            Err(error) => wrong.push(format!("{what}: {error}")),
        }
    }
    accepted_without_effect(shop, &http, &mut wrong).await;
    (asked, wrong)
}

/// What is signed and well-formed is never refused for its meaning: unknown events, unknown orders, twice the same.
async fn accepted_without_effect(shop: &Shop, http: &Http, wrong: &mut Vec<String>) {
    let stranger = r#"{"entity":"event","event":"payment.captured","contains":["payment"],"payload":{"payment":{"entity":
        {"id":"pay_ofSomebodyElse","order_id":"order_ofSomebodyElse","amount":100,"currency":"INR","status":"captured",
        "captured":true,"notes":[]}}},"created_at":1790000000}"#;
    let url = format!("{}/webhooks/razorpay", shop.at.core_http);
    for body in [EVENT, EVENT, stranger, stranger] {
        let signature = sign(&shop.at.secrets.webhook, body.as_bytes());
        let headers = [("content-type", "application/json"), ("x-razorpay-signature", signature.as_str())];
        let reply = http.send(Method::POST, &url, &headers, body).await.unwrap();
        if reply.status != 200 {
            wrong.push(format!("a signed event: wanted 200, got {} {}", reply.status, reply.text()));
        }
    }
    let ledger = support::connect(&shop.at.postgres).await;
    let refunds = ledger.query_one("SELECT count(*) FROM refunds", &[]).await.unwrap();
    if refunds.get::<_, i64>(0) != 0 {
        wrong.push("a payment of an order that is not ours must not be refunded".to_owned());
    }
}
