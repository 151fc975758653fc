//! Plain HTTP for tests: one request, one answer, a deadline.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use seatwire_protocol::ErrorBody;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ClientError;

const TIMEOUT: Duration = Duration::from_secs(15);

/// An HTTP client. Each request has a connection of its own: one that was kept may have died with its server.
#[derive(Debug, Clone)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

/// An answer.
#[derive(Debug, Clone)]
pub struct HttpReply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: hyper::HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Default for Http {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http())
    }
}

impl Http {
    /// Sends one request.
    ///
    /// # Errors
    /// [`ClientError`] when no answer comes in time; every status is an answer.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<HttpReply, ClientError> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).map_err(|e| ClientError::Address(format!("{url}: {e}")))?;
        let broken = |error: &dyn std::error::Error| ClientError::Broken(format!("{url}: {error}"));
        let exchange = async {
            let response = self.0.request(request).await.map_err(|e| broken(&e))?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|e| broken(&e))?.to_bytes();
            Ok(HttpReply { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        let waited = || ClientError::Timeout(TIMEOUT, url.to_owned(), "no answer".to_owned());
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| waited())?
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<HttpReply, ClientError> {
        self.send(Method::GET, url, headers, Bytes::new()).await
    }

    /// POST of JSON that asks for JSON.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &impl Serialize,
    ) -> Result<HttpReply, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::Broken(e.to_string()))?;
        let json = [("content-type", "application/json"), ("accept", "application/json")];
        self.send(Method::POST, url, &[&json, headers].concat(), body).await
    }
}

impl HttpReply {
    /// The body of a success.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when it is no success, [`ClientError::Broken`] when it is no such JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        if !(200..300).contains(&self.status) {
            return Err(ClientError::Refused { status: self.status, body: self.text() });
        }
        let broken = |error: serde_json::Error| ClientError::Broken(format!("{error}: {}", self.text()));
        serde_json::from_slice(&self.body).map_err(broken)
    }

    /// The body of a refusal; `None` when it is none of ours.
    #[must_use]
    pub fn error(&self) -> Option<ErrorBody> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
