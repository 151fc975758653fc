//! Who may pass to the admin routes: whoever has the token. It is compared in time that tells nothing of it, the refusal is
//! the same whatever was wrong, and from an address that was wrong too often in a minute nothing is heard until the minute
//! is over, but for a right token that nobody can guess: behind a proxy everybody has one address. Everything that is logged
//! on behalf of an operator carries the name that came with the request.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use seatwire_protocol::{ErrorBody, ErrorCode};
use tracing::Instrument;

use super::Failure;
use crate::app::App;
use crate::http::Peer;

/// Wrong tokens of an address in a minute; what comes after is refused, a right token too if it is short: its refusal must
/// not differ from that of a wrong one, or guessing would go on.
const WRONG_MAX: u32 = 20;
/// A token of so many bytes (128 bits in hex) is not found by guessing at any rate: its holder needs no limit on guesses.
const LONG_TOKEN_BYTES: usize = 32;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; while there are more, no new one is let in.
const ADDRESSES_MAX: usize = 4_096;
/// Who acts, and why, in the log.
const NAME: &str = "seatwire-operator";
const NOTE: &str = "seatwire-note";
const NAME_BYTES_MAX: usize = 160;
const NOTE_BYTES_MAX: usize = 400;

#[derive(Clone)]
pub(super) struct Guard {
    app: Arc<App>,
    wrong: Arc<Mutex<Wrong>>,
}

impl Guard {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app, wrong: Arc::default() }
    }
}

/// Before anything else is looked at.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let wrong = || guard.wrong.lock().unwrap_or_else(PoisonError::into_inner);
    let token = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let token = token.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    let is_right = guard.app.config.admin_token.matches(token);
    let is_beyond_guessing = guard.app.config.admin_token.expose().len() >= LONG_TOKEN_BYTES;
    let wait = wrong().wait(peer, Instant::now());
    if let Some(wait) = wait.filter(|_| !(is_right && is_beyond_guessing)) {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let error = ErrorBody::new(ErrorCode::RateLimited, "too many wrong tokens; wait a minute");
        return Failure::from(error.retry_after_ms(wait_ms)).into_response();
    }
    if !is_right {
        // Who sends none has guessed nothing: a page that was opened by mistake, or a scanner.
        if !token.is_empty() {
            wrong().note(peer, Instant::now());
            tracing::warn!(%peer, "a wrong admin token");
        }
        let error = ErrorBody::new(ErrorCode::Unauthenticated, "the admin token is needed: Authorization: Bearer …");
        return Failure::from(error).into_response();
    }
    let (name, note) =
        match (said(request.headers(), NAME, NAME_BYTES_MAX), said(request.headers(), NOTE, NOTE_BYTES_MAX)) {
            (Ok(name), Ok(note)) => (name, note),
            (Err(error), _) | (_, Err(error)) => return Failure::from(error).into_response(),
        };
    if request.method() == Method::GET {
        return next.run(request).await;
    }
    // What is done says so itself, within this span.
    let span = tracing::info_span!("operator", name, note, %peer);
    next.run(request).instrument(span).await
}

/// A name or a note; nothing that could forge a line of the log.
fn said(headers: &HeaderMap, header: &str, bytes_max: usize) -> Result<String, ErrorBody> {
    let Some(value) = headers.get(header).filter(|value| !value.is_empty()) else { return Ok("-".to_owned()) };
    // Browsers send only bytes: other letters come percent-encoded.
    let text = percent_encoding::percent_decode(value.as_bytes()).decode_utf8().ok();
    let plain = |text: &str| text.len() <= bytes_max && !text.chars().any(char::is_control);
    text.filter(|text| plain(text)).map(std::borrow::Cow::into_owned).ok_or_else(|| {
        ErrorBody::bad_request(header, format!("{header} must be at most {bytes_max} bytes of plain text"))
    })
}

/// How often each address was wrong in its present minute.
#[derive(Default)]
struct Wrong(HashMap<IpAddr, (Instant, u32)>);

impl Wrong {
    /// How long an address has to wait, if it does.
    fn wait(&mut self, peer: IpAddr, now: Instant) -> Option<Duration> {
        if self.0.len() >= ADDRESSES_MAX {
            self.0.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        match self.0.get(&peer) {
            Some((since, count)) if *count >= WRONG_MAX => WINDOW.checked_sub(now.duration_since(*since)),
            Some(_) => None,
            None => (self.0.len() >= ADDRESSES_MAX).then_some(WINDOW),
        }
    }

    fn note(&mut self, peer: IpAddr, now: Instant) {
        let entry = self.0.entry(peer).or_insert((now, 0));
        if now.duration_since(entry.0) >= WINDOW {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_guesses_waits_and_others_do_not() {
        let (mut wrong, start) = (Wrong::default(), Instant::now());
        let [one, other] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
        for _ in 0..WRONG_MAX {
            assert_eq!(wrong.wait(one, start), None);
            wrong.note(one, start);
        }
        assert_eq!(wrong.wait(one, start + WINDOW / 2), Some(WINDOW / 2));
        assert_eq!(wrong.wait(other, start), None);
        assert_eq!(wrong.wait(one, start + WINDOW + Duration::from_millis(1)), None);
        wrong.note(one, start + WINDOW);
        assert_eq!(wrong.wait(one, start + WINDOW), None);
    }

    #[test]
    fn many_addresses_are_not_all_remembered() {
        let (mut wrong, start) = (Wrong::default(), Instant::now());
        let address = |n: usize| IpAddr::V4(Ipv4Addr::from(u32::try_from(n).unwrap()));
        for n in 0..ADDRESSES_MAX {
            assert_eq!(wrong.wait(address(n), start), None);
            wrong.note(address(n), start);
        }
        assert_eq!(wrong.wait(address(ADDRESSES_MAX), start), Some(WINDOW));
        assert_eq!(wrong.wait(address(ADDRESSES_MAX), start + WINDOW), None);
    }

    #[test]
    fn names_are_plain() {
        let said = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(NAME, value.parse().unwrap());
            said(&headers, NAME, NAME_BYTES_MAX).ok()
        };
        assert_eq!(said("Ann%20Bell%C3%A9").as_deref(), Some("Ann Bellé"));
        assert_eq!(said("a%0Ab"), None);
        assert_eq!(said("%ff"), None);
        assert_eq!(super::said(&HeaderMap::new(), NAME, 9).unwrap(), "-");
    }
}
