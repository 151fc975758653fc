//! The HTTP listener without its servers: health, clear errors, and no way to hold it up.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Core, PATIENCE, SECRET};

/// Sends bytes and reads until the core closes: status and body.
async fn raw(core: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(core).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("never closed").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

pub(crate) async fn request(core: SocketAddr, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: core\r\nConnection: close\r\nContent-Length: {length}");
    let (status, body) = raw(core, &format!("{head}\r\nAuthorization: Bearer {token}\r\n\r\n{body}")).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

#[tokio::test]
async fn it_lives_but_is_not_ready_without_its_servers_and_says_why() {
    let core = Core::alone().await;
    assert_eq!(request(core.http, "GET", "/live", "", "").await.0, 200);
    let (status, body) = request(core.http, "GET", "/ready", "", "").await;
    assert_eq!((status, &body["ready"]), (503, &Value::Bool(false)));
    assert!(body["redis"] != "ok" && body["postgres"] != "ok", "{body}");
    let (status, body) = request(core.http, "GET", "/metrics", "", "").await;
    assert!(status == 200 && body.as_str().unwrap().contains("# HELP seatwire_core_ready "), "{body}");
    core.stop();
}

#[tokio::test]
async fn only_the_admin_token_opens_the_admin_routes() {
    let core = Core::alone().await;
    for token in ["", "wrong", "0123456789abcdeX", "0123456789abcdef0"] {
        let (status, body) = request(core.http, "GET", "/admin/shows/1", token, "").await;
        assert_eq!((status, body["code"].as_str()), (401, Some("UNAUTHENTICATED")), "{token:?}");
    }
    let (status, body) = request(core.http, "GET", "/admin/shows/0", SECRET, "").await;
    assert_eq!((status, body["field"].as_str()), (400, Some("show")));
    let (status, body) = request(core.http, "GET", "/admin/shows/1", SECRET, "").await;
    assert_eq!((status, body["code"].as_str()), (503, Some("UNAVAILABLE")));
    core.stop();
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told() {
    let core = Core::alone().await;
    assert_eq!(request(core.http, "GET", "/nothing", "", "").await.0, 404);
    assert_eq!(request(core.http, "DELETE", "/live", "", "").await.0, 405);
    let many = "X: y\r\n".repeat(1_000);
    assert_eq!(raw(core.http, &format!("GET /live HTTP/1.1\r\nHost: c\r\n{many}\r\n")).await.0, 431);
    let long = "x".repeat(100_000);
    assert!([431, 400, 414].contains(&raw(core.http, &format!("GET /{long} HTTP/1.1\r\nHost: c\r\n\r\n")).await.0));
    assert_eq!(raw(core.http, "nonsense\r\n\r\n").await.0, 400);
    core.stop();
}

#[tokio::test]
async fn a_request_that_never_ends_is_closed_and_others_are_served_meanwhile() {
    let core = Core::alone().await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(core.http).await.unwrap();
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: c\r\nX-Slow: ").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(request(core.http, "GET", "/live", "", "").await.0, 200);
    for mut stream in slow {
        let mut rest = Vec::new();
        // Closed, with an answer or without.
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open after its deadline");
    }
    core.stop();
}
