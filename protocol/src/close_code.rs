//! WebSocket close codes of the gateway, and whether a client should come back.

/// A close code. The library's clients reconnect when [`CloseCode::may_reconnect`] says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// 1000: the client asked for it.
    Normal = 1000,
    /// 1002: not a WebSocket client.
    ProtocolError = 1002,
    /// 1003: data of a kind that the chosen subprotocol does not have.
    UnsupportedData = 1003,
    /// 1007: text that is not UTF-8.
    InvalidPayload = 1007,
    /// 1008: too many messages, or too many that could not be understood.
    PolicyViolation = 1008,
    /// 1009: a message above the size limit.
    TooLarge = 1009,
    /// 1012: the gateway is restarting; come back after the delay in the reason (milliseconds).
    ServiceRestart = 1012,
    /// 4401: the token is missing, invalid or has expired; come back with a new one.
    Unauthenticated = 4401,
    /// 4408: no sign of life, or no progress for a minute.
    TimedOut = 4408,
    /// 4429: too many connections of this customer or address.
    TooManyConnections = 4429,
}

impl CloseCode {
    /// All codes.
    pub const ALL: [Self; 10] = [
        Self::Normal,
        Self::ProtocolError,
        Self::UnsupportedData,
        Self::InvalidPayload,
        Self::PolicyViolation,
        Self::TooLarge,
        Self::ServiceRestart,
        Self::Unauthenticated,
        Self::TimedOut,
        Self::TooManyConnections,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Whether the same client may connect again by itself; [`Self::Unauthenticated`] wants a new token first.
    #[must_use]
    pub const fn may_reconnect(self) -> bool {
        matches!(self, Self::ServiceRestart | Self::TimedOut | Self::TooManyConnections)
    }

    /// The code of a number.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.code() == code)
    }
}
