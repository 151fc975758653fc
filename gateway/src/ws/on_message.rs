//! What a viewer's message does. Nothing here waits: a command becomes a task that answers through the connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use metrics::counter;
use seatwire_protocol::close_code::CloseCode;
use seatwire_protocol::ws::{ClientMessage, ServerMessage};
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode};
use tokio_tungstenite::tungstenite::Message;

use super::connection::Connection;
use super::diagnose::{self, Unreadable};
use super::echo;
use super::frame::Encoding;
use super::watch;
use crate::admission::Admitted;
use crate::app::App;
use crate::commands;
use crate::rate_limit::{Bucket, Rate, Verdict};
use crate::tokens::Identity;
use crate::{clock, metrics as names, own};

/// Messages in a row that could not be understood at all, after which the client is taken for something else.
const STRIKES_MAX: u8 = 3;

/// Why the gateway ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goodbye {
    pub code: CloseCode,
    pub reason: &'static str,
}

/// The reading side's memory of a client's manners.
pub struct Inbound<'a> {
    app: &'a Arc<App>,
    connection: &'a Arc<Connection>,
    admitted: &'a mut Admitted,
    bucket: Bucket,
    strikes: u8,
}

type Outcome = Result<(), Goodbye>;

impl<'a> Inbound<'a> {
    /// For a fresh connection.
    pub fn new(app: &'a Arc<App>, connection: &'a Arc<Connection>, admitted: &'a mut Admitted) -> Self {
        let bucket = Bucket::new(rate(app), clock::now_ms());
        Self { app, connection, admitted, bucket, strikes: 0 }
    }

    /// Says welcome to a client that came with a token.
    ///
    /// # Errors
    /// [`Goodbye`] when the token has become void meanwhile.
    pub fn begin(&self) -> Outcome {
        if self.app.config.echo {
            return Ok(());
        }
        self.connection.identity().map_or(Ok(()), |identity| self.welcome(&identity))
    }

    /// Takes one message.
    ///
    /// # Errors
    /// [`Goodbye`] when the connection must end.
    pub fn on_message(&mut self, message: Message) -> Outcome {
        if self.app.config.echo {
            echo::answer(self.connection, message);
            return Ok(());
        }
        let (payload, encoding) = match message {
            Message::Text(text) => (Bytes::from(text), Some(Encoding::Json)),
            Message::Binary(bytes) => (bytes, Some(Encoding::Msgpack)),
            Message::Ping(_) | Message::Pong(_) => (Bytes::new(), None),
            // The other side's goodbye, which the reader answers.
            Message::Close(_) | Message::Frame(_) => return Ok(()),
        };
        match self.bucket.take(rate(self.app), clock::now_ms()) {
            Verdict::Allowed => {}
            Verdict::Refused(wait_ms) => {
                counter!(names::RATE_LIMITED).increment(1);
                let id = self.peek_id(encoding, &payload);
                let error = ErrorBody::new(ErrorCode::RateLimited, "too many messages").retry_after_ms(wait_ms);
                self.connection.refuse(id, error);
                return Ok(());
            }
            Verdict::Persistent => {
                return Err(Goodbye { code: CloseCode::PolicyViolation, reason: "too many messages" });
            }
        }
        match encoding {
            None => Ok(()),
            Some(encoding) if encoding == self.connection.encoding => self.on_payload(&payload),
            Some(_) => {
                let kind = self.connection.encoding.subprotocol();
                let error = ErrorBody::bad_request("message", format!("not a message of {kind}"));
                let reason = "data of another subprotocol";
                self.strike(None, error, Goodbye { code: CloseCode::UnsupportedData, reason })
            }
        }
    }

    fn on_payload(&mut self, payload: &Bytes) -> Outcome {
        match diagnose::read(self.connection.encoding, payload) {
            Ok(message) => {
                self.strikes = 0;
                self.act(message)
            }
            Err(Unreadable { id, error, garbage: true }) => {
                let reason = "too many messages that are none";
                self.strike(id, *error, Goodbye { code: CloseCode::PolicyViolation, reason })
            }
            Err(Unreadable { id, error, garbage: false }) => {
                counter!(names::BAD_MESSAGES).increment(1);
                self.connection.refuse(id, *error);
                Ok(())
            }
        }
    }

    fn strike(&mut self, id: Option<u64>, error: ErrorBody, goodbye: Goodbye) -> Outcome {
        counter!(names::BAD_MESSAGES).increment(1);
        self.connection.refuse(id, error);
        self.strikes = self.strikes.saturating_add(1);
        if self.strikes >= STRIKES_MAX { Err(goodbye) } else { Ok(()) }
    }

