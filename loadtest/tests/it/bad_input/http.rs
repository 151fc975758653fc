//! Plain HTTP at the gateway and at the core's own listener.

use hyper::Method;
use seatwire_loadtest::client::{Http, new_key};
use seatwire_protocol::ErrorCode;
use serde_json::json;

use super::Findings;
use super::raw;
use crate::shop::Shop;

pub(super) async fn every_bad_request(shop: &Shop) -> Findings {
    let (mut asked, mut wrong) = at_the_gateway(shop).await;
    for (more, failures) in [below_http(shop).await, at_the_core(shop).await] {
        asked += more;
        wrong.extend(failures);
    }
    (asked, wrong)
}

async fn at_the_gateway(shop: &Shop) -> Findings {
    use ErrorCode::{BadRequest, Forbidden, NoSuchSeat, NoSuchShow, NotOwner, TooLarge, Unauthenticated};
    let bearer = shop.customer().await.guest.bearer();
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    let show = shop.show;
    let holds = format!("/api/shows/{show}/holds");
    let (nobody, foreign) = ("f".repeat(32), "0".repeat(32));
    let hold = |seats: serde_json::Value| json!({"key": new_key(), "seats": seats}).to_string();
    let book =
        |hold: &str, email: &str| json!({"show": show, "hold": hold, "key": new_key(), "email": email}).to_string();
    let json_type = "application/json";
    // What, method, path, content type, body, status, code, field.
    let table = [
        ("no such path", &get, "/nothing".to_owned(), "", String::new(), 404, None, None),
        ("wrong method", &put, "/api/guest".to_owned(), "", String::new(), 405, None, None),
        (
            "a show that is no number",
            &get,
            "/api/shows/seven/layout".to_owned(),
            "",
            String::new(),
            400,
            Some(BadRequest),
            Some("show"),
        ),
        ("show 0", &get, "/api/shows/0/seats".to_owned(), "", String::new(), 400, Some(BadRequest), Some("show")),
        (
            "a layout of no show",
            &get,
            "/api/shows/999999999/layout".to_owned(),
            "",
            String::new(),
            404,
            Some(NoSuchShow),
            None,
        ),
        (
            "seats of no show",
            &get,
            "/api/shows/999999999/seats".to_owned(),
            "",
            String::new(),
            404,
            Some(NoSuchShow),
            None,
        ),
        (
            "a date that is none",
            &get,
            "/api/shows?date=tomorrow".to_owned(),
            "",
            String::new(),
            400,
            Some(BadRequest),
            Some("date"),
        ),
        ("not json", &post, holds.clone(), json_type, "{".to_owned(), 400, Some(BadRequest), None),
        ("no body", &post, holds.clone(), json_type, String::new(), 400, Some(BadRequest), None),
        (
            "a form for json",
            &post,
            holds.clone(),
            "application/x-www-form-urlencoded",
            "key=k&seats=1".to_owned(),
            400,
            Some(BadRequest),
            Some("body"),
        ),
        (
            "a large body",
            &post,
            holds.clone(),
            json_type,
            format!("{{\"key\":\"{}\"}}", "k".repeat(300_000)),
            413,
            Some(TooLarge),
            None,
        ),
        (
            "no key",
            &post,
            holds.clone(),
            json_type,
            json!({"seats": [1]}).to_string(),
            400,
            Some(BadRequest),
            Some("key"),
        ),
        (
            "a bad key",
            &post,
            holds.clone(),
            json_type,
            json!({"key": "a b", "seats": [1]}).to_string(),
            400,
            Some(BadRequest),
            Some("key"),
        ),
        ("no seats", &post, holds.clone(), json_type, hold(json!([])), 400, Some(BadRequest), Some("seats")),
        (
            "eleven seats",
            &post,
            holds.clone(),
            json_type,
            hold(json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])),
            400,
            Some(BadRequest),
            Some("seats"),
        ),
        (
            "the same seat twice",
            &post,
            holds.clone(),
            json_type,
            hold(json!([1, 1])),
            400,
            Some(BadRequest),
            Some("seats"),
        ),
        (
            "no such seat",
            &post,
            holds.clone(),
            json_type,
            hold(json!([shop.layout.seats])),
            404,
            Some(NoSuchSeat),
            None,
        ),
        (
            "a hold id that is none",
            &delete,
            format!("{holds}/xyz"),
            "",
            String::new(),
            400,
            Some(BadRequest),
            Some("hold"),
        ),
        (
            "a hold that is not there",
            &delete,
            format!("{holds}/{nobody}"),
            "",
            String::new(),
            404,
            Some(NotOwner),
            None,
        ),
        (
            "an extension without a key",
            &post,
            format!("{holds}/{foreign}/extend"),
            json_type,
            "{}".to_owned(),
            400,
            Some(BadRequest),
            Some("key"),
        ),
        (
            "a booking of nobody's hold",
            &post,
            "/api/bookings".to_owned(),
            json_type,
            book(&nobody, "a@example.com"),
            404,
            Some(NotOwner),
            None,
        ),
        (
            "a booking without an address",
            &post,
            "/api/bookings".to_owned(),
            json_type,
            book(&nobody, ""),
            400,
            Some(BadRequest),
            Some("email"),
        ),
        (
            "a booking id that is none",
            &get,
            "/api/bookings/1".to_owned(),
            "",
            String::new(),
            400,
            Some(BadRequest),
            Some("booking"),
        ),
        (
            "a booking that is not there",
            &get,
            format!("/api/bookings/{nobody}"),
            "",
            String::new(),
            404,
            Some(NotOwner),
            None,
        ),
        (
            "a page of bookings before nothing",
            &get,
            "/api/bookings?before_ms=x".to_owned(),
            "",
            String::new(),
            400,
            Some(BadRequest),
            Some("before_ms"),
        ),
    ];
    let http = Http::default();
    let mut wrong = Vec::new();
    let mut asked = table.len();
    for (what, method, path, kind, body, status, code, field) in table {
        let url = format!("{}{path}", shop.at.gateway);
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        let headers = if kind.is_empty() { &headers[..1] } else { &headers[..] };
        match http.send(method.clone(), &url, headers, body).await {
            Ok(reply) => {
                let error = reply.error();
                let right = reply.status == status
                    && error.as_ref().is_some_and(|error| {
                        !error.message.is_empty()
                            && code.as_ref().is_none_or(|code| error.code == *code)
                            && field.is_none_or(|field| error.field.as_deref() == Some(field))
                    });
                if !right {
                    wrong.push(format!(
                        "{what}: wanted {status} {code:?} {field:?}, got {} {}",
                        reply.status,
                        reply.text()
                    ));
                }
            }
            Err(error) => wrong.push(format!("{what}: {error}")),
        }
    }
    let secured = [
        (&get, holds.clone()),
        (&post, holds),
        (&get, "/api/bookings".to_owned()),
        (&post, "/api/bookings".to_owned()),
    ];
    for (method, path) in secured {
        for token in [None, Some("Bearer x.y.z"), Some("Basic YTpi")] {
            asked += 1;
            let headers: Vec<_> = token.map(|token| ("authorization", token)).into_iter().collect();
            let url = format!("{}{path}", shop.at.gateway);
            let reply = http.send(method.clone(), &url, &headers, "{}").await.unwrap();
            if reply.status != 401 || reply.error().is_none_or(|error| error.code != Unauthenticated) {
                wrong.push(format!(
                    "{method} {path} with {token:?}: wanted 401, got {} {}",
                    reply.status,
                    reply.text()
                ));
            }
        }
    }
    asked += 1;
    let url = format!("{}/api/guest", shop.at.gateway);
    let reply = http.send(post.clone(), &url, &[("origin", "http://seats.evil.example")], "{}").await.unwrap();
    if reply.status != 403 || reply.error().is_none_or(|error| error.code != Forbidden) {
        wrong.push(format!("a foreign page asks for a token: wanted 403, got {} {}", reply.status, reply.text()));
    }
    (asked, wrong)
}

