//! Publishes what concerns one customer on `customer:<id>`, in batches and apart from the calls that caused it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use seatwire_protocol::codec::encode;
use seatwire_protocol::feed::{CONTROL_CHANNEL, ControlMessage, customer_channel};
use seatwire_protocol::ws::{HoldEndReason, Push};
use seatwire_protocol::{CustomerId, ShowId};

use crate::metrics as names;

use super::HoldError;
use super::link::Link;
use super::reply::Ended;
use super::vitals::Vitals;

/// Waiting pushes; beyond it they are dropped and counted: an owner's page asks for its own holds after each resync.
const WAITING_MAX: usize = 16_384;
const BATCH: usize = 256;

/// A push on its way.
pub(super) struct Message {
    channel: String,
    payload: Vec<u8>,
}

/// The sending end.
#[derive(Clone)]
pub(super) struct Pusher {
    sender: mpsc::Sender<Message>,
    /// Subtracted from lags: what holds are honoured beyond their told end.
    grace_ms: u64,
    pub(super) vitals: Arc<Vitals>,
}

impl Pusher {
    pub(super) fn new(grace_ms: u64) -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self { sender, grace_ms, vitals: Arc::default() }, receiver)
    }

    pub(super) fn push(&self, customer: &CustomerId, push: &Push) {
        let message = Message { channel: customer_channel(customer), payload: encode(push) };
        if self.sender.try_send(message).is_err() {
            metrics::counter!(names::PUSHES_DROPPED).increment(1);
        }
    }

    /// Tells the owners of holds that ended.
    pub(super) fn tell_ended(&self, show: ShowId, ended: &[Ended]) {
        for Ended { customer, hold, reason, late_ms, position, seats } in ended {
            if *reason == HoldEndReason::Expired {
                metrics::counter!(names::HOLDS_EXPIRED).increment(1);
                let late = Duration::from_millis(late_ms.saturating_sub(self.grace_ms));
                metrics::histogram!(names::HOLD_EXPIRY_LAG_SECONDS).record(late);
                self.vitals.expired(late);
            }
            let (hold, seats, reason, position) = (*hold, seats.clone(), *reason, *position);
            self.push(customer, &Push::HoldEnded { show, hold, seats, reason, position });
        }
    }
}

/// Publishes until shutdown, and then what is still waiting.
pub(super) async fn run(link: Arc<Link>, mut receiver: mpsc::Receiver<Message>, shutdown: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            count = receiver.recv_many(&mut batch, BATCH) => if count == 0 { return },
            () = shutdown.cancelled() => return,
        }
        if let Err(error) = publish(&link, &batch).await {
            metrics::counter!(names::PUSHES_DROPPED).increment(batch.len() as u64);
            tracing::warn!(%error, dropped = batch.len(), "pushes were not published");
        }
        batch.clear();
    }
}

/// Tells every gateway, at once.
pub(super) async fn tell_gateways(link: &Link, message: &ControlMessage) -> Result<(), HoldError> {
    let message = Message { channel: CONTROL_CHANNEL.to_owned(), payload: encode(message) };
    publish(link, &[message]).await
}

async fn publish(link: &Link, batch: &[Message]) -> Result<(), HoldError> {
    failpoint!("push.publish");
    let connected = link.get().await?;
    let mut pipe = redis::pipe();
    for message in batch {
        pipe.cmd("PUBLISH").arg(&message.channel).arg(&message.payload);
    }
    link.pipeline(&connected, &pipe).await.map(drop)
}
