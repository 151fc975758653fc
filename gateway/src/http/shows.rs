//! What there is to see: shows, layouts, seats; and tokens for guests.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query as UrlQuery, Request, State};
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use metrics::counter;
use seatwire_protocol::command::{Availability, GetLayout, ListAvailability, ListShows, ShowsReply};
use seatwire_protocol::{ErrorBody, ErrorCode, ShowId};
use serde::Deserialize;
use serde_json::json;

use super::{PeerAddress, Reply, respond};
use crate::app::App;
use crate::{commands, metrics as names};

/// The list of shows may be this old; times until an opening are told as of now.
const SHOWS_KEPT: Duration = Duration::from_secs(2);
/// How full shows are may be this old at least, and twice as old at most: lists differ, so that they are not all asked
/// for at once.
const AVAILABILITY_KEPT: Duration = Duration::from_secs(15);
/// A show is filling fast when less than this share of its seats is left.
const FILLING_FAST_PART: u32 = 4;
/// Without a version in the question, a layout is looked for again after this long.
const LAYOUT_KEPT: Duration = Duration::from_secs(10);
/// How long a question for seats waits for the room to have them.
const SEATS_MAX: Duration = Duration::from_secs(5);
/// Longest filter text.
const FILTER_BYTES_MAX: usize = 200;

/// Filters of `GET /api/shows`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct Query {
    show: Option<String>,
    city: Option<String>,
    date: Option<String>,
    movie: Option<String>,
}

/// A list as the core told it.
pub type Listed = Arc<ShowsReply>;

/// How full the shows of a list are, encoded.
pub type Fullness = Bytes;

/// A layout, encoded.
#[derive(Clone)]
pub struct Drawn {
    version: u64,
    bytes: Bytes,
}

/// `POST /api/guest`: a token for somebody new.
pub async fn guest(State(app): State<Arc<App>>, request: Request) -> Reply {
    let peer = request.extensions().get::<PeerAddress>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    if !app.admission.may_mint(app.admission.client_address(peer, request.headers())) {
        counter!(names::RATE_LIMITED).increment(1);
        let error = ErrorBody::new(ErrorCode::RateLimited, "too many guest tokens for this address");
        return respond::refuse(&error.retry_after_ms(rand::random_range(1_000..5_000)));
    }
    counter!(names::GUESTS).increment(1);
    match app.tokens.mint_guest() {
        Ok(guest) => respond::json(&json!({
            "token": guest.token,
            "customer": guest.customer,
            "expires_in_ms": u64::try_from(guest.life.as_millis()).unwrap_or(u64::MAX),
        })),
        Err(_) => respond::refuse(&ErrorBody::new(ErrorCode::Internal, "no token could be made")),
    }
}

/// `GET /api/shows`.
pub async fn list(
    State(app): State<Arc<App>>,
    query: Result<UrlQuery<Query>, axum::extract::rejection::QueryRejection>,
) -> Reply {
    let UrlQuery(query) = match query {
        Ok(query) => query,
        Err(error) => return respond::refuse(&ErrorBody::bad_request("query", error.body_text())),
    };
    respond::outcome(list_now(&app, query).await)
}

async fn list_now(app: &App, query: Query) -> Result<ShowsReply, ErrorBody> {
    let command = filters(&query)?;
    let fetch = async { commands::call(app, &command).await.map(Arc::new) };
    let (listed, age) = app.caches.shows.get(query, SHOWS_KEPT, |_| false, fetch).await?;
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let mut reply = ShowsReply::clone(&listed);
    for show in &mut reply.shows {
        show.opens_in_ms = show.opens_in_ms.saturating_sub(age_ms);
    }
    Ok(reply)
}

fn filters(query: &Query) -> Result<ListShows, ErrorBody> {
    let show = query.show.as_deref().map(|text| respond::part::<ShowId>("show", text)).transpose()?;
    for (name, text) in [("city", &query.city), ("date", &query.date), ("movie", &query.movie)] {
        let text = text.as_deref().unwrap_or_default();
        if text.len() > FILTER_BYTES_MAX || text.contains('\0') {
            return Err(ErrorBody::bad_request(name, "too long, or not text"));
        }
    }
    if let Some(date) = &query.date {
        let digits = |range| date.get(range).is_some_and(|part: &str| part.bytes().all(|b| b.is_ascii_digit()));
        let shaped = date.len() == 10 && digits(0..4) && digits(5..7) && digits(8..10);
        if !shaped || date.get(4..5) != Some("-") || date.get(7..8) != Some("-") {
            return Err(ErrorBody::bad_request("date", "expected YYYY-MM-DD"));
        }
    }
    let Query { city, date, movie, .. } = query.clone();
    Ok(ListShows { show, city, date, movie })
}

