//! Stripe: one PaymentIntent a booking. It is made before the checkout with the amount and currency that we fixed, has
//! an id to store, bears our receipt in its metadata, takes another card after a declined one, and may succeed late, as
//! an order does; a Checkout Session would expire by itself and learns its payment's id only when somebody pays. What we
//! call a payment is a charge: one PaymentIntent may have several, of which one succeeds.

mod entities;
mod events;
mod header;

use std::time::SystemTime;

use futures_util::future::BoxFuture;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use crate::form::encode;

use super::api::{Answer, Api, Call, entries, nonsense, plain, shortened};
use super::{BadWebhook, NewOrder, Order, ParsedEvent, Payment, PaymentProvider, ProviderError, Refund};

/// Charges and refunds in one list; the newest come first.
const LIST_MAX: usize = 100;
const FORM: &str = "application/x-www-form-urlencoded";
const KEY: &str = "idempotency-key";
/// The version whose answers are read here; webhooks may come in another.
const VERSION: &str = "2022-11-15";
/// The real API.
pub const URL: &str = "https://api.stripe.com";

/// Client of the API at one base address, and reader of its webhooks.
pub struct Stripe {
    api: Api,
    webhook_secrets: Vec<Vec<u8>>,
}

impl Stripe {
    /// A client; connects when first used.
    ///
    /// # Errors
    /// When the key can't be a header.
    pub fn new(base: &str, secret_key: &str) -> Result<Self, ProviderError> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {secret_key}"))
            .map_err(|_| ProviderError::Unknown("key can't be sent as a header".to_owned()))?;
        authorization.set_sensitive(true);
        let version = (HeaderName::from_static("stripe-version"), HeaderValue::from_static(VERSION));
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization), version]);
        Ok(Self { api: Api::new("stripe", base, headers, refusal), webhook_secrets: Vec::new() })
    }

    /// Secrets of webhook signatures; any may match.
    #[must_use]
    pub fn with_webhook_secrets(self, webhook_secrets: Vec<Vec<u8>>) -> Self {
        Self { webhook_secrets, ..self }
    }
}

fn refusal(answer: &Answer) -> ProviderError {
    let body = answer.json();
    let text = body.pointer("/error/message").and_then(Value::as_str).unwrap_or("no message");
    let text = shortened(text);
    match answer.status {
        // Our key is wrong, or revoked: nobody's order or refund is to blame.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {}
        // Busy, or the idempotency key is being worked on.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => {}
        status if status.is_client_error() => return ProviderError::Refused { status: status.as_u16(), text },
        status if answer.replayed => return ProviderError::Spent(format!("{status}: {text}")),
        _ => {}
    }
    ProviderError::Unknown(format!("{}: {text}", answer.status))
}

impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn read_webhook(&self, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Result<ParsedEvent, BadWebhook> {
        header::check(&self.webhook_secrets, headers, body, now)?;
        events::parse(body).map_err(|_| BadWebhook::Syntax)
    }

    fn create_order(&self, new: NewOrder) -> BoxFuture<'_, Result<Order, ProviderError>> {
        Box::pin(async move {
            let form = encode(&[
                ("amount", &new.amount.to_string()),
                ("currency", &new.currency.to_lowercase()),
                ("metadata[receipt]", &new.receipt),
                ("automatic_payment_methods[enabled]", "true"),
            ]);
            // A key for this call's own attempts: a later call is a new one, since Stripe repeats stored failures.
            let key = format!("{}-{}", new.receipt, Uuid::new_v4());
            let call = Call::post("create_order", "/v1/payment_intents".to_owned(), FORM, form).keyed(KEY, &key)?;
            entities::order(self.api.ask(call).await?).map_err(nonsense("payment intent"))
        })
    }

    fn order(&self, id: String) -> BoxFuture<'_, Result<Option<Order>, ProviderError>> {
        Box::pin(async move {
            let answer = self.api.find("order", format!("/v1/payment_intents/{}", plain(&id)?)).await?;
            answer.map(entities::order).transpose().map_err(nonsense("payment intent"))
        })
    }

    fn payments_of(&self, order: String) -> BoxFuture<'_, Result<Vec<Payment>, ProviderError>> {
        Box::pin(async move {
            let path = format!("/v1/charges?payment_intent={}&limit={LIST_MAX}", plain(&order)?);
            let mut payments = Vec::new();
            for charge in entries(self.api.find("payments_of", path).await?, "data")? {
                payments.extend(entities::charge(charge).map_err(nonsense("charge"))?);
            }
            Ok(payments)
        })
    }

    fn refund(&self, payment: String, amount: u64, key: String) -> BoxFuture<'_, Result<Refund, ProviderError>> {
        Box::pin(async move {
            let form = encode(&[("charge", plain(&payment)?), ("amount", &amount.to_string())]);
            let call = Call::post("refund", "/v1/refunds".to_owned(), FORM, form).keyed(KEY, &key)?;
            entities::refund(self.api.ask(call).await?).map_err(nonsense("refund"))
        })
    }

    fn refund_status(&self, id: String) -> BoxFuture<'_, Result<Option<Refund>, ProviderError>> {
        Box::pin(async move {
            let answer = self.api.find("refund_status", format!("/v1/refunds/{}", plain(&id)?)).await?;
            answer.map(entities::refund).transpose().map_err(nonsense("refund"))
        })
    }

    fn refunds_of(&self, payment: String) -> BoxFuture<'_, Result<Vec<Refund>, ProviderError>> {
        Box::pin(async move {
            let path = format!("/v1/refunds?charge={}&limit={LIST_MAX}", plain(&payment)?);
            let list = entries(self.api.find("refunds_of", path).await?, "data")?;
            list.into_iter().map(|refund| entities::refund(refund).map_err(nonsense("refund"))).collect()
        })
    }
}
