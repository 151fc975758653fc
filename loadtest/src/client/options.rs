//! Where and how a client connects.

use std::net::IpAddr;
use std::time::Duration;

use super::Encoding;

/// How the token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenBy {
    /// `Authorization: Bearer`.
    #[default]
    Header,
    /// The subprotocol `seatwire.token.<jwt>`, as browsers must.
    Subprotocol,
    /// A first message.
    Message,
}

/// Where and how to connect.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Address of the gateway, `http://host:port`.
    pub gateway: String,
    /// The token; empty sends none.
    pub token: String,
    /// How the token travels.
    pub token_by: TokenBy,
    /// Encoding of messages and seat frames.
    pub encoding: Encoding,
    /// `Origin` header, which browsers send; without one a gateway wants the token in the upgrade request.
    pub origin: Option<String>,
    /// Local address to connect from; for many viewers on one machine.
    pub source: Option<IpAddr>,
    /// How long a command, a connect and a first snapshot may take.
    pub timeout: Duration,
}

impl ClientOptions {
    /// MessagePack, token in the header, 10 s for everything.
    #[must_use]
    pub fn new(gateway: &str, token: &str) -> Self {
        Self {
            gateway: gateway.to_owned(),
            token: token.to_owned(),
            token_by: TokenBy::Header,
            encoding: Encoding::MessagePack,
            origin: None,
            source: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// With another encoding.
    #[must_use]
    pub const fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// With another way for the token; as a first message it wants an origin, the gateway's own.
    #[must_use]
    pub fn token_by(mut self, token_by: TokenBy) -> Self {
        self.token_by = token_by;
        if token_by == TokenBy::Message {
            self.origin = Some(self.gateway.clone());
        }
        self
    }
}
