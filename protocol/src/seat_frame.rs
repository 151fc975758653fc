//! Seat frames: what the gateway sends to viewers about the seats of a show.
//!
//! Packed form (subprotocol `seatwire.v1.msgpack`, binary): the first byte is the kind, below 0x80, so that no
//! MessagePack map (0x80 and above) is mistaken for one. Integers are [varints](crate::varint).
//!
//! ```text
//! snapshot  01 show generation sequence sale opens_in_ms layout viewers seats  packed statuses, 2 bits a seat
//! delta     02 show generation from to  sale viewers count  count × varint((gap << 2) | status)
//! beat      03 show generation sequence sale viewers server_time_ms
//! ```
//!
//! Delta entries are ascending by seat; `gap` is the distance from the previous seat, minus one (the first: from −1).
//! JSON form (subprotocol `seatwire.v1.json`, text): an object of the same fields, see [`SeatFrame::to_json`].
//!
//! **The delta rule.** A client at position p applies a delta only if the generation is its own and from ≤ p < to.
//! p ≥ to: ignore. p < from, or a higher generation: it needs a snapshot, which the gateway knows and sends unasked.
//! Lower generations are ignored. A snapshot replaces the map, unless its generation is lower.

use bytes::BufMut;
use serde::{Deserialize, Serialize};

use crate::id::{SeatIndex, ShowId};
use crate::limits::SEATS_PER_SHOW_MAX;
use crate::position::Position;
use crate::seat::{PackedStatuses, SaleState, SeatStatus};
use crate::varint;

const KIND_SNAPSHOT: u8 = 1;
const KIND_DELTA: u8 = 2;
const KIND_BEAT: u8 = 3;

/// The whole map at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The show.
    pub show: ShowId,
    /// The last batch that the map includes.
    pub position: Position,
    /// Sale state at the position.
    pub sale: SaleState,
    /// Milliseconds until the sale opens, when `sale` is before; else 0.
    pub opens_in_ms: u64,
    /// Version of the layout that the seat indexes belong to.
    pub layout_version: u64,
    /// Approximate number of viewers of the show at this gateway; 0 is unknown.
    pub viewers: u64,
    /// Status of every seat.
    pub statuses: PackedStatuses,
}

/// Every seat touched in (from, to], with its absolute status at `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The show.
    pub show: ShowId,
    /// Generation of both ends.
    pub generation: u64,
    /// The client's sequence must be at least this.
    pub from: u64,
    /// The client's sequence afterwards.
    pub to: u64,
    /// Sale state at `to`.
    pub sale: SaleState,
    /// Approximate number of viewers; 0 is unknown.
    pub viewers: u64,
    /// Ascending by seat, each seat once.
    pub seats: Vec<(SeatIndex, SeatStatus)>,
}

/// Sent when nothing else was for a while: the position last written to this viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The show.
    pub show: ShowId,
    /// Position last written to this viewer.
    pub position: Position,
    /// Sale state at the position.
    pub sale: SaleState,
    /// Approximate number of viewers; 0 is unknown.
    pub viewers: u64,
    /// The gateway's clock, milliseconds since 1970, information only.
    pub server_time_ms: u64,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatFrame {
    /// The whole map.
    Snapshot(Snapshot),
    /// Changes.
    Delta(Delta),
    /// Nothing new.
    Beat(Beat),
}

/// A packed or JSON seat frame that did not parse; the text names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seat frame: {0}")]
pub struct InvalidFrame(pub String);

/// Appends a packed delta. `seats` must ascend; this is the gateway's hot path and checks only in debug builds.
pub fn put_delta(
    out: &mut impl BufMut,
    show: ShowId,
    from: Position,
    to: u64,
    sale: SaleState,
    viewers: u64,
    seats: &[(SeatIndex, SeatStatus)],
) {
    out.put_u8(KIND_DELTA);
    varint::put(out, show.get());
    varint::put(out, from.generation);
    varint::put(out, from.sequence);
    varint::put(out, to);
    out.put_u8(sale.code());
    varint::put(out, viewers);
    varint::put(out, seats.len() as u64);
    let mut next = 0_u64;
    for (seat, status) in seats {
        let seat = u64::from(seat.0);
        debug_assert!(seat >= next, "delta seats ascend");
        varint::put(out, (seat.saturating_sub(next) << 2) | u64::from(status.bits()));
        next = seat + 1;
    }
}

impl SeatFrame {
    /// The show that the frame is about.
    #[must_use]
    pub const fn show(&self) -> ShowId {
        match self {
            Self::Snapshot(frame) => frame.show,
            Self::Delta(frame) => frame.show,
            Self::Beat(frame) => frame.show,
        }
    }

