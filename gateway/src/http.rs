//! The listening side: accepts connections, reads requests within limits, and routes them. A WebSocket begins as one of
//! these requests and then leaves hyper.
//!
//! | route | what |
//! |---|---|
//! | `GET /`, `GET /assets/{*file}` | the page |
//! | `GET /ws` | WebSocket, see `ws` |
//! | `POST /api/guest` | a token for somebody new |
//! | `POST /api/logout` | all of one's tokens are void from now on |
//! | `GET /api/shows`, `GET /api/shows/{show}/layout`, `GET /api/shows/{show}/seats` | what there is to see |
//! | `GET /api/availability` | which shows of a list are filling fast |
//! | `GET`, `POST /api/shows/{show}/holds`; `DELETE …/{hold}`, `POST …/{hold}/extend` | holds |
//! | `GET`, `POST /api/bookings`; `GET …/{booking}`, `POST …/{booking}/cancel` | bookings |
//! | `GET /api/bookings/{booking}/code.svg` | a confirmed booking as a QR code |
//! | `GET /api/openapi.json` | all of `/api` as OpenAPI 3.1 |
//! | `GET /live`, `GET /ready` | for load balancers |
//!
//! `GET /metrics` is on an address of its own, with the two for load balancers: what it tells is not for everybody.

pub mod assets;
pub mod bookings;
pub mod cache;
pub mod health;
pub mod holds;
pub mod logout;
pub mod respond;
pub mod shows;
pub mod socket;
pub mod ticket;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::routing::{delete, get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use seatwire_protocol::{ErrorBody, ErrorCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

use self::cache::Cache;
use crate::admission::Origin;
use crate::app::App;
use crate::ws::upgrade::upgrade;

/// An answer.
pub type Reply = axum::http::Response<Body>;

/// The other end of the TCP connection.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// Answers kept for a moment, so that a herd costs the core one command.
#[derive(Default)]
pub struct Caches {
    pub shows: Cache<shows::Query, shows::Listed>,
    pub availability: Cache<shows::Query, shows::Fullness>,
    pub layouts: Cache<seatwire_protocol::ShowId, shows::Drawn>,
}

/// Connections that are not WebSockets (yet); one more waits in the listener's backlog.
const HTTP_CONNECTIONS_MAX: usize = 4_096;
/// Time for the headers of a request, and for the next request of a kept connection.
const HEADERS_MAX: Duration = Duration::from_secs(5);
const HEADER_COUNT_MAX: usize = 64;
/// Request line and headers together.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// A connection that is no WebSocket is asked to end after this long, and cut off a little later.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
const CONNECTION_END_MAX: Duration = Duration::from_secs(20);
/// After accepting failed, as it does without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// All routes.
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(assets::index))
        .route("/assets/{*file}", get(assets::file))
        .route("/ws", get(upgrade))
        .route("/api/guest", post(shows::guest))
        .route("/api/logout", post(logout::log_out))
        .route("/api/shows", get(shows::list))
        .route("/api/availability", get(shows::availability))
        .route("/api/shows/{show}/layout", get(shows::layout))
        .route("/api/shows/{show}/seats", get(shows::seats))
        .route("/api/shows/{show}/holds", get(holds::own).post(holds::place))
        .route("/api/shows/{show}/holds/{hold}", delete(holds::release))
        .route("/api/shows/{show}/holds/{hold}/extend", post(holds::extend))
        .route("/api/bookings", get(bookings::list).post(bookings::book))
        .route("/api/bookings/{booking}", get(bookings::show))
        .route("/api/bookings/{booking}/code.svg", get(ticket::code))
        .route("/api/bookings/{booking}/cancel", post(bookings::cancel))
        .route("/api/openapi.json", get(respond::openapi))
        .merge(health::probes())
        .with_state(Arc::clone(app))
        .fallback(async || respond::refuse_as(StatusCode::NOT_FOUND, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            respond::refuse_as(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
        })
}

/// Routes of the address for operators.
pub fn metrics_router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(health::metrics))
        .merge(health::probes())
        .with_state(Arc::clone(app))
        .fallback(async || respond::refuse_as(StatusCode::NOT_FOUND, "there is nothing here"))
}

/// Accepts connections until told to stop; those that are open finish by themselves.
pub async fn serve(app: Arc<App>, listener: TcpListener, router: Router, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                socket::for_http(&stream);
                let connection = serve_connection(Arc::clone(&app), router.clone(), stream, peer.ip());
                app.spawn(Box::pin(async move {
                    connection.await;
                    drop(permit);
                }));
            }
            Err(error) => {
                warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(app: Arc<App>, router: Router, stream: TcpStream, peer: IpAddr) {
    let service = service_fn(move |mut request: axum::http::Request<Incoming>| {
        let (app, router) = (Arc::clone(&app), router.clone());
        async move {
            if let Some(refusal) = gate(&app, &request, peer) {
                return Ok(refusal);
            }
            request.extensions_mut().insert(PeerAddress(peer));
            router.oneshot(request.map(Body::new)).await
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_MAX)
        .max_headers(HEADER_COUNT_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut served = pin!(served);
    // Whoever reads its answers too slowly must not keep its place for ever.
    let mut ended = timeout(CONNECTION_MAX, served.as_mut()).await;
    if ended.is_err() {
        served.as_mut().graceful_shutdown();
        ended = timeout(CONNECTION_END_MAX, served).await;
    }
    if let Ok(Err(error)) = ended {
        debug!(%peer, %error, "http connection ended");
    }
}

/// Checks that come before every route.
fn gate(app: &App, request: &axum::http::Request<Incoming>, peer: IpAddr) -> Option<Reply> {
    let path = request.uri().path();
    if !path.starts_with("/api/") {
        return None;
    }
    let address = app.admission.client_address(peer, request.headers());
    if !app.admission.may_request(address) {
        let error = ErrorBody::new(ErrorCode::RateLimited, "too many requests").retry_after_ms(1_000);
        return Some(respond::refuse(&error));
    }
    // Reading is harmless, and the page may be looked at from anywhere; acting is for our own pages and for programs.
    let acts = !matches!(*request.method(), Method::GET | Method::HEAD);
    if acts && app.admission.origin(request.headers()) == Origin::Foreign {
        return Some(respond::refuse(&ErrorBody::new(ErrorCode::Forbidden, "this origin may not do this")));
    }
    None
}
