//! The providers' own published samples, unchanged (`tests/samples`), through the readers of webhooks and the clients
//! of their APIs; signatures by OpenSSL.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use seatwire_core::payments::{
    BadWebhook, NewOrder, Payment, PaymentProvider, PaymentStatus, ProviderError, ProviderEvent, Razorpay, Refund,
    RefundStatus, Stripe,
};
use tokio::net::TcpListener;

const SECRET: &[u8] = b"secret of the samples";
/// The time that was signed for Stripe.
const SIGNED_AT: u64 = 1_790_000_000;

fn sample(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// By OpenSSL.
fn signature(name: &str) -> String {
    let all = sample("signatures.txt");
    let line = all.lines().find(|line| line.ends_with(name)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

fn headers(name: &'static str, value: String) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
}

#[test]
fn razorpays_webhooks_are_verified_and_read() {
    let razorpay = Razorpay::new("http://127.0.0.1:1", "key", "secret").unwrap();
    let razorpay = razorpay.with_webhook_secrets(vec![b"a newer one".to_vec(), SECRET.to_vec()]);
    let payment = |id: &str, order: &str, amount, status| {
        let (id, order, currency) = (id.to_owned(), order.to_owned(), "INR".to_owned());
        ProviderEvent::Payment(Payment { id, order, amount, currency, status })
    };
    for (name, expected) in [
        (
            "razorpay/payment_captured_netbanking.json",
            payment("pay_DESlfW9H8K9uqM", "order_DESlLckIVRkHWj", 100, PaymentStatus::Captured),
        ),
        (
            "razorpay/payment_captured_card.json",
            payment("pay_DESp9bgForNoUd", "order_DESoU0U4ikYA19", 100, PaymentStatus::Captured),
        ),
        // It says `captured: true`, but the money is only authorised.
        ("razorpay/payment_authorized_card.json", ProviderEvent::Other),
        (
            "razorpay/payment_failed_netbanking.json",
            payment("pay_DEAU825sJlCbGa", "order_DEATVTRRctwEGb", 50_000, PaymentStatus::Failed),
        ),
    ] {
        let body = sample(name);
        let signed = headers("x-razorpay-signature", signature(name));
        let read = razorpay.read_webhook(&signed, body.as_bytes(), SystemTime::now()).unwrap();
        assert_eq!(read.event, expected, "{name}");
        let stored = serde_json::to_string(&read.event).unwrap();
        assert!(!stored.contains("gaurav") && !stored.contains("9876543210"), "{stored}");
        let changed = body.replacen("\"amount\": 1", "\"amount\": 2", 1).replacen("50000", "50001", 1);
        let refused = razorpay.read_webhook(&signed, changed.as_bytes(), SystemTime::now());
        assert_eq!(refused, Err(BadWebhook::Signature), "{name}");
    }
}

#[test]
fn stripes_webhook_is_verified_and_read() {
    let stripe = Stripe::new("http://127.0.0.1:1", "sk").unwrap();
    let stripe = stripe.with_webhook_secrets(vec![b"a newer one".to_vec(), SECRET.to_vec()]);
    let body = sample("stripe/event.json");
    let signed = headers("stripe-signature", format!("t={SIGNED_AT},v1={}", signature("stripe/event.json")));
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let read = stripe.read_webhook(&signed, body.as_bytes(), at(SIGNED_AT + 10)).unwrap();
    assert_eq!(
        (read.kind.as_str(), read.id.as_deref()),
        ("payment_intent.created", Some("evt_1MoS6tLgUG5tbmjchDsX6fiT"))
    );
    assert_eq!(read.event, ProviderEvent::Other, "a payment intent that was made is no payment, whatever came of it");
    let late = stripe.read_webhook(&signed, body.as_bytes(), at(SIGNED_AT + 301));
    assert_eq!(late, Err(BadWebhook::Signature));
    let changed = body.replace("1099", "1098");
    assert_eq!(stripe.read_webhook(&signed, changed.as_bytes(), at(SIGNED_AT)), Err(BadWebhook::Signature));
}

/// Answers every request with one sample.
async fn answering(status: StatusCode, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move || async move { (status, body) });
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}")
}

fn new_order(amount: u64) -> NewOrder {
    NewOrder { receipt: "receipt#1".to_owned(), amount, currency: "INR".to_owned() }
}

#[tokio::test]
async fn razorpays_answers_are_read() {
    let at = async |status, name| {
        Razorpay::new(&answering(StatusCode::from_u16(status).unwrap(), sample(name)).await, "key", "secret").unwrap()
    };
    let order = at(200, "razorpay/order_created.json").await.create_order(new_order(5_000)).await.unwrap();
    assert_eq!((order.id.as_str(), order.amount, order.currency.as_str()), ("order_RB58MiP5SPFYyM", 5_000, "INR"));
    assert_eq!(order.receipt.as_deref(), Some("receipt#1"));

    let refused = at(400, "razorpay/order_refused.json").await.create_order(new_order(1)).await;
    let text = "The amount must be at least INR 1.00".to_owned();
    assert_eq!(refused, Err(ProviderError::Refused { status: 400, text }));

    let payments = at(200, "razorpay/order_payments.json").await.payments_of(order.id).await.unwrap();
    let seen: Vec<_> = payments.iter().map(|payment| (payment.id.as_str(), payment.status)).collect();
    assert_eq!(seen, [("pay_N8FUmetkCE2hZP", PaymentStatus::Failed), ("pay_N8FVRD1DzYzBh1", PaymentStatus::Captured)]);

    let refund =
        |provider: Razorpay| async move { provider.refund("pay_1".to_owned(), 1, "rf_pay_1_1".to_owned()).await };
    let processed = Refund {
        id: "rfnd_FP8QHiV938haTz".to_owned(),
        payment: "pay_29QQoUBi66xm2f".to_owned(),
        amount: 500_100,
        status: RefundStatus::Processed,
    };
    assert_eq!(refund(at(200, "razorpay/refund_processed.json").await).await, Ok(processed));
    // This status elsewhere means that the same request is still being worked on.
    let refused = refund(at(409, "razorpay/refund_refused.json").await).await;
    assert!(matches!(refused, Err(ProviderError::Refused { status: 409, .. })), "{refused:?}");
}

#[tokio::test]
async fn stripes_answers_are_read() {
    let at = async |body: String| Stripe::new(&answering(StatusCode::OK, body).await, "sk").unwrap();
    let order = at(sample("stripe/payment_intent.json")).await.create_order(new_order(1_099)).await.unwrap();
    assert_eq!(
        (order.id.as_str(), order.amount, order.currency.as_str()),
        ("pi_1MoS6fLgUG5tbmjca6AdBPsl", 1_099, "USD")
    );
    assert_eq!(order.receipt, None, "made by another system: not ours");

    let list = |object: String| format!(r#"{{"object":"list","has_more":false,"data":[{object}]}}"#);
    // Succeeded but not captured, and of no payment intent: no payment of ours.
    let payments = at(list(sample("stripe/charge.json"))).await.payments_of(order.id).await.unwrap();
    assert_eq!(payments, []);
    let refunds = at(list(sample("stripe/refund.json"))).await;
    let refunds = refunds.refunds_of("ch_1MoS30LgUG5tbmjcjfsQqpHI".to_owned()).await.unwrap();
    let processed = Refund {
        id: "re_1MoqxHLgUG5tbmjcYO7PFWn6".to_owned(),
        payment: "ch_1MoS30LgUG5tbmjcjfsQqpHI".to_owned(),
        amount: 100,
        status: RefundStatus::Processed,
    };
    assert_eq!(refunds, [processed]);
}