    /// Appends the packed form.
    pub fn put_packed(&self, out: &mut impl BufMut) {
        match self {
            Self::Snapshot(s) => {
                out.put_u8(KIND_SNAPSHOT);
                varint::put(out, s.show.get());
                varint::put(out, s.position.generation);
                varint::put(out, s.position.sequence);
                out.put_u8(s.sale.code());
                varint::put(out, s.opens_in_ms);
                varint::put(out, s.layout_version);
                varint::put(out, s.viewers);
                varint::put(out, u64::from(s.statuses.len()));
                out.put_slice(s.statuses.as_bytes());
            }
            Self::Delta(d) => {
                put_delta(out, d.show, Position::new(d.generation, d.from), d.to, d.sale, d.viewers, &d.seats);
            }
            Self::Beat(b) => {
                out.put_u8(KIND_BEAT);
                varint::put(out, b.show.get());
                varint::put(out, b.position.generation);
                varint::put(out, b.position.sequence);
                out.put_u8(b.sale.code());
                varint::put(out, b.viewers);
                varint::put(out, b.server_time_ms);
            }
        }
    }

    /// Parses the packed form; all bytes must be used.
    ///
    /// # Errors
    /// [`InvalidFrame`] naming the field that was missing, out of range or out of order.
    pub fn from_packed(bytes: &[u8]) -> Result<Self, InvalidFrame> {
        let mut input = Reader(bytes);
        let kind = input.byte("kind")?;
        let show = ShowId::new(input.int("show")?).map_err(|e| InvalidFrame(e.to_string()))?;
        let generation = input.int("generation")?;
        let frame = match kind {
            KIND_SNAPSHOT => {
                let position = Position::new(generation, input.int("sequence")?);
                let sale = input.sale()?;
                let opens_in_ms = input.int("opens_in_ms")?;
                let layout_version = input.int("layout")?;
                let viewers = input.int("viewers")?;
                let seats = input.count("seats")?;
                let packed = input.bytes("statuses", seats.div_ceil(4) as usize)?;
                let statuses = PackedStatuses::from_bytes(seats, packed).ok_or_else(|| invalid("statuses"))?;
                if statuses.as_bytes() != packed {
                    return Err(invalid("statuses: bits behind the last seat"));
                }
                Self::Snapshot(Snapshot { show, position, sale, opens_in_ms, layout_version, viewers, statuses })
            }
            KIND_DELTA => {
                let from = input.int("from")?;
                let to = input.int("to")?;
                if to <= from {
                    return Err(invalid("to must be above from"));
                }
                let sale = input.sale()?;
                let viewers = input.int("viewers")?;
                let count = input.count("count")?;
                // Each entry has at least one byte: a claimed count can't make this allocate more than the input.
                let mut seats = Vec::with_capacity((count as usize).min(input.0.len()));
                let mut next = 0_u64;
                for _ in 0..count {
                    let entry = input.int("seats")?;
                    let seat = next + (entry >> 2);
                    if seat >= SEATS_PER_SHOW_MAX as u64 {
                        return Err(invalid("seats: index above the limit"));
                    }
                    next = seat + 1;
                    let index = u32::try_from(seat).map_err(|_| invalid("seats"))?;
                    seats.push((SeatIndex(index), SeatStatus::from_bits((entry & 3) as u8)));
                }
                Self::Delta(Delta { show, generation, from, to, sale, viewers, seats })
            }
            KIND_BEAT => {
                let position = Position::new(generation, input.int("sequence")?);
                let sale = input.sale()?;
                let viewers = input.int("viewers")?;
                let server_time_ms = input.int("server_time_ms")?;
                Self::Beat(Beat { show, position, sale, viewers, server_time_ms })
            }
            other => return Err(InvalidFrame(format!("unknown kind {other}"))),
        };
        if input.0.is_empty() { Ok(frame) } else { Err(invalid("trailing bytes")) }
    }

    /// The JSON form, as text.
    ///
    /// ```text
    /// {"t":"snapshot","show":7,"g":3,"s":41,"sale":"open","opens_in_ms":0,"layout":1,"viewers":2,"seats":"aahbx"}
    /// {"t":"delta","show":7,"g":3,"from":41,"to":43,"sale":"open","viewers":2,"seats":[[0,"h"],[4,"a"]]}
    /// {"t":"beat","show":7,"g":3,"s":43,"sale":"open","viewers":2,"server_time_ms":1790000000000}
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serialising these plain structs can't fail: no map with non-string keys, no fallible field.
        serde_json::to_string(&JsonFrame::from(self)).unwrap_or_default()
    }

    /// Parses the JSON form.
    ///
    /// # Errors
    /// [`InvalidFrame`] with the parser's words.
    pub fn from_json(text: &str) -> Result<Self, InvalidFrame> {
        let frame: JsonFrame = serde_json::from_str(text).map_err(|e| InvalidFrame(e.to_string()))?;
        frame.try_into()
    }
}

