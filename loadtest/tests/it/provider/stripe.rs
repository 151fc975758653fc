//! The same provider in Stripe's shapes.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::process::{Answer, Provider};
use super::receiver::Receiver;
use super::{openssl, text};

const INTENT: &str =
    "amount=25000&currency=inr&metadata%5Breceipt%5D=booking-1&automatic_payment_methods%5Benabled%5D=true";

async fn start() -> (Receiver, Provider) {
    let receiver = Receiver::start().await;
    let provider = Provider::start_as("stripe", &receiver.url).await;
    (receiver, provider)
}

async fn intent(provider: &Provider) -> String {
    let made = provider.form("/v1/payment_intents", None, INTENT).await.unwrap();
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    text(&made.json(), "/id")
}

/// An intent and its one charge.
async fn paid(provider: &Provider) -> (String, String) {
    let intent = intent(provider).await;
    let charge = text(&provider.pay(&intent, json!({"outcome": "success"})).await.ok(), "/payment");
    (intent, charge)
}

#[tokio::test]
async fn a_payment_intent_paid_in_the_browser_ends_in_events_that_openssl_verifies() {
    let (receiver, provider) = start().await;
    let id = intent(&provider).await;
    assert!(id.starts_with("pi_"), "{id}");
    let back = "http://shop.example/?booking=1";
    let page = provider.get_bearer(&format!("/checkout/{id}?return_url={back}")).await;
    assert!(page.text.contains("INR 250.00") && page.text.contains("booking-1"), "{}", page.text);
    provider.pay_form(&id, &format!("outcome=failure&return_url={back}")).await;
    let open = provider.get_bearer(&format!("/v1/payment_intents/{id}")).await.json();
    assert_eq!((&open["status"], &open["amount_received"]), (&json!("requires_payment_method"), &json!(0)));
    assert!(text(&open, "/last_payment_error/charge").starts_with("ch_"), "{open}");
    let paid = provider.pay_form(&id, &format!("outcome=success&return_url={back}")).await;
    assert_eq!((paid.status, paid.location()), (StatusCode::SEE_OTHER, Some(back)));

    let hooks = receiver.wait_for(4).await;
    let mut kinds: Vec<String> = hooks.iter().map(|hook| text(&hook.json(), "/type")).collect();
    kinds.sort();
    let all = ["charge.failed", "charge.succeeded", "payment_intent.payment_failed", "payment_intent.succeeded"];
    assert_eq!(kinds, all);
    for hook in &hooks {
        let (time, signature) = hook.signature.split_once(",v1=").unwrap();
        let time = time.strip_prefix("t=").unwrap();
        assert_eq!(signature, openssl(&[time.as_bytes(), b".", &hook.body]));
    }
    let intent = provider.get_bearer(&format!("/v1/payment_intents/{id}")).await.json();
    assert_eq!((&intent["status"], &intent["amount_received"]), (&json!("succeeded"), &json!(25_000)));
    assert_eq!((&intent["metadata"]["receipt"], &intent["currency"]), (&json!("booking-1"), &json!("inr")));
    let charges = provider.get_bearer(&format!("/v1/charges?payment_intent={id}&limit=100")).await.json();
    let statuses: Vec<&Value> = charges["data"].as_array().unwrap().iter().map(|charge| &charge["status"]).collect();
    assert_eq!(statuses, ["succeeded", "failed"], "the newest first");
    assert_eq!(charges["data"][0]["id"], intent["latest_charge"]);
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

#[tokio::test]
async fn a_key_repeats_its_first_answer_a_failure_too() {
    let (_receiver, provider) = start().await;
    let first = provider.form("/v1/payment_intents", Some("k1"), INTENT).await.unwrap();
    let again = provider.form("/v1/payment_intents", Some("k1"), INTENT).await.unwrap();
    assert_eq!((first.status, &first.text), (StatusCode::OK, &again.text));
    assert!(!is_replayed(&first) && is_replayed(&again));
    let other = provider.form("/v1/payment_intents", Some("k1"), "amount=1&currency=inr").await.unwrap();
    assert_eq!(other.status, StatusCode::BAD_REQUEST, "{}", other.text);

    let (_, charge) = paid(&provider).await;
    let form = format!("charge={charge}&amount=25000");
    for (fault, status, stored) in [
        ("429", StatusCode::TOO_MANY_REQUESTS, false),
        ("409", StatusCode::CONFLICT, false),
        ("500", StatusCode::INTERNAL_SERVER_ERROR, true),
    ] {
        provider.control(json!({"fail": fault})).await;
        let failed = provider.form("/v1/refunds", Some("k2"), &form).await.unwrap();
        provider.control(json!({"fail": null})).await;
        assert_eq!(failed.status, status);
        assert_eq!(failed.header("retry-after").is_some(), fault == "429");
        if stored {
            let repeated = provider.form("/v1/refunds", Some("k2"), &form).await.unwrap();
            assert_eq!((repeated.status, is_replayed(&repeated)), (status, true));
        }
    }
    let refund = provider.form("/v1/refunds", Some("k3"), &form).await.unwrap().ok();
    assert_eq!((text(&refund, "/status"), text(&refund, "/charge")), ("succeeded".to_owned(), charge.clone()));
    let over = provider.form("/v1/refunds", Some("k4"), &form).await.unwrap();
    assert_eq!(over.status, StatusCode::BAD_REQUEST, "{}", over.text);
    let list = provider.get_bearer(&format!("/v1/refunds?charge={charge}")).await.json();
    assert_eq!((list["data"].as_array().unwrap().len(), &list["data"][0]["id"]), (1, &refund["id"]));
}

#[tokio::test]
async fn refunds_lose_their_answer_fail_late_or_are_refused() {
    let (receiver, provider) = start().await;
    let (_, charge) = paid(&provider).await;
    let form = format!("charge={charge}&amount=25000");
    provider.control(json!({"refund": "refuse"})).await;
    assert_eq!(provider.form("/v1/refunds", Some("k0"), &form).await.unwrap().status, StatusCode::BAD_REQUEST);
    provider.control(json!({"refund": "fail"})).await;
    let failing = provider.form("/v1/refunds", Some("k1"), &form).await.unwrap().ok();
    assert_eq!(text(&failing, "/status"), "pending");
    receiver.wait_for_event("refund.failed").await;
    provider.control(json!({"refund": "lose_answer"})).await;
    assert!(provider.form("/v1/refunds", Some("k2"), &form).await.is_err(), "no answer comes");
    provider.control(json!({"refund": null})).await;
    let found = provider.form("/v1/refunds", Some("k2"), &form).await.unwrap();
    assert!(is_replayed(&found) && text(&found.json(), "/status") == "succeeded", "{}", found.text);
    let list = provider.get_bearer(&format!("/v1/refunds?charge={charge}")).await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "the failed one and one that took effect: {list}");
}

