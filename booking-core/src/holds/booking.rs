//! Holds on their way into a booking: begin_book, end_book, and the hold that saves a late payment.

use redis::Cmd;

use seatwire_protocol::command::HoldInfo;
use seatwire_protocol::{BookingId, CustomerId, HoldId, IdempotencyKey, SeatIndex, ShowId};
use std::time::Duration;

use super::reply::{self, malformed};
use super::secret::{Purpose, digest};
use super::store::{HoldRequest, HoldStore};
use super::{BegunBook, HoldError, Outcome};

impl HoldStore {
    /// Starts to turn a hold into a booking. `booking` is used unless an earlier attempt under the same key began.
    ///
    /// # Errors
    /// When Redis is out of reach: then nothing may be claimed.
    pub async fn begin_book(
        &self,
        show: ShowId,
        customer: &CustomerId,
        hold: HoldId,
        key: &IdempotencyKey,
        booking: BookingId,
    ) -> Outcome<BegunBook> {
        let config = self.config();
        let key = digest(&[key.as_str().as_bytes()]);
        // Chosen here, so that a repeated call is the same attempt.
        let attempt: u64 = rand::random();
        let arguments = |cmd: &mut Cmd| {
            cmd.arg(&hold.0).arg(customer.as_str()).arg(&key).arg(&booking.0).arg(&attempt.to_be_bytes());
            cmd.arg(config.paying_ms).arg(config.lifetime_ms + config.paying_ms).arg(config.grace_ms);
        };
        let reply = match self.call_ready(&self.scripts().begin_book, show, &arguments).await? {
            Ok(reply) if reply.code() == "OK" => reply,
            Ok(reply) => return reply.refusal(config).map(Err),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let info = reply::hold_info(show, reply.field(0)?, config)?;
        self.announce(customer, &info);
        Ok(Ok(BegunBook {
            booking: info.booking.ok_or_else(|| malformed("booking"))?,
            generation: reply.number(1)?,
            attempt,
            remaining: Duration::from_millis(info.remaining_ms),
            seats: info.seats,
        }))
    }

    /// Takes one attempt back, known not to have committed. With no other attempt open the hold can be used again. A hold
    /// that is over, or of another generation, is left alone.
    ///
    /// # Errors
    /// When Redis is out of reach: the hold lapses by itself.
    pub async fn end_book(
        &self,
        show: ShowId,
        customer: &CustomerId,
        hold: HoldId,
        begun: &BegunBook,
    ) -> Result<(), HoldError> {
        let config = self.config();
        let arguments = |cmd: &mut Cmd| {
            cmd.arg(&hold.0).arg(customer.as_str()).arg(&begun.attempt.to_be_bytes()).arg(config.resume_ms);
            cmd.arg(config.lifetime_ms + config.paying_ms).arg(config.grace_ms);
        };
        let reply = self.call(&self.scripts().end_book, show, begun.generation, &arguments).await?;
        if reply.code() == "OK" && reply.number(1)? == 1 {
            let info: HoldInfo = reply::hold_info(show, reply.field(0)?, config)?;
            self.announce(customer, &info);
        }
        Ok(())
    }

    /// A hold for somebody whose payment came late: phase paying, no caps, replacing his own browse holds there. Answers
    /// the hold id that the following `apply` has to name.
    ///
    /// # Errors
    /// When Redis is out of reach: then the ledger alone decides.
    pub async fn place_payer_hold(
        &self,
        show: ShowId,
        customer: &CustomerId,
        seats: &[SeatIndex],
        payment: &str,
    ) -> Outcome<HoldId> {
        let mut seats = seats.to_vec();
        seats.sort_unstable();
        let id = self.secret().hold_id(Purpose::Payment, customer, show, payment);
        let hold_ms = self.config().paying_ms;
        let request = HoldRequest { id, customer, seats: &seats, best: None, hold_ms, mode: "payer" };
        Ok(self.place(show, &request).await?.map(|hold| hold.hold))
    }

    /// Gives up a hold of [`Self::place_payer_hold`].
    ///
    /// # Errors
    /// When Redis is out of reach: the hold lapses by itself.
    pub async fn end_payer_hold(&self, show: ShowId, customer: &CustomerId, hold: HoldId) -> Result<(), HoldError> {
        self.end(show, Some(customer), hold, "payer").await.map(drop)
    }
}
