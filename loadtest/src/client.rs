//! A viewer over a real WebSocket, as tests and load tests use it: reads in a task of its own, keeps a seat map by
//! [`seatwire_protocol::viewer`], sends commands and waits for their answers, records what it saw, reconnects and
//! resumes. Beside it the plain-HTTP helpers: a guest token, a payment at the simulated provider's checkout.
//!
//! Waiting is level-triggered: [`ViewerClient::wait_until`] looks at the state as it is, then again at each change.

mod commands;
mod guest;
mod history;
mod http;
mod options;
mod pay;
mod socket;
mod state;
mod token;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use seatwire_protocol::viewer::ShowViewer;
use seatwire_protocol::ws::{ClientMessage, ServerMessage};
use seatwire_protocol::{CustomerId, ErrorBody, ShowId};

pub use self::commands::new_key;
pub use self::guest::{Guest, guest};
pub use self::history::{Event, History};
pub use self::http::{Http, HttpReply};
pub use self::options::{ClientOptions, TokenBy};
pub use self::pay::{Paid, PayOptions, pay};
pub use self::state::{Closed, State};
pub use self::token::sign_token;
pub use self::wire::Encoding;

use self::socket::Connection;
use self::state::Shared;

/// What can go wrong on the way to a gateway or provider; refusals of commands are [`ErrorBody`].
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address does not parse.
    #[error("{0} is not an http:// address")]
    Address(String),
    /// No TCP connection.
    #[error("connect to {0}: {1}")]
    Connect(String, std::io::Error),
    /// Answered with another status than was needed.
    #[error("the answer is {status}: {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The body as text.
        body: String,
    },
    /// The connection broke, or bytes made no sense.
    #[error("{0}")]
    Broken(String),
    /// Closed before the welcome.
    #[error("closed before the welcome: {0:?}")]
    Closed(Closed),
    /// Waited in vain.
    #[error("waited {0:?} for {1}; {2}")]
    Timeout(Duration, String, String),
}

impl ClientError {
    /// The error that the body of a refusal holds.
    #[must_use]
    pub fn error(&self) -> Option<ErrorBody> {
        match self {
            Self::Refused { body, .. } => serde_json::from_str(body).ok(),
            _ => None,
        }
    }
}

/// One WebSocket client; dropping it ends its tasks and the connection.
#[derive(Debug)]
pub struct ViewerClient {
    options: std::sync::Mutex<ClientOptions>,
    shared: Arc<Shared>,
    connection: tokio::sync::Mutex<Option<Connection>>,
}

impl ViewerClient {
    /// Connects with the default options, watches `show`, and returns when its map is live.
    ///
    /// # Errors
    /// [`ClientError`] when that does not succeed in time.
    pub async fn connect(gateway: &str, token: &str, show: ShowId) -> Result<Self, ClientError> {
        let client = Self::open(ClientOptions::new(gateway, token)).await?;
        client.watch(show).await?;
        Ok(client)
    }

    /// Connects and returns after the welcome; watches nothing yet.
    ///
    /// # Errors
    /// [`ClientError`] when the gateway can't be reached or refuses.
    pub async fn open(options: ClientOptions) -> Result<Self, ClientError> {
        let client = Self {
            options: std::sync::Mutex::new(options),
            shared: Arc::default(),
            connection: tokio::sync::Mutex::new(None),
        };
        client.reconnect().await?;
        Ok(client)
    }

    /// Watches a show and returns when its map is live.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] with the last state when no snapshot comes.
    pub async fn watch(&self, show: ShowId) -> Result<(), ClientError> {
        for message in self.shared.update(|state| state.watch(show)) {
            self.send(message).await?;
        }
        self.wait_until("the first snapshot", show, self.timeout(), ShowViewer::is_live).await
    }

    /// Stops watching a show.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection is gone.
    pub async fn unwatch(&self, show: ShowId) -> Result<(), ClientError> {
        self.shared.update(|state| state.unwatch(show));
        self.send(ClientMessage::Unwatch { show }).await
    }

    /// Drops the connection, as a network does: no close frame.
    pub async fn disconnect(&self) {
        *self.connection.lock().await = None;
        self.shared.update(|state| state.on_disconnected(Closed::dropped("by this client")));
    }

