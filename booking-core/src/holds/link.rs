//! The connection to Redis: multiplexed, opened again after a loss, and kept together with the run id of the server
//! behind it.
//!
//! The run id is read on the same TCP connection after each connect and goes into every call on that connection: a
//! connection that came back by itself would pass the old one, and a failover could continue an old timeline unnoticed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, Value};
use tokio::sync::Mutex;

use super::HoldError;
use super::scripts::{Script, Scripts};

/// Longer than any healthy answer; a call that waited so long drops the connection.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(1_000);
/// For a connect with everything that belongs to it.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Unacknowledged bytes for so long: the peer is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(1_000);

/// A connection and the server that it leads to.
pub(super) struct Connected {
    connection: MultiplexedConnection,
    /// Run id of the server, read on this very connection.
    pub(super) run_id: Box<str>,
}

/// Adds number of keys, keys and arguments to a script call on a connection.
pub(super) type Arguments<'a> = dyn Fn(&mut Cmd, &Connected) + Send + Sync + 'a;

/// See the module's text.
pub(super) struct Link {
    client: Client,
    pub(super) scripts: Scripts,
    current: ArcSwapOption<Connected>,
    /// Held by the one caller that connects; the others wait for it or, while it backs off, fail at once.
    gate: Mutex<Gate>,
}

#[derive(Default)]
struct Gate {
    backoff: Duration,
    retry_at: Option<Instant>,
}

impl Link {
    pub(super) fn new(url: &str) -> Result<Self, HoldError> {
        let unreadable = |error: RedisError| HoldError::Internal(format!("redis url: {error}"));
        let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(USER_TIMEOUT);
        let info = url.into_connection_info().map_err(unreadable)?.set_tcp_settings(tcp);
        Ok(Self {
            client: Client::open(info).map_err(unreadable)?,
            scripts: Scripts::new(),
            current: ArcSwapOption::empty(),
            gate: Mutex::default(),
        })
    }

