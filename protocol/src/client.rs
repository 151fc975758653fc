//! Pipelined, reconnecting client of the core's MessagePack port (feature `client`; needs a tokio runtime).
//!
//! A few connections to each core carry many commands at once; replies come in any order. A command whose connection
//! is lost before its answer is sent again over another one with the same idempotency key, within its deadline: every
//! command is safe to repeat. NOT_READY is asked again the same way. Nothing here waits longer than the deadline, and
//! nothing queues without a bound: when all connections are full the answer is OVERLOADED.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use seatwire_protocol::{client::{CoreClient, CoreClientConfig}, command::GetSnapshot, ShowId};
//! # async fn example(show: ShowId) -> Result<(), seatwire_protocol::ErrorBody> {
//! let config = CoreClientConfig::new(vec!["127.0.0.1:7100".to_owned()], "the shared secret", "example");
//! let client = CoreClient::new(config);
//! let snapshot = client.call(&GetSnapshot { show }, Duration::from_secs(2), 0).await?;
//! # let _ = snapshot; Ok(()) }
//! ```

mod backoff;
mod connection;
mod link;
mod pending;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use self::connection::LinkError;
use self::link::{Link, SubmitError, Ticket};
use crate::codec::{self, Frame, HEADER_BYTES, KIND_ERROR, REPLY_BIT};
use crate::command::Command;
use crate::error::{ErrorBody, ErrorCode};
use crate::limits::{COMMANDS_IN_FLIGHT_PER_CORE_CONNECTION_MAX, CORE_FRAME_BYTES_MAX};

/// How often one command is sent when connections are lost under it: a command that kills cores must not visit all.
const SENDS_MAX: u32 = 4;
/// Wait before asking again after NOT_READY without a hint.
const NOT_READY_WAIT: Duration = Duration::from_millis(50);
/// What a caller is told to wait when no core is reachable, or all connections are full.
const RETRY_AFTER_MS: u64 = 500;

/// Where the cores are, and how hard to try.
#[derive(Clone)]
pub struct CoreClientConfig {
    /// `host:port` of each core; names are resolved again at each connect.
    pub addresses: Vec<String>,
    /// The shared secret.
    pub secret: String,
    /// Who we are, for the core's logs.
    pub name: String,
    /// Connections to each core.
    pub connections_per_core: usize,
    /// Commands in flight per connection; the core's own limit is kept as well.
    pub in_flight_max: usize,
    /// Time for connect and handshake together.
    pub connect_timeout: Duration,
    /// With commands in flight and nothing heard for this long, the core is asked for a sign of life.
    pub silence: Duration,
    /// Without a sign for this long after asking, the connection is given up and its commands go elsewhere.
    pub ping_timeout: Duration,
    /// First wait before connecting again; doubles with each failure, with jitter.
    pub backoff_min: Duration,
    /// Longest wait before connecting again.
    pub backoff_max: Duration,
}

impl CoreClientConfig {
    /// The defaults: two connections to each core.
    #[must_use]
    pub fn new(addresses: Vec<String>, secret: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            addresses,
            secret: secret.into(),
            name: name.into(),
            connections_per_core: 2,
            in_flight_max: COMMANDS_IN_FLIGHT_PER_CORE_CONNECTION_MAX,
            connect_timeout: Duration::from_secs(3),
            silence: Duration::from_secs(1),
            ping_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(25),
            backoff_max: Duration::from_secs(1),
        }
    }
}

/// Without the secret.
impl fmt::Debug for CoreClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoreClientConfig")
            .field("addresses", &self.addresses)
            .field("name", &self.name)
            .field("connections_per_core", &self.connections_per_core)
            .finish_non_exhaustive()
    }
}

/// One connection as an operator sees it.
#[derive(Debug, Clone)]
pub struct LinkStatus {
    /// Where it goes.
    pub address: String,
    /// Whether commands can be sent over it.
    pub connected: bool,
    /// Name of the core's instance, once it was connected.
    pub core: Option<String>,
    /// Commands in flight.
    pub in_flight: usize,
    /// Why it was last lost, or could not be made.
    pub last_error: Option<LinkError>,
}

/// A client of all cores; cheap to clone. Its connections close when the last clone is dropped.
#[derive(Clone)]
pub struct CoreClient {
    inner: Arc<Inner>,
}

struct Inner {
    links: Vec<Arc<Link>>,
    /// How many links are connected; written by the links' tasks.
    connected: Arc<watch::Sender<usize>>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for CoreClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoreClient").field("links", &self.status()).finish()
    }
}

