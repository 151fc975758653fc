//! From load to complete under one generation, and repairs of a map that is whole.

use std::sync::Arc;

use redis::Cmd;

use seatwire_protocol::ShowId;

use super::{Loader, ledger_failed};
use crate::holds::HoldError;
use crate::holds::apply::{self, Entry};
use crate::holds::keys::ShowKeys;
use crate::holds::ledger::{Sale, SeatRow, ShowRow};
use crate::holds::link::Connected;
use crate::holds::reply::Reply;
use crate::holds::rows;

/// Seats in one apply.
const CHUNK: usize = 1_000;

/// Where rows of the ledger go.
struct Target<'a> {
    connected: &'a Arc<Connected>,
    keys: &'a ShowKeys,
    show: ShowId,
    generation: u64,
    mode: &'static str,
}

impl Loader {
    /// One generation, from load to complete. `false`: somebody has a higher one.
    pub(super) async fn load(
        &self,
        connected: &Arc<Connected>,
        keys: &ShowKeys,
        row: &ShowRow,
        generation: u64,
    ) -> Result<bool, HoldError> {
        let rows = rows::pack(&row.rows, row.seats);
        let load = |cmd: &mut Cmd| {
            cmd.arg(row.seats).arg(row.layout_version).arg(row.sale.state.code());
            cmd.arg(row.sale.opens_at_ms.unwrap_or(0)).arg(row.sale.version).arg(&rows);
            cmd.arg(u8::from(row.sale.no_orphan));
        };
        let reply = self.call(connected, &self.link.scripts.load, keys, generation, &load).await?;
        if reply.code() != "OK" {
            return Ok(false);
        }
        failpoint!("loader.begun");
        let map = self.ledger.read_map(row.show).await.map_err(ledger_failed)?;
        let Some(map) = map.filter(|map| map.generation == generation) else { return Ok(false) };
        let target = Target { connected, keys, show: row.show, generation, mode: "load" };
        if !self.apply_rows(&target, &map.sale, &map.seats).await? {
            return Ok(false);
        }
        failpoint!("loader.filled");
        let reply = self.call(connected, &self.link.scripts.complete, keys, generation, &|_| {}).await?;
        accepted(&reply)
    }

    /// Brings seats that Redis missed into a map that is whole.
    pub(in crate::holds) async fn repair(
        &self,
        show: ShowId,
        generation: u64,
        sale: &Sale,
        seats: &[SeatRow],
    ) -> Result<bool, HoldError> {
        let (connected, keys) = (self.link.get().await?, ShowKeys::new(show));
        let target = Target { connected: &connected, keys: &keys, show, generation, mode: "" };
        self.apply_rows(&target, sale, seats).await
    }

    /// Applies the sale and the seats, each with its booking's own hold, in chunks. `false`: another generation.
    async fn apply_rows(&self, target: &Target<'_>, sale: &Sale, seats: &[SeatRow]) -> Result<bool, HoldError> {
        let mut sale = Some(sale);
        let mut rest = seats;
        while sale.is_some() || !rest.is_empty() {
            let (chunk, tail) = rest.split_at(rest.len().min(CHUNK));
            rest = tail;
            let entries = apply::pack(chunk.iter().map(Entry::of_row));
            let own: Vec<_> = chunk.iter().filter_map(|seat| seat.hold.zip(seat.customer.as_ref())).collect();
            let packed_sale = apply::pack_sale(sale.take());
            let arguments = |cmd: &mut Cmd| {
                // Every seat is news here, which makes a hold on it the booking's own.
                cmd.arg(target.mode).arg(&entries).arg(&packed_sale).arg("").arg("");
                for (hold, customer) in &own {
                    cmd.arg(&hold.0).arg(customer.as_str());
                }
            };
            let apply = &self.link.scripts.apply;
            let reply = self.call(target.connected, apply, target.keys, target.generation, &arguments).await?;
            if !accepted(&reply)? {
                return Ok(false);
            }
            self.pusher.tell_ended(target.show, &reply.ended(2)?);
        }
        Ok(true)
    }
}

/// OK, or a generation that is no longer ours; anything else is a fault.
fn accepted(reply: &Reply) -> Result<bool, HoldError> {
    match reply.code() {
        "OK" => Ok(true),
        "STALE" | "NOT_LOADED" | "BEHIND" => Ok(false),
        other => Err(HoldError::Internal(format!("loading: the script answered {other}"))),
    }
}
