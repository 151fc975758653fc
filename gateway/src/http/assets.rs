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

/// Every file of the page: name below `/assets/`, type, content.
const FILES: &[(&str, &str, &[u8])] = &[];

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

/// `GET /assets/{file}`.
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
