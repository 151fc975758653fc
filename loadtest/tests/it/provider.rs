//! The simulated payment provider, driven over its socket as the core, a browser and a test drive it.

mod process;
mod receiver;
mod stripe;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::support::eventually;
use process::{Answer, Provider, WEBHOOK_SECRET};
use receiver::Receiver;

#[tokio::test]
async fn a_payment_in_the_browser_ends_in_webhooks_that_openssl_verifies() {
    let receiver = Receiver::start().await;
    let provider = Provider::start(&receiver.url).await;
    let order = provider.order(25_000, "booking-1").await;

    let page = provider.get(&format!("/checkout/{order}?return_url=http%3A%2F%2Fshop.example%2F%3Fbooking%3D1")).await;
    assert_eq!(page.status, StatusCode::OK);
    for text in ["INR 250.00", &order, "booking-1", "Simulation", "value=\"success\"", "value=\"failure\""] {
        assert!(page.text.contains(text), "{text} is missing in {}", page.text);
    }

    let back = "http://shop.example/?booking=1";
    let declined = provider.pay_form(&order, &format!("outcome=failure&return_url={back}")).await;
    assert_eq!((declined.status, declined.location()), (StatusCode::SEE_OTHER, Some(back)));
    let paid = provider.pay_form(&order, &format!("outcome=success&return_url={back}")).await;
    assert_eq!((paid.status, paid.location()), (StatusCode::SEE_OTHER, Some(back)));
    // A second press of the button is no second payment.
    let again = provider.pay_form(&order, &format!("outcome=success&return_url={back}")).await;
    assert_eq!((again.status, again.location()), (StatusCode::SEE_OTHER, Some(back)));

    let hooks = receiver.wait_for(3).await;
    let mut kinds: Vec<String> = hooks.iter().map(|hook| text(&hook.json(), "/event")).collect();
    kinds.sort();
    assert_eq!(kinds, ["order.paid", "payment.captured", "payment.failed"]);
    for hook in &hooks {
        assert_eq!(hook.signature, openssl_hmac(&hook.body));
    }
    let captured = hooks.iter().map(|hook| hook.json()).find(|hook| hook["event"] == "payment.captured").unwrap();
    let entity = &captured["payload"]["payment"]["entity"];
    assert_eq!((&entity["order_id"], &entity["amount"]), (&json!(order), &json!(25_000)));

    let books = provider.get_json(&format!("/v1/orders/{order}/payments")).await;
    assert_eq!(books["count"], 2);
    let page = provider.get(&format!("/checkout/{order}?return_url={back}")).await;
    assert!(page.text.contains("This order is paid") && !page.text.contains("<form"), "{}", page.text);
}

