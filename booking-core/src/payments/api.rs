//! Calls of a provider's API: one deadline for each with all its attempts, bounded back-off with jitter, a bounded
//! number at a time, and a breaker. A call is sent again only where that can't act twice: it reads, it bears an
//! idempotency key, or it never arrived. Credentials are marked as sensitive, and no header or body is ever logged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rand::Rng;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::ProviderError;
use super::breaker::Breaker;
use crate::form::is_plain;
use crate::metrics as names;

/// One call, from waiting for its place to the last byte of the last attempt.
const DEADLINE: Duration = Duration::from_secs(5);
const ATTEMPTS_MAX: u32 = 3;
/// First pause between attempts, doubled each time, half more or less.
const PAUSE: Duration = Duration::from_millis(100);
/// Largest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// An idle connection is dropped before a load balancer in between would drop it silently.
const IDLE: Duration = Duration::from_secs(10);
/// Calls at a time, and calls that wait for a place; more are refused at once.
const AT_ONCE: usize = 64;
const WAITING_MAX: usize = 256;

/// The API of one provider at one base address.
pub(super) struct Api {
    provider: &'static str,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    headers: HeaderMap,
    refusal: fn(&Answer) -> ProviderError,
    breaker: Breaker,
    places: Semaphore,
    waiting: AtomicUsize,
}

/// A call to be made.
pub(super) struct Call {
    /// For metrics.
    name: &'static str,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    /// Sent twice it acts once.
    is_repeatable: bool,
}

impl Call {
    pub(super) fn get(name: &'static str, path: String) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { name, method: Method::GET, path, headers, body, is_repeatable: true }
    }

    pub(super) fn post(name: &'static str, path: String, kind: &'static str, body: String) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Self { name, method: Method::POST, path, headers, body: Bytes::from(body), is_repeatable: false }
    }

    /// The same key acts once, however often it is sent.
    pub(super) fn keyed(mut self, header: &'static str, key: &str) -> Result<Self, ProviderError> {
        let key = HeaderValue::try_from(key).map_err(|_| ProviderError::Unknown("key is no header".to_owned()))?;
        self.headers.insert(HeaderName::from_static(header), key);
        self.is_repeatable = true;
        Ok(self)
    }
}

/// What the provider answered, whatever it says.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Stripe: the stored answer of an earlier call with this key.
    pub(super) replayed: bool,
    retry_after: Option<Duration>,
    body: Bytes,
}

impl Answer {
    /// The body; `Null` for what is not JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// No answer came.
struct Silence {
    text: String,
    /// The call may have arrived.
    may_have_acted: bool,
}

impl Api {
    /// Connects when first used. `headers` go with each call; `refusal` reads an answer that is no success.
    pub(super) fn new(
        provider: &'static str,
        base: &str,
        headers: HeaderMap,
        refusal: fn(&Answer) -> ProviderError,
    ) -> Self {
        let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let (places, waiting) = (Semaphore::new(AT_ONCE), AtomicUsize::new(0));
        let base = base.trim_end_matches('/').to_owned();
        Self { provider, client, base, headers, refusal, breaker: Breaker::new(provider), places, waiting }
    }

    /// Makes a call that has to succeed; answers the body.
    pub(super) async fn ask(&self, call: Call) -> Result<Value, ProviderError> {
        let answer = self.call(&call).await?;
        if answer.status.is_success() { Ok(answer.json()) } else { Err((self.refusal)(&answer)) }
    }