    /// Connects again and resumes every watched show from its position; returns after the welcome.
    ///
    /// # Errors
    /// [`ClientError`] when the gateway can't be reached or refuses.
    pub async fn reconnect(&self) -> Result<(), ClientError> {
        self.disconnect().await;
        let options = self.options();
        let connection = Connection::open(&options, &self.shared).await?;
        *self.connection.lock().await = Some(connection);
        let welcome = |state: &State| state.customer().is_some() || state.closed().is_some();
        self.wait_for_state("the welcome", options.timeout, welcome).await?;
        if let Some(closed) = self.shared.read(|state| state.closed().cloned()) {
            return Err(ClientError::Closed(closed));
        }
        Ok(())
    }

    /// Connects to another gateway and resumes there.
    ///
    /// # Errors
    /// As [`Self::reconnect`].
    pub async fn move_to(&self, gateway: &str) -> Result<(), ClientError> {
        self.change_options(|options| options.gateway = gateway.to_owned());
        self.reconnect().await
    }

    /// Stops or continues to read the socket: a viewer whose network is slow.
    pub async fn set_reading(&self, reading: bool) {
        if let Some(connection) = self.connection.lock().await.as_ref() {
            connection.set_reading(reading);
        }
    }

    /// Sends any message, with what the viewers have to know of it.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection is gone.
    pub async fn send(&self, message: ClientMessage) -> Result<(), ClientError> {
        self.shared.update(|state| state.on_sent(&message));
        self.send_raw(self.options().encoding.encode(&message)).await
    }

    /// Sends a WebSocket message as it is; for tests of what must be refused.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection is gone.
    pub async fn send_raw(&self, message: tokio_tungstenite::tungstenite::Message) -> Result<(), ClientError> {
        let outbox = self.connection.lock().await.as_ref().map(Connection::outbox);
        let gone = || ClientError::Broken("not connected".to_owned());
        outbox.ok_or_else(gone)?.send(message).await.map_err(|_| gone())
    }

    /// Returns when `condition` holds for the viewer of `show`.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] with the last state of the viewer.
    pub async fn wait_until(
        &self,
        what: &str,
        show: ShowId,
        within: Duration,
        condition: impl Fn(&ShowViewer) -> bool,
    ) -> Result<(), ClientError> {
        self.wait_for_state(what, within, |state| state.viewer(show).is_some_and(&condition)).await
    }

    /// Returns when `condition` holds for everything that this client knows.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] with the last state.
    pub async fn wait_for_state(
        &self,
        what: &str,
        within: Duration,
        condition: impl Fn(&State) -> bool,
    ) -> Result<(), ClientError> {
        let mut changes = self.shared.changes();
        let wait = async {
            while !self.shared.read(&condition) {
                // The sender lives as long as `shared`.
                let _ = changes.changed().await;
            }
        };
        let timed_out = tokio::time::timeout(within, wait).await.is_err();
        if timed_out {
            let last = self.shared.read(State::describe);
            return Err(ClientError::Timeout(within, what.to_owned(), last));
        }
        Ok(())
    }

    /// Returns the first event of the history that `pick` accepts, waiting for it when there is none yet.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] with the last state.
    pub async fn wait_for_event<T>(
        &self,
        what: &str,
        within: Duration,
        pick: impl Fn(&Event) -> Option<T>,
    ) -> Result<T, ClientError> {
        let find = |state: &State| state.history().events().find_map(&pick);
        self.wait_for_state(what, within, |state| find(state).is_some()).await?;
        let gone = || ClientError::Broken(format!("{what}: the event left the history"));
        self.shared.read(find).ok_or_else(gone)
    }

    /// Looks at everything that this client knows.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.shared.read(look)
    }

    /// Looks at the viewer of a show; `None` when it is not watched.
    pub fn viewer<T>(&self, show: ShowId, look: impl FnOnce(&ShowViewer) -> T) -> Option<T> {
        self.shared.read(|state| state.viewer(show).map(look))
    }

    /// How often this client was connected.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.read(State::connections)
    }

    /// Who the token says this is; `None` before the welcome.
    #[must_use]
    pub fn customer(&self) -> Option<CustomerId> {
        self.shared.read(|state| state.customer().cloned())
    }

    /// Why the connection ended; `None` while it is open.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.shared.read(|state| state.closed().cloned())
    }

    /// The messages that came, oldest first, as far as the history reaches.
    #[must_use]
    pub fn messages(&self) -> Vec<ServerMessage> {
        let message = |event: &Event| match event {
            Event::Message(message) => Some(message.clone()),
            _ => None,
        };
        self.shared.read(|state| state.history().events().filter_map(message).collect())
    }

    fn options(&self) -> ClientOptions {
        self.options.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn change_options(&self, change: impl FnOnce(&mut ClientOptions)) {
        change(&mut self.options.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn timeout(&self) -> Duration {
        self.options().timeout
    }
}