    /// The present connection, opened when there is none. One caller connects, the others share what it got.
    pub(super) async fn get(&self) -> Result<Arc<Connected>, HoldError> {
        if let Some(connected) = self.current.load_full() {
            return Ok(connected);
        }
        let mut gate = self.gate.lock().await;
        if let Some(connected) = self.current.load_full() {
            return Ok(connected);
        }
        if gate.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(HoldError::Unavailable("redis: not connected".to_owned()));
        }
        let result = tokio::time::timeout(CONNECT_TIMEOUT, self.connect()).await;
        match result.unwrap_or_else(|_| Err(HoldError::Unavailable("redis: connect timed out".to_owned()))) {
            Ok(connected) => {
                *gate = Gate::default();
                let connected = Arc::new(connected);
                self.current.store(Some(connected.clone()));
                tracing::info!(run_id = &*connected.run_id, "connected to redis");
                Ok(connected)
            }
            Err(error) => {
                gate.backoff = (gate.backoff * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
                gate.retry_at = Some(Instant::now() + gate.backoff.mul_f64(rand::random_range(0.5..1.0)));
                tracing::warn!(%error, "no connection to redis");
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<Connected, HoldError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connect = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connect.await.map_err(|e| failure(&e))?;
        let info: String =
            redis::cmd("INFO").arg("server").query_async(&mut connection).await.map_err(|e| failure(&e))?;
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        let run_id = run_id.ok_or_else(|| HoldError::Internal("redis: INFO without run_id".to_owned()))?.into();
        let mut load = redis::pipe();
        for script in self.scripts.all() {
            load.cmd("SCRIPT").arg("LOAD").arg(&script.text).ignore();
        }
        load.query_async::<()>(&mut connection).await.map_err(|e| failure(&e))?;
        Ok(Connected { connection, run_id })
    }

    /// Calls a script; once more on a fresh connection when the present one turns out to be dead. Only for scripts that
    /// may run twice.
    pub(super) async fn run(&self, script: &Script, arguments: &Arguments<'_>) -> Result<Value, HoldError> {
        if repeats!("{}.run", script.name) {
            let connected = self.get().await?;
            self.eval(&connected, script, arguments).await?;
        }
        let connected = self.get().await?;
        let value = match self.try_eval(&connected, script, arguments).await {
            // After a timeout the caller has no time for a second try.
            Err(error) if is_lost(&error) && !error.is_timeout() => {
                let connected = self.get().await?;
                self.eval(&connected, script, arguments).await
            }
            other => other.map_err(|e| named(script, &e)),
        };
        failpoint!("{}.ran", script.name);
        value
    }

    /// Calls a script on this connection. `arguments` adds what follows the digest: number of keys, keys, arguments.
    pub(super) async fn eval(
        &self,
        connected: &Arc<Connected>,
        script: &Script,
        arguments: &Arguments<'_>,
    ) -> Result<Value, HoldError> {
        failpoint!("{}.call", script.name);
        let value = self.try_eval(connected, script, arguments).await.map_err(|e| named(script, &e));
        failpoint!("{}.answered", script.name);
        value
    }

    async fn try_eval(
        &self,
        connected: &Arc<Connected>,
        script: &Script,
        arguments: &Arguments<'_>,
    ) -> Result<Value, RedisError> {
        let mut by_digest = redis::cmd("EVALSHA");
        by_digest.arg(&script.digest);
        arguments(&mut by_digest, connected);
        match self.send(connected, &by_digest).await {
            Err(error) if error.kind() == ErrorKind::Server(redis::ServerErrorKind::NoScript) => {
                // The script cache is volatile; EVAL runs and keeps it in one go.
                let mut by_text = redis::cmd("EVAL");
                by_text.arg(&script.text);
                arguments(&mut by_text, connected);
                self.send(connected, &by_text).await
            }
            other => other,
        }
    }

    /// Sends a plain command.
    pub(super) async fn command(&self, connected: &Arc<Connected>, command: &Cmd) -> Result<Value, HoldError> {
        self.send(connected, command).await.map_err(|e| failure(&e))
    }

    /// Sends many plain commands at once; answers one value each.
    pub(super) async fn pipeline(&self, connected: &Arc<Connected>, pipe: &Pipeline) -> Result<Vec<Value>, HoldError> {
        let result = pipe.query_async::<Vec<Value>>(&mut connected.connection.clone()).await;
        result.map_err(|error| {
            self.note(connected, &error);
            failure(&error)
        })
    }

    async fn send(&self, connected: &Arc<Connected>, command: &Cmd) -> Result<Value, RedisError> {
        let result = connected.connection.clone().send_packed_command(command).await;
        result.and_then(Value::extract_error).inspect_err(|error| self.note(connected, error))
    }

    /// After an error that tells of a dead connection, or of a server that is no master any more, the next caller
    /// connects anew.
    fn note(&self, connected: &Arc<Connected>, error: &RedisError) {
        let wrong_server = error.kind() == ErrorKind::Server(redis::ServerErrorKind::ReadOnly);
        if is_lost(error) || wrong_server {
            let current = self.current.load();
            if current.as_ref().is_some_and(|c| Arc::ptr_eq(c, connected)) {
                self.current.store(None);
                tracing::warn!(%error, "lost the connection to redis");
            }
        }
    }
}

fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout() || error.is_unrecoverable_error()
}

fn named(script: &Script, error: &RedisError) -> HoldError {
    let error = failure(error);
    if matches!(error, HoldError::Internal(_)) {
        tracing::error!(script = script.name, %error, "a script failed");
    }
    error
}

/// A server that can't write or is starting is as good as away; anything else that it says is a fault of ours.
fn failure(error: &RedisError) -> HoldError {
    const AWAY: [&str; 9] =
        ["OOM", "MISCONF", "LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"];
    let away = is_lost(error)
        || error.is_connection_refusal()
        || error.is_cluster_error()
        || error.code().is_some_and(|code| AWAY.contains(&code));
    if away {
        HoldError::Unavailable(format!("redis: {error}"))
    } else {
        HoldError::Internal(format!("redis: {error}"))
    }
}
