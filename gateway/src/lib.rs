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
pub mod logouts;
pub mod metrics;
pub mod own;
pub mod pace;
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
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// A task that should run for ever has ended, which only a panic brings about: the gateway can't go on.
#[derive(Debug, thiserror::Error)]
#[error("a background task has ended")]
pub struct TaskEnded;

/// Where a gateway listens.
pub struct Listeners {
    /// For everybody.
    pub public: TcpListener,
    /// For operators.
    pub metrics: TcpListener,
}

/// Serves until `stop` is ready, then drains.
///
/// # Errors
/// [`TaskEnded`], after a drain as well.
pub async fn run(app: Arc<App>, listeners: Listeners, stop: impl Future<Output = ()>) -> Result<(), TaskEnded> {
    let closed = CancellationToken::new();
    // Aborted when dropped: they hold nothing that needs a goodbye.
    let mut background = JoinSet::new();
    background.spawn(feed::subscriber::run(Arc::clone(&app)));
    background.spawn(feed::positions::run(Arc::clone(&app)));
    background.spawn(logouts::run(Arc::clone(&app)));
    background.spawn(own::watch_pending(Arc::clone(&app)));
    background.spawn(ws::wheel::turn(Arc::clone(&app)));
    let (public, metrics) = (http::router(&app), http::metrics_router(&app));
    background.spawn(http::serve(Arc::clone(&app), listeners.public, public, closed.clone()));
    background.spawn(http::serve(Arc::clone(&app), listeners.metrics, metrics, closed.clone()));
    let outcome = tokio::select! {
        () = stop => Ok(()),
        _ = background.join_next() => Err(TaskEnded),
    };
    // Health checks are answered during the drain; joins are refused.
    shutdown::drain(&app).await;
    closed.cancel();
    outcome
}
