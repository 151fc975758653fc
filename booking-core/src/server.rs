//! The MessagePack port: accepts gateways and backends, one session each.
//!
//! More connections than [`CONNECTIONS_MAX`] wait in the listen queue; a failing accept (no file descriptors left)
//! backs off instead of spinning.

mod dispatch;
mod replies;
mod session;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::metrics as names;
use crate::shutdown::Shutdown;

/// Connections at a time. Each may hold one unfinished frame and its answers in memory.
const CONNECTIONS_MAX: usize = 1_024;
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Serves until the drain starts; sessions are waited for by the drain.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, shutdown: Shutdown) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            () = shutdown.started() => return,
        };
        let stream = tokio::select! {
            stream = accept(&listener) => stream,
            () = shutdown.started() => return,
        };
        let (app, session_shutdown) = (Arc::clone(&app), shutdown.clone());
        shutdown.spawn(async move {
            metrics::gauge!(names::CONNECTIONS).increment(1.0);
            session::run(stream, app, session_shutdown).await;
            metrics::gauge!(names::CONNECTIONS).decrement(1.0);
            drop(permit);
        });
    }
}

/// The next connection; failures are waited out. Also used by the HTTP listener.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    let mut backoff = BACKOFF_MIN;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed, next try in {backoff:?}");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}