/// `GET /api/availability`: which shows of a list are filling fast.
pub async fn availability(
    State(app): State<Arc<App>>,
    query: Result<UrlQuery<Query>, axum::extract::rejection::QueryRejection>,
) -> Reply {
    let UrlQuery(query) = match query {
        Ok(query) => query,
        Err(error) => return respond::refuse(&ErrorBody::bad_request("query", error.body_text())),
    };
    match availability_now(&app, query).await {
        Ok(bytes) => {
            let mut reply = respond::json_bytes(bytes);
            reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=15"));
            reply
        }
        Err(error) => respond::refuse(&error),
    }
}

async fn availability_now(app: &App, query: Query) -> Result<Fullness, ErrorBody> {
    let command = ListAvailability(filters(&query)?);
    let fetch = async {
        let reply = commands::call(app, &command).await?;
        let shows: Vec<_> = reply.shows.iter().map(fullness).collect();
        Ok::<_, ErrorBody>(serde_json::to_vec(&json!({"shows": shows})).unwrap_or_default().into())
    };
    let spread = BuildHasherDefault::<DefaultHasher>::default().hash_one(&query) % 1_000;
    let keep = AVAILABILITY_KEPT + AVAILABILITY_KEPT.mul_f64(f64::from(u32::try_from(spread).unwrap_or(0)) / 1_000.0);
    Ok(app.caches.availability.get(query, keep, |_| false, fetch).await?.0)
}

fn fullness(show: &Availability) -> serde_json::Value {
    let filling = match show.available {
        0 => "sold_out",
        left if left < show.seats / FILLING_FAST_PART => "fast",
        _ => "slow",
    };
    json!({"show": show.show, "seats": show.seats, "available": show.available, "filling": filling})
}

/// Version that the asker already knows of.
#[derive(Deserialize)]
pub struct LayoutQuery {
    v: Option<String>,
}

/// `GET /api/shows/{show}/layout`: immutable for a version.
pub async fn layout(
    State(app): State<Arc<App>>,
    Path(show): Path<String>,
    UrlQuery(query): UrlQuery<LayoutQuery>,
    headers: HeaderMap,
) -> Reply {
    match layout_now(&app, &show, query.v.as_deref()).await {
        Ok((drawn, asked)) => layout_reply(drawn, asked, &headers),
        Err(error) => respond::refuse(&error),
    }
}

async fn layout_now(app: &App, show: &str, version: Option<&str>) -> Result<(Drawn, bool), ErrorBody> {
    let show = respond::part::<ShowId>("show", show)?;
    let version = version.map(|text| respond::part::<u64>("v", text)).transpose()?;
    let fetch = async {
        let layout = commands::call(app, &GetLayout { show }).await?;
        let bytes = serde_json::to_vec(&layout).unwrap_or_default().into();
        Ok::<_, ErrorBody>(Drawn { version: layout.version, bytes })
    };
    let fits = |drawn: &Drawn| version == Some(drawn.version);
    let (drawn, _) = app.caches.layouts.get(show, LAYOUT_KEPT, fits, fetch).await?;
    let asked = version == Some(drawn.version);
    Ok((drawn, asked))
}

fn layout_reply(drawn: Drawn, asked: bool, headers: &HeaderMap) -> Reply {
    let etag = format!("\"layout-{}-{}\"", drawn.version, drawn.bytes.len());
    let unchanged = headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes());
    let mut reply = respond::json_bytes(if unchanged { Bytes::new() } else { drawn.bytes });
    if unchanged {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let keep = if asked { "public, max-age=31536000, immutable" } else { "public, max-age=10" };
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        reply.headers_mut().insert(ETAG, etag);
    }
    reply
}

/// `GET /api/shows/{show}/seats`: the live map, from the room that watches the show.
pub async fn seats(State(app): State<Arc<App>>, Path(show): Path<String>) -> Reply {
    match seats_now(&app, &show).await {
        Ok(text) => respond::json_bytes(text.into()),
        Err(error) => respond::refuse(&error),
    }
}

async fn seats_now(app: &App, show: &str) -> Result<String, ErrorBody> {
    let show = respond::part::<ShowId>("show", show)?;
    let room = app.open_room(show)?;
    room.viewers.touch(crate::clock::now_ms());
    let live = async {
        loop {
            let settled = room.settled.notified();
            tokio::pin!(settled);
            // Before the look: what is told after it wakes this.
            settled.as_mut().enable();
            if room.is_missing() {
                return None;
            }
            if let Some(text) = room.snapshot_json() {
                return Some(text);
            }
            // A room that was only doubtful is not told again: look now and then.
            let _ = tokio::time::timeout(Duration::from_millis(100), settled).await;
        }
    };
    let unavailable =
        || ErrorBody::new(ErrorCode::Unavailable, "the present state of the seats is not known").retry_after_ms(1_000);
    let text = tokio::time::timeout(SEATS_MAX, live).await.map_err(|_| unavailable())?;
    text.ok_or_else(|| {
        let error = ErrorBody::new(ErrorCode::NoSuchShow, format!("there is no show {show}"));
        ErrorBody { field: Some("show".to_owned()), ..error }
    })
}
