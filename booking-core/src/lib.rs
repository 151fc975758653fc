//! The booking core of Seatwire: seat holds in Redis, bookings and money in PostgreSQL.
//!
//! ```text
//! gateways ──msgpack/tcp──► server ─► commands ─► holds (Redis)
//!                                        └──────► saga, db (PostgreSQL) ◄── workers
//! provider, operators ──http──► http ────────────────┘
//! ```
//!
//! PostgreSQL alone decides who owns a seat. Redis decides who may try.

#[macro_use]
mod failpoints;

pub mod admin;
pub mod app;
mod commands;
pub mod config;
pub mod db;
pub mod events;
mod form;
pub mod holds;
mod http;
pub mod layouts;
pub mod mail;
pub mod metrics;
pub mod migrate;
pub mod overview;
pub mod payments;
pub mod saga;
pub mod seed;
mod server;
pub mod shutdown;
pub mod telemetry;
pub mod webhook;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::app::{App, StartError};
use crate::config::Config;
use crate::shutdown::Shutdown;

/// A core could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{variable}: can't listen on {address}")]
    Listen { variable: &'static str, address: SocketAddr, source: io::Error },
    #[error("metrics")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Where a running core listens.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    pub core: SocketAddr,
    pub core_http: SocketAddr,
}

/// Starts a core whose tasks run until `shutdown` starts; wait for them with [`Shutdown::drained`].
pub async fn start(config: Config, shutdown: &Shutdown) -> Result<Listening, RunError> {
    metrics::start()?;
    let core = listen("SEATWIRE_CORE_LISTEN", config.core_listen).await?;
    let core_http = listen("SEATWIRE_CORE_HTTP_LISTEN", config.core_http_listen).await?;
    let listening =
        Listening { core: address(&core, config.core_listen), core_http: address(&core_http, config.core_http_listen) };
    let app = App::new(config)?;
    app.spawn_workers(shutdown);
    shutdown.spawn(server::serve(core, Arc::clone(&app), shutdown.clone()));
    shutdown.spawn(http::serve(core_http, app, shutdown.clone()));
    Ok(listening)
}

async fn listen(variable: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|source| RunError::Listen { variable, address, source })
}

/// The port that was given where 0 was asked for.
fn address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}
