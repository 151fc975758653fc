//! Where in a show's stream of batches somebody is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// (generation, sequence). Ordered by generation first: a higher generation is always newer.
///
/// The generation is a number that the ledger hands out when a show's Redis state starts anew; the sequence counts the
/// batches of visible changes within it: 1, 2, 3 … without holes. Both stay below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position {
    /// Generation; 0 means "nothing seen yet".
    #[serde(rename = "g")]
    pub generation: u64,
    /// Sequence of the last batch included.
    #[serde(rename = "s")]
    pub sequence: u64,
}

impl Position {
    /// A position.
    #[must_use]
    pub const fn new(generation: u64, sequence: u64) -> Self {
        Self { generation, sequence }
    }

    /// The position of the next batch in the same generation.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { generation: self.generation, sequence: self.sequence.saturating_add(1) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.generation, self.sequence)
    }
}
