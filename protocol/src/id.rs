//! Identifiers. Each parses itself, so that an id inside the system is always well-formed: nothing that came from
//! outside reaches a Redis key, a channel name or a Lua list unchecked.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits;

/// An identifier that did not parse; the text says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub &'static str);

/// A show: one performance that people buy seats for. 1 ..= 2^53 − 1, so that JavaScript reads it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ShowId(u64);

impl ShowId {
    /// Checks the range.
    ///
    /// # Errors
    /// [`InvalidId`] when `id` is 0 or 2^53 and above.
    pub const fn new(id: u64) -> Result<Self, InvalidId> {
        if id == 0 || id > limits::INTEGER_MAX {
            return Err(InvalidId("show id must be between 1 and 2^53 - 1"));
        }
        Ok(Self(id))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as PostgreSQL's bigint; never negative, because ids stay below 2^53.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// The show's bucket, 0 ..= 1023: the Redis hash tag, and later the PostgreSQL shard. Fibonacci hashing of the id:
    /// stable for ever, and neighbouring ids spread.
    #[must_use]
    pub const fn bucket(self) -> u16 {
        (self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as u16
    }
}

impl<'de> Deserialize<'de> for ShowId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl fmt::Display for ShowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ShowId {
    type Err = InvalidId;
    fn from_str(s: &str) -> Result<Self, InvalidId> {
        s.parse().map_err(|_| InvalidId("show id must be a number")).and_then(Self::new)
    }
}

/// A seat of a show: a small index, 0 .. number of seats, fixed when the show is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeatIndex(pub u32);

impl SeatIndex {
    /// The index as a slice index.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for SeatIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Sixteen bytes: 32 lower-case hex digits in text encodings, `bin` of 16 in MessagePack; either is read everywhere.
macro_rules! id16 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The id as 32 lower-case hex digits.
            #[must_use]
            pub fn to_hex(&self) -> String {
                let mut out = String::with_capacity(32);
                for byte in self.0 {
                    for nibble in [byte >> 4, byte & 15] {
                        out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                    }
                }
                out
            }

            /// The first 8 hex digits, for logs: enough to follow one, too little to use it.
            #[must_use]
            pub fn short(&self) -> String {
                let mut hex = self.to_hex();
                hex.truncate(8);
                hex
            }

            /// From exactly 16 bytes.
            ///
            /// # Errors
            /// [`InvalidId`] when the length differs.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidId> {
                <[u8; 16]>::try_from(bytes)
                    .map(Self)
                    .map_err(|_| InvalidId(concat!($what, " must be 16 bytes")))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(s: &str) -> Result<Self, InvalidId> {
                const EXPECTED: InvalidId = InvalidId(concat!($what, " must be 32 hex digits"));
                let digits = s.as_bytes();
                if digits.len() != 32 {
                    return Err(EXPECTED);
                }
                let mut out = [0_u8; 16];
                for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
                    for digit in pair {
                        let nibble = char::from(*digit).to_digit(16).ok_or(EXPECTED)?;
                        *byte = (*byte << 4) | u8::try_from(nibble).map_err(|_| EXPECTED)?;
                    }
                }
                Ok(Self(out))
            }
        }

        /// Shortened: a full id must not reach a log.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), self.short())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.serialize_str(&self.to_hex()) } else { s.serialize_bytes(&self.0) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct V;
                impl Visitor<'_> for V {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!($what, " of 16 bytes or 32 hex digits"))
                    }
                    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<$name, E> {
                        v.parse().map_err(E::custom)
                    }
                    fn visit_bytes<E: serde::de::Error>(self, v: &[u8]) -> Result<$name, E> {
                        $name::from_slice(v).map_err(E::custom)
                    }
                }
                d.deserialize_any(V)
            }
        }
    };
}

id16!(
    /// Unguessable proof of a hold: an HMAC of customer, show and idempotency key under the core's secret.
    HoldId,
    "hold id"
);
id16!(
    /// A booking. Random, so that ids shown to customers tell nothing about each other.
    BookingId,
    "booking id"
);

/// A bounded text of a restricted alphabet.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:expr, $allowed:expr, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks length and alphabet.
            ///
            /// # Errors
            /// [`InvalidId`] saying what is allowed.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() || text.len() > $max || !text.chars().all(allowed) {
                    return Err(InvalidId($expected));
                }
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(s: &str) -> Result<Self, InvalidId> {
                Self::new(s)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                Self::new(&text).map_err(D::Error::custom)
            }
        }
    };
}

text_id!(
    /// The buying person: the subject of the token. 1–64 of `A–Z a–z 0–9 _ . -`, so that it is safe in a channel name.
    CustomerId,
    limits::CUSTOMER_ID_BYTES_MAX,
    |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'),
    "customer id must be 1-64 characters of A-Z a-z 0-9 _ . -"
);
text_id!(
    /// Chosen by the client, survives retries: the same key and body have one effect. 1–255 printable ASCII characters.
    IdempotencyKey,
    limits::IDEMPOTENCY_KEY_BYTES_MAX,
    |c| c.is_ascii_graphic(),
    "idempotency key must be 1-255 printable ASCII characters without spaces"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_is_stable_and_in_range() {
        let buckets: Vec<u16> = (1..=4).map(|id| ShowId::new(id).unwrap().bucket()).collect();
        assert_eq!(buckets, [632, 241, 874, 483]);
        assert!((1..5000).all(|id| ShowId::new(id).unwrap().bucket() < 1024));
    }

    #[test]
    fn ids_read_text_and_bytes() {
        let id = HoldId([0xAB; 16]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{}\"", "ab".repeat(16)));
        assert_eq!(serde_json::from_str::<HoldId>(&json).unwrap(), id);
        let packed = rmp_serde::to_vec_named(&id).unwrap();
        assert_eq!(packed.len(), 18);
        assert_eq!(rmp_serde::from_slice::<HoldId>(&packed).unwrap(), id);
        assert!("xyz".parse::<HoldId>().is_err());
    }

    #[test]
    fn text_ids_refuse_separators() {
        assert!(CustomerId::new("g_12").is_ok());
        for bad in ["", "a b", "a:b", "{a}", "é", "a|b"] {
            assert!(CustomerId::new(bad).is_err(), "{bad}");
        }
        assert!(IdempotencyKey::new(&"k".repeat(256)).is_err());
    }
}