    fn act(&mut self, message: ClientMessage) -> Outcome {
        if let ClientMessage::Auth { token } = message {
            return self.authenticate(&token);
        }
        let id = commands::request_id(&message);
        let Some(customer) = self.connection.customer() else {
            self.connection.refuse(id, commands::unauthenticated());
            return Ok(());
        };
        match message {
            ClientMessage::Watch { show, pos } => {
                if let Err(error) = watch::start(self.app, self.connection, show, pos) {
                    self.connection.refuse(None, error);
                }
            }
            ClientMessage::Unwatch { show } => watch::stop(self.connection, show),
            ClientMessage::Hide { hidden } => {
                self.connection.outbound().set_hidden(hidden);
                if !hidden {
                    self.connection.pump();
                }
            }
            command => self.forward(id, customer, command),
        }
        Ok(())
    }

    /// Runs a command in a task of its own, so that answers come in any order.
    fn forward(&self, id: Option<u64>, customer: CustomerId, command: ClientMessage) {
        let owns = matches!(command, ClientMessage::Hold { .. } | ClientMessage::Book { .. });
        if owns {
            self.app.customers.join(self.app, &customer, self.connection);
            self.app.customers.note_owner(&customer);
        }
        let (app, connection) = (Arc::clone(self.app), Arc::clone(self.connection));
        connection.in_flight.fetch_add(1, Ordering::AcqRel);
        self.app.spawn(async move {
            // Also when this task is dropped at the end of the process.
            let _done = Done(&connection);
            match commands::run(&app, customer.clone(), command).await {
                Ok(ok) => {
                    if commands::tells_of_own(&ok) {
                        app.customers.join_late(&app, &customer, &connection);
                        app.customers.note_owner(&customer);
                    }
                    connection.reply(&ServerMessage::Reply { id: id.unwrap_or_default(), ok });
                }
                Err(error) => connection.refuse(id, error),
            }
        });
    }

    fn authenticate(&mut self, token: &str) -> Outcome {
        let before = self.connection.identity();
        let Ok(identity) = self.app.tokens.verify(token) else {
            if before.is_none() {
                return Err(Goodbye { code: CloseCode::Unauthenticated, reason: "the token is not valid" });
            }
            self.connection.refuse(None, commands::unauthenticated());
            return Ok(());
        };
        if let Err(why) = self.admitted.speak_for(&identity.customer) {
            return Err(Goodbye { code: CloseCode::TooManyConnections, reason: why.text() });
        }
        if before.as_ref().is_some_and(|before| before.customer != identity.customer) {
            self.app.customers.leave(self.app, self.connection);
        }
        self.connection.set_identity(identity.clone());
        self.welcome(&identity)?;
        let rooms: Vec<_> = self.connection.outbound().watches().iter().map(|watch| Arc::clone(&watch.room)).collect();
        if !rooms.is_empty() {
            self.app.customers.join(self.app, &identity.customer, self.connection);
        }
        for room in rooms {
            own::ask(self.app, &room, identity.customer.clone(), self.connection);
        }
        Ok(())
    }

    fn welcome(&self, identity: &Identity) -> Outcome {
        // A logout that came after the token was checked did not find this connection.
        if self.app.tokens.is_revoked(identity) {
            return Err(Goodbye { code: CloseCode::Unauthenticated, reason: "logged out" });
        }
        let now_ms = clock::unix_ms();
        self.connection.reply(&ServerMessage::Welcome {
            customer: identity.customer.clone(),
            server_time_ms: now_ms,
            token_expires_in_ms: identity.expires_at_ms.saturating_sub(now_ms),
            beat_ms: u64::try_from(self.app.config.beat.as_millis()).unwrap_or(u64::MAX),
        });
        Ok(())
    }

    /// The request id of a message that is refused for its rate; a message that can't be read has none.
    fn peek_id(&self, encoding: Option<Encoding>, payload: &Bytes) -> Option<u64> {
        let encoding = encoding.filter(|encoding| *encoding == self.connection.encoding)?;
        diagnose::read(encoding, payload).ok().as_ref().and_then(commands::request_id)
    }
}

fn rate(app: &App) -> Rate {
    Rate { per_second: app.config.messages_per_second_max }
}

struct Done<'a>(&'a Connection);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.command_done();
    }
}
