//! Wire types of Seatwire, a real-time seat-map gateway and booking core.
//!
//! Three wires share these types:
//!
//! | wire | transport | module |
//! |---|---|---|
//! | browser ↔ gateway | WebSocket, subprotocols `seatwire.v1.msgpack` and `seatwire.v1.json` | [`ws`], [`seat_frame`] |
//! | gateway or backend ↔ core | TCP, length-delimited MessagePack frames | [`command`], [`codec`] |
//! | core → gateway | Redis Pub/Sub | [`feed`] |
//!
//! The default features hold no socket, no clock and no runtime. [`viewer`] is the client-side state machine that turns
//! seat frames into a seat map; the `client` feature adds a pipelined client of the core's port.
#![deny(missing_docs)]

pub mod catalogue;
#[cfg(feature = "client")]
pub mod client;

pub mod close_code;
pub mod codec;
pub mod command;
pub mod error;
pub mod feed;
pub mod id;
pub mod limits;
pub mod position;
pub mod seat;
pub mod seat_frame;
pub mod varint;
pub mod viewer;
pub mod ws;

pub use error::{ErrorBody, ErrorCode};
pub use id::{BookingId, CustomerId, HoldId, IdempotencyKey, SeatIndex, ShowId};
pub use position::Position;
pub use seat::{SaleState, SeatStatus};

/// The protocol version that this crate speaks on all three wires.
pub const PROTOCOL_VERSION: u8 = 1;
