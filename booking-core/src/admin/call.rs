//! One request to a core's admin routes, and what went wrong with it in words for an operator.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::AdminError;
use crate::config::Secret;
use crate::form::percent_encoded;

/// From connecting to the last byte; the core itself gives up a little earlier.
const DEADLINE: Duration = Duration::from_secs(20);
/// Largest answer: every hold of a large show.
const ANSWER_BYTES_MAX: usize = 32 << 20;

pub(super) struct Core {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    authorization: HeaderValue,
    /// Percent-encoded.
    operator: String,
    note: String,
}

impl Core {
    pub(super) fn new(base: &str, token: &Secret, operator: &str, note: &str) -> Result<Self, AdminError> {
        let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|_| AdminError::Usage("the admin token has characters that can't be sent".to_owned()))?;
        authorization.set_sensitive(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { client, base, authorization, operator: percent_encoded(operator), note: percent_encoded(note) })
    }

    /// Sends a request; `Value::Null` is no body.
    pub(super) async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, AdminError> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("seatwire-operator", self.operator.as_str())
            .header("seatwire-note", self.note.as_str())
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| AdminError::Usage(format!("{}: {error}", self.base)))?;
        let failed = |what: String| AdminError::Failed(format!("{}: {what}", self.base));
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| failed(cause(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| failed(error.to_string()))?.to_bytes();
            Ok((status, body))
        };
        let late = |_| failed(format!("no answer within {} s", DEADLINE.as_secs()));
        let (status, body) = tokio::time::timeout(DEADLINE, exchange).await.map_err(late)??;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            Some(error) => {
                let text = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
                Err(AdminError::Failed(format!("{} ({})", text("message"), text("code"))))
            }
            None => Err(failed(format!("{status}, and no answer of a core; is this its HTTP listener?"))),
        }
    }
}

/// The innermost cause, which says what a person can do something about.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("out of reach: {innermost}")
}
