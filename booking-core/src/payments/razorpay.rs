//! Client of Razorpay's API, which the simulated provider speaks as well. One deadline per call; reads are tried
//! twice, writes once: whoever calls decides, with a key, whether to send a write again.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::{Value, json};

use super::{NewOrder, Order, Payment, PaymentProvider, ProviderError, Refund, event};

/// One call, from connecting to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);
/// Largest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// An idle connection is dropped before a load balancer in between would drop it silently.
const IDLE: Duration = Duration::from_secs(10);
/// Payments and refunds in one list.
const LIST_MAX: usize = 100;

/// Client of the API at one base address.
pub struct Razorpay {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    authorization: HeaderValue,
}

impl Razorpay {
    /// A client; connects when first used.
    ///
    /// # Errors
    /// When the key can't be a header.
    pub fn new(base: &str, key_id: &str, key_secret: &str) -> Result<Self, ProviderError> {
        let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{key_id}:{key_secret}"));
        let mut authorization = HeaderValue::try_from(format!("Basic {credentials}"))
            .map_err(|_| ProviderError::Unknown("key can't be sent as a header".to_owned()))?;
        authorization.set_sensitive(true);
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), authorization })
    }

    async fn get(&self, path: &str) -> Result<Option<Value>, ProviderError> {
        let answer = match self.call(Method::GET, path, None, None).await {
            Err(ProviderError::Unknown(_)) => self.call(Method::GET, path, None, None).await,
            answer => answer,
        };
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(ProviderError::Refused { status: 404, .. }) => Ok(None),
            // Razorpay answers 400 to an id that it does not know.
            Err(ProviderError::Refused { status: 400, text }) if text.contains("does not exist") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        idempotency: Option<&str>,
    ) -> Result<Value, ProviderError> {
        match tokio::time::timeout(DEADLINE, self.send(method, path, body, idempotency)).await {
            Ok(answer) => answer,
            Err(_) => Err(ProviderError::Unknown(format!("{path}: no answer in {DEADLINE:?}"))),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        idempotency: Option<&str>,
    ) -> Result<Value, ProviderError> {
        let unknown = |e: &dyn std::fmt::Display| ProviderError::Unknown(format!("{path}: {e}"));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, self.authorization.clone());
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = idempotency {
            request = request.header("x-refund-idempotency", key);
        }
        let body = body.map(|value| Bytes::from(value.to_string())).unwrap_or_default();
        let request = request.body(Full::new(body)).map_err(|e| unknown(&e))?;
        let response = self.client.request(request).await.map_err(|e| unknown(&e))?;
        let status = response.status();
        let bytes =
            Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|e| unknown(&e))?.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|e| unknown(&e));
        }
        let text = description(&bytes);
        match status {
            // Busy, or the same key is being worked on, or the request timed out: a later one may work.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT => {
                Err(ProviderError::Unknown(format!("{path}: {status}: {text}")))
            }
            // Our credentials are wrong, or revoked: nobody's order or refund is to blame.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(ProviderError::Unknown(format!("{path}: {status}: {text}")))
            }
            status if status.is_client_error() => Err(ProviderError::Refused { status: status.as_u16(), text }),
            status => Err(ProviderError::Unknown(format!("{path}: {status}: {text}"))),
        }
    }
}

/// The provider's own words, shortened.
fn description(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = value.pointer("/error/description").and_then(Value::as_str).unwrap_or("no description");
    text.chars().take(200).collect()
}

fn nonsense(what: &str) -> impl FnOnce(serde_json::Error) -> ProviderError + use<> {
    let what = what.to_owned();
    move |e| ProviderError::Unknown(format!("{what} not understood: {e}"))
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

fn items(value: Option<Value>) -> Result<Vec<Value>, ProviderError> {
    let Some(mut value) = value else { return Ok(Vec::new()) };
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(ProviderError::Unknown("list without items".to_owned())),
    }
}

/// Ids come from the provider or the database; what is not plain must not become part of a path.
fn plain(id: &str) -> Result<&str, ProviderError> {
    let good =
        !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if good { Ok(id) } else { Err(ProviderError::Refused { status: 400, text: "not an id".to_owned() }) }
}

impl PaymentProvider for Razorpay {
    fn name(&self) -> &'static str {
        "razorpay"
    }

    fn create_order(&self, new: NewOrder) -> BoxFuture<'_, Result<Order, ProviderError>> {
        Box::pin(async move {
            let body = json!({"amount": new.amount, "currency": new.currency, "receipt": new.receipt});
            order(self.call(Method::POST, "/v1/orders", Some(body), None).await?)
        })
    }

    fn order(&self, id: String) -> BoxFuture<'_, Result<Option<Order>, ProviderError>> {
        Box::pin(async move { self.get(&format!("/v1/orders/{}", plain(&id)?)).await?.map(order).transpose() })
    }

    fn payments_of(&self, order: String) -> BoxFuture<'_, Result<Vec<Payment>, ProviderError>> {
        Box::pin(async move {
            let list = items(self.get(&format!("/v1/orders/{}/payments", plain(&order)?)).await?)?;
            let mut payments = Vec::new();
            for entity in list {
                payments.extend(event::payment(entity).map_err(nonsense("payment"))?);
            }
            Ok(payments)
        })
    }

    fn refund(&self, payment: String, amount: u64, key: String) -> BoxFuture<'_, Result<Refund, ProviderError>> {
        Box::pin(async move {
            let path = format!("/v1/payments/{}/refund", plain(&payment)?);
            let answer = self.call(Method::POST, &path, Some(json!({"amount": amount})), Some(&key)).await?;
            event::refund(answer).map_err(nonsense("refund"))
        })
    }

    fn refund_status(&self, id: String) -> BoxFuture<'_, Result<Option<Refund>, ProviderError>> {
        Box::pin(async move {
            let answer = self.get(&format!("/v1/refunds/{}", plain(&id)?)).await?;
            answer.map(event::refund).transpose().map_err(nonsense("refund"))
        })
    }

    fn refunds_of(&self, payment: String) -> BoxFuture<'_, Result<Vec<Refund>, ProviderError>> {
        Box::pin(async move {
            let path = format!("/v1/payments/{}/refunds?count={LIST_MAX}", plain(&payment)?);
            let list = items(self.get(&path).await?)?;
            list.into_iter().map(|entity| event::refund(entity).map_err(nonsense("refund"))).collect()
        })
    }
}
