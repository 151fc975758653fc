//! The third wire: what the core publishes in Redis and gateways read.
//!
//! | channel | payload |
//! |---|---|
//! | `feed:{b}:S` (b: the show's bucket, S: the show) | one [`FeedMessage`], packed by the Lua script that made the change |
//! | `customer:<id>` | one [`crate::ws::Push`], a MessagePack map |
//! | `control` | one [`ControlMessage`], a MessagePack map |
//!
//! ```text
//! feed message, big-endian:
//! version u8 = 1, kind u8 (1 batch, 2 reset), generation u64, sequence u64, sale u8, reason u8,
//! seats u16, seats × u32 ((index << 2) | status), holds u8, holds × 16 bytes
//! ```
//!
//! A reset tells that the show's map starts anew under a higher generation; its sequence is 0 and a snapshot can be
//! had when the core says so. Hold ids are for gateways only and never leave them.

use serde::{Deserialize, Serialize};

use crate::id::{CustomerId, HoldId, SeatIndex, ShowId};
use crate::position::Position;
use crate::seat::{SaleState, SeatStatus};

/// Channel of a show's seat events.
#[must_use]
pub fn feed_channel(show: ShowId) -> String {
    format!("feed:{{{}}}:{}", show.bucket(), show)
}

/// Channel of a customer's pushes.
#[must_use]
pub fn customer_channel(customer: &CustomerId) -> String {
    format!("customer:{customer}")
}

/// Channel that every gateway listens to.
pub const CONTROL_CHANNEL: &str = "control";

/// Version byte of a feed message.
pub const FEED_VERSION: u8 = 1;

/// What changed the seats of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FeedReason {
    /// A hold was placed.
    Held = 1,
    /// Its owner released it.
    Released = 2,
    /// It ended by itself.
    Expired = 3,
    /// The ledger changed: claimed, booked, freed, blocked.
    Ledger = 4,
    /// The sale state changed.
    Sale = 5,
    /// An operator's act.
    Operator = 6,
}

impl FeedReason {
    const ALL: [Self; 6] = [Self::Held, Self::Released, Self::Expired, Self::Ledger, Self::Sale, Self::Operator];
}

/// One message of a show's feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedMessage {
    /// Visible changes of one transaction under the next sequence.
    Batch {
        /// Position after the batch.
        position: Position,
        /// Sale state after the batch.
        sale: SaleState,
        /// What changed them; `None` for a reason that this version does not know.
        reason: Option<FeedReason>,
        /// Seats and their absolute statuses.
        seats: Vec<(SeatIndex, SeatStatus)>,
        /// Holds that began or ended.
        holds: Vec<HoldId>,
    },
    /// The map starts anew.
    Reset {
        /// The new generation.
        generation: u64,
    },
}

impl FeedMessage {
    /// Parses a payload; all bytes must be used. `None` for anything malformed: a gateway treats that as a gap.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (head, mut rest) = payload.split_at_checked(22)?;
        let number = |range| head.get(range).and_then(|b: &[u8]| b.try_into().ok()).map(u64::from_be_bytes);
        let generation = number(2..10)?;
        let sequence = number(10..18)?;
        let sale = SaleState::from_code(*head.get(18)?)?;
        let reason = FeedReason::ALL.into_iter().find(|r| *r as u8 == head.get(19).copied().unwrap_or(0));
        let count = u16::from_be_bytes(head.get(20..22)?.try_into().ok()?);
        let mut seats = Vec::with_capacity(usize::from(count).min(rest.len() / 4));
        for _ in 0..count {
            let (entry, tail) = rest.split_at_checked(4)?;
            rest = tail;
            let entry = u32::from_be_bytes(entry.try_into().ok()?);
            seats.push((SeatIndex(entry >> 2), SeatStatus::from_bits((entry & 3) as u8)));
        }
        let (holds_len, tail) = rest.split_first()?;
        if tail.len() != usize::from(*holds_len) * 16 {
            return None;
        }
        let holds = tail.chunks_exact(16).map(HoldId::from_slice).collect::<Result<_, _>>().ok()?;
        match (*head.first()?, *head.get(1)?) {
            (FEED_VERSION, 1) => {
                Some(Self::Batch { position: Position::new(generation, sequence), sale, reason, seats, holds })
            }
            (FEED_VERSION, 2) => Some(Self::Reset { generation }),
            _ => None,
        }
    }

    /// The payload of this message; the scripts build the same bytes in Lua, and a test compares them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let empty = (SaleState::Before, 0, &[][..], &[][..]);
        let (kind, position, (sale, reason, seats, holds)) = match self {
            Self::Batch { position, sale, reason, seats, holds } => {
                (1, *position, (*sale, reason.map_or(0, |r| r as u8), &seats[..], &holds[..]))
            }
            Self::Reset { generation } => (2, Position::new(*generation, 0), empty),
        };
        let mut out = vec![FEED_VERSION, kind];
        out.extend_from_slice(&position.generation.to_be_bytes());
        out.extend_from_slice(&position.sequence.to_be_bytes());
        out.extend_from_slice(&[sale.code(), reason]);
        out.extend_from_slice(&u16::try_from(seats.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (seat, status) in seats.iter().take(usize::from(u16::MAX)) {
            out.extend_from_slice(&((seat.0 << 2) | u32::from(status.bits())).to_be_bytes());
        }
        out.push(u8::try_from(holds.len()).unwrap_or(u8::MAX));
        for hold in holds.iter().take(usize::from(u8::MAX)) {
            out.extend_from_slice(&hold.0);
        }
        out
    }
}

/// What concerns every gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ControlMessage {
    /// Tokens of the customer issued before `before_ms` are void; close their connections.
    Logout {
        /// The customer.
        customer: CustomerId,
        /// Milliseconds since 1970, by the core's clock.
        before_ms: u64,
    },
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}