#[tokio::test]
async fn a_killed_provider_keeps_its_books_and_delivers_after_its_restart() {
    let receiver = Receiver::start().await;
    receiver.refuse(true);
    let mut provider = Provider::start(&receiver.url).await;
    let order = provider.order(40_000, "booking-2").await;
    let paid = provider.pay(&order, json!({"outcome": "success"})).await.ok();
    let late = provider.order(10_000, "booking-3").await;
    let pending = provider.pay(&late, json!({"outcome": "success", "capture_after_ms": 1})).await.ok();
    assert_eq!((text(&paid, "/status"), text(&pending, "/status")), ("captured".to_owned(), "authorized".to_owned()));
    let refused = receiver.wait_for(1).await;

    provider.kill_and_start().await;

    let payment = provider.get_json(&format!("/v1/payments/{}", text(&paid, "/payment"))).await;
    assert_eq!((&payment["status"], &payment["amount"]), (&json!("captured"), &json!(40_000)));
    assert_eq!(provider.order(40_000, "booking-2").await, order, "the receipt is remembered");
    receiver.refuse(false);
    provider.wait_until_delivered().await;
    let accepted: Vec<_> = receiver.all().into_iter().filter(|hook| hook.accepted).collect();
    assert_eq!(accepted.len(), 4, "captured and paid, of both orders");
    let repeated = accepted.iter().find(|hook| hook.event_id == refused[0].event_id).unwrap();
    assert_eq!(repeated.body, refused[0].body, "a retry is the same bytes");

    // What was delivered is not sent again.
    provider.kill_and_start().await;
    assert_eq!(provider.ledger().await["webhooks_pending"], 0);
    assert_eq!(provider.ledger().await["payments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refund_has_one_effect_a_key_and_never_gives_back_more_than_was_paid() {
    let receiver = Receiver::start().await;
    let provider = Provider::start(&receiver.url).await;
    let order = provider.order(30_000, "booking-4").await;
    let payment = text(&provider.pay(&order, json!({"outcome": "success"})).await.ok(), "/payment");

    let first = provider.refund(&payment, "rf_key_0001", json!({"amount": 20_000, "notes": {"a": "1"}})).await.ok();
    let again = provider.refund(&payment, "rf_key_0001", json!({"notes": {"a": "1"}, "amount": 20_000})).await.ok();
    assert_eq!(first, again);
    assert_eq!(text(&first, "/status"), "processed");
    let other = provider.refund(&payment, "rf_key_0001", json!({"amount": 20_001})).await;
    other.is_refused("Different request with the same idempotency key", None);
    let more = provider.refund(&payment, "rf_key_0002", json!({"amount": 10_001})).await;
    more.is_refused("The total refund amount is greater than the refund payment amount", Some("amount"));
    provider.refund(&payment, "rf_key_0003", json!({})).await.ok();
    let over = provider.refund(&payment, "rf_key_0004", json!({})).await;
    over.is_refused("The payment has been fully refunded already", None);
    let short_key = provider.refund(&payment, "short", json!({})).await;
    short_key.is_refused("The idempotency key must be 10 to 255 of A-Z a-z 0-9 _ -", Some("X-Refund-Idempotency"));

    let refunds = provider.get_json(&format!("/v1/payments/{payment}/refunds")).await;
    let amounts: Vec<u64> = refunds["items"].as_array().unwrap().iter().filter_map(|r| r["amount"].as_u64()).collect();
    assert_eq!(amounts, [20_000, 10_000]);
    let one = provider.get_json(&format!("/v1/refunds/{}", text(&first, "/id"))).await;
    assert_eq!(one, first);
    let payment = provider.get_json(&format!("/v1/payments/{payment}")).await;
    assert_eq!((&payment["status"], &payment["refund_status"]), (&json!("refunded"), &json!("full")));
    assert_eq!(payment["captured"], true);
    provider.wait_until_delivered().await;
    let processed = receiver.all().iter().filter(|hook| hook.json()["event"] == "refund.processed").count();
    assert_eq!(processed, 2);
}

#[tokio::test]
async fn a_refund_can_lose_its_answer_fail_or_stay_pending() {
    let receiver = Receiver::start().await;
    let provider = Provider::start(&receiver.url).await;
    let order = provider.order(30_000, "booking-5").await;
    let payment = text(&provider.pay(&order, json!({"outcome": "success"})).await.ok(), "/payment");

    provider.control(json!({"refund": "fail"})).await;
    let failing = provider.refund(&payment, "rf_fail_01", json!({"amount": 30_000})).await.ok();
    assert_eq!(text(&failing, "/status"), "pending");
    receiver.wait_for_event("refund.failed").await;
    assert_eq!(provider.get_json(&format!("/v1/payments/{payment}")).await["amount_refunded"], 0);

    provider.control(json!({"refund": "lose_answer"})).await;
    assert!(provider.try_refund(&payment, "rf_lost_01", json!({"amount": 30_000})).await.is_err(), "no answer comes");
    provider.control(json!({"refund": null})).await;
    let found = provider.refund(&payment, "rf_lost_01", json!({"amount": 30_000})).await.ok();
    assert_eq!(text(&found, "/status"), "processed");
    let refunds = provider.get_json(&format!("/v1/payments/{payment}/refunds")).await;
    assert_eq!(refunds["count"], 2, "the failed one and one that took effect: {refunds}");
}

#[tokio::test]
async fn webhooks_can_be_held_copied_lost_and_payments_doubled_or_late() {
    let receiver = Receiver::start().await;
    let provider = Provider::start(&receiver.url).await;
    provider.control(json!({"webhooks": "hold"})).await;

    let copied = provider.order(10_000, "copied").await;
    provider.pay(&copied, json!({"outcome": "success", "copies": 3})).await.ok();
    let lost = provider.order(10_000, "lost").await;
    provider.pay(&lost, json!({"outcome": "success", "lose": true})).await.ok();
    let double = provider.order(10_000, "double").await;
    let both = provider.pay(&double, json!({"outcome": "success", "double": 1})).await.ok();
    assert_eq!(both["payments"].as_array().unwrap().len(), 2);
    let wrong = provider.order(10_000, "wrong").await;
    provider.pay(&wrong, json!({"outcome": "success", "amount": 9_999})).await.ok();
    let late = provider.order(10_000, "late").await;
    let failed = provider.pay(&late, json!({"outcome": "failure", "capture_after_ms": 1})).await.ok();
    assert_eq!(text(&failed, "/status"), "failed");
    assert!(receiver.all().is_empty(), "held");

    provider.control(json!({"webhooks": "send"})).await;
    provider.wait_until_delivered().await;
    let hooks = receiver.all();
    let of = |order: &str, kind: &str| {
        let mine = |hook: &Value| hook["payload"]["payment"]["entity"]["order_id"] == *order && hook["event"] == *kind;
        hooks.iter().filter(|hook| mine(&hook.json())).collect::<Vec<_>>()
    };
    let copies = of(&copied, "payment.captured");
    assert_eq!(copies.len(), 3);
    assert!(copies.iter().all(|copy| copy.event_id == copies[0].event_id && copy.body == copies[0].body));
    assert_eq!(of(&lost, "payment.captured").len(), 0);
    assert_eq!((of(&double, "payment.captured").len(), of(&double, "order.paid").len()), (2, 1));
    assert_eq!((of(&wrong, "payment.captured").len(), of(&wrong, "order.paid").len()), (1, 0));
    assert_eq!((of(&late, "payment.failed").len(), of(&late, "payment.captured").len()), (1, 1));
    let lost = provider.get_json(&format!("/v1/orders/{lost}/payments")).await;
    assert_eq!(lost["items"][0]["status"], "captured");
}

#[tokio::test]
async fn the_api_fails_as_it_is_told() {
    let receiver = Receiver::start().await;
    let provider = Provider::start(&receiver.url).await;
    let order = provider.order(10_000, "booking-6").await;
    let path = format!("/v1/orders/{order}");
    for (fault, status) in [("500", StatusCode::INTERNAL_SERVER_ERROR), ("429", StatusCode::TOO_MANY_REQUESTS)] {
        provider.control(json!({"fail": fault})).await;
        assert_eq!(provider.get(&path).await.status, status);
    }
    provider.control(json!({"fail": "hang"})).await;
    let unanswered = tokio::time::timeout(Duration::from_millis(300), provider.get(&path)).await;
    assert!(unanswered.is_err(), "the request hangs");
    provider.control(json!({"fail": null})).await;
    assert_eq!(provider.get(&path).await.status, StatusCode::OK);
    provider.try_control(json!({"fail": "sometimes"})).await.is_refused_field("fail");
    provider.try_control(json!({"fial": null})).await.is_refused(
        "the switches are capture_after_ms, fail, hide_refunds, refund, shuffle, slow_ms and webhooks",
        None,
    );
}

/// Held webhooks leave three times; other switches do not put a named fault's back.
#[tokio::test]
async fn a_named_fault_holds_and_repeats_webhooks_and_keeps_a_refunds_answer() {
    let receiver = Receiver::start().await;
    let provider = Provider::start(&receiver.url).await;
    provider.post("/control/fault", json!({"webhooks": "hold", "capture_after_ms": 1})).await.ok();
    provider.control(json!({"webhooks": null})).await;
    let mut payments = Vec::new();
    for number in 0..2 {
        let order = provider.order(10_000, &format!("booking-9-{number}")).await;
        let paid = provider.pay(&order, json!({"outcome": "success"})).await.ok();
        assert_eq!(paid["status"], "authorized");
        payments.push(text(&paid, "/payment"));
    }
    let met = provider.get_json("/control/fault").await;
    assert_eq!(met["met"], json!(payments));
    // Of each a payment.captured and an order.paid.
    let held = async || provider.get_json("/control/ledger").await["webhooks_pending"] == 4;
    eventually("two captures", held).await;
    let retimed = provider.post("/control/held", json!({"copies": 3, "reverse": true})).await.ok();
    assert_eq!((&retimed["webhooks"], receiver.all().len()), (&json!(4), 0));
    provider.post("/control/fault", json!({"webhooks": null, "capture_after_ms": null})).await.ok();
    let hooks = receiver.wait_for(12).await;
    let mut events: Vec<&str> = hooks.iter().map(|hook| hook.event_id.as_str()).collect();
    events.sort_unstable();
    events.dedup();
    assert_eq!((hooks.len(), events.len()), (12, 4));

    provider.post("/control/fault", json!({"refund": "hold_answer"})).await.ok();
    let path = format!("/v1/payments/{}/refund", payments[0]);
    let mut answer = Box::pin(provider.post(&path, json!({})));
    let made = async || {
        // It is under way meanwhile.
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut answer).await.is_err(), "the answer waits");
        provider.get_json("/control/ledger").await["refunds"][0]["status"] == "processed"
    };
    eventually("the refund", made).await;
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut answer).await.is_err(), "the answer waits");
    assert_eq!(provider.get_json("/control/ledger").await["webhooks_pending"], 0);
    assert_eq!(provider.get_json("/control/fault").await["met"], json!([payments[0]]));
}

