//! Plain HTTP at the gateway and at the core's own listener.

use hyper::Method;
use seatwire_loadtest::client::{Http, HttpReply, new_key};
use seatwire_protocol::ErrorCode;
use serde_json::{Value, json};

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

struct Request {
    method: Method,
    path: String,
    content_type: &'static str,
    body: String,
}

fn get(path: &str) -> Request {
    Request { method: Method::GET, path: path.to_owned(), content_type: "", body: String::new() }
}

fn delete(path: &str) -> Request {
    Request { method: Method::DELETE, ..get(path) }
}

fn post(path: &str, body: impl ToString) -> Request {
    Request { method: Method::POST, content_type: "application/json", body: body.to_string(), ..get(path) }
}

/// What an answer must say.
enum Wanted {
    Status(u16),
    Code(ErrorCode),
    Field(&'static str),
}

impl Wanted {
    fn is(&self, reply: &HttpReply) -> bool {
        let Some(error) = reply.error().filter(|error| !error.message.is_empty()) else { return false };
        match self {
            Self::Status(status) => reply.status == *status,
            Self::Code(code) => error.code == *code && reply.status == code.http_status(),
            Self::Field(field) => {
                let named = error.field.as_deref() == Some(*field);
                named && error.code == ErrorCode::BadRequest && reply.status == 400
            }
        }
    }
}

fn bad_requests(shop: &Shop) -> Vec<(&'static str, Request, Wanted)> {
    use ErrorCode::{BadRequest, NoSuchSeat, NoSuchShow, NotOwner, TooLarge};
    use Wanted::{Code, Field, Status};
    let show = shop.show;
    let holds = format!("/api/shows/{show}/holds");
    let bookings = "/api/bookings";
    let nobody = "f".repeat(32);
    let hold = |seats: Value| post(&holds, json!({"key": new_key(), "seats": seats}));
    let book = |email: &str| post(bookings, json!({"show": show, "hold": nobody, "key": new_key(), "email": email}));
    let form = Request { content_type: "application/x-www-form-urlencoded", ..post(&holds, "key=k&seats=1") };
    let put = Request { method: Method::PUT, ..get("/api/guest") };
    let eleven = json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let large = post(&holds, json!({"key": "k".repeat(300_000)}));
    vec![
        ("no such path", get("/nothing"), Status(404)),
        ("wrong method", put, Status(405)),
        ("a show that is no number", get("/api/shows/seven/layout"), Field("show")),
        ("show 0", get("/api/shows/0/seats"), Field("show")),
        ("a layout of no show", get("/api/shows/999999999/layout"), Code(NoSuchShow)),
        ("seats of no show", get("/api/shows/999999999/seats"), Code(NoSuchShow)),
        ("a date that is none", get("/api/shows?date=tomorrow"), Field("date")),
        ("not json", post(&holds, "{"), Code(BadRequest)),
        ("no body", post(&holds, ""), Code(BadRequest)),
        ("a form for json", form, Field("body")),
        ("a large body", large, Code(TooLarge)),
        ("no key", post(&holds, json!({"seats": [1]})), Field("key")),
        ("a bad key", post(&holds, json!({"key": "a b", "seats": [1]})), Field("key")),
        ("no seats", hold(json!([])), Field("seats")),
        ("eleven seats", hold(eleven), Field("seats")),
        ("the same seat twice", hold(json!([1, 1])), Field("seats")),
        ("no such seat", hold(json!([shop.layout.seats])), Code(NoSuchSeat)),
        ("a hold id that is none", delete(&format!("{holds}/xyz")), Field("hold")),
        ("a hold that is not there", delete(&format!("{holds}/{nobody}")), Code(NotOwner)),
        ("an extension without a key", post(&format!("{holds}/{nobody}/extend"), "{}"), Field("key")),
        ("a booking of nobody's hold", book("a@example.com"), Code(NotOwner)),
        ("a booking without an address", book(""), Field("email")),
        ("a booking id that is none", get("/api/bookings/1"), Field("booking")),
        ("a booking that is not there", get(&format!("{bookings}/{nobody}")), Code(NotOwner)),
        ("a page before nothing", get("/api/bookings?before_ms=x"), Field("before_ms")),
    ]
}

async fn at_the_gateway(shop: &Shop) -> Findings {
    let bearer = shop.customer().await.guest.bearer();
    let http = Http::default();
    let requests = bad_requests(shop);
    let (mut asked, mut wrong) = (requests.len(), Vec::new());
    for (what, request, wanted) in requests {
        let url = format!("{}{}", shop.at.gateway, request.path);
        let headers = [("authorization", bearer.as_str()), ("content-type", request.content_type)];
        let headers = if request.content_type.is_empty() { &headers[..1] } else { &headers[..] };
        match http.send(request.method, &url, headers, request.body).await {
            Ok(reply) if wanted.is(&reply) => {}
            Ok(reply) => wrong.push(format!("{what}: got {} {}", reply.status, reply.text())),
            Err(error) => wrong.push(format!("{what}: {error}")),
        }
    }
    let holds = format!("/api/shows/{}/holds", shop.show);
    for request in [get(&holds), post(&holds, "{}"), get("/api/bookings"), post("/api/bookings", "{}")] {
        for token in [None, Some("Bearer x.y.z"), Some("Basic YTpi")] {
            asked += 1;
            let headers: Vec<_> = token.map(|token| ("authorization", token)).into_iter().collect();
            let url = format!("{}{}", shop.at.gateway, request.path);
            let reply = http.send(request.method.clone(), &url, &headers, request.body.clone()).await.unwrap();
            if !Wanted::Code(ErrorCode::Unauthenticated).is(&reply) {
                wrong.push(format!("{url} with {token:?}: got {} {}", reply.status, reply.text()));
            }
        }
    }
    asked += 1;
    let url = format!("{}/api/guest", shop.at.gateway);
    let reply = http.send(Method::POST, &url, &[("origin", "http://seats.evil.example")], "{}").await.unwrap();
    if !Wanted::Code(ErrorCode::Forbidden).is(&reply) {
        wrong.push(format!("a foreign page asks for a token: got {} {}", reply.status, reply.text()));
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
