//! Razorpay: one order a booking, which takes several attempts to pay. The simulated provider speaks it as well.

mod events;

use std::time::SystemTime;

use base64::Engine as _;
use futures_util::future::BoxFuture;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::api::{Answer, Api, Call, entries, nonsense, plain, shortened};
use super::{BadWebhook, NewOrder, Order, ParsedEvent, Payment, PaymentProvider, ProviderError, Refund};

/// Payments and refunds in one list.
const LIST_MAX: usize = 100;
const JSON: &str = "application/json";
/// The real API.
pub const URL: &str = "https://api.razorpay.com";

/// Client of the API at one base address, and reader of its webhooks.
pub struct Razorpay {
    api: Api,
    webhook_secrets: Vec<Vec<u8>>,
}

impl Razorpay {
    /// A client; connects when first used.
    ///
    /// # Errors
    /// When the key can't be a header.
    pub fn new(base: &str, key_id: &str, key_secret: &str) -> Result<Self, ProviderError> {
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{key_id}:{key_secret}"));
        let mut authorization = HeaderValue::try_from(format!("Basic {credentials}"))
            .map_err(|_| ProviderError::Unknown("key can't be sent as a header".to_owned()))?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
        Ok(Self { api: Api::new("razorpay", base, headers, refusal), webhook_secrets: Vec::new() })
    }

    /// Secrets of webhook signatures; any may match.
    #[must_use]
    pub fn with_webhook_secrets(self, webhook_secrets: Vec<Vec<u8>>) -> Self {
        Self { webhook_secrets, ..self }
    }

    async fn find(&self, name: &'static str, path: String) -> Result<Option<Value>, ProviderError> {
        match self.api.find(name, path).await {
            // Razorpay answers 400 to an id that it does not know.
            Err(ProviderError::Refused { status: 400, text }) if text.contains("does not exist") => Ok(None),
            found => found,
        }
    }
}

fn refusal(answer: &Answer) -> ProviderError {
    let body = answer.json();
    let text = body.pointer("/error/description").and_then(Value::as_str).unwrap_or("no description");
    let text = shortened(text);
    let unknown = match answer.status {
        // The key is being worked on; but another body under a used key is refused for good, with the same status.
        StatusCode::CONFLICT => !text.starts_with("Different request"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => true,
        // Our credentials are wrong, or revoked: nobody's order or refund is to blame. Some answers of it are 400.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => true,
        StatusCode::BAD_REQUEST => text.starts_with("Authentication failed"),
        status => !status.is_client_error(),
    };
    if unknown {
        return ProviderError::Unknown(format!("{}: {text}", answer.status));
    }
    ProviderError::Refused { status: answer.status.as_u16(), text }
}

fn order(value: Value) -> Result<Order, ProviderError> {
    #[derive(serde::Deserialize)]
    struct Entity {
        id: String,
        receipt: Option<String>,
        amount: u64,
        currency: String,
    }
    let entity: Entity = serde_json::from_value(value).map_err(nonsense("order"))?;
    Ok(Order { id: entity.id, receipt: entity.receipt, amount: entity.amount, currency: entity.currency })
}

impl PaymentProvider for Razorpay {
    fn name(&self) -> &'static str {
        "razorpay"
    }

    fn read_webhook(&self, headers: &HeaderMap, body: &[u8], _: SystemTime) -> Result<ParsedEvent, BadWebhook> {
        events::read(&self.webhook_secrets, headers, body)
    }

    fn create_order(&self, new: NewOrder) -> BoxFuture<'_, Result<Order, ProviderError>> {
        Box::pin(async move {
            let body = json!({"amount": new.amount, "currency": new.currency, "receipt": new.receipt});
            order(self.api.ask(Call::post("create_order", "/v1/orders".to_owned(), JSON, body.to_string())).await?)
        })
    }

    fn order(&self, id: String) -> BoxFuture<'_, Result<Option<Order>, ProviderError>> {
        Box::pin(async move { self.find("order", format!("/v1/orders/{}", plain(&id)?)).await?.map(order).transpose() })
    }

    fn payments_of(&self, order: String) -> BoxFuture<'_, Result<Vec<Payment>, ProviderError>> {
        Box::pin(async move {
            let list =
                entries(self.find("payments_of", format!("/v1/orders/{}/payments", plain(&order)?)).await?, "items")?;
            let mut payments = Vec::new();
            for entity in list {
                payments.extend(events::payment(entity).map_err(nonsense("payment"))?);
            }
            Ok(payments)
        })
    }

    fn refund(&self, payment: String, amount: u64, key: String) -> BoxFuture<'_, Result<Refund, ProviderError>> {
        Box::pin(async move {
            let path = format!("/v1/payments/{}/refund", plain(&payment)?);
            let call = Call::post("refund", path, JSON, json!({"amount": amount}).to_string());
            let answer = self.api.ask(call.keyed("x-refund-idempotency", &key)?).await?;
            events::refund(answer).map_err(nonsense("refund"))
        })
    }

    fn refund_status(&self, id: String) -> BoxFuture<'_, Result<Option<Refund>, ProviderError>> {
        Box::pin(async move {
            let answer = self.find("refund_status", format!("/v1/refunds/{}", plain(&id)?)).await?;
            answer.map(events::refund).transpose().map_err(nonsense("refund"))
        })
    }

    fn refunds_of(&self, payment: String) -> BoxFuture<'_, Result<Vec<Refund>, ProviderError>> {
        Box::pin(async move {
            let path = format!("/v1/payments/{}/refunds?count={LIST_MAX}", plain(&payment)?);
            let list = entries(self.find("refunds_of", path).await?, "items")?;
            list.into_iter().map(|entity| events::refund(entity).map_err(nonsense("refund"))).collect()
        })
    }
}
