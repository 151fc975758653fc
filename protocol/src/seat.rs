//! Statuses that viewers see, and their packed form: two bits a seat.

use serde::{Deserialize, Serialize};

use crate::id::SeatIndex;

/// What everybody may know of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SeatStatus {
    /// Free to hold.
    Available = 0,
    /// Held in Redis, or claimed by a pending booking.
    Held = 1,
    /// Sold.
    Booked = 2,
    /// Not for sale.
    Blocked = 3,
}

impl SeatStatus {
    /// All statuses in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Available, Self::Held, Self::Booked, Self::Blocked];

    /// The status of a two-bit code; higher bits are ignored.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Available,
            1 => Self::Held,
            2 => Self::Booked,
            _ => Self::Blocked,
        }
    }

    /// The two-bit code.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// One letter: `a`, `h`, `b`, `x` (blocked).
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Available => 'a',
            Self::Held => 'h',
            Self::Booked => 'b',
            Self::Blocked => 'x',
        }
    }

    /// The status of a letter; see [`Self::letter`].
    #[must_use]
    pub const fn from_letter(letter: char) -> Option<Self> {
        match letter {
            'a' => Some(Self::Available),
            'h' => Some(Self::Held),
            'b' => Some(Self::Booked),
            'x' => Some(Self::Blocked),
            _ => None,
        }
    }
}

/// Whether a show sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SaleState {
    /// The sale has an opening time in the future.
    Before = 0,
    /// Seats may be held.
    Open = 1,
    /// The sale is over, or the show was cancelled.
    Closed = 2,
}

impl SaleState {
    /// The state of a code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Before),
            1 => Some(Self::Open),
            2 => Some(Self::Closed),
            _ => None,
        }
    }

    /// The code on the packed wires.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Statuses of all seats of a show, packed as Redis `BITFIELD u2` lays them out: seat `i` is in byte `i / 4`, the
/// first seat in the two highest bits. 20,000 seats are 5,000 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackedStatuses {
    seats: u32,
    bytes: Vec<u8>,
}

impl PackedStatuses {
    /// All seats available.
    #[must_use]
    pub fn new(seats: u32) -> Self {
        Self { seats, bytes: vec![0; seats.div_ceil(4) as usize] }
    }

    /// From packed bytes. Missing bytes at the end count as available (Redis does not store trailing zeros that were
    /// never written), bits behind the last seat are dropped; `None` when there are more bytes than seats.
    #[must_use]
    pub fn from_bytes(seats: u32, packed: &[u8]) -> Option<Self> {
        let mut out = Self::new(seats);
        out.bytes.get_mut(..packed.len())?.copy_from_slice(packed);
        let used = 2 * (seats % 4);
        if let Some(last) = out.bytes.last_mut().filter(|_| used > 0) {
            *last &= !(0xFF >> used);
        }
        Some(out)
    }

    /// Number of seats.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.seats
    }

    /// Whether there is no seat at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.seats == 0
    }

    /// The packed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The status of a seat; `None` when the seat does not exist.
    #[must_use]
    pub fn get(&self, seat: SeatIndex) -> Option<SeatStatus> {
        if seat.0 >= self.seats {
            return None;
        }
        let byte = self.bytes.get(seat.as_usize() / 4)?;
        Some(SeatStatus::from_bits(byte >> Self::shift(seat)))
    }

    /// Sets the status of a seat; `false` when the seat does not exist.
    pub fn set(&mut self, seat: SeatIndex, status: SeatStatus) -> bool {
        if seat.0 >= self.seats {
            return false;
        }
        let Some(byte) = self.bytes.get_mut(seat.as_usize() / 4) else { return false };
        let shift = Self::shift(seat);
        *byte = (*byte & !(3 << shift)) | (status.bits() << shift);
        true
    }

    /// All statuses in seat order.
    pub fn iter(&self) -> impl Iterator<Item = SeatStatus> + '_ {
        (0..self.seats).filter_map(|seat| self.get(SeatIndex(seat)))
    }

    const fn shift(seat: SeatIndex) -> u32 {
        6 - 2 * (seat.0 % 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_as_redis_bitfield_u2() {
        let mut map = PackedStatuses::new(5);
        assert!(map.set(SeatIndex(0), SeatStatus::Blocked));
        assert!(map.set(SeatIndex(3), SeatStatus::Held));
        assert!(map.set(SeatIndex(4), SeatStatus::Booked));
        assert!(!map.set(SeatIndex(5), SeatStatus::Held));
        assert_eq!(map.as_bytes(), [0b1100_0001, 0b1000_0000]);
        assert_eq!(map.get(SeatIndex(3)), Some(SeatStatus::Held));
        assert_eq!(map.get(SeatIndex(5)), None);
        assert_eq!(
            PackedStatuses::from_bytes(5, &[0b1100_0001]).unwrap().get(SeatIndex(4)),
            Some(SeatStatus::Available)
        );
        assert!(PackedStatuses::from_bytes(4, &[0, 0]).is_none());
        assert_eq!(PackedStatuses::from_bytes(5, &[0b1100_0001, 0b1011_1111]), Some(map));
    }
}
