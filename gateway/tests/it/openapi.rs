//! The HTTP API is as its OpenAPI document says: every route is in it, every operation is called on a real stack, and
//! each answer, good or bad, is of the documented shape with no field more.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::Method;
use seatwire_loadtest::client::{Http, HttpReply, PayOptions, guest, pay, sign_token};
use seatwire_loadtest::launcher::{Stack, StackOptions};
use seatwire_protocol::CustomerId;
use serde_json::{Value, json};

use crate::stack::{ONE_AT_A_TIME, PATIENCE, is_loaded};

/// Asks as one customer, and compares each answer with the document.
struct Asker {
    http: Http,
    gateway: String,
    token: Option<String>,
    document: Value,
    /// Operations that answered well, and statuses seen.
    succeeded: BTreeSet<String>,
    statuses: BTreeSet<u16>,
}

impl Asker {
    async fn ask(&mut self, method: Method, route: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.gateway);
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.iter().map(|bearer| ("authorization", bearer.as_str())));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let reply = self.http.send(method.clone(), &url, &headers, text).await.unwrap();
        let value = self.check(&method, route, &reply);
        if !body.is_null() && reply.status == 200 {
            let schema = &self.operation(&method, route)["requestBody"]["content"]["application/json"]["schema"];
            self.is_valid(schema, &body, &format!("body of {method} {path}"));
        }
        (reply.status, value)
    }

    fn operation(&self, method: &Method, route: &str) -> &Value {
        let operation = &self.document["paths"][route][method.as_str().to_lowercase()];
        assert!(operation.is_object(), "{method} {route} is not in the document");
        operation
    }

    fn check(&mut self, method: &Method, route: &str, reply: &HttpReply) -> Value {
        let operation = self.operation(method, route);
        let mut response = &operation["responses"][reply.status.to_string()];
        assert!(response.is_object(), "{method} {route} answered {}: not in the document", reply.status);
        if let Some(pointer) = response["$ref"].as_str() {
            response = self.document.pointer(pointer.trim_start_matches('#')).unwrap();
        }
        let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let schema = &response["content"]["application/json"]["schema"];
        if schema.is_object() {
            self.is_valid(schema, &value, &format!("{method} {route} {}", reply.status));
        }
        for (header, _) in response["headers"].as_object().into_iter().flatten() {
            // A refusal for the rate says when to come back only where that is known.
            assert!(header == "Retry-After" || reply.headers.contains_key(header), "{route}: no {header}");
        }
        let id = operation["operationId"].as_str().unwrap().to_owned();
        self.statuses.insert(reply.status);
        if reply.status == 200 {
            self.succeeded.insert(id);
        }
        value
    }

    fn is_valid(&self, schema: &Value, value: &Value, what: &str) {
        let mut schema = schema.clone();
        schema["components"] = self.document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<String> = validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(faults.is_empty(), "{what}: {faults:?} in {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_document_says() {
    let _one = ONE_AT_A_TIME.lock().await;
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let addresses = stack.addresses();
    is_loaded(&addresses.gateway).await;
    let http = Http::default();
    let document: Value =
        http.get(&format!("{}/api/openapi.json", addresses.gateway), &[]).await.unwrap().json().unwrap();
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let mut ask = Asker {
        http: http.clone(),
        gateway: addresses.gateway.clone(),
        token: None,
        document,
        succeeded: BTreeSet::from(["openapi".to_owned()]),
        statuses: BTreeSet::new(),
    };
    let nothing = || Value::Null;

    // Who has no token may look.
    ask.ask(post.clone(), "/api/guest", "/api/guest", nothing()).await;
    let (_, shows) = ask.ask(get.clone(), "/api/shows", "/api/shows", nothing()).await;
    assert!(shows["shows"].as_array().unwrap().len() > 1);
    for (query, status) in [("?city=Nowhere", 200), ("?date=2026-1-1", 400), ("?show=0", 400)] {
        assert_eq!(ask.ask(get.clone(), "/api/shows", &format!("/api/shows{query}"), nothing()).await.0, status);
    }
    for (query, status) in [("", 200), ("?city=Nowhere", 200), ("?date=2026-1-1", 400)] {
        let route = "/api/availability";
        assert_eq!(ask.ask(get.clone(), route, &format!("{route}{query}"), nothing()).await.0, status);
    }
    for route in ["/api/shows/{show}/layout", "/api/shows/{show}/seats"] {
        for (show, status) in [("1", 200), ("999999", 404), ("x", 400)] {
            let path = route.replace("{show}", show);
            assert_eq!(ask.ask(get.clone(), route, &path, nothing()).await.0, status, "{path}");
        }
    }
    let holds = "/api/shows/{show}/holds";
    assert_eq!(ask.ask(get.clone(), holds, "/api/shows/1/holds", nothing()).await.0, 401);

    // Holds, good and bad.
    ask.token = Some(guest(&addresses.gateway).await.unwrap().token);
    let place = json!({"key": "k1", "best": {"count": 2}});
    let (status, hold) = ask.ask(post.clone(), holds, "/api/shows/1/holds", place.clone()).await;
    assert_eq!(status, 200, "{hold}");
    let id = hold["hold"].as_str().unwrap().to_owned();
    let one = |id: &str| format!("/api/shows/1/holds/{id}");
    let seats = hold["seats"].clone();
    for (body, status) in [
        (json!({"key": "k1", "best": {"count": 3}}), 422),
        (json!({"key": "k2", "seats": seats}), 409),
        (json!({"key": "k2", "seats": [60_000]}), 404),
        (json!({"key": "k2", "seats": "all"}), 400),
        (json!({"key": "k2", "seats": [1], "note": "x".repeat(17_000)}), 413),
    ] {
        assert_eq!(ask.ask(post.clone(), holds, "/api/shows/1/holds", body.clone()).await.0, status, "{body}");
    }
    let extend = "/api/shows/{show}/holds/{hold}/extend";
    assert_eq!(ask.ask(post.clone(), extend, &format!("{}/extend", one(&id)), json!({"key": "e1"})).await.0, 200);
    let stranger = "00".repeat(16);
    assert_eq!(ask.ask(post.clone(), extend, &format!("{}/extend", one(&stranger)), json!({"key": "e1"})).await.0, 404);
    assert_eq!(ask.ask(get.clone(), holds, "/api/shows/1/holds", nothing()).await.1["holds"][0]["hold"], id.as_str());
    let release = "/api/shows/{show}/holds/{hold}";
    assert_eq!(ask.ask(delete.clone(), release, &one(&id), nothing()).await.0, 200);
    assert_eq!(ask.ask(delete.clone(), release, &one("zz"), nothing()).await.0, 400);

    // A booking, paid, seen and cancelled.
    let (_, hold) = ask.ask(post.clone(), holds, "/api/shows/1/holds", json!({"key": "k3", "seats": seats})).await;
    let wanted = json!({"show": 1, "hold": hold["hold"], "key": "b1", "email": "ann@example.com"});
    let bookings = "/api/bookings";
    for (field, value) in [("email", json!("nobody")), ("hold", json!("zz")), ("show", json!(0))] {
        let mut bad = wanted.clone();
        bad[field] = value;
        let (status, error) = ask.ask(post.clone(), bookings, bookings, bad).await;
        assert_eq!((status, &error["field"]), (400, &json!(field)), "{error}");
    }
    let (status, booking) = ask.ask(post.clone(), bookings, bookings, wanted).await;
    assert_eq!(status, 200, "{booking}");
    assert_eq!(ask.ask(delete.clone(), release, &one(hold["hold"].as_str().unwrap()), nothing()).await.0 / 100, 4);
    let path = format!("/api/bookings/{}", booking["booking"].as_str().unwrap());
    pay(booking["checkout_url"].as_str().unwrap(), &PayOptions::default()).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while ask.ask(get.clone(), "/api/bookings/{booking}", &path, nothing()).await.1["state"] != "confirmed" {
        assert!(tokio::time::Instant::now() < deadline, "never confirmed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let code = "/api/bookings/{booking}/code.svg";
    assert_eq!(ask.ask(get.clone(), code, &format!("{path}/code.svg"), nothing()).await.0, 200);
    let cancel = "/api/bookings/{booking}/cancel";
    let (status, cancelled) = ask.ask(post.clone(), cancel, &format!("{path}/cancel"), json!({"key": "c1"})).await;
    assert_eq!((status, &cancelled["state"]), (200, &json!("cancelled")), "{cancelled}");
    assert_eq!(cancelled["refunds"][0]["amount"], cancelled["amount"]);
    assert_eq!(ask.ask(get.clone(), code, &format!("{path}/code.svg"), nothing()).await.0, 410);
    let (_, listed) = ask.ask(get.clone(), bookings, "/api/bookings?before_ms=9000000000000", nothing()).await;
    assert_eq!(listed["bookings"][0]["booking"], booking["booking"]);
    let other = sign_token(&addresses.secrets.jwt, &CustomerId::new("other").unwrap(), Duration::from_secs(60));
    ask.token = Some(other.unwrap());
    assert_eq!(ask.ask(get.clone(), "/api/bookings/{booking}", &path, nothing()).await.0, 404);
    assert_eq!(ask.ask(get.clone(), code, &format!("{path}/code.svg"), nothing()).await.0, 404);
    assert_eq!(ask.ask(post.clone(), "/api/logout", "/api/logout", nothing()).await.0, 200);
    assert_eq!(ask.ask(get.clone(), bookings, bookings, nothing()).await.0, 401);

    // Nothing of the document was left out, and no route is missing there.
    let paths = ask.document["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|methods| methods.as_object().unwrap().values());
    let documented: BTreeSet<String> = operations.map(|o| o["operationId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ask.succeeded, documented);
    let source = include_str!("../../src/http.rs");
    let routes = source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let routes: BTreeSet<&str> = routes.filter(|route| route.starts_with("/api/")).collect();
    assert_eq!(routes, paths.keys().map(String::as_str).collect());
    assert!(ask.statuses.is_superset(&BTreeSet::from([200, 400, 401, 404, 409, 413, 422])), "{:?}", ask.statuses);
    stack.shutdown().await;
}
