//! Sends webhooks: signed over the exact bytes of the body, tried again with back-off until answered with 2xx, several
//! at a time and in no promised order, as a real provider does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::control::{Switches, Webhooks};
use super::store::Store;
use super::{Shapes, now_ms};

/// Where to, and with which key.
pub(crate) struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    secret: String,
    shapes: Shapes,
}

impl Sender {
    pub(crate) fn new(url: Uri, secret: String, shapes: Shapes) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), url, secret, shapes }
    }

    /// One attempt.
    async fn send(&self, event_id: &str, body: String) -> anyhow::Result<()> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header("content-type", "application/json")
            .header("user-agent", "Seatwire-Payment-Simulation/1");
        let secret = self.secret.as_bytes();
        let request = match self.shapes {
            Shapes::Razorpay => request
                .header("x-razorpay-signature", sign(secret, &[body.as_bytes()])?)
                .header("x-razorpay-event-id", event_id),
            Shapes::Stripe => {
                // Of this attempt: a retry is signed anew.
                let time = (now_ms() / 1000).to_string();
                let signed = sign(secret, &[time.as_bytes(), b".", body.as_bytes()])?;
                request.header("stripe-signature", format!("t={time},v1={signed}"))
            }
        };
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = self.client.request(request).await?;
        let status = answer.status();
        // Read to its end, so that the connection can be used again.
        http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.ok();
        anyhow::ensure!(status.is_success(), "answered {status}");
        Ok(())
    }
}

/// Takes due webhooks until `stop`. What is under way then ends within its own time limit.
pub(crate) async fn run(
    store: Arc<Store>,
    switches: Arc<Switches>,
    sender: Sender,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let sender = Arc::new(sender);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let next = async {
            // First a place, then an event: those that wait stay in the timetable.
            let place = Arc::clone(&places).acquire_owned().await;
            loop {
                switches.until(|positions| positions.webhooks == Webhooks::Send).await;
                tokio::select! {
                    biased;
                    () = switches.until(|positions| positions.webhooks == Webhooks::Hold) => {}
                    due = store.deliveries.next() => return (place, due),
                }
            }
        };
        let (place, (event, attempts)) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => return,
        };
        if attempts == 0 && switches.positions().shuffle {
            let later = rand::rng().random_range(0..SHUFFLE_MS);
            store.deliveries.add(now_ms().saturating_add(later), (event, 1));
            continue;
        }
        let (store, switches, sender) = (Arc::clone(&store), Arc::clone(&switches), Arc::clone(&sender));
        tasks.spawn(async move {
            deliver(&store, &switches, &sender, event, attempts).await;
            drop(place);
        });
    }
}

async fn deliver(store: &Store, switches: &Switches, sender: &Sender, event: String, attempts: u32) {
    let Some(body) = store.read(|ledger| ledger.event(&event).map(|event| event.body.clone())) else { return };
    let body_hash = hex::encode(Sha256::digest(body.as_bytes()));
    let sent = tokio::time::timeout(ANSWER_WITHIN, sender.send(&event, body)).await;
    let failure = match sent {
        Ok(Ok(())) => {
            switches.note_accepted(body_hash);
            match store.delivered(&event) {
                Ok(true) => return store.deliveries.add(now_ms(), (event, 0)),
                Ok(false) => return,
                Err(error) => error.description,
            }
        }
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "no answer in time".to_owned(),
    };
    let delay = back_off_ms(attempts);
    tracing::debug!(event, attempts, delay, failure, "webhook was not accepted; tried again");
    store.deliveries.add(now_ms().saturating_add(delay), (event, attempts.saturating_add(1)));
}

/// Lower-case hex HMAC-SHA256 of the parts, one after another.
fn sign(secret: &[u8], parts: &[&[u8]]) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(hex::encode(mac.finalize().into_bytes()))
}

/// 200 ms, doubled each time up to 5 s, a fifth more or less: no two events stay in step.
fn back_off_ms(attempts: u32) -> u64 {
    let delay = 200_u64.saturating_mul(1 << attempts.min(10)).min(5000);
    rand::rng().random_range(delay * 4 / 5..=delay * 6 / 5)
}

/// For the command line: an address that this client can speak to.
pub(crate) fn parse_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (url.scheme_str(), url.host()) {
        (Some("http"), Some(_)) => Ok(url),
        _ => Err("expected http://HOST:PORT/PATH".to_owned()),
    }
}

/// Shuffled webhooks leave within this.
const SHUFFLE_MS: u64 = 400;
/// Deliveries under way; the rest waits in the timetable.
const AT_ONCE: usize = 32;
/// The provider's documented limit for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_starts_at_a_fifth_of_a_second_and_stays_near_five() {
        assert!((160..=240).contains(&back_off_ms(0)));
        for attempts in [5, 10, 1000, u32::MAX] {
            assert!((4000..=6000).contains(&back_off_ms(attempts)));
        }
    }
}
