//! Bad input at the gateway's doors gets a clear answer that names the fault, and hurts nobody else. The catalogue:
//!
//! | row | input | test |
//! |---|---|---|
//! | B1, B3 | headers too long, too many; bodies and lengths that do not fit | `every_bad_request_…`, `what_never_ends_…` |
//! | B2 | a byte now and then | `slow_and_silent_…`, `what_never_ends_…` |
//! | B4 | wrong path, method, size | `every_bad_request_…` (of the webhook: the core's tests) |
//! | B5, B6, B9 | origins, handshakes, extensions | `every_bad_handshake_…` |
//! | B7, B8, B10 | frames | `every_bad_frame_…`, `websocket::every_case_…` |
//! | B11 to B16 | messages that are none, or not whole, or too deep, or of another version | `every_bad_messagepack_…`, `a_bad_message_…` |
//! | B29 | floods | `a_flood_of_anything_…` |
//! | B30 | positions that never were | `stack::a_viewer_resumes_…` |
//! | B31 | the core's port without the secret | the core's `handshake` tests |

use std::path::{Path, PathBuf};

use seatwire_loadtest::client::Http;
use serde_json::{Value, json};

use crate::process::{Gateway, sign, token, token_of};
use crate::raw::{Frame, PATIENCE, Raw, handshake, masked};

