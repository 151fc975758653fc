//! Messages between a browser and a gateway over one WebSocket, beside the [seat frames](crate::seat_frame).
//!
//! Two encodings, chosen by subprotocol: `seatwire.v1.msgpack` (binary; a MessagePack map, or a packed seat frame when
//! the first byte is below 0x80) and `seatwire.v1.json` (text). Both have the same fields; `t` names the message.
//! Commands carry a request `id`, chosen by the client and returned in the reply, and an idempotency `key` that makes
//! a repetition harmless. What can't be understood is answered by an error that names the field; the socket stays.

use serde::{Deserialize, Serialize};

use crate::command::{BestAvailable, BookingInfo, HoldInfo, Released};
use crate::error::ErrorBody;
use crate::id::{BookingId, CustomerId, HoldId, IdempotencyKey, SeatIndex, ShowId};
use crate::position::Position;

/// Subprotocol with MessagePack messages and packed seat frames.
pub const SUBPROTOCOL_MSGPACK: &str = "seatwire.v1.msgpack";
/// Subprotocol with JSON messages and JSON seat frames.
pub const SUBPROTOCOL_JSON: &str = "seatwire.v1.json";
/// A subprotocol of this prefix carries the token, for browsers, which can't set headers.
pub const SUBPROTOCOL_TOKEN_PREFIX: &str = "seatwire.token.";

/// From a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientMessage {
    /// Gives a token, or a fresh one before the old one ends.
    Auth {
        /// JSON Web Token.
        token: String,
    },
    /// Starts to watch a show; answered by a snapshot, or by a delta from `pos` when the gateway can.
    Watch {
        /// The show.
        show: ShowId,
        /// Position of the map that the client already has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pos: Option<Position>,
    },
    /// Stops watching.
    Unwatch {
        /// The show.
        show: ShowId,
    },
    /// While hidden, a viewer gets beats only; it catches up when shown again.
    Hide {
        /// Whether the page is hidden.
        hidden: bool,
    },
    /// Holds seats, all or none.
    Hold {
        /// Request id.
        id: u64,
        /// The show.
        show: ShowId,
        /// Idempotency key.
        key: IdempotencyKey,
        /// 1 ..= 10 different seats; empty when `best` is given.
        #[serde(default)]
        seats: Vec<SeatIndex>,
        /// Instead of named seats.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        best: Option<BestAvailable>,
    },
    /// Asks for more time.
    Extend {
        /// Request id.
        id: u64,
        /// The show.
        show: ShowId,
        /// The hold.
        hold: HoldId,
        /// Idempotency key.
        key: IdempotencyKey,
    },
    /// Gives seats back.
    Release {
        /// Request id.
        id: u64,
        /// The show.
        show: ShowId,
        /// The hold.
        hold: HoldId,
    },
    /// Asks for own holds and pending bookings of a show.
    OwnHolds {
        /// Request id.
        id: u64,
        /// The show.
        show: ShowId,
    },
    /// Turns a hold into a pending booking.
    Book {
        /// Request id.
        id: u64,
        /// The show.
        show: ShowId,
        /// The hold.
        hold: HoldId,
        /// Idempotency key.
        key: IdempotencyKey,
        /// Where the confirmation goes.
        email: String,
    },
    /// Asks for a booking.
    Booking {
        /// Request id.
        id: u64,
        /// The booking.
        booking: BookingId,
    },
    /// Cancels a booking.
    Cancel {
        /// Request id.
        id: u64,
        /// The booking.
        booking: BookingId,
        /// Idempotency key.
        key: IdempotencyKey,
    },
    /// Asks for own bookings, newest first.
    Bookings {
        /// Request id.
        id: u64,
        /// Only older ones, milliseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before_ms: Option<u64>,
    },
    /// A message that this version does not know; answered BAD_REQUEST.
    #[serde(other)]
    Unknown,
}

