//! `bench webhooks`: 200 signed webhooks a second, sent when it is their time whatever became of those before, and timed
//! from then, while customers buy; beside the same with nobody else there. Each is news of a payment that was made, in
//! words that were not heard before: it is stored, committed, answered, and later found to be settled already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use sha2::Sha256;
use tokio::task::JoinSet;

use super::customers::{Bought, Places, Shop};
use super::ledger::Ledger;
use super::report::{Figure, Report, Times, count, median};
use super::rig::Rig;
use super::{BenchArgs, progress};
use crate::launcher::StackOptions;

const PER_SECOND: u32 = 200;
/// Payments that the webhooks tell of.
const PAYMENTS: usize = 100;
/// Goes on while webhooks do.
const MARGIN: Duration = Duration::from_millis(300);

struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    secret: String,
    payments: Vec<Bought>,
}

/// Runs it.
///
/// # Errors
/// When the stack does not start, a purchase fails, or a webhook is not accepted.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let rig = Rig::start(StackOptions::new()).await?;
    let mut report = Report::begin("webhooks", rig.redis_version().await?, args.seconds, args.rounds);
    let mut ledger = Ledger::of(&rig).await?;
    report.postgres(ledger.version().await?);
    let shop = Shop::open(&rig).await?;
    let show = ledger.add_show(rig.show).await?;
    let all = rig.all_starts();
    let some = Places::of(show, all.get(..PAYMENTS).unwrap_or_default());
    let payments = shop.crowd(&some, 8, Instant::now() + Duration::from_secs(60)).await?;
    ledger.at_rest().await?;
    let sender = Arc::new(Sender {
        client: Client::builder(TokioExecutor::new()).build_http(),
        url: format!("{}/webhooks/razorpay", rig.addresses.core_http),
        secret: rig.addresses.secrets.webhook.clone(),
        payments,
    });
    let length = Duration::from_secs(args.seconds);
    let (mut alone, mut beside, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        progress(&format!("round {round}: webhooks alone, webhooks while customers buy"));
        alone.extend(sender.send_for(length).await?);
        ledger.at_rest().await?;
        let places = Places::of(ledger.add_show(rig.show).await?, &all);
        let began = Instant::now();
        let crowd = shop.crowd(&places, args.customers, began + length + MARGIN);
        let (bought, times) = tokio::try_join!(crowd, sender.send_for(length))?;
        rates.push(count(bought.len() as u64) / began.elapsed().as_secs_f64());
        beside.extend(times);
        ledger.at_rest().await?;
    }
    progress("customers who pay twice");
    let twice = Places::of(ledger.add_show(rig.show).await?, all.get(..PAYMENTS).unwrap_or_default());
    while shop.buy_twice(&twice).await?.is_some() {}
    ledger.at_rest().await?;
    let refunds = Times::new(ledger.refund_lags(twice.show).await?);
    report.add(Figure::new("webhooks sent", "", count(beside.len() as u64)));
    report.add(Figure::new("bookings confirmed meanwhile", "/s", median(rates)));
    let (alone, beside) = (Times::new(alone), Times::new(beside));
    for (what, percent) in [("p50", 50), ("p99", 99), ("max", 100)] {
        let measured = beside.percentile_ms(percent);
        let figure = Figure::new(format!("webhook answered, {what}"), "ms", measured);
        let figure = figure.beside(alone.percentile_ms(percent));
        report.add(if percent == 99 { figure.goal("<= 250 ms", measured <= 250.0) } else { figure });
    }
    let slowest = refunds.max_ms();
    let figure = Figure::new("refund requested after it was decided, max", "ms", slowest);
    report.add(figure.goal("<= 60 s", slowest <= 60_000.0));
    rig.stack.shutdown().await;
    report.end(args.json.as_deref())
}

impl Sender {
    /// Answers how long each took, from the moment when it was to be sent.
    async fn send_for(self: &Arc<Self>, length: Duration) -> anyhow::Result<Vec<Duration>> {
        let (began, mut sending) = (Instant::now(), JoinSet::new());
        let pause = Duration::from_secs(1) / PER_SECOND;
        let mut due = began;
        while due < began + length {
            tokio::time::sleep_until(due.into()).await;
            let sender = Arc::clone(self);
            sending.spawn(async move {
                sender.send().await?;
                anyhow::Ok(due.elapsed())
            });
            due += pause;
        }
        let mut times = Vec::new();
        while let Some(time) = sending.join_next().await {
            times.push(time??);
        }
        Ok(times)
    }

    async fn send(&self) -> anyhow::Result<()> {
        let paid = self.payments.get(rand::random_range(0..self.payments.len())).context("no payments")?;
        let booking = &paid.booking;
        let entity = json!({
            "id": paid.payment, "entity": "payment", "order_id": booking.order, "status": "captured", "captured": true,
            "amount": booking.amount, "currency": booking.currency, "method": "card",
        });
        let body = json!({
            "entity": "event", "account_id": "acc_bench", "event": "payment.captured", "contains": ["payment"],
            "payload": {"payment": {"entity": entity}}, "created_at": rand::random::<u32>(),
            "nonce": uuid::Uuid::new_v4(),
        });
        let body = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(body.as_bytes());
        let request = Request::post(&self.url)
            .header("content-type", "application/json")
            .header("x-razorpay-signature", hex::encode(mac.finalize().into_bytes()))
            .header("x-razorpay-event-id", format!("evt_{}", uuid::Uuid::new_v4().simple()));
        let answer = self.client.request(request.body(Full::from(body))?).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        if status.is_success() { Ok(()) } else { bail!("a webhook was answered {status}") }
    }
}
