//! The page: files embedded in the binary, each with an ETag, under a policy that lets nothing in from elsewhere.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::{Reply, respond};

const INDEX: &str = "index.html";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One row of the table.
macro_rules! page_file {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_bytes!(concat!("../../assets/", $name)))
    };
}

/// One script of the client module, which the page shares with others.
macro_rules! client_file {
    ($name:literal) => {
        (concat!("seatwire/", $name), SCRIPT, include_bytes!(concat!("../../../protocol/clients/javascript/", $name)))
    };
}

/// Every file of the page: name below `/assets/`, type, content.
const FILES: &[(&str, &str, &[u8])] = &[
    page_file!("alternative.js", SCRIPT),
    page_file!("api.js", SCRIPT),
    page_file!("app.css", CSS),
    page_file!("app.js", SCRIPT),
    page_file!("booking_text.js", SCRIPT),
    page_file!("booking_view.js", SCRIPT),
    page_file!("bookings_view.js", SCRIPT),
    page_file!("checkout.js", SCRIPT),
    page_file!("connection_badge.js", SCRIPT),
    page_file!("countdown.js", SCRIPT),
    page_file!("dom.js", SCRIPT),
    page_file!("format.js", SCRIPT),
    page_file!("hold_card.js", SCRIPT),
    page_file!("house_picture.js", SCRIPT),
    page_file!("icon.svg", SVG),
    page_file!("index.html", HTML),
    page_file!("layout.js", SCRIPT),
    page_file!("map_tools.js", SCRIPT),
    page_file!("minimap.js", SCRIPT),
    page_file!("notice.js", SCRIPT),
    page_file!("payment_phase.js", SCRIPT),
    page_file!("pending_card.js", SCRIPT),
    page_file!("refusal.js", SCRIPT),
    page_file!("seat_art.js", SCRIPT),
    page_file!("seat_choice.js", SCRIPT),
    page_file!("seat_grid.js", SCRIPT),
    page_file!("seat_list.js", SCRIPT),
    page_file!("seat_map.css", CSS),
    page_file!("seat_map_canvas.js", SCRIPT),
    page_file!("seat_map_svg.js", SCRIPT),
    page_file!("seat_map_words.js", SCRIPT),
    page_file!("seat_painter.js", SCRIPT),
    page_file!("seat_tiles.js", SCRIPT),
    page_file!("show_panel.js", SCRIPT),
    page_file!("show_view.js", SCRIPT),
    page_file!("shows_view.js", SCRIPT),
    page_file!("ticket_code.js", SCRIPT),
    page_file!("token.js", SCRIPT),
    page_file!("viewport.js", SCRIPT),
    client_file!("backoff.js"),
    client_file!("client.js"),
    client_file!("commands.js"),
    client_file!("connection.js"),
    client_file!("own_things.js"),
    client_file!("seat_map.js"),
    client_file!("viewer.js"),
];

/// Scripts, styles, images and connections only from where the page itself comes from; no frames, no plug-ins.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

struct File {
    kind: &'static str,
    content: &'static [u8],
    etag: String,
}

static TABLE: LazyLock<HashMap<&'static str, File>> = LazyLock::new(|| {
    let file = |content: &'static [u8], kind| {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        File { kind, content, etag: format!("\"{:016x}\"", hasher.finish()) }
    };
    FILES.iter().map(|(name, kind, content)| (*name, file(content, kind))).collect()
});

/// `GET /`.
pub async fn index(headers: HeaderMap) -> Reply {
    serve(INDEX, &headers)
}

/// `GET /assets/{*file}`.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Reply {
    serve(&name, &headers)
}

fn serve(name: &str, headers: &HeaderMap) -> Reply {
    let Some(file) = TABLE.get(name) else {
        return respond::refuse_as(StatusCode::NOT_FOUND, "there is no such file");
    };
    let unchanged = headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == file.etag.as_bytes());
    let mut reply = Response::new(if unchanged { Body::empty() } else { Body::from(file.content) });
    if unchanged {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = reply.headers_mut();
    out.insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
    // Kept, but asked for again each time: a new version of the gateway has a new page.
    out.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(etag) = HeaderValue::from_str(&file.etag) {
        out.insert(ETAG, etag);
    }
    reply
}

#[cfg(test)]
mod tests {
    /// Name, beginning and pause between questions, milliseconds.
    type Phase = (String, u64, u64);

    #[test]
    fn what_the_page_loads_beforehand_is_there() {
        let preloaded = include_str!("../../assets/index.html").lines().filter(|line| line.contains("modulepreload"));
        let names = preloaded.map(|line| line.split("/assets/").nth(1).unwrap().trim_end_matches("\">"));
        let unknown: Vec<&str> = names.filter(|name| !super::TABLE.contains_key(name)).collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }

    #[test]
    fn the_page_waits_for_a_payment_in_the_phases_of_the_protocol() {
        let reference = include_str!("../../../protocol/PROTOCOL.md");
        let (_, section) = reference.split_once("**Waiting for a payment.**").unwrap();
        let rows =
            section.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with("| `"));
        let ms = |cell: &str| cell.strip_suffix(" s").unwrap().parse::<u64>().unwrap() * 1_000;
        let documented: Vec<Phase> = rows
            .map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                (cells[1].trim_matches('`').to_owned(), ms(cells[2]), ms(cells[3]))
            })
            .collect();

        let script = include_str!("../../assets/payment_phase.js");
        let (phases, _) = script.split_once("];").unwrap();
        let number = |text: &str, name: &str| {
            let (_, rest) = text.split_once(name).unwrap();
            rest.split(',').next().unwrap().trim().parse::<u64>().unwrap()
        };
        let in_the_page: Vec<Phase> = phases
            .split("name: \"")
            .skip(1)
            .map(|one| (one.split('"').next().unwrap().to_owned(), number(one, "fromMs:"), number(one, "everyMs:")))
            .collect();
        assert_eq!(documented.len(), 3);
        assert_eq!(in_the_page, documented);
    }
}
