//! Commands over the WebSocket, each answered by a reply or an error. A lost connection is answered UNAVAILABLE, silence
//! DEADLINE_EXCEEDED: both are retryable, with the same key.

use std::time::Duration;

use seatwire_protocol::command::{BestAvailable, BookingInfo, HoldInfo, Released};
use seatwire_protocol::ws::{ClientMessage, ReplyBody};
use seatwire_protocol::{BookingId, ErrorBody, ErrorCode, HoldId, IdempotencyKey, SeatIndex, ShowId};
use tokio::time::{Instant, sleep, timeout};

use super::ViewerClient;

/// Between two tries when the answer has no hint.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// A new idempotency key.
///
/// # Panics
/// Never: a UUID is a valid key.
#[must_use]
#[expect(clippy::expect_used, reason = "36 characters of hex and dashes are a valid key")]
pub fn new_key() -> IdempotencyKey {
    IdempotencyKey::new(&uuid::Uuid::new_v4().to_string()).expect("a UUID is a valid key")
}

type Answer<T> = Result<T, ErrorBody>;

impl ViewerClient {
    /// Sends the command that `build` makes from a request id, and waits for its answer.
    ///
    /// # Errors
    /// The error that the gateway answered, or UNAVAILABLE or DEADLINE_EXCEEDED from here.
    pub async fn call(&self, build: impl FnOnce(u64) -> ClientMessage) -> Answer<ReplyBody> {
        let (id, answer) = self.shared.update(|state| {
            let id = state.next_id();
            (id, state.expect_answer(id))
        });
        if let Err(error) = self.send(build(id)).await {
            self.shared.update(|state| state.forget_answer(id));
            return Err(ErrorBody::new(ErrorCode::Unavailable, error.to_string()));
        }
        match timeout(self.timeout(), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ErrorBody::new(ErrorCode::Unavailable, "the connection was lost before the answer")),
            Err(_) => {
                self.shared.update(|state| state.forget_answer(id));
                Err(ErrorBody::new(ErrorCode::DeadlineExceeded, "no answer in time"))
            }
        }
    }

    /// Repeats `attempt` while its error is retryable, for `within` at most; connects again when the connection is lost.
    ///
    /// # Errors
    /// The first error that is not retryable, or the last one.
    pub async fn persist<T, F: Future<Output = Answer<T>>>(
        &self,
        within: Duration,
        attempt: impl Fn() -> F,
    ) -> Answer<T> {
        let end = Instant::now() + within;
        loop {
            if self.closed().is_some() {
                // Tried again below, until the time is over.
                let _ = self.reconnect().await;
            }
            let answer = attempt().await;
            let wait = match &answer {
                Err(error) if error.code.is_retryable() => {
                    error.retry_after_ms.map_or(RETRY_WAIT, Duration::from_millis)
                }
                _ => return answer,
            };
            if Instant::now() + wait >= end {
                return answer;
            }
            sleep(wait).await;
        }
    }

    /// Holds seats by index.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn hold(&self, show: ShowId, key: &IdempotencyKey, seats: &[u32]) -> Answer<HoldInfo> {
        let seats: Vec<SeatIndex> = seats.iter().copied().map(SeatIndex).collect();
        let key = key.clone();
        hold(self.call(|id| ClientMessage::Hold { id, show, key, seats, best: None }).await?)
    }

    /// Holds the best adjacent seats.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn hold_best(&self, show: ShowId, key: &IdempotencyKey, best: BestAvailable) -> Answer<HoldInfo> {
        let (key, best) = (key.clone(), Some(best));
        hold(self.call(|id| ClientMessage::Hold { id, show, key, seats: Vec::new(), best }).await?)
    }

    /// Asks for more time.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn extend(&self, show: ShowId, key: &IdempotencyKey, hold_id: HoldId) -> Answer<HoldInfo> {
        let key = key.clone();
        hold(self.call(|id| ClientMessage::Extend { id, show, hold: hold_id, key }).await?)
    }

    /// Gives seats back.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn release(&self, show: ShowId, hold: HoldId) -> Answer<Released> {
        match self.call(|id| ClientMessage::Release { id, show, hold }).await? {
            ReplyBody::Released(released) => Ok(released),
            other => Err(unexpected(&other)),
        }
    }

    /// Live holds and pending bookings.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn own_holds(&self, show: ShowId) -> Answer<(Vec<HoldInfo>, Vec<BookingInfo>)> {
        match self.call(|id| ClientMessage::OwnHolds { id, show }).await? {
            ReplyBody::OwnHolds { holds, pending, .. } => Ok((holds, pending)),
            other => Err(unexpected(&other)),
        }
    }

    /// Turns a hold into a pending booking.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn book(&self, show: ShowId, key: &IdempotencyKey, hold: HoldId, email: &str) -> Answer<BookingInfo> {
        let (key, email) = (key.clone(), email.to_owned());
        booking(self.call(|id| ClientMessage::Book { id, show, hold, key, email }).await?)
    }

    /// One booking.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn booking(&self, booking_id: BookingId) -> Answer<BookingInfo> {
        booking(self.call(|id| ClientMessage::Booking { id, booking: booking_id }).await?)
    }

    /// Cancels a booking.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn cancel(&self, key: &IdempotencyKey, booking_id: BookingId) -> Answer<BookingInfo> {
        let key = key.clone();
        booking(self.call(|id| ClientMessage::Cancel { id, booking: booking_id, key }).await?)
    }

    /// Own bookings, newest first, and whether there are older ones.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn bookings(&self, before_ms: Option<u64>) -> Answer<(Vec<BookingInfo>, bool)> {
        match self.call(|id| ClientMessage::Bookings { id, before_ms }).await? {
            ReplyBody::Bookings { bookings, more } => Ok((bookings, more)),
            other => Err(unexpected(&other)),
        }
    }
}

fn hold(reply: ReplyBody) -> Answer<HoldInfo> {
    match reply {
        ReplyBody::Hold(hold) => Ok(hold),
        other => Err(unexpected(&other)),
    }
}

fn booking(reply: ReplyBody) -> Answer<BookingInfo> {
    match reply {
        ReplyBody::Booking(booking) => Ok(booking),
        other => Err(unexpected(&other)),
    }
}

/// Not retryable, so that a test stops at it.
fn unexpected(reply: &ReplyBody) -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, format!("the gateway answered another kind of reply: {reply:?}"))
}