#[tokio::test]
async fn bad_requests_are_refused_as_stripe_does() {
    let (_receiver, provider) = start().await;
    let id = intent(&provider).await;
    assert_eq!(provider.get(&format!("/v1/payment_intents/{id}")).await.status, StatusCode::UNAUTHORIZED, "basic");
    for path in ["/v1/payment_intents/pi_none", "/v1/charges/ch_none", "/v1/refunds/re_none"] {
        let missing = provider.get_bearer(path).await;
        assert_eq!(
            (missing.status, text(&missing.json(), "/error/code")),
            (StatusCode::NOT_FOUND, "resource_missing".to_owned())
        );
    }
    for (form, field) in [
        ("currency=inr", "amount"),
        ("amount=99&currency=inr", "amount"),
        ("amount=-5&currency=inr", "amount"),
        ("amount=1e3&currency=inr", "amount"),
        ("amount=500", "currency"),
        ("amount=500&currency=INR", "currency"),
        ("amount=500&currency=inr&metadata%5Breceipt%5D=", "metadata[receipt]"),
    ] {
        let refused = provider.form("/v1/payment_intents", None, form).await.unwrap();
        assert_eq!(
            (refused.status, text(&refused.json(), "/error/param")),
            (StatusCode::BAD_REQUEST, field.to_owned())
        );
    }
    let unknown = provider.form("/v1/payment_intents", None, "amount=500&currency=inr&x=1").await.unwrap();
    assert!(
        unknown.status == StatusCode::BAD_REQUEST && unknown.text.contains("unknown parameter: x"),
        "{}",
        unknown.text
    );
    assert_eq!(provider.form("/v1/orders", None, "").await.unwrap().status, StatusCode::NOT_FOUND, "not these shapes");
    assert_eq!(provider.post("/v1/payment_intents", json!({})).await.status, StatusCode::UNAUTHORIZED);
}
