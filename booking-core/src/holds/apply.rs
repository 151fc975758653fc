//! Bringing news of the ledger into the map: [`HoldStore::apply`], and the packing that the loader shares.

use redis::Cmd;

use seatwire_protocol::{CustomerId, SeatIndex};

use super::ledger::{Sale, SeatRow};
use super::store::HoldStore;
use super::{Applied, HoldError, LedgerChange, LedgerStatus};

/// Seats in one call; a change of more than that (a whole show blocked) goes in several batches.
const CHUNK: usize = 1_000;

/// A seat as the script reads it.
pub(super) struct Entry<'a> {
    seat: SeatIndex,
    status: LedgerStatus,
    version: u64,
    customer: Option<&'a CustomerId>,
}

impl<'a> Entry<'a> {
    pub(super) fn of_row(row: &'a SeatRow) -> Self {
        Self { seat: row.seat, status: row.status, version: row.version, customer: row.customer.as_ref() }
    }
}

/// u32 seat, u64 version, u8 status, u8 length, customer.
pub(super) fn pack<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let owned = matches!(entry.status, LedgerStatus::Claimed | LedgerStatus::Booked);
        let customer = entry.customer.filter(|_| owned).map_or("", CustomerId::as_str);
        out.extend_from_slice(&entry.seat.0.to_be_bytes());
        out.extend_from_slice(&entry.version.to_be_bytes());
        out.push(entry.status as u8);
        // A customer id has at most 64 bytes.
        out.push(u8::try_from(customer.len()).unwrap_or(0));
        out.extend_from_slice(customer.as_bytes());
    }
    out
}

/// u8 state, u64 opening time, u64 version, u8 whether no seat may be left alone; empty for none.
pub(super) fn pack_sale(sale: Option<&Sale>) -> Vec<u8> {
    let Some(sale) = sale else { return Vec::new() };
    let mut out = vec![sale.state.code()];
    out.extend_from_slice(&sale.opens_at_ms.map_or(0, |at| at.max(0).unsigned_abs()).to_be_bytes());
    out.extend_from_slice(&sale.version.to_be_bytes());
    out.push(u8::from(sale.no_orphan));
    out
}

impl HoldStore {
    /// Brings a committed change of the ledger into the map and the feed. May be repeated, in any order.
    ///
    /// # Errors
    /// When Redis is out of reach; the outbox brings the change again.
    pub async fn apply(&self, change: &LedgerChange) -> Result<Applied, HoldError> {
        let mut rest = change.seats.as_slice();
        let mut first = true;
        loop {
            let (chunk, tail) = rest.split_at(rest.len().min(CHUNK));
            rest = tail;
            let applied = self.apply_chunk(change, chunk, first).await?;
            if applied != Applied::Done || rest.is_empty() {
                return Ok(applied);
            }
            first = false;
        }
    }

    async fn apply_chunk(
        &self,
        change: &LedgerChange,
        seats: &[(SeatIndex, LedgerStatus, u64)],
        first: bool,
    ) -> Result<Applied, HoldError> {
        let entries = pack(seats.iter().map(|(seat, status, version)| Entry {
            seat: *seat,
            status: *status,
            version: *version,
            customer: change.customer.as_ref(),
        }));
        let sale = pack_sale(change.sale.as_ref().filter(|_| first));
        let own = change.hold.zip(change.customer.as_ref()).filter(|_| first);
        let arguments = |cmd: &mut Cmd| {
            cmd.arg("").arg(&entries).arg(&sale).arg(if change.operator { "operator" } else { "" });
            cmd.arg(change.booking.as_ref().map_or(&[][..], |booking| &booking.0[..]));
            if let Some((hold, customer)) = own {
                cmd.arg(&hold.0).arg(customer.as_str());
            }
        };
        let scripts = self.scripts();
        let reply = self.call(&scripts.apply, change.show, change.generation, &arguments).await?;
        match reply.code() {
            "OK" => {
                self.tell_ended(change.show, &reply.ended(2)?);
                Ok(Applied::Done)
            }
            "NOT_LOADED" => Ok(Applied::NotLoaded),
            "STALE" => Ok(Applied::StaleGeneration(reply.number(0)?)),
            "BEHIND" => {
                // The ledger handed out a generation that nobody loaded: what Redis has must not be served any longer.
                self.start_loading(change.show, change.generation);
                Ok(Applied::StaleGeneration(reply.number(0)?))
            }
            other => Err(HoldError::Internal(format!("apply: the script answered {other}"))),
        }
    }
}
