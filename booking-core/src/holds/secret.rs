//! Hold ids and digests.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use seatwire_protocol::{CustomerId, HoldId, SeatIndex, ShowId};

use super::HoldError;

/// What a key stands for, so that no client's key can name a hold that the server makes for itself.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Purpose {
    Customer = 0,
    Payment = 1,
}

/// The core's secret, ready for use.
#[derive(Clone)]
pub(super) struct Secret(Hmac<Sha256>);

impl Secret {
    pub(super) fn new(secret: &[u8]) -> Result<Self, HoldError> {
        let keyed = Hmac::new_from_slice(secret).map_err(|_| HoldError::Internal("hold secret unusable".to_owned()))?;
        Ok(Self(keyed))
    }

    /// The hold of this customer, show and key: unguessable, and the same on every core.
    pub(super) fn hold_id(&self, purpose: Purpose, customer: &CustomerId, show: ShowId, key: &str) -> HoldId {
        let mut hmac = self.0.clone();
        hmac.update(&[purpose as u8]);
        // The customer's alphabet has no zero byte, so the parts can't run into each other.
        hmac.update(customer.as_str().as_bytes());
        hmac.update(&[0]);
        hmac.update(&show.get().to_be_bytes());
        hmac.update(key.as_bytes());
        let full = hmac.finalize().into_bytes();
        let mut id = [0; 16];
        id.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        HoldId(id)
    }
}

/// Eight bytes that stand for a key or a body within one hold.
pub(super) fn digest(parts: &[&[u8]]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut out = [0; 8];
    out.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    out
}

/// Seats as bytes.
pub(super) fn seat_bytes(seats: &[SeatIndex]) -> Vec<u8> {
    seats.iter().flat_map(|seat| seat.0.to_be_bytes()).collect()
}
