//! Customers who buy over the core's port: hold, book, pay at the simulated provider, and wait until they are told that
//! their booking is confirmed, as a gateway would be told: on the customer's own channel in Redis.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use seatwire_protocol::codec;
use seatwire_protocol::command::{Book, BookingInfo, BookingState, HoldSeats};
use seatwire_protocol::ws::Push;
use seatwire_protocol::{CustomerId, IdempotencyKey, SeatIndex, ShowId};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::rig::{Rig, call};

/// A booking that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(30);
const PREFIX: &str = "bench-";
/// What the checkout is told.
const ONCE: &str = r#"{"outcome":"success"}"#;
const TWICE: &str = r#"{"outcome":"success","double":1}"#;

/// What all customers share.
#[derive(Clone)]
pub(super) struct Shop {
    client: seatwire_protocol::client::CoreClient,
    http: Client<HttpConnector, Full<Bytes>>,
    provider: String,
    waiting: Arc<Waiting>,
}

type Waiting = Mutex<HashMap<String, oneshot::Sender<()>>>;

/// One purchase.
pub(super) struct Bought {
    pub(super) booking: BookingInfo,
    pub(super) payment: String,
    pub(super) customer: String,
    /// From the command to its answer.
    pub(super) book: Duration,
    /// From the payment to the news.
    pub(super) confirmed: Duration,
}

/// Runs of three free seats of one show, each given out once.
#[derive(Clone)]
pub(super) struct Places {
    pub(super) show: ShowId,
    starts: Arc<Vec<u32>>,
    taken: Arc<AtomicUsize>,
}

impl Places {
    pub(super) fn of(show: ShowId, starts: &[u32]) -> Self {
        Self { show, starts: Arc::new(starts.to_vec()), taken: Arc::default() }
    }

    fn next(&self) -> Option<(usize, [u32; 3])> {
        let n = self.taken.fetch_add(1, Ordering::Relaxed);
        self.starts.get(n).map(|start| (n, [*start, start + 1, start + 2]))
    }
}

impl Shop {
    pub(super) async fn open(rig: &Rig) -> anyhow::Result<Self> {
        let mut news = redis::Client::open(rig.addresses.redis.clone())?.get_async_pubsub().await?;
        news.psubscribe(format!("customer:{PREFIX}*")).await?;
        let waiting: Arc<Waiting> = Arc::default();
        let told = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut messages = news.on_message();
            while let Some(message) = messages.next().await {
                let Ok(Push::Booking { booking }) = codec::decode(message.get_payload_bytes()) else { continue };
                if booking.state == BookingState::Confirmed {
                    let customer = message.get_channel_name().trim_start_matches("customer:");
                    let waiting = told.lock().unwrap_or_else(PoisonError::into_inner).remove(customer);
                    // Nobody waits for a second push.
                    waiting.map(|waiting| waiting.send(()));
                }
            }
        });
        let http = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { client: rig.client.clone(), http, provider: rig.addresses.provider.clone(), waiting })
    }

    /// One purchase of the next seats; `None` when there are no more.
    pub(super) async fn buy(&self, places: &Places) -> anyhow::Result<Option<Bought>> {
        self.buy_and(places, ONCE).await
    }

    /// The same with two payments.
    pub(super) async fn buy_twice(&self, places: &Places) -> anyhow::Result<Option<Bought>> {
        self.buy_and(places, TWICE).await
    }

    async fn buy_and(&self, places: &Places, pay: &'static str) -> anyhow::Result<Option<Bought>> {
        let Some((n, seats)) = places.next() else { return Ok(None) };
        let name = format!("{PREFIX}{}-{n}", places.show);
        let (show, customer) = (places.show, CustomerId::new(&name)?);
        let seats = seats.into_iter().map(SeatIndex).collect();
        let hold = HoldSeats { show, customer: customer.clone(), key: new_key()?, seats, best: None };
        let hold = call(&self.client, &hold).await.context("hold")?;
        let email = format!("{name}@example.org");
        let book = Book { show, customer, hold: hold.hold, key: new_key()?, email };
        let asked = Instant::now();
        let booking = call(&self.client, &book).await.context("book")?;
        let booked = asked.elapsed();
        let (confirmed, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), confirmed);
        let paid = Instant::now();
        let payment = self.pay(booking.order.as_deref().context("no order")?, pay).await?;
        let told = tokio::time::timeout(PATIENCE, told).await;
        told.with_context(|| format!("{name} was not told of a confirmed booking"))??;
        let confirmed = paid.elapsed();
        Ok(Some(Bought { booking, payment, customer: name, book: booked, confirmed }))
    }

    /// Pays at the checkout, over connections that are kept.
    async fn pay(&self, order: &str, how: &'static str) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Paid {
            payment: String,
        }
        let request = Request::post(format!("{}/checkout/{order}/pay", self.provider))
            .header("content-type", "application/json")
            .header("accept", "application/json");
        let answer = self.http.request(request.body(Full::from(how))?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("the provider answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice::<Paid>(&body)?.payment)
    }

    /// So many customers at a time, each with one purchase after the other until the time is over.
    pub(super) async fn crowd(&self, places: &Places, customers: usize, until: Instant) -> anyhow::Result<Vec<Bought>> {
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..customers {
            let (shop, places) = (self.clone(), places.clone());
            crowd.spawn(async move {
                let mut all = Vec::new();
                while Instant::now() < until
                    && let Some(bought) = shop.buy(&places).await?
                {
                    all.push(bought);
                }
                anyhow::Ok(all)
            });
        }
        let mut all = Vec::new();
        while let Some(bought) = crowd.join_next().await {
            all.append(&mut bought??);
        }
        Ok(all)
    }
}

fn new_key() -> anyhow::Result<IdempotencyKey> {
    Ok(IdempotencyKey::new(&uuid::Uuid::new_v4().to_string())?)
}
