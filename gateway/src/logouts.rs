//! Customers who logged out: their tokens are refused and their sockets closed, at every gateway. The control channel
//! tells it within milliseconds; because it tells once, a core is asked for all that are remembered whenever the channel
//! was subscribed, also the first time, and now and then for the latest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::counter;
use seatwire_protocol::close_code::CloseCode;
use seatwire_protocol::command::{GetLogouts, LogOut, Logout};
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::app::App;
use crate::tokens::Identity;
use crate::{clock, commands, metrics as names};

/// Time for one page of logouts.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How often the latest are asked for, and how far that reaches back: a core that could not publish is made up for.
const LATEST_EVERY: Duration = Duration::from_secs(10);
const LATEST_MS: u64 = 60_000;
/// Connections looked at before other tasks get their turn.
const YIELD_EVERY: usize = 256;
const AGAIN_MIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// What is known of logouts; the tokens themselves are in [`crate::tokens`].
#[derive(Default)]
pub struct Logouts {
    /// All were asked for at least once: before that a token that was revoked would be accepted.
    known: AtomicBool,
    /// The control channel may have been missed.
    missed: AtomicBool,
    /// Somebody logged out whose sockets may be open.
    heard: AtomicBool,
    wake: Notify,
}

impl Logouts {
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// The control channel was subscribed: what it told before was missed.
    pub fn on_subscribed(&self) {
        self.missed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn on_heard(&self) {
        self.heard.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// The control channel, or a core, told of a logout.
pub fn on_logout(app: &App, customer: CustomerId, before_ms: u64) {
    if app.tokens.revoke(customer, before_ms, clock::unix_ms()) {
        warn!("more logouts than can be remembered: all tokens of that time are void");
    }
    app.logouts.on_heard();
}

/// Logs a customer out everywhere.
///
/// # Errors
/// The core's; then it may or may not have happened, and may be repeated.
pub async fn log_out(app: &App, identity: Identity) -> Result<(), ErrorBody> {
    let keep_ms = u64::try_from(app.config.token_life_max.as_millis()).unwrap_or(u64::MAX);
    let Identity { customer, issued_at_ms, .. } = identity;
    let done = commands::call(app, &LogOut { customer: customer.clone(), issued_at_ms, keep_ms }).await?;
    on_logout(app, customer, done.before_ms);
    Ok(())
}

/// Keeps up with logouts for the life of the process.
pub async fn run(app: Arc<App>) {
    let mut again = AGAIN_MIN;
    let mut next_look = Instant::now();
    loop {
        tokio::select! {
            () = app.logouts.wake.notified() => {}
            () = sleep_until(next_look) => {}
        }
        let missed = app.logouts.missed.swap(false, Ordering::AcqRel);
        if missed || Instant::now() >= next_look {
            let everything = missed || !app.logouts.is_known();
            if ask(&app, everything).await {
                next_look = Instant::now() + LATEST_EVERY;
                again = AGAIN_MIN;
            } else {
                app.logouts.missed.fetch_or(everything, Ordering::AcqRel);
                next_look = Instant::now() + again.mul_f64(rand::random_range(0.5..1.0));
                again = (again * 2).min(AGAIN_MAX);
            }
        }
        if app.logouts.heard.swap(false, Ordering::AcqRel) {
            close_void(&app).await;
        }
    }
}

/// Asks a core for logouts, all of them or the latest; `false` when none could tell.
async fn ask(app: &App, everything: bool) -> bool {
    let mut command = GetLogouts { after: None, within_ms: (!everything).then_some(LATEST_MS) };
    let mut count = 0_usize;
    loop {
        match app.core.call(&command, ANSWER_MAX, 0).await {
            Ok(page) => {
                command.after = page.logouts.last().map(|logout| logout.customer.clone());
                count = count.saturating_add(page.logouts.len());
                for Logout { customer, before_ms } in page.logouts {
                    on_logout(app, customer, before_ms);
                }
                if !page.more || command.after.is_none() {
                    break;
                }
            }
            // A core of before logouts were kept: cores come first in a roll-out, but a gateway that waited for them
            // would keep everybody out. It asks again for all.
            Err(error) if error.code == ErrorCode::BadRequest => {
                warn!("the core does not know logouts: it is of an older version");
                app.logouts.known.store(true, Ordering::Release);
                app.logouts.missed.store(true, Ordering::Release);
                return true;
            }
            Err(error) => {
                warn!(code = %error.code, "logouts could not be asked for");
                return false;
            }
        }
    }
    if everything {
        info!(count, "logouts are known");
        app.logouts.known.store(true, Ordering::Release);
    }
    true
}

/// Closes every socket whose token is void.
async fn close_void(app: &App) {
    for (at, connection) in app.connections.all().into_iter().enumerate() {
        if connection.identity().is_some_and(|who| app.tokens.is_revoked(&who)) {
            counter!(names::LOGGED_OUT).increment(1);
            connection.close(CloseCode::Unauthenticated, "logged out");
        }
        if at % YIELD_EVERY == YIELD_EVERY - 1 {
            tokio::task::yield_now().await;
        }
    }
}