#[tokio::test]
async fn every_bad_request_is_answered_with_its_status() {
    let gateway = Gateway::start(&[]);
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(64 << 10));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: x\r\n".repeat(1_000));
    let bearer = format!("Authorization: Bearer {}", token(60));
    let post = |headers: &str, body: &str| format!("POST /api/bookings HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}");
    let big = post(&format!("{bearer}\r\nContent-Length: 20000"), &"x".repeat(20_000));
    let table = [
        ("a header line of 64 KiB", 431, long),
        ("a thousand headers", 431, many),
        ("two lengths", 400, post("Content-Length: 3\r\nContent-Length: 4", "abcd")),
        (
            "a length and chunks",
            400,
            post(&format!("{bearer}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked"), "0\r\n\r\n"),
        ),
        ("no length that is a number", 400, post("Content-Length: abc", "")),
        (
            "a chunk of bad size",
            400,
            post(&format!("{bearer}\r\nTransfer-Encoding: chunked"), "zz\r\nabc\r\n0\r\n\r\n"),
        ),
        ("a body above the limit", 413, big),
        ("a body that does not come", 400, post(&format!("{bearer}\r\nContent-Length: 10"), "abc")),
        ("no request", 400, "\u{1}\u{2}\u{3}\r\n\r\n".to_owned()),
        ("an unknown path", 404, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("a path that climbs", 404, "GET /assets/..%2f..%2fCargo.toml HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("a wrong method", 405, "DELETE /api/shows HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("no token", 401, post("Content-Length: 2", "{}")),
    ];
    for (what, status, request) in table {
        let mut raw = Raw::connect(&gateway.address).await;
        let (answered, _) = raw.request(&request).await;
        assert_eq!(answered, status, "{what}");
    }
    let reply = Http::default().get(&gateway.url("/live"), &[]).await.unwrap();
    assert_eq!(reply.status, 200, "still alive");
    let reply = Http::default().get(&gateway.url("/ready"), &[]).await.unwrap();
    assert_eq!((reply.status, reply.json::<Value>().is_err()), (503, true), "nothing is behind it");
}

#[tokio::test]
async fn metrics_are_told_at_an_address_of_their_own_and_nothing_else_is() {
    let gateway = Gateway::start(&[]);
    let http = Http::default();
    let get = async |address: &str, path: &str| http.get(&format!("http://{address}{path}"), &[]).await.unwrap();
    assert_eq!(get(&gateway.address, "/metrics").await.status, 404);
    let told = get(&gateway.metrics, "/metrics").await;
    assert!(told.status == 200 && told.text().contains("seatwire_gateway_feed_up 0"), "{}", told.text());
    for (path, status) in [("/live", 200), ("/ready", 503)] {
        assert_eq!(get(&gateway.address, path).await.status, status, "{path}");
        assert_eq!(get(&gateway.metrics, path).await.status, status, "{path}");
    }
    for path in ["/", "/api/shows", "/ws"] {
        assert_eq!(get(&gateway.metrics, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn bad_parts_of_a_request_are_named() {
    let gateway = Gateway::start(&[]);
    let bearer = format!("Bearer {}", token(60));
    let http = Http::default();
    let hold = "0".repeat(32);
    let gets = [
        ("/api/shows/x/layout", "show"),
        ("/api/shows/0/seats", "show"),
        ("/api/shows/7/layout?v=x", "v"),
        ("/api/shows?date=2026-1-1", "date"),
        ("/api/shows?city=%00", "city"),
        ("/api/shows?show=-4", "show"),
        ("/api/bookings/xyz", "booking"),
        ("/api/bookings?before_ms=soon", "before_ms"),
    ];
    for (path, field) in gets {
        let reply = http.get(&gateway.url(path), &[("authorization", &bearer)]).await.unwrap();
        let error = reply.error().unwrap_or_else(|| panic!("{path}: {}", reply.text()));
        assert_eq!((reply.status, error.field.as_deref()), (400, Some(field)), "{path}: {error:?}");
    }
    let key = "k";
    let posts = [
        ("/api/shows/7/holds", json!({"key": key}), "seats"),
        ("/api/shows/7/holds", json!({"key": key, "seats": [1, 1]}), "seats"),
        ("/api/shows/7/holds", json!({"key": key, "seats": ["A1"]}), "seats"),
        ("/api/shows/7/holds", json!({"key": key, "best": {"count": 11}}), "best"),
        ("/api/shows/7/holds", json!({"key": "", "seats": [1]}), "key"),
        ("/api/shows/7/holds", json!({"seats": [1]}), "key"),
        ("/api/shows/7/holds", json!([1]), "body"),
        ("/api/bookings", json!({"show": 7, "hold": hold, "key": key, "email": "nobody"}), "email"),
        ("/api/bookings", json!({"show": 7, "hold": "xyz", "key": key, "email": "a@b.c"}), "hold"),
    ];
    for (path, body, field) in posts {
        let reply = http.post(&gateway.url(path), &[("authorization", &bearer)], &body).await.unwrap();
        let error = reply.error().unwrap_or_else(|| panic!("{path}: {}", reply.text()));
        assert_eq!((reply.status, error.field.as_deref()), (400, Some(field)), "{path} {body}: {error:?}");
    }
    let foreign = [("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    let reply = http.post(&gateway.url("/api/guest"), &foreign, &json!({})).await.unwrap();
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn every_bad_handshake_is_refused_before_the_upgrade() {
    let gateway = Gateway::start(&[("SEATWIRE_ORIGINS", "https://good.example")]);
    let good = format!("Bearer {}", token(60));
    let now = jsonwebtoken::get_current_timestamp();
    let claims = |iss: &str, aud: &str| sign(&json!({"iss": iss, "aud": aud, "sub": "anna", "exp": now + 60}));
    let (expired, other_audience, other_issuer) =
        (token(-60), claims("seatwire", "other"), claims("guest", "seatwire"));
    let bearer = |token: &str| format!("Bearer {token}");
    let (expired, other_audience, other_issuer) = (bearer(&expired), bearer(&other_audience), bearer(&other_issuer));
    let table: &[(u16, &[(&str, &str)])] = &[
        (101, &[("Authorization", &good)]),
        (101, &[("Authorization", &good), ("Origin", "https://good.example")]),
        (101, &[("Origin", "https://good.example")]),
        (403, &[]),
        (403, &[("Authorization", &good), ("Origin", "https://evil.example")]),
        (403, &[("Authorization", &good), ("Origin", "null")]),
        (403, &[("Authorization", &good), ("Origin", "https://good.example.evil.example")]),
        (403, &[("Authorization", &good), ("Origin", "https://GOOD.example")]),
        (401, &[("Authorization", &expired)]),
        (401, &[("Authorization", &other_audience)]),
        (401, &[("Authorization", &other_issuer)]),
        (401, &[("Authorization", "Bearer nonsense")]),
        (401, &[("Sec-WebSocket-Protocol", "seatwire.v1.json, seatwire.token.nonsense")]),
        (400, &[("Authorization", &good), ("Sec-WebSocket-Protocol", "chat")]),
        (400, &[("Authorization", &good), ("Sec-WebSocket-Key", "c2hvcnQ=")]),
        (400, &[("Authorization", &good), ("Sec-WebSocket-Key", "")]),
        (426, &[("Authorization", &good), ("Sec-WebSocket-Version", "8")]),
        (426, &[("Authorization", &good), ("Sec-WebSocket-Version", "")]),
        (426, &[("Authorization", &good), ("Upgrade", "")]),
    ];
    for (status, changes) in table {
        let mut raw = Raw::connect(&gateway.address).await;
        let (answered, head) = raw.request(&handshake(changes)).await;
        assert_eq!(answered, *status, "{changes:?}: {head}");
        assert_eq!(answered == 426, head.contains("sec-websocket-version: 13"), "{head}");
    }
    // Compression is not offered, so no message can blow up.
    let mut plain = Raw::connect(&gateway.address).await;
    let deflate = [("Authorization", good.as_str()), ("Sec-WebSocket-Extensions", "permessage-deflate")];
    let (status, head) = plain.request(&handshake(&deflate)).await;
    assert_eq!((status, head.contains("sec-websocket-extensions")), (101, false), "{head}");
    let mut old = Raw::connect(&gateway.address).await;
    let request = handshake(&[("Authorization", &good)]).replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(old.request(&request).await.0, 400);
}

#[tokio::test]
async fn every_bad_frame_closes_with_its_code() {
    let gateway = Gateway::start(&[]);
    let frame = |first: u8, payload: &[u8]| masked(first, payload);
    let unmasked = vec![0x81, 2, b'{', b'}'];
    let huge = [&[0x82, 0x80 | 127][..], &(1_u64 << 62).to_be_bytes(), &[0; 4]].concat();
    let fragments = [frame(0x01, b"{"), frame(0x00, b"").repeat(100_000)].concat();
    let garbage = frame(0x81, b"no json").repeat(3);
    let binary = frame(0x82, &[0x80]).repeat(3);
    let table: [(&str, u16, Vec<u8>); 13] = [
        ("an unmasked frame", 1002, unmasked),
        ("a reserved bit", 1002, frame(0xC1, b"{}")),
        ("a reserved opcode", 1002, frame(0x83, b"")),
        ("a fragmented ping", 1002, frame(0x09, b"")),
        ("a ping of 126 bytes", 1002, frame(0x89, &[0; 126])),
        ("a continuation of nothing", 1002, frame(0x80, b"")),
        ("text that is not UTF-8", 1007, frame(0x81, &[0xC3, 0x28])),
        ("a frame that claims 2^62 bytes", 1009, huge),
        ("a message above the limit", 1009, frame(0x81, &[b' '; 4_097])),
        ("a hundred thousand empty fragments", 1008, fragments),
        ("three times garbage", 1008, garbage),
        ("three times binary in JSON", 1003, binary),
        ("a flood of pings", 1008, frame(0x89, b"").repeat(300)),
    ];
    for (what, code, bytes) in table {
        let mut raw = Raw::open(&gateway.address, &token(60)).await;
        raw.send(&bytes).await;
        let (errors, closed, reason) = raw.close().await;
        assert_eq!(closed, code, "{what}: {reason} {errors:?}");
        if what.starts_with("three") {
            assert!(errors.len() == 3 && errors.iter().all(|e| e["error"]["code"] == "BAD_REQUEST"), "{errors:?}");
        }
        if what.contains("flood") {
            assert!(errors.iter().any(|e| e["error"]["code"] == "RATE_LIMITED"), "{errors:?}");
        }
        raw.end().await;
    }
}

#[tokio::test]
async fn a_bad_message_gets_an_error_and_keeps_the_socket() {
    let gateway = Gateway::start(&[]);
    let mut raw = Raw::open(&gateway.address, &token(60)).await;
    let table = [
        (r#"{"t":"dance","id":5}"#, "t", 5),
        (r#"{"t":"hold","id":6,"show":7,"key":"k","seats":[1,"x"]}"#, "seats", 6),
        (r#"{"t":"hold","id":7,"show":7,"key":"k","seats":[3,3]}"#, "seats", 7),
        (r#"{"t":"extend","id":8,"show":0,"hold":"00000000000000000000000000000000","key":"k"}"#, "show", 8),
        (r#"{"t":"book","id":9,"show":7,"hold":"00000000000000000000000000000000","key":"k","email":"x"}"#, "email", 9),
        (r#"{"t":"hold","id":10,"id":10,"show":7,"key":"k","seats":[1]}"#, "message", 10),
    ];
    for (text, field, id) in table {
        raw.send_text(text).await;
        let Frame::Text(answer) = raw.frame().await else { panic!("no answer to {text}") };
        assert_eq!((&answer["t"], &answer["error"]["code"]), (&json!("error"), &json!("BAD_REQUEST")), "{answer}");
        assert_eq!((&answer["error"]["field"], &answer["id"]), (&json!(field), &json!(id)), "{answer}");
    }
    raw.send(&masked(0x89, b"")).await;
    assert_eq!(raw.frame().await, Frame::Pong);
}

#[tokio::test]
async fn every_bad_messagepack_message_is_refused_and_three_that_are_none_close() {
    let gateway = Gateway::start(&[]);
    let hold = json!({"t": "hold", "id": 5, "show": 7, "key": "k", "seats": [1]});
    let encoded = |value: &Value| seatwire_protocol::codec::encode(value);
    let with = |field: &str, value: Value| {
        let mut message = hold.clone();
        message[field] = value;
        encoded(&message)
    };
    let good = encoded(&hold);
    let deep =
        [&[0x82][..], &encoded(&json!("t")), &encoded(&json!("hide")), &encoded(&json!("x")), &[0x91; 3_000]].concat();
    // Not even a map: the third one closes.
    let none: [(&str, Vec<u8>); 7] = [
        ("nothing", vec![]),
        ("a reserved byte", vec![0xC1]),
        ("half a message", good[..good.len() / 2].to_vec()),
        ("a message and more", [&good[..], &[0xC0]].concat()),
        ("an array of four billion", vec![0xDD, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("a map of four billion", vec![0xDF, 0xFF, 0xFF, 0xFF, 0xFF, 0xA1, b't']),
        ("three thousand arrays deep", deep),
    ];
    for (what, bytes) in none {
        let mut raw = Raw::open_binary(&gateway.address, &token(60)).await;
        for _ in 0..3 {
            raw.send(&masked(0x82, &bytes)).await;
        }
        let (code, errors) = raw.binary_close().await;
        assert_eq!((code, errors.len()), (1008, 3), "{what}: {errors:?}");
        assert!(errors.iter().all(|error| error["error"]["code"] == "BAD_REQUEST"), "{what}: {errors:?}");
        raw.finish().await;
    }
    // A message with a bad field: the field is named, and the socket stays.
    let fields: [(&str, Vec<u8>); 7] = [
        ("show", with("show", json!(-1))),
        ("show", with("show", json!(u64::MAX))),
        ("show", with("show", json!(1.5))),
        ("seats", with("seats", json!([1, -1]))),
        ("seats", with("seats", json!("A1"))),
        ("key", with("key", json!("k".repeat(256)))),
        ("t", with("t", json!("reply"))),
    ];
    let mut raw = Raw::open_binary(&gateway.address, &token(60)).await;
    for (field, bytes) in fields {
        raw.send(&masked(0x82, &bytes)).await;
        let error = raw.binary().await;
        assert_eq!((&error["error"]["field"], &error["id"]), (&json!(field), &json!(5)), "{error}");
    }
    raw.finish().await;
}

#[tokio::test]
async fn a_flood_of_anything_is_slowed_down_and_then_closed() {
    let gateway = Gateway::start(&[("SEATWIRE_COMMAND_MS", "100")]);
    type Flood<'a> = &'a dyn Fn(u64) -> Vec<u8>;
    let hold = |n: u64| json!({"t": "hold", "id": n, "show": 7, "key": format!("k{n}"), "seats": [1]});
    let floods: [(&str, Flood<'_>); 3] = [
        ("holds", &|n| masked(0x81, hold(n).to_string().as_bytes())),
        ("shows", &|n| masked(0x81, json!({"t": "watch", "show": n + 1}).to_string().as_bytes())),
        ("pings", &|_| masked(0x89, b"")),
    ];
    for (what, message) in floods {
        let mut raw = Raw::open(&gateway.address, &token(60)).await;
        let all: Vec<u8> = (0..10_000).flat_map(message).collect();
        // More than sockets keep: holds that wait for a core keep the gateway from reading on.
        raw.send_aside(all);
        let (errors, code, _) = raw.close().await;
        let of = |code: &str| errors.iter().filter(|error| error["error"]["code"] == code).count();
        assert_eq!(code, 1008, "{what}");
        assert!(of("RATE_LIMITED") > 0, "{what}: {errors:?}");
        assert!(what != "shows" || of("LIMIT") > 0, "{errors:?}");
        assert!(errors.len() < 300, "{what}: {} answers", errors.len());
    }
    let reply = Http::default().get(&gateway.url("/live"), &[]).await.unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn guests_and_joins_have_their_rates() {
    let settings = [
        ("SEATWIRE_GUESTS_PER_MINUTE_MAX", "3"),
        ("SEATWIRE_JOINS_PER_SECOND_MAX", "1"),
        ("SEATWIRE_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let gateway = Gateway::start(&settings);
    let http = Http::default();
    let ask = async |client: &str| {
        http.post(&gateway.url("/api/guest"), &[("x-forwarded-for", client)], &json!({})).await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(ask("10.1.1.1").await.status, 200);
    }
    let refused = ask("10.1.1.1").await;
    assert!(refused.status == 429 && refused.headers.contains_key("retry-after"), "{}", refused.text());
    assert_eq!(ask("6.6.6.6, 10.1.1.2").await.status, 200, "another address has its own");
    let bearer = format!("Bearer {}", token(60));
    let mut open = Vec::new();
    let refused = loop {
        let mut raw = Raw::connect(&gateway.address).await;
        let (status, head) = raw.request(&handshake(&[("Authorization", &bearer)])).await;
        open.push(raw);
        if status != 101 {
            break (status, head);
        }
        assert!(open.len() < 100, "as many as like");
    };
    assert!(refused.0 == 503 && refused.1.contains("retry-after: "), "{}", refused.1);
}

#[tokio::test]
async fn what_never_ends_is_ended() {
    let gateway = Gateway::start(&[]);
    let mut head = Raw::connect(&gateway.address).await;
    head.send(b"GET / HTTP/1.1\r\nHost: x\r\n").await;
    let mut body = Raw::connect(&gateway.address).await;
    let bearer = format!("Authorization: Bearer {}", token(60));
    body.send(format!("POST /api/bookings HTTP/1.1\r\nHost: x\r\n{bearer}\r\nContent-Length: 10\r\n\r\n{{").as_bytes())
        .await;
    let mut silent = Raw::connect(&gateway.address).await;
    // Each ends by itself, long before the test's patience.
    tokio::join!(head.drip(b"X: y\r\n"), silent.end(), async {
        let (status, _) = body.request("").await;
        assert_eq!(status, 400);
    });
}

#[tokio::test]
async fn tokens_are_needed_in_time_and_end_in_time() {
    let gateway = Gateway::start(&[("SEATWIRE_AUTH_MS", "3000"), ("SEATWIRE_BEAT_MS", "400")]);
    let origin = gateway.url("");
    // Nobody says who they are.
    let mut silent = Raw::connect(&gateway.address).await;
    assert_eq!(silent.request(&handshake(&[("Origin", &origin)])).await.0, 101);
    silent.send_text(r#"{"t":"watch","show":7}"#).await;
    let (errors, code, _) = silent.close().await;
    assert_eq!((code, &errors[0]["error"]["code"]), (4401, &json!("UNAUTHENTICATED")));
    // A wrong first token.
    let mut wrong = Raw::connect(&gateway.address).await;
    assert_eq!(wrong.request(&handshake(&[("Origin", &origin)])).await.0, 101);
    wrong.send_text(r#"{"t":"auth","token":"nonsense"}"#).await;
    assert_eq!(wrong.close().await.1, 4401);
    // A token that ends while the socket is open; a fresh one keeps another socket.
    let mut renewed = Raw::open(&gateway.address, &token(4)).await;
    renewed.send_text(&json!({"t": "auth", "token": token(60)}).to_string()).await;
    let welcome = loop {
        match renewed.frame().await {
            Frame::Text(text) if text["t"] == "alive" => {}
            Frame::Text(text) => break text,
            other => panic!("no second welcome: {other:?}"),
        }
    };
    assert!(welcome["token_expires_in_ms"].as_u64().unwrap() > 50_000, "{welcome}");
    let mut ending = Raw::open(&gateway.address, &token(5)).await;
    assert_eq!(ending.close().await.1, 4401);
    // It watches nothing, and hears from the gateway all the same.
    while !matches!(renewed.frame().await, Frame::Text(text) if text["t"] == "alive") {}
}

#[tokio::test]
async fn a_customer_and_an_address_have_so_many_sockets_and_the_next_is_told_when_to_come_back() {
    let caps = [("SEATWIRE_CONNECTIONS_PER_CUSTOMER_MAX", "2"), ("SEATWIRE_CONNECTIONS_PER_ADDRESS_MAX", "4")];
    let gateway = Gateway::start(&caps);
    let bearer = format!("Bearer {}", token(60));
    let refused = async |text: &str| {
        let mut raw = Raw::connect(&gateway.address).await;
        let (status, head) = raw.request(&handshake(&[("Authorization", &bearer)])).await;
        let body = raw.rest().await;
        assert_eq!((status, head.contains("retry-after: "), body.contains(text)), (503, true, true), "{head}{body}");
    };
    let (mut first, mut second) =
        (Raw::open(&gateway.address, &token(60)).await, Raw::open(&gateway.address, &token(60)).await);
    refused("of this customer").await;
    // Its token comes in the first message: then it is a close code.
    let mut late = Raw::connect(&gateway.address).await;
    assert_eq!(late.request(&handshake(&[("Origin", &gateway.url(""))])).await.0, 101);
    late.send_text(&json!({"t": "auth", "token": token(60)}).to_string()).await;
    let (_, code, reason) = late.close().await;
    assert_eq!((code, reason.as_str()), (4429, "too many connections of this customer"));
    late.finish().await;
    // A fresh token on a socket that has its place, and somebody else: both fine.
    first.send_text(&json!({"t": "auth", "token": token(90)}).to_string()).await;
    assert!(matches!(first.frame().await, Frame::Text(text) if text["t"] == "welcome"));
    // Who leaves makes room, once the gateway has heard of it.
    let open = async |bearer: &str| {
        let opened = tokio::time::timeout(PATIENCE, async {
            loop {
                let mut raw = Raw::connect(&gateway.address).await;
                if raw.request(&handshake(&[("Authorization", bearer)])).await.0 == 101 {
                    return raw;
                }
            }
        });
        opened.await.expect("room for one more")
    };
    let ben = format!("Bearer {}", token_of("ben", 60));
    let _others = [open(&ben).await, open(&ben).await];
    refused("of this address").await;
    second.finish().await;
    open(&bearer).await;
}

#[tokio::test]
async fn slow_and_silent_clients_do_not_keep_others_out() {
    let gateway = Gateway::start(&[]);
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut raw = Raw::connect(&gateway.address).await;
        raw.send(b"GET / HT").await;
        slow.push(raw);
    }
    let reply = Http::default().get(&gateway.url("/live"), &[]).await.unwrap();
    assert_eq!(reply.status, 200);
    for raw in &mut slow {
        raw.end().await;
    }
}

#[tokio::test]
async fn a_drain_closes_every_socket_with_a_time_to_come_back() {
    let gateway = Gateway::start(&[("SEATWIRE_DRAIN_MS", "5000")]);
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(Raw::open(&gateway.address, &token(60)).await);
    }
    let exit = tokio::spawn(gateway.terminate());
    for raw in &mut sockets {
        let (_, code, reason) = raw.close().await;
        assert_eq!(code, 1012);
        assert!(reason.parse::<u64>().is_ok(), "{reason:?}");
    }
    assert_eq!(exit.await.unwrap(), Some(0));
}

#[tokio::test]
async fn the_page_is_served_whole_under_a_strict_policy() {
    let gateway = Gateway::start(&[]);
    let http = Http::default();
    let page = http.get(&gateway.url("/"), &[]).await.unwrap();
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let files_of = |folder: &str, endings: &[&str]| {
        let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let wanted = |path: &PathBuf| path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending));
        paths.filter(wanted).collect::<Vec<_>>()
    };
    let page_files = files_of("assets", &["js", "css", "svg", "html"]);
    let client_files = files_of("../protocol/clients/javascript", &["js"]);
    assert!(client_files.len() > 3, "{client_files:?}");
    let mut files = 0;
    let addressed = page_files.iter().map(|file| ("", file)).chain(client_files.iter().map(|file| ("seatwire/", file)));
    for (below, file) in addressed {
        let url = gateway.url(&format!("/assets/{below}{}", file.file_name().unwrap().to_str().unwrap()));
        let reply = http.get(&url, &[]).await.unwrap();
        assert_eq!(reply.status, 200, "{url} is not embedded");
        assert_eq!(reply.body, std::fs::read(file).unwrap(), "{url}");
        let tag = reply.headers["etag"].to_str().unwrap().to_owned();
        let again = http.get(&url, &[("if-none-match", &tag)]).await.unwrap();
        assert_eq!((again.status, again.body.len()), (304, 0), "{url}");
        files += 1;
    }
    assert!(files > 3 && page.text().contains("<script"), "{files} files");
}
