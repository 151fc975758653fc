//! What is on sale, and where the seats are.

use serde::{Deserialize, Serialize};

use crate::id::{SeatIndex, ShowId};
use crate::seat::SaleState;

/// A show in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowInfo {
    /// The show.
    pub show: ShowId,
    /// Title of the movie or event.
    pub movie: String,
    /// City.
    pub city: String,
    /// Theater.
    pub theater: String,
    /// Screen or hall.
    pub screen: String,
    /// Start, milliseconds since 1970.
    pub starts_at_ms: u64,
    /// Sale state.
    pub sale: SaleState,
    /// Milliseconds until the sale opens; 0 unless before.
    pub opens_in_ms: u64,
    /// Number of seats.
    pub seats: u32,
    /// Lowest price, minor units.
    pub price_min: u64,
    /// Highest price, minor units.
    pub price_max: u64,
    /// ISO 4217.
    pub currency: String,
    /// Version of the layout.
    pub layout_version: u64,
}

/// Seat plan of a show; immutable for a `version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The show.
    pub show: ShowId,
    /// Version.
    pub version: u64,
    /// Number of seats; indexes are 0 .. seats.
    pub seats: u32,
    /// What the seats look at: `screen` or `stage`.
    pub focus: String,
    /// ISO 4217.
    pub currency: String,
    /// Price tiers by id.
    pub tiers: Vec<Tier>,
    /// Sections, best first.
    pub sections: Vec<Section>,
}

/// A price tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Id within the layout.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Price of a seat, minor units.
    pub price: u64,
}

/// A part of the house.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Name; empty for a screen of one section.
    pub name: String,
    /// Rows, front first.
    pub rows: Vec<Row>,
}

/// A row of seats. Seat `k` of the row has index `first + k`, label `prefix + numbers[k]`, stands at (`x[k]`, `y`) and
/// costs tier `tiers[k]`. Coordinates are tenths of a seat's width; a step in `x` of more than 10 is an aisle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Name, such as `A`.
    pub name: String,
    /// What stands before the number in a seat's label, such as `A` or `101-A`.
    pub prefix: String,
    /// Rank for best available, lower is better.
    pub rank: u32,
    /// Vertical place.
    pub y: i32,
    /// Index of the first seat.
    pub first: SeatIndex,
    /// Number of each seat.
    pub numbers: Vec<u32>,
    /// Horizontal place of each seat.
    pub x: Vec<i32>,
    /// Tier of each seat.
    pub tiers: Vec<u32>,
}

impl Layout {
    /// The label of a seat.
    #[must_use]
    pub fn label(&self, seat: SeatIndex) -> Option<String> {
        let rows = self.sections.iter().flat_map(|section| &section.rows);
        rows.into_iter().find_map(|row| {
            let number = row.numbers.get(seat.0.checked_sub(row.first.0)? as usize)?;
            Some(format!("{}{number}", row.prefix))
        })
    }
}
