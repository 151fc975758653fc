//! What one customer may do in a time, over all shows, gateways and cores: commands by a bucket of tokens, new holds by a
//! list of those of the last minutes. One script call a command, on a key of the customer's own, and one more for a hold
//! that was granted.
//!
//! A hold counts by its id, so the same key counts once however often it is sent. It counts when it is granted: a refusal,
//! of which a sale has many, costs nothing more, and there is nothing to take back that could get lost. Holds that are
//! asked for at one moment may so exceed the limit, by no more than the bucket has tokens; the caps of each show are
//! judged by the hold's own script and are exact. Every command takes a token, a repeated one too: it is work all the
//! same.

use redis::Cmd;

use seatwire_protocol::{CustomerId, HoldId, IdempotencyKey, ShowId};

use crate::metrics as names;

use super::keys::tokens_key;
use super::reply;
use super::secret::Purpose;
use super::store::HoldStore;
use super::{Allowance, HoldError, Outcome, Refusal};

/// One call of the script.
#[derive(Default)]
struct Take<'a> {
    burst: u32,
    per_second: f64,
    cost: u32,
    name: &'a [u8],
    names_max: u32,
    window_ms: u64,
    mode: &'static str,
}

impl HoldStore {
    /// Counts a command of a customer; refuses when there were too many.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn allow(&self, customer: &CustomerId) -> Outcome<()> {
        self.count(customer, None).await
    }

    /// Counts a command that wants a new hold; refuses when there were too many commands or holds.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn allow_hold(&self, show: ShowId, customer: &CustomerId, key: &IdempotencyKey) -> Outcome<()> {
        let id = self.secret().hold_id(Purpose::Customer, customer, show, key.as_str());
        self.count(customer, Some(id)).await
    }

    /// A hold was granted and counts from now on. Lost, it does not.
    pub async fn count_hold(&self, customer: &CustomerId, hold: HoldId) {
        if self.config().new_holds_max == 0 {
            return;
        }
        let take = Take { name: &hold.0, mode: "count", ..self.allowance() };
        if let Err(error) = self.take(customer.as_str(), &take).await {
            tracing::debug!(%error, "a hold was not counted");
        }
    }

    /// Takes `cost` tokens of the bucket `name` (at most `burst`, refilled by `per_second`), shared by all cores.
    /// Answers 0, or the milliseconds to wait. `name` must not contain braces.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn take_tokens(&self, name: &str, burst: u32, per_second: f64, cost: u32) -> Result<u64, HoldError> {
        Ok(self.take(name, &Take { burst, per_second, cost, ..Take::default() }).await?.0)
    }

    async fn count(&self, customer: &CustomerId, hold: Option<HoldId>) -> Outcome<()> {
        let config = self.config();
        let hold = hold.filter(|_| config.new_holds_max > 0);
        let cost = u32::from(config.commands_per_second > 0);
        if cost == 0 && hold.is_none() {
            return Ok(Ok(()));
        }
        let take = Take { cost, name: hold.as_ref().map_or(&[], |id| &id.0), ..self.allowance() };
        let (retry_after_ms, what) = match self.take(customer.as_str(), &take).await? {
            (0, _) => return Ok(Ok(())),
            (wait, 2) => (wait, Allowance::NewHolds),
            (wait, _) => (wait, Allowance::Commands),
        };
        let text = match what {
            Allowance::Commands => "commands",
            Allowance::NewHolds => "new_holds",
        };
        metrics::counter!(names::RATE_LIMITED, "what" => text).increment(1);
        Ok(Err(Refusal::RateLimited { retry_after_ms, what }))
    }

    fn allowance(&self) -> Take<'static> {
        let config = self.config();
        Take {
            burst: config.commands_burst,
            per_second: config.commands_per_second.into(),
            names_max: config.new_holds_max,
            window_ms: config.new_holds_window_ms,
            ..Take::default()
        }
    }

    async fn take(&self, name: &str, take: &Take<'_>) -> Result<(u64, u64), HoldError> {
        let key = tokens_key(name);
        let fill = |cmd: &mut Cmd, _: &super::link::Connected| {
            cmd.arg(1).arg(&key).arg(take.burst).arg(take.per_second).arg(take.cost);
            cmd.arg(take.name).arg(take.names_max).arg(take.window_ms).arg(take.mode);
        };
        let answer = self.link().run(&self.scripts().take_tokens, &fill).await?;
        match reply::list(&answer)? {
            [wait] => Ok((reply::number(wait)?, 0)),
            [wait, what] => Ok((reply::number(wait)?, reply::number(what)?)),
            _ => Err(reply::malformed("number of tokens")),
        }
    }
}
