//! Integration tests of the core, on a real Redis and a real PostgreSQL that the launcher starts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod admin;
mod bus;
mod command_line;
mod handshake;
mod holds;
mod http_listener;
#[cfg(feature = "kafka")]
mod kafka;
mod keys;
mod ledger;
mod operator_page;
mod operators;
mod outages;
mod port;
mod purchase;
mod samples;
mod smtp_sink;
mod support;
mod world;