fn invalid(field: &str) -> InvalidFrame {
    InvalidFrame(field.to_owned())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self, field: &str) -> Result<u8, InvalidFrame> {
        let (byte, rest) = self.0.split_first().ok_or_else(|| invalid(field))?;
        self.0 = rest;
        Ok(*byte)
    }

    fn int(&mut self, field: &str) -> Result<u64, InvalidFrame> {
        varint::take(&mut self.0).ok_or_else(|| invalid(field))
    }

    fn count(&mut self, field: &str) -> Result<u32, InvalidFrame> {
        let count = self.int(field)?;
        u32::try_from(count).ok().filter(|n| *n as usize <= SEATS_PER_SHOW_MAX).ok_or_else(|| invalid(field))
    }

    fn sale(&mut self) -> Result<SaleState, InvalidFrame> {
        SaleState::from_code(self.byte("sale")?).ok_or_else(|| invalid("sale"))
    }

    fn bytes(&mut self, field: &str, len: usize) -> Result<&'a [u8], InvalidFrame> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| invalid(field))?;
        self.0 = rest;
        Ok(taken)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
enum JsonFrame {
    Snapshot {
        show: ShowId,
        g: u64,
        s: u64,
        sale: SaleState,
        #[serde(default)]
        opens_in_ms: u64,
        layout: u64,
        #[serde(default)]
        viewers: u64,
        seats: String,
    },
    Delta {
        show: ShowId,
        g: u64,
        from: u64,
        to: u64,
        sale: SaleState,
        #[serde(default)]
        viewers: u64,
        seats: Vec<(SeatIndex, char)>,
    },
    Beat {
        show: ShowId,
        g: u64,
        s: u64,
        sale: SaleState,
        #[serde(default)]
        viewers: u64,
        server_time_ms: u64,
    },
}

impl From<&SeatFrame> for JsonFrame {
    fn from(frame: &SeatFrame) -> Self {
        match frame {
            SeatFrame::Snapshot(f) => Self::Snapshot {
                show: f.show,
                g: f.position.generation,
                s: f.position.sequence,
                sale: f.sale,
                opens_in_ms: f.opens_in_ms,
                layout: f.layout_version,
                viewers: f.viewers,
                seats: f.statuses.iter().map(SeatStatus::letter).collect(),
            },
            SeatFrame::Delta(f) => Self::Delta {
                show: f.show,
                g: f.generation,
                from: f.from,
                to: f.to,
                sale: f.sale,
                viewers: f.viewers,
                seats: f.seats.iter().map(|(seat, status)| (*seat, status.letter())).collect(),
            },
            SeatFrame::Beat(f) => Self::Beat {
                show: f.show,
                g: f.position.generation,
                s: f.position.sequence,
                sale: f.sale,
                viewers: f.viewers,
                server_time_ms: f.server_time_ms,
            },
        }
    }
}

impl TryFrom<JsonFrame> for SeatFrame {
    type Error = InvalidFrame;

    fn try_from(frame: JsonFrame) -> Result<Self, InvalidFrame> {
        Ok(match frame {
            JsonFrame::Snapshot { show, g, s, sale, opens_in_ms, layout, viewers, seats } => {
                let count = seats.chars().count();
                let count = u32::try_from(count).ok().filter(|n| *n as usize <= SEATS_PER_SHOW_MAX);
                let mut statuses = PackedStatuses::new(count.ok_or_else(|| invalid("seats: too many"))?);
                for (index, letter) in (0_u32..).zip(seats.chars()) {
                    let status = SeatStatus::from_letter(letter).ok_or_else(|| invalid("seats: unknown letter"))?;
                    statuses.set(SeatIndex(index), status);
                }
                Self::Snapshot(Snapshot {
                    show,
                    position: Position::new(g, s),
                    sale,
                    opens_in_ms,
                    layout_version: layout,
                    viewers,
                    statuses,
                })
            }
            JsonFrame::Delta { show, g, from, to, sale, viewers, seats } => {
                if to <= from {
                    return Err(invalid("to must be above from"));
                }
                if !seats.is_sorted_by(|a, b| a.0 < b.0) {
                    return Err(invalid("seats must ascend"));
                }
                let seats = seats
                    .into_iter()
                    .map(|(seat, letter)| Some((seat, SeatStatus::from_letter(letter)?)))
                    .collect::<Option<_>>()
                    .ok_or_else(|| invalid("seats: unknown letter"))?;
                Self::Delta(Delta { show, generation: g, from, to, sale, viewers, seats })
            }
            JsonFrame::Beat { show, g, s, sale, viewers, server_time_ms } => {
                Self::Beat(Beat { show, position: Position::new(g, s), sale, viewers, server_time_ms })
            }
        })
    }
}
