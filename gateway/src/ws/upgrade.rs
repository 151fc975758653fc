//! The handshake: everything that can be refused is refused here, before the upgrade, with an HTTP status. Then the
//! socket itself is taken out of hyper, because the fan-out writes to it without asking anybody.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use metrics::counter;
use seatwire_protocol::ws::SUBPROTOCOL_TOKEN_PREFIX;
use seatwire_protocol::{ErrorBody, ErrorCode};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::{Instrument, debug, debug_span};

use super::connection::Connection;
use super::frame::Encoding;
use super::{echo, session};
use crate::admission::{Admitted, Origin};
use crate::app::App;
use crate::http::respond::{bearer, refuse};
use crate::http::{PeerAddress, Reply};
use crate::metrics as names;
use crate::tokens::Identity;
use crate::{commands, http};

/// A handshake that was found in order.
struct Handshake {
    accept: HeaderValue,
    encoding: Encoding,
    /// Whether the client named subprotocols, and so must be told which was chosen.
    negotiated: bool,
    identity: Option<Identity>,
}

/// `GET /ws`.
pub async fn upgrade(State(app): State<Arc<App>>, mut request: Request) -> Reply {
    let peer = request.extensions().get::<PeerAddress>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    let address = app.admission.client_address(peer, request.headers());
    let handshake = match check(&app, request.version(), request.headers()) {
        Ok(handshake) => handshake,
        Err((label, reply)) => return not_joined(label, *reply),
    };
    if app.is_draining() {
        return not_joined("draining", busy(&app, "the gateway is restarting"));
    }
    let customer = handshake.identity.as_ref().map(|identity| &identity.customer);
    let admitted = match app.admission.admit(address, customer) {
        Ok(admitted) => admitted,
        Err(why) => return not_joined(why.label(), busy(&app, why.text())),
    };
    let on_upgrade = hyper::upgrade::on(&mut request);
    let reply = switching(&handshake);
    let for_task = Arc::clone(&app);
    let span = debug_span!("ws", %address);
    let task = async move { begin(for_task, on_upgrade, handshake, address, admitted).await };
    app.spawn(Box::pin(task.instrument(span)));
    reply
}

fn check(app: &App, version: Version, headers: &HeaderMap) -> Result<Handshake, (&'static str, Box<Reply>)> {
    let bad = |field: &str, text: &str| ("handshake", Box::new(refuse(&ErrorBody::bad_request(field, text))));
    if version < Version::HTTP_11 {
        return Err(bad("version", "a WebSocket needs HTTP/1.1"));
    }
    if !has_token(headers, CONNECTION.as_str(), "upgrade") || !has_token(headers, UPGRADE.as_str(), "websocket") {
        return Err(("handshake", Box::new(upgrade_required("this is a WebSocket"))));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(("handshake", Box::new(upgrade_required("only WebSocket version 13 is spoken"))));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != 16 {
        return Err(bad("Sec-WebSocket-Key", "expected 16 bytes in base64"));
    }
    let accept = HeaderValue::from_str(&derive_accept_key(key)).map_err(|_| bad("Sec-WebSocket-Key", "bad key"))?;
    if app.config.echo {
        return Ok(Handshake { accept, encoding: Encoding::Json, negotiated: false, identity: echo::anybody() });
    }
    let protocols = list(headers, SEC_WEBSOCKET_PROTOCOL.as_str());
    let encoding = protocols.iter().find_map(|name| Encoding::from_subprotocol(name));
    if encoding.is_none() && !protocols.is_empty() {
        return Err(bad("Sec-WebSocket-Protocol", "expected seatwire.v1.json or seatwire.v1.msgpack"));
    }
    let in_protocol = protocols.iter().find_map(|name| name.strip_prefix(SUBPROTOCOL_TOKEN_PREFIX));
    let identity = match bearer(headers).or(in_protocol) {
        Some(token) => {
            let identity = app.tokens.verify(token);
            Some(identity.map_err(|_| ("token", Box::new(refuse(&commands::unauthenticated()))))?)
        }
        None => None,
    };
    let foreign = match app.admission.origin(headers) {
        Origin::Ours => false,
        Origin::Absent => identity.is_none(),
        Origin::Foreign => true,
    };
    if foreign {
        let error = ErrorBody::new(ErrorCode::Forbidden, "this origin may not connect");
        return Err(("origin", Box::new(refuse(&error))));
    }
    let negotiated = !protocols.is_empty();
    Ok(Handshake { accept, encoding: encoding.unwrap_or(Encoding::Json), negotiated, identity })
}

/// Waits for hyper to let the socket go, and runs the session on it.
async fn begin(app: Arc<App>, on_upgrade: OnUpgrade, handshake: Handshake, address: IpAddr, admitted: Admitted) {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%error, "upgrade failed"),
    };
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let early = read_buf.to_vec();
    // hyper's buffer is some kilobytes: it must not live as long as the connection.
    drop(read_buf);
    let stream = io.into_inner();
    http::socket::for_websocket(&stream);
    let connection = Arc::new(Connection::new(stream, handshake.encoding, address, handshake.identity));
    // A task of its own, whose size is that of the session alone.
    let for_task = Arc::clone(&app);
    app.spawn(session::run(for_task, connection, early, admitted));
}

fn switching(handshake: &Handshake) -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, handshake.accept.clone());
    if handshake.negotiated {
        let chosen = HeaderValue::from_static(handshake.encoding.subprotocol());
        headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    reply
}

fn not_joined(reason: &'static str, reply: Reply) -> Reply {
    counter!(names::JOINS_REFUSED, "reason" => reason).increment(1);
    reply
}

fn upgrade_required(text: &str) -> Reply {
    let mut reply = refuse(&ErrorBody::bad_request("Upgrade", text));
    *reply.status_mut() = StatusCode::UPGRADE_REQUIRED;
    reply.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply
}

/// 503 with a time to come back.
fn busy(app: &App, text: &str) -> Reply {
    refuse(&ErrorBody::new(ErrorCode::Overloaded, text).retry_after_ms(app.admission.come_back_after_ms()))
}

fn list<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    list(headers, name).iter().any(|item| item.eq_ignore_ascii_case(token))
}
