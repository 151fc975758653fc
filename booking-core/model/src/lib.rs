//! Explicit-state models of what Seatwire does, small enough that every interleaving is visited.
//!
//! [`ledger`]: bookings in PostgreSQL beside holds and the seat map in Redis, with cores that pause and crash anywhere.
//! [`split`]: a failover whose old server can still be reached. [`customers`]: what the hold scripts count and compare.
//! [`feed`]: the stream from Redis through two gateways to a viewer that moves between them. Each has variants that lack
//! one guard or rule; every one of them has to be caught. See `docs/MODEL.md`.
#![allow(
    clippy::indexing_slicing,
    reason = "arrays of two seats and two buyers; a wrong index ends the run, as it should"
)]

pub mod checker;
pub mod customers;
pub mod feed;
pub mod ledger;
pub mod split;

/// How much is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Seconds, for every test run.
    Small,
    /// Minutes: more than five million states.
    Large,
}
