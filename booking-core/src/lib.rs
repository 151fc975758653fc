//! The booking core of Seatwire: seat holds in Redis, bookings and money in PostgreSQL.
//!
//! ```text
//! gateways ──msgpack/tcp──► server ─► commands ─► holds (Redis)
//!                                        └──────► saga, db (PostgreSQL) ◄── workers
//! provider, operators ──http──► http ────────────────┘
//! ```
//!
//! PostgreSQL alone decides who owns a seat. Redis decides who may try.

pub mod config;
pub mod db;
pub mod holds;
pub mod metrics;
pub mod migrate;
pub mod payments;
pub mod shutdown;
pub mod telemetry;
