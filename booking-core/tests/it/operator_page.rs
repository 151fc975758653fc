//! The operator's page and what it reads: who gets in, and whether its numbers are those of gateways, maps and ledger.

use seatwire_protocol::command::{GetPositions, Viewers};
use seatwire_protocol::{ErrorCode, ShowId};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http_listener::request;
use crate::support::{Core, SECRET};
use crate::world::{World, until};

/// The whole answer to a GET without a token.
async fn page(core: &Core, path: &str) -> String {
    let mut stream = TcpStream::connect(core.http).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: core\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_page_is_served_whole_under_a_strict_policy_and_holds_no_secret() {
    let core = Core::alone().await;
    let index = page(&core, "/operator").await;
    assert!(index.starts_with("HTTP/1.1 200") && index.contains("<title>Seatwire operations"), "{index}");
    let mut wanted = vec!["app.js".to_owned(), "operator.css".to_owned()];
    let mut seen = Vec::new();
    while let Some(file) = wanted.pop() {
        let answer = page(&core, &format!("/operator/{file}")).await;
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{file}: {head}");
        for header in
            ["content-security-policy: default-src 'none'; script-src 'self'", "x-content-type-options: nosniff"]
        {
            assert!(head.contains(header), "{file}: {head}");
        }
        assert!(!head.contains("set-cookie") && !head.contains("unsafe") && !answer.contains(SECRET), "{file}");
        assert!(!answer.contains("http://www") || file == "dom.js", "{file} names another site");
        let imports = answer.split("from \"./").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        seen.push(file);
        wanted.extend(imports.filter(|file| !seen.contains(file)).collect::<Vec<_>>());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 11, "every script is used: {seen:?}");
    assert!(page(&core, "/operator/../Cargo.toml").await.starts_with("HTTP/1.1 404"));
    assert_eq!(request(core.http, "POST", "/operator", SECRET, "").await.0, 405);
    core.stop();
}

#[tokio::test]
async fn whoever_guesses_is_told_nothing_and_soon_not_even_looked_at() {
    let core = Core::alone().await;
    let paths = ["/admin/overview", "/admin/shows/1/seats", "/admin/shows/1/cancel", "/admin/requeue/refund-x"];
    for path in paths {
        let method = if path.contains("cancel") || path.contains("requeue") { "POST" } else { "GET" };
        let none = request(core.http, method, path, "", "").await;
        let wrong = request(core.http, method, path, "wrong", "{\"what\": \"ever\"}").await;
        assert_eq!((none.0, &none.1["code"]), (401, &json!("UNAUTHENTICATED")));
        assert_eq!(none, wrong, "the answer tells what was wrong");
    }
    assert_eq!(request(core.http, "DELETE", "/admin/overview", SECRET, "").await.0, 405);
    let mut last = (0, Value::Null);
    for _ in 0..20 {
        last = request(core.http, "GET", "/admin/backlog", "guess", "").await;
    }
    assert_eq!((last.0, &last.1["code"]), (429, &json!("RATE_LIMITED")), "{last:?}");
    // This token is short: no guess can be told from another. The page itself and health are not behind the token.
    let right = request(core.http, "GET", "/admin/backlog", SECRET, "").await;
    assert_eq!((right.0, &right.1["message"]), (429, &last.1["message"]));
    assert_eq!(request(core.http, "GET", "/live", "", "").await.0, 200);
    core.stop();
}

/// Everybody has one address behind a proxy.
#[tokio::test]
async fn guesses_do_not_lock_out_who_has_a_token_that_is_beyond_guessing() {
    let token = SECRET.repeat(2);
    let core = Core::alone_with(&[&format!("--admin-token={token}")]).await;
    let ask = async |token: &str| request(core.http, "GET", "/admin/shows/0", token, "").await.0;
    for _ in 0..20 {
        assert_eq!(ask(SECRET).await, 401);
    }
    for _ in 0..3 {
        assert_eq!((ask(SECRET).await, ask("").await), (429, 429));
        assert_eq!(ask(&token).await, 400, "the right token is heard, and there is no show 0");
    }
    core.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_are_summed_over_gateways_and_forgotten_with_them() {
    let world = World::start().await;
    let (show, layout) = world.open_show().await;
    let other = ShowId::new(u64::try_from(show.as_i64()).unwrap() + 1).unwrap();
    let tell = async |gateway: &str, counts: Vec<u32>| {
        let viewers = Some(Viewers { gateway: gateway.to_owned(), part: 0, counts });
        world.call(&GetPositions { shows: vec![show, other], viewers }).await
    };
    let overview = async || {
        let (status, body) = request(world.core.http, "GET", "/admin/overview", SECRET, "").await;
        assert_eq!(status, 200, "{body}");
        body
    };
    let line = |all: &Value, show: ShowId| {
        let shows = all["shows"].as_array().unwrap();
        shows.iter().find(|line| line["show"] == json!(show)).unwrap().clone()
    };
    for (gateway, counts, field) in [
        ("", vec![1, 2], "viewers.gateway"),
        ("a/b", vec![1, 2], "viewers.gateway"),
        ("gateway", vec![1], "viewers.counts"),
    ] {
        let error = tell(gateway, counts).await.unwrap_err();
        assert_eq!((&error.code, error.field.as_deref()), (&ErrorCode::BadRequest, Some(field)), "{error}");
    }
    let last = std::sync::Mutex::new(Value::Null);
    until("both gateways are counted", || async {
        tell("one", vec![40, 0]).await.unwrap();
        tell("two", vec![2, 5]).await.unwrap();
        let all = overview().await;
        let counted = all["viewers"] == 47 && line(&all, show)["viewers"] == 42 && line(&all, other)["viewers"] == 5;
        *last.lock().unwrap() = all;
        counted
    })
    .await;
    // What was counted then: what gateways tell is forgotten after three seconds.
    let all = last.into_inner().unwrap();
    assert_eq!(all["gateways"].as_array().unwrap().len(), 2, "{all}");
    assert_eq!(all["cores"][0]["signs"]["drift"], 0, "{all}");
    // The most watched one comes first. Its map is not in Redis: the ledger counts.
    assert_eq!(all["shows"][0]["show"], json!(show), "{all}");
    assert_eq!((&all["shows"][0]["live"], &all["shows"][0]["counts"]["held"]), (&json!(false), &json!(0)));
    until("one gateway has gone, and its viewers with it", || async {
        tell("two", vec![2, 5]).await.unwrap();
        let all = overview().await;
        all["viewers"] == 7 && all["gateways"].as_array().unwrap().len() == 1
    })
    .await;

    // Held, then sold: live counts, sales by minute, and the show's own numbers.
    let held = world.hold("ann", show, "k1", &[1, 2]).await.unwrap();
    let base = format!("/admin/shows/{show}");
    until("held seats are counted", || async { line(&overview().await, show)["counts"]["held"] == 2 }).await;
    let (_, seats) = request(world.core.http, "GET", &format!("{base}/seats"), SECRET, "").await;
    let letters = seats["seats"].as_str().unwrap();
    assert_eq!((letters.len(), &letters[1..3]), (layout.seats as usize, "hh"), "{seats}");
    let pending = world.book("ann", &held, "b1").await.unwrap();
    world.pay(&pending).await;
    until("sold seats are counted", || async {
        let all = overview().await;
        let line = line(&all, show);
        let minutes = all["sales"].as_array().unwrap();
        let sum = |what: &str| minutes.iter().map(|minute| minute[what].as_u64().unwrap()).sum::<u64>();
        assert_eq!(minutes.len(), 60, "{all}");
        line["sold"] == 2 && line["live"] == true && (sum("seats"), sum("bookings")) == (2, 1)
    })
    .await;
    let of_show = async |show: ShowId| {
        let (status, sales) = request(world.core.http, "GET", &format!("/admin/shows/{show}/sales"), SECRET, "").await;
        assert_eq!(status, 200, "{sales}");
        sales["sales"].as_array().unwrap().iter().map(|minute| minute["seats"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((of_show(show).await, of_show(other).await), (2, 0));

    let (_, found) = request(world.core.http, "GET", "/admin/overview?q=mumbai", SECRET, "").await;
    let cities = found["shows"].as_array().unwrap();
    assert!(!cities.is_empty() && cities.iter().all(|line| line["city"] == "Mumbai"), "{found}");
    let (_, found) = request(world.core.http, "GET", "/admin/overview?q=no%20such%20thing", SECRET, "").await;
    assert_eq!(found["shows"], json!([]));
    let long = format!("/admin/overview?q={}", "x".repeat(201));
    assert_eq!(request(world.core.http, "GET", &long, SECRET, "").await.0, 400);
    world.end().await;
}
