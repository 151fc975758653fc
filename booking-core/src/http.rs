//! The core's own HTTP listener, apart from the gateways' port so that a herd there can't starve it.
//!
//! | route | who |
//! |---|---|
//! | `GET /live`, `/ready`, `/metrics` | supervisors and scrapers; no token |
//! | `POST /webhooks/…` | the payment provider; signed |
//! | `/admin/…` | operators; bearer token, see [`admin`] |
//! | `GET /operator` | the operator's page, which asks for that token and calls those routes |

mod admin;
mod health;
mod operator;
mod respond;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use seatwire_protocol::{ErrorBody, ErrorCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use self::respond::Failure;
use crate::app::App;
use crate::metrics as names;
use crate::server::accept;
use crate::shutdown::Shutdown;
use crate::webhook;

/// Connections at a time; more wait in the listen queue.
const CONNECTIONS_MAX: usize = 1_024;
/// A request's head must be there within this, also the next one on a kept connection.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Body, work and answer together.
const REQUEST_DEADLINE: Duration = Duration::from_secs(15);
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
const BODY_BYTES_MAX: usize = 256 << 10;

/// Who is at the other end of a request's connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Serves until the drain starts; open requests are waited for by the drain.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, shutdown: Shutdown) {
    let router = router(&app, &shutdown);
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
        let connection = serve_connection(stream, router.clone(), shutdown.clone());
        shutdown.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
}

async fn serve_connection(stream: TcpStream, router: Router, shutdown: Shutdown) {
    let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let router = router.clone();
        peer.and_then(|peer| request.extensions_mut().insert(peer));
        async move {
            let answer = router.oneshot(request.map(Body::new));
            let Ok(response) = tokio::time::timeout(REQUEST_DEADLINE, answer).await else {
                let error = ErrorBody::new(ErrorCode::DeadlineExceeded, "the request took too long");
                return Ok(Failure::new(StatusCode::REQUEST_TIMEOUT, error).into_response());
            };
            response
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.started() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "http connection");
    }
}

fn router(app: &Arc<App>, shutdown: &Shutdown) -> Router {
    Router::new()
        .merge(health::router(Arc::clone(app), shutdown.clone()))
        .merge(webhook::routes(app.saga.clone()))
        .nest("/admin", admin::router(Arc::clone(app)))
        .merge(operator::router())
        .fallback(|request: Request| async move {
            let text = format!("there is no {} here", request.uri().path());
            Failure::new(StatusCode::NOT_FOUND, ErrorBody::new(ErrorCode::BadRequest, text))
        })
        .method_not_allowed_fallback(|request: Request| async move {
            let text = format!("{} is not allowed on {}", request.method(), request.uri().path());
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, ErrorBody::new(ErrorCode::BadRequest, text))
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(count))
}

async fn count(path: Option<MatchedPath>, request: Request, next: Next) -> Result<Response, Infallible> {
    let route = path.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::counter!(names::HTTP_REQUESTS, "route" => route, "status" => status).increment(1);
    Ok(response)
}
