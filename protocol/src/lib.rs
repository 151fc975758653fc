#![doc = include_str!("../README.md")]
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