impl CoreClient {
    /// Starts connecting in the background; never fails: a core may come later.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(config: CoreClientConfig) -> Self {
        let config = Arc::new(config);
        let connected = Arc::new(watch::Sender::new(0));
        let mut links = Vec::new();
        let mut tasks = Vec::new();
        for (core, address) in config.addresses.iter().enumerate() {
            for _ in 0..config.connections_per_core.max(1) {
                let link = Arc::new(Link::new(core, address, config.in_flight_max));
                let task = connection::keep_connected(Arc::clone(&link), Arc::clone(&config), Arc::clone(&connected));
                tasks.push(tokio::spawn(task).abort_handle());
                links.push(link);
            }
        }
        Self { inner: Arc::new(Inner { links, connected, tasks }) }
    }

    /// Whether at least one core can be asked now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.inner.connected.borrow() > 0
    }

    /// Follows the number of connections that are up, for readiness.
    #[must_use]
    pub fn watch_connected(&self) -> watch::Receiver<usize> {
        self.inner.connected.subscribe()
    }

    /// Every connection, for logs and an operator's view.
    #[must_use]
    pub fn status(&self) -> Vec<LinkStatus> {
        self.inner.links.iter().map(|link| link.status()).collect()
    }

    /// Sends a command and waits for its answer, at most `deadline`. `trace` links the logs of both sides (0: none).
    ///
    /// # Errors
    /// The core's own answer, or one of ours: OVERLOADED (all connections are full), UNAVAILABLE (no core reachable,
    /// or connections lost again and again), DEADLINE_EXCEEDED (sent, no answer in time: the outcome is unknown, repeat
    /// it with the same key), TOO_LARGE, INTERNAL (an answer that can't be read).
    pub async fn call<C: Command>(&self, command: &C, deadline: Duration, trace: u64) -> Result<C::Reply, ErrorBody> {
        let body = Bytes::from(codec::encode(command));
        if body.len().saturating_add(HEADER_BYTES) > CORE_FRAME_BYTES_MAX {
            return Err(ErrorBody::new(ErrorCode::TooLarge, format!("{} of {} bytes", C::NAME, body.len())));
        }
        let end = Instant::now() + deadline;
        loop {
            let frame = self.exchange(C::OP, &body, end, trace).await?;
            if frame.kind == C::OP | REPLY_BIT {
                return codec::decode(&frame.body).map_err(|e| unreadable(C::NAME, &e));
            }
            if frame.kind != KIND_ERROR {
                return Err(unreadable(C::NAME, &format_args!("kind {:#04x}", frame.kind)));
            }
            let error: ErrorBody = codec::decode(&frame.body).map_err(|e| unreadable(C::NAME, &e))?;
            let wait = error.retry_after_ms.map_or(NOT_READY_WAIT, Duration::from_millis);
            if error.code != ErrorCode::NotReady || Instant::now() + wait >= end {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends until an answer of any kind comes back, over as many connections as it takes.
    async fn exchange(&self, kind: u8, body: &Bytes, end: Instant, trace: u64) -> Result<Frame, ErrorBody> {
        let mut avoid = None;
        for _ in 0..SENDS_MAX {
            let (core, ticket) = self.submit(kind, body, end, trace, avoid).await?;
            match tokio::time::timeout_at(end, ticket.answer()).await {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => avoid = Some(core),
                Err(_) => return Err(ErrorBody::new(ErrorCode::DeadlineExceeded, "the core did not answer in time")),
            }
        }
        let text = "the connection to the core was lost again and again; whether the command took effect is unknown";
        Err(ErrorBody::new(ErrorCode::Unavailable, text).retry_after_ms(RETRY_AFTER_MS))
    }

    /// Hands the command to the connection with the fewest in flight; waits for one to come up, until the deadline.
    async fn submit(
        &self,
        kind: u8,
        body: &Bytes,
        end: Instant,
        trace: u64,
        avoid: Option<usize>,
    ) -> Result<(usize, Ticket), ErrorBody> {
        let mut connected = self.inner.connected.subscribe();
        loop {
            connected.borrow_and_update();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(unreachable_core());
            }
            // 0 would mean "no deadline".
            let deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1);
            let mut full = false;
            for link in self.by_load(avoid) {
                match link.submit(kind, body, deadline_ms, trace) {
                    Ok(ticket) => return Ok((link.core(), ticket)),
                    Err(SubmitError::Full) => full = true,
                    Err(SubmitError::Down) => {}
                }
            }
            if full {
                let error = ErrorBody::new(ErrorCode::Overloaded, "all connections to the core are full");
                return Err(error.retry_after_ms(RETRY_AFTER_MS));
            }
            // A connection that came up after borrow_and_update wakes this at once.
            if !matches!(tokio::time::timeout_at(end, connected.changed()).await, Ok(Ok(()))) {
                return Err(unreachable_core());
            }
        }
    }

    /// All links, least loaded first, those of the core to avoid last.
    fn by_load(&self, avoid: Option<usize>) -> Vec<Arc<Link>> {
        let mut links = self.inner.links.clone();
        links.sort_by_cached_key(|link| (avoid == Some(link.core()), link.in_flight()));
        links
    }
}

fn unreachable_core() -> ErrorBody {
    ErrorBody::new(ErrorCode::Unavailable, "no booking core is reachable").retry_after_ms(RETRY_AFTER_MS)
}

fn unreadable(name: &str, what: &dyn fmt::Display) -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, format!("the answer to {name} can't be read: {what}"))
}
