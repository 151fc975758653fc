//! The stateless edge of Seatwire: sockets in, Redis feed in, commands out. It decides nothing about a seat, and keeps
//! nothing that could not be built anew.
//!
//! ```text
//! accept ─► http (routes) ─► ws::upgrade ─► ws::session ── commands ──► core
//!                                             │  ▲
//!                                       watch │  │ write side: ws::connection, ws::outbound
//!                                             ▼  │
//! Redis ─► feed::subscriber ─► room ─► fanout (rounds)        ws::wheel (beats, deadlines)
//!                               ▲
//! core ── snapshot ── feed::resync      core ── positions ── feed::positions
//! ```
//!
//! Queues and their bounds: a connection's list of replies and pushes (`ws::outbound`), a room's backlog while its
//! snapshot is fetched (`room::sync`), the wishes of the feed (`feed`), commands in flight (the core client's own).

// This library exists for the binary and its tests; nothing outside the package builds on it.
#![allow(unreachable_pub, reason = "modules are public to the binary and the tests only")]

pub mod admission;
pub mod app;
pub mod clock;
pub mod commands;
pub mod config;
pub mod customers;
pub mod fanout;
pub mod feed;
pub mod http;
pub mod metrics;
pub mod own;
pub mod rate_limit;
pub mod registry;
pub mod room;
pub mod shutdown;
pub mod telemetry;
pub mod tokens;
pub mod ws;

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Serves until `stop` is ready, then drains.
pub async fn run(app: Arc<App>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let closed = CancellationToken::new();
    // These four end with the process: they hold nothing that needs a goodbye.
    let background = [
        tokio::spawn(feed::subscriber::run(Arc::clone(&app))),
        tokio::spawn(feed::positions::run(Arc::clone(&app))),
        tokio::spawn(own::watch_pending(Arc::clone(&app))),
        tokio::spawn(ws::wheel::turn(Arc::clone(&app))),
    ];
    let accepting = tokio::spawn(http::serve(Arc::clone(&app), listener, closed.clone()));
    stop.await;
    // Health checks are answered during the drain; joins are refused.
    shutdown::drain(&app).await;
    closed.cancel();
    accepting.abort();
    background.iter().for_each(tokio::task::JoinHandle::abort);
}
