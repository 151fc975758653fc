//! Integration tests of the core, on a real Redis and a real PostgreSQL that the launcher starts.

mod handshake;
mod holds;
mod http_listener;
mod port;
mod support;