/// From the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerMessage {
    /// The first message, and again after each accepted token.
    Welcome {
        /// Who the token says the client is.
        customer: CustomerId,
        /// The gateway's clock, milliseconds since 1970, information only.
        server_time_ms: u64,
        /// Milliseconds until the token ends.
        token_expires_in_ms: u64,
        /// A beat comes at least this often, milliseconds; no sign for twice as long: reconnect.
        beat_ms: u64,
    },
    /// A command succeeded.
    Reply {
        /// Request id of the command.
        id: u64,
        /// What it answers.
        ok: ReplyBody,
    },
    /// A command was refused or failed, or a message could not be understood.
    Error {
        /// Request id of the command, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Why.
        error: ErrorBody,
    },
    /// Something of the customer's own changed, unasked.
    Push {
        /// What.
        push: Push,
    },
    /// Whether the gateway knows the show's present state. While stale, the map must not look live.
    Stale {
        /// The show.
        show: ShowId,
        /// Stale, or right again.
        stale: bool,
    },
    /// A sign of life, where there is no show to send a beat for.
    Alive {
        /// The gateway's clock, milliseconds since 1970, information only.
        server_time_ms: u64,
    },
    /// A message that this version does not know; ignore it.
    #[serde(other)]
    Unknown,
}

/// The answer of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplyBody {
    /// Of hold and extend.
    Hold(HoldInfo),
    /// Of release.
    Released(Released),
    /// Of book, booking and cancel.
    Booking(BookingInfo),
    /// Of own_holds.
    OwnHolds {
        /// The show.
        show: ShowId,
        /// Live holds.
        holds: Vec<HoldInfo>,
        /// Pending bookings.
        pending: Vec<BookingInfo>,
    },
    /// Of bookings.
    Bookings {
        /// Newest first.
        bookings: Vec<BookingInfo>,
        /// Whether there are older ones.
        more: bool,
    },
}

/// Why a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HoldEndReason {
    /// Its time was over.
    Expired,
    /// Its owner released it, perhaps in another window.
    Released,
    /// Its seats were claimed by its own booking.
    Booked,
    /// A seat of it was sold to somebody else, or blocked.
    SeatsLost,
    /// An operator ended it.
    Operator,
    /// Holds were lost with the server that kept them.
    Reset,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Something that happened to the customer's own holds and bookings. Also the payload of `customer:<id>` in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "p", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Push {
    /// A hold was placed or extended, perhaps in another window.
    Hold {
        /// The hold now.
        hold: HoldInfo,
    },
    /// A hold is over.
    HoldEnded {
        /// The show.
        show: ShowId,
        /// The hold.
        hold: HoldId,
        /// Its seats.
        seats: Vec<SeatIndex>,
        /// Why.
        reason: HoldEndReason,
        /// Position of the batch that freed the seats.
        position: Position,
    },
    /// A booking changed.
    Booking {
        /// The booking now.
        booking: BookingInfo,
    },
    /// Pushes were dropped because the socket was full: ask for own holds and bookings.
    Reread,
    /// A push that this version does not know; ignore it.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    #[test]
    fn both_encodings_carry_the_same_message() {
        let message = ClientMessage::Hold {
            id: 3,
            show: ShowId::new(7).unwrap(),
            key: IdempotencyKey::new("k1").unwrap(),
            seats: vec![SeatIndex(4), SeatIndex(5)],
            best: None,
        };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(json, r#"{"t":"hold","id":3,"show":7,"key":"k1","seats":[4,5]}"#);
        assert_eq!(serde_json::from_str::<ClientMessage>(&json).unwrap(), message);
        assert_eq!(decode::<ClientMessage>(&encode(&message)).unwrap(), message);
        let release = ClientMessage::Release { id: 1, show: ShowId::new(7).unwrap(), hold: HoldId([9; 16]) };
        assert_eq!(decode::<ClientMessage>(&encode(&release)).unwrap(), release);
        let json = serde_json::to_string(&release).unwrap();
        assert_eq!(serde_json::from_str::<ClientMessage>(&json).unwrap(), release);
    }

    #[test]
    fn unknown_messages_and_fields_survive() {
        let unknown: ClientMessage = serde_json::from_str(r#"{"t":"dance","with":[1,{"a":2}]}"#).unwrap();
        assert_eq!(unknown, ClientMessage::Unknown);
        let extra: ClientMessage = serde_json::from_str(r#"{"t":"unwatch","show":7,"why":"bored"}"#).unwrap();
        assert_eq!(extra, ClientMessage::Unwatch { show: ShowId::new(7).unwrap() });
        let push: ServerMessage = serde_json::from_str(r#"{"t":"push","push":{"p":"later","x":1}}"#).unwrap();
        assert_eq!(push, ServerMessage::Push { push: Push::Unknown });
    }
}