/// Requests that are no HTTP; the answer is a status or a close, never silence.
async fn below_http(shop: &Shop) -> Findings {
    let large = format!("GET /live HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET /live HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: 1\r\n".repeat(1_000));
    let table: [(&str, &[u8], &[u16]); 7] = [
        ("no http", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[400, 0]),
        ("a header of 70 kB", large.as_bytes(), &[431, 0]),
        ("a thousand headers", many.as_bytes(), &[431, 0]),
        (
            "two lengths",
            b"POST /api/guest HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            &[400],
        ),
        ("a length that is no number", b"POST /api/guest HTTP/1.1\r\nHost: x\r\nContent-Length: two\r\n\r\n{}", &[400]),
        ("a bad request line", b"GET\r\n\r\n", &[400]),
        ("a request that never ends", b"GET /live HTTP/1.1\r\nHost: x\r\n", &[408, 0]),
    ];
    let (mut asked, mut wrong) = (0, Vec::new());
    for address in [&shop.at.gateway, &shop.at.core_http] {
        for (what, request, wanted) in table {
            asked += 1;
            let (status, answer) = raw::http(address, request).await;
            if !wanted.contains(&status) || answer == "no answer" {
                wrong.push(format!("{what} at {address}: wanted one of {wanted:?}, got {answer}"));
            }
        }
    }
    (asked, wrong)
}

async fn at_the_core(shop: &Shop) -> Findings {
    let http = Http::default();
    let admin = format!("Bearer {}", shop.at.secrets.admin);
    let right = [("authorization", admin.as_str())];
    let seat = format!("/admin/shows/{}/seats/Z99/history", shop.show);
    let table = [
        ("no token", Method::GET, "/admin/shows/1", &[][..], 401),
        ("a wrong token", Method::GET, "/admin/shows/1", &[("authorization", "Bearer wrong")][..], 401),
        ("no such path", Method::GET, "/nothing", &[][..], 404),
        ("no such show", Method::GET, "/admin/shows/999999999", &right[..], 404),
        ("a show that is no number", Method::GET, "/admin/shows/seven", &right[..], 400),
        ("no such seat", Method::GET, seat.as_str(), &right[..], 404),
    ];
    let (asked, mut wrong) = (table.len(), Vec::new());
    for (what, method, path, headers, status) in table {
        let reply = http.send(method, &format!("{}{path}", shop.at.core_http), headers, "").await.unwrap();
        if reply.status != status || reply.error().is_none_or(|error| error.message.is_empty()) {
            wrong.push(format!("core, {what}: wanted {status}, got {} {}", reply.status, reply.text()));
        }
    }
    (asked, wrong)
}
