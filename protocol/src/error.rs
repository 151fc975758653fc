//! What a peer is told when the answer is not what it asked for. The same shape on all wires.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::SeatIndex;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, retryable: $retryable:literal, status: $status:literal;)*) => {
        /// Why. An unknown code survives a round trip as [`ErrorCode::Other`].
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
            /// A code that this version does not know; treat it as not retryable.
            Other(Box<str>),
        }

        impl ErrorCode {
            /// Every code that this version knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it is written on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// Whether the same command may simply be sent again later, with the same idempotency key.
            #[must_use]
            pub const fn is_retryable(&self) -> bool {
                match self {
                    $(Self::$variant => $retryable,)*
                    Self::Other(_) => false,
                }
            }

            /// The HTTP status that carries this code.
            #[must_use]
            pub const fn http_status(&self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                    Self::Other(_) => 500,
                }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

error_codes! {
    /// The show's map is being loaded; `retry_after_ms`.
    NotReady = "NOT_READY", retryable: true, status: 503;
    /// This customer let the same seats, or bookings, lapse too often; `retry_after_ms`, `seats`.
    CoolDown = "COOL_DOWN", retryable: false, status: 429;
    /// The choice would leave a single seat alone; `seats`.
    Orphan = "ORPHAN", retryable: false, status: 409;
    /// The hold is being paid for under another key, or may not be released or extended any more.
    InPayment = "IN_PAYMENT", retryable: false, status: 409;
    /// The sale has not opened; `opens_in_ms`.
    NotOnSale = "NOT_ON_SALE", retryable: false, status: 409;
    /// At least one seat is not available; `seats` lists each and why.
    Taken = "TAKEN", retryable: false, status: 409;
    /// A cap of this customer, or of the hold's lifetime, is reached; `limit`.
    Limit = "LIMIT", retryable: false, status: 409;
    /// The hold does not exist any more.
    Gone = "GONE", retryable: false, status: 410;
    /// The hold or booking is somebody else's, or there is none of this id; which of the two is not told.
    NotOwner = "NOT_OWNER", retryable: false, status: 404;
    /// The booking's time to pay is over.
    Expired = "EXPIRED", retryable: false, status: 410;
    /// There is no such show.
    NoSuchShow = "NO_SUCH_SHOW", retryable: false, status: 404;
    /// The show has no such seat; `seats`.
    NoSuchSeat = "NO_SUCH_SEAT", retryable: false, status: 404;
    /// The sale is over.
    SaleClosed = "SALE_CLOSED", retryable: false, status: 409;
    /// The request could not be understood; `field` says where.
    BadRequest = "BAD_REQUEST", retryable: false, status: 400;
    /// No token, or one that is not valid.
    Unauthenticated = "UNAUTHENTICATED", retryable: false, status: 401;
    /// The token does not allow this.
    Forbidden = "FORBIDDEN", retryable: false, status: 403;
    /// The idempotency key was used with another body.
    KeyReused = "KEY_REUSED", retryable: false, status: 422;
    /// The same key, or another booking of this customer at this show, is at work in another request; `retry_after_ms`.
    InProgress = "IN_PROGRESS", retryable: true, status: 409;
    /// Too many requests of this customer or address; `retry_after_ms`.
    RateLimited = "RATE_LIMITED", retryable: true, status: 429;
    /// A queue is full; `retry_after_ms`.
    Overloaded = "OVERLOADED", retryable: true, status: 503;
    /// A server behind is out of reach; `retry_after_ms`.
    Unavailable = "UNAVAILABLE", retryable: true, status: 503;
    /// The command's deadline passed before an answer; whether it took effect is unknown: repeat it with the same key.
    DeadlineExceeded = "DEADLINE_EXCEEDED", retryable: true, status: 504;
    /// The message is larger than allowed.
    TooLarge = "TOO_LARGE", retryable: false, status: 413;
    /// The peer speaks a version that is not understood.
    UnsupportedVersion = "UNSUPPORTED_VERSION", retryable: false, status: 400;
    /// A fault of the server; `trace_id` finds it in the logs.
    Internal = "INTERNAL", retryable: false, status: 500;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(d)?.as_str()))
    }
}

/// Why a seat was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SeatConflictReason {
    /// Somebody holds it, or is paying for it.
    Held,
    /// It is sold.
    Booked,
    /// It is not for sale.
    Blocked,
    /// The show has no such seat.
    NoSuchSeat,
    /// It would be left alone.
    Orphan,
    /// The customer let it lapse too often and has to wait for it.
    CoolDown,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// One seat of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatConflict {
    /// The seat.
    pub seat: SeatIndex,
    /// Why it was refused.
    pub reason: SeatConflictReason,
    /// The seat's label, such as `A5`, where the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// An error or a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ErrorBody {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people; names what was wrong.
    pub message: String,
    /// The field of the request that was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Every seat in conflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seats: Vec<SeatConflict>,
    /// Milliseconds to wait before trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Milliseconds until the sale opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_in_ms: Option<u64>,
    /// The cap that was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Finds the event in the server's logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl ErrorBody {
    /// An error with code and text only.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            seats: Vec::new(),
            retry_after_ms: None,
            opens_in_ms: None,
            limit: None,
            trace_id: None,
        }
    }

    /// BAD_REQUEST about one field.
    #[must_use]
    pub fn bad_request(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(ErrorCode::BadRequest, message) }
    }

    /// With a time to wait.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}