#[tokio::test]
async fn bad_input_is_refused_by_name() {
    let receiver = Receiver::start().await;
    let provider = Provider::start(&receiver.url).await;
    let order = provider.order(10_000, "booking-7").await;

    for credentials in [None, Some("a2V5Ondyb25n"), Some("???"), Some("")] {
        let answer = provider.post_as(credentials, "/v1/orders", json!({"amount": 100, "currency": "INR"})).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{credentials:?}");
    }
    let long = "x".repeat(41);
    for (body, field) in [
        (json!({"currency": "INR"}), "amount"),
        (json!({"amount": 99, "currency": "INR"}), "amount"),
        (json!({"amount": -5, "currency": "INR"}), "amount"),
        (json!({"amount": 100.5, "currency": "INR"}), "amount"),
        (json!({"amount": "100", "currency": "INR"}), "amount"),
        (json!({"amount": 1e300, "currency": "INR"}), "amount"),
        (json!({"amount": 100}), "currency"),
        (json!({"amount": 100, "currency": "inr"}), "currency"),
        (json!({"amount": 100, "currency": "INR", "receipt": long}), "receipt"),
        (json!({"amount": 100, "currency": "INR", "receipt": 7}), "receipt"),
        (json!({"amount": 100, "currency": "INR", "receipt": "booking-7"}), "receipt"),
        (json!({"amount": 100, "currency": "INR", "notes": "text"}), "notes"),
    ] {
        provider.post("/v1/orders", body).await.is_refused_field(field);
    }
    for (field, value) in [
        ("outcome", "maybe"),
        ("copies", "0"),
        ("copies", "21"),
        ("delay_ms", "-1"),
        ("amount", "0"),
        ("lose", "perhaps"),
        ("return_url", "javascript:alert(1)"),
    ] {
        let mut body = json!({"outcome": "success"});
        body[field] = json!(value);
        provider.pay(&order, body).await.is_refused_field(field);
    }
    provider.pay(&order, json!({"outcome": "success", "copy": 2})).await.is_refused_mentioning("unknown field copy");
    provider
        .pay("order_unknown", json!({"outcome": "success"}))
        .await
        .is_refused("The id provided does not exist", None);
    assert_eq!(provider.get_json(&format!("/v1/orders/{order}")).await["status"], "created", "nothing was paid");

    let page = provider.get(&format!("/checkout/{order}?return_url=javascript%3Aalert(1)")).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let page = provider.get(&format!("/checkout/{order}?return_url=http%3A%2F%2Fa%2F%22%3E%3Cscript%3E")).await;
    assert!(page.status == StatusCode::BAD_REQUEST && !page.text.contains("<script>"), "{}", page.text);
    assert_eq!(provider.get("/checkout/order_%3Cb%3E?return_url=http://a/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(provider.get("/v2/orders").await.status, StatusCode::NOT_FOUND);
    assert_eq!(provider.get("/v1/orders").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let huge = json!({"amount": 100, "currency": "INR", "x": "x".repeat(100_000)});
    assert_eq!(provider.post("/v1/orders", huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_order_paid_before_takes_no_further_payment() {
    let receiver = Receiver::start().await;
    let provider = Provider::start(&receiver.url).await;
    let order = provider.order(10_000, "booking-8").await;
    assert_eq!(provider.order(10_000, "booking-8").await, order, "one order a receipt");
    provider.pay(&order, json!({"outcome": "success"})).await.ok();
    provider.pay(&order, json!({"outcome": "success"})).await.is_refused("The order has been paid already", None);
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}")).to_owned()
}

/// The signature by a tool that shares no code with the provider.
fn openssl_hmac(body: &[u8]) -> String {
    openssl(&[body])
}

fn openssl(parts: &[&[u8]]) -> String {
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", WEBHOOK_SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    openssl.stdin.take().unwrap().write_all(&parts.concat()).unwrap();
    let output = openssl.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().last().unwrap().to_owned()
}

impl Answer {
    #[track_caller]
    fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    #[track_caller]
    fn is_refused(&self, description: &str, field: Option<&str>) {
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{}", self.text);
        let error = &self.json()["error"];
        assert_eq!(
            (error["code"].as_str(), error["description"].as_str(), error["field"].as_str()),
            (Some("BAD_REQUEST_ERROR"), Some(description), field)
        );
    }

    #[track_caller]
    fn is_refused_field(&self, field: &str) {
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{}", self.text);
        assert_eq!(self.json()["error"]["field"], field, "{}", self.text);
    }

    #[track_caller]
    fn is_refused_mentioning(&self, part: &str) {
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{}", self.text);
        assert!(self.text.contains(part), "{}", self.text);
    }
}
