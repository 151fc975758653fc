//! The operator's page: files embedded in the binary, which hold no secret. It asks for the admin token, keeps it in the
//! tab, and sends it with each call to `/admin`. Served by the core's own listener only; no gateway leads here.

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use seatwire_protocol::{ErrorBody, ErrorCode};

use super::respond::Failure;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

macro_rules! page_file {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_bytes!(concat!("../../assets/operator/", $name)))
    };
}

/// Every file: name below `/operator/`, type, content.
const FILES: &[(&str, &str, &[u8])] = &[
    page_file!("api.js", SCRIPT),
    page_file!("app.js", SCRIPT),
    page_file!("backlog.js", SCRIPT),
    page_file!("chart.js", SCRIPT),
    page_file!("confirm.js", SCRIPT),
    page_file!("dom.js", SCRIPT),
    page_file!("index.html", HTML),
    page_file!("operator.css", CSS),
    page_file!("overview.js", SCRIPT),
    page_file!("seats.js", SCRIPT),
    page_file!("show.js", SCRIPT),
    page_file!("show_bookings.js", SCRIPT),
];

/// Scripts, styles and connections only from here; no frames, no forms that send anything anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router {
    Router::new()
        .route("/operator", get(async || serve("index.html")))
        .route("/operator/{file}", get(async |Path(name): Path<String>| serve(&name)))
}

fn serve(name: &str) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(file, ..)| *file == name) else {
        let error = ErrorBody::new(ErrorCode::BadRequest, "there is no such file");
        return Failure::new(StatusCode::NOT_FOUND, error).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, *content).into_response()
}