    /// Reads something; `None` when it is not there.
    pub(super) async fn find(&self, name: &'static str, path: String) -> Result<Option<Value>, ProviderError> {
        match self.ask(Call::get(name, path)).await {
            Ok(value) => Ok(Some(value)),
            Err(ProviderError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// [`ProviderError::Unknown`] when no answer came, or the provider was not asked.
    async fn call(&self, call: &Call) -> Result<Answer, ProviderError> {
        let start = Instant::now();
        let result = self.call_until(call, start + DEADLINE).await;
        let outcome = match &result {
            Ok(answer) if answer.status.is_success() => "ok",
            Ok(answer) if answer.status.is_client_error() => "refused",
            Ok(_) => "failed",
            Err(_) => "unanswered",
        };
        let (provider, name) = (self.provider, call.name);
        metrics::counter!(names::PROVIDER_CALLS, "provider" => provider, "call" => name, "outcome" => outcome)
            .increment(1);
        let seconds = start.elapsed().as_secs_f64();
        metrics::histogram!(names::PROVIDER_SECONDS, "provider" => provider, "call" => name).record(seconds);
        result.map_err(|text| ProviderError::Unknown(format!("{} {}: {text}", self.provider, call.name)))
    }

    async fn call_until(&self, call: &Call, end: Instant) -> Result<Answer, String> {
        let _place = self.place(end).await?;
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS_MAX {
            let pass = self.breaker.admit(Instant::now()).map_err(|_| "not asked, it was down a moment ago")?;
            let outcome = self.attempt(call, end).await;
            match &outcome {
                // A stored answer that is repeated tells nothing of how the provider is now.
                Ok(answer) if answer.replayed => drop(pass),
                outcome => {
                    let is_sound = outcome.as_ref().is_ok_and(|answer| !answer.status.is_server_error());
                    pass.report(Instant::now(), is_sound);
                }
            }
            let jitter = pause.mul_f64(rand::rng().random_range(0.5..1.5));
            let wait = match &outcome {
                Ok(answer) => answer.retry_after.unwrap_or(jitter),
                Err(_) => jitter,
            };
            let in_time = attempt < ATTEMPTS_MAX && Instant::now() + wait < end;
            match outcome {
                Ok(answer) if !is_worth_repeating(call, &answer) => return Ok(answer),
                Err(silence) if silence.may_have_acted && !call.is_repeatable => return Err(silence.text),
                Ok(answer) if !in_time => {
                    if let Some(wait) = answer.retry_after {
                        self.breaker.quiet(Instant::now(), wait);
                    }
                    return Ok(answer);
                }
                Err(silence) if !in_time => return Err(silence.text),
                Ok(_) | Err(_) => tokio::time::sleep(wait).await,
            }
            pause *= 2;
        }
        Err("no attempt".to_owned())
    }

    async fn place(&self, end: Instant) -> Result<tokio::sync::SemaphorePermit<'_>, String> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err("not asked, too many calls wait".to_owned());
        }
        let place = tokio::time::timeout_at(end.into(), self.places.acquire()).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match place {
            Ok(Ok(place)) => Ok(place),
            _ => Err("not asked, too many calls are under way".to_owned()),
        }
    }

    async fn attempt(&self, call: &Call, end: Instant) -> Result<Answer, Silence> {
        let timed = tokio::time::timeout_at(end.into(), self.send(call)).await;
        let late = || Silence { text: format!("no answer in {DEADLINE:?}"), may_have_acted: true };
        timed.unwrap_or_else(|_| Err(late()))
    }

    async fn send(&self, call: &Call) -> Result<Answer, Silence> {
        let broken = |e: &dyn std::fmt::Display, may_have_acted| Silence { text: e.to_string(), may_have_acted };
        let request = Request::builder().method(&call.method).uri(format!("{}{}", self.base, call.path));
        let mut request = request.body(Full::new(call.body.clone())).map_err(|e| broken(&e, false))?;
        request.headers_mut().extend(self.headers.clone());
        request.headers_mut().extend(call.headers.clone());
        let response = self.client.request(request).await.map_err(|e| broken(&e, !e.is_connect()))?;
        let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let replayed = header(HeaderName::from_static("idempotent-replayed")) == Some("true");
        let retry_after = header(RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let status = response.status();
        let body =
            Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|e| broken(&e, true))?;
        Ok(Answer { status, replayed, retry_after, body: body.to_bytes() })
    }
}

/// Busy, or the same key is being worked on, or the provider failed: a later attempt may work.
fn is_worth_repeating(call: &Call, answer: &Answer) -> bool {
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT => call.is_repeatable,
        status => status.is_server_error() && call.is_repeatable && !answer.replayed,
    }
}

/// The entries of a list that a provider answers as an object with this field; none of what is not there.
pub(super) fn entries(list: Option<Value>, field: &str) -> Result<Vec<Value>, ProviderError> {
    let Some(mut list) = list else { return Ok(Vec::new()) };
    match list.get_mut(field).map(Value::take) {
        Some(Value::Array(entries)) => Ok(entries),
        _ => Err(ProviderError::Unknown(format!("list without {field}"))),
    }
}

/// An id that can be part of a path as it is.
pub(super) fn plain(id: &str) -> Result<&str, ProviderError> {
    if is_plain(id) { Ok(id) } else { Err(ProviderError::Refused { status: 400, text: "not an id".to_owned() }) }
}

/// The provider's own words, shortened.
pub(super) fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// An answer that is not what the documentation says: what the call did is not known.
pub(super) fn nonsense(what: &str) -> impl FnOnce(serde_json::Error) -> ProviderError + use<> {
    let what = what.to_owned();
    move |e| ProviderError::Unknown(format!("{what} not understood: {e}"))
}
