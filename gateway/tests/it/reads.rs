//! What costs a herd nothing: pages that are hidden, lists that are kept, layouts that never change; and one id that
//! leads from a browser's refusal through the logs of both services.

use std::time::Duration;

use seatwire_loadtest::client::{ClientOptions, Http, ViewerClient, guest, sign_token};
use seatwire_loadtest::launcher::{Process, Service, Stack, StackOptions};
use seatwire_protocol::ws::ClientMessage;
use seatwire_protocol::{CustomerId, SeatStatus};
use serde_json::{Value, json};

use crate::raw::{Frame, Raw, masked};
use crate::stack::{ONE_AT_A_TIME, PATIENCE, free_seats, hold, is_loaded, is_right, metric, sees, show};

async fn json_of(raw: &mut Raw) -> Value {
    loop {
        match raw.frame().await {
            Frame::Text(frame) => return frame,
            Frame::Ping => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_page_gets_beats_only_and_one_catch_up_when_it_is_shown() {
    let _one = ONE_AT_A_TIME.lock().await;
    let stack = Stack::start(StackOptions::new().env(Service::Gateway, "SEATWIRE_BEAT_MS", 400)).await.unwrap();
    let addresses = stack.addresses();
    let gateway = &addresses.gateway;
    let token = guest(gateway).await.unwrap().token;
    let buyer = ViewerClient::connect(gateway, &token, show()).await.unwrap();
    let mut page = Raw::open(gateway.strip_prefix("http://").unwrap(), &guest(gateway).await.unwrap().token).await;
    let send = |message: ClientMessage| serde_json::to_string(&message).unwrap();
    page.send_text(&send(ClientMessage::Watch { show: show(), pos: None })).await;
    let snapshot = json_of(&mut page).await;
    assert_eq!(snapshot["t"], "snapshot");
    page.send_text(&send(ClientMessage::Hide { hidden: true })).await;
    // Answered in order: what comes after the pong is sent to a page that is known to be hidden.
    page.send(&masked(0x89, b"")).await;
    while page.frame().await != Frame::Pong {}
    let seats = free_seats(&buyer, 2);
    let mut last = 0;
    for _ in 0..5 {
        let held = hold(&buyer, show(), &seats).await;
        sees(&buyer, &seats, SeatStatus::Held).await;
        last = buyer.persist(PATIENCE, || buyer.release(show(), held.hold)).await.unwrap().position.sequence;
        sees(&buyer, &seats, SeatStatus::Available).await;
    }
    for _ in 0..3 {
        let beat = json_of(&mut page).await;
        assert_eq!((&beat["t"], &beat["s"]), (&json!("beat"), &snapshot["s"]), "{beat}");
    }
    page.send_text(&send(ClientMessage::Hide { hidden: false })).await;
    let catch_up = loop {
        let frame = json_of(&mut page).await;
        if frame["t"] != "beat" {
            break frame;
        }
    };
    assert_eq!((&catch_up["t"], &catch_up["from"]), (&json!("delta"), &snapshot["s"]), "{catch_up}");
    assert!(catch_up["to"].as_u64() >= Some(last), "{catch_up}, told {last}");
    // Counted once a second.
    let counted = async {
        while metric(&addresses.gateway_metrics[0], "seatwire_gateway_viewers").await < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap();
    is_right(&buyer);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_layouts_are_kept_live_seats_are_not_and_a_trace_leads_through_both_logs() {
    let _one = ONE_AT_A_TIME.lock().await;
    let options = StackOptions::new().env(Service::Gateway, "SEATWIRE_LOG", "info,seatwire_gateway=debug");
    let stack = Stack::start(options.env(Service::Core, "SEATWIRE_LOG", "info,seatwire_core=debug")).await.unwrap();
    let addresses = stack.addresses();
    let gateway = &addresses.gateway;
    is_loaded(gateway).await;
    let http = Http::default();
    let get =
        async |path: &str, headers: &[(&str, &str)]| http.get(&format!("{gateway}{path}"), headers).await.unwrap();
    // A layout never changes under its version.
    let layout = get("/api/shows/1/layout", &[]).await;
    let header = |reply: &seatwire_loadtest::client::HttpReply, name: &str| {
        reply.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!(header(&layout, "cache-control"), "public, max-age=10");
    let version = layout.json::<Value>().unwrap()["version"].as_u64().unwrap();
    let fixed = get(&format!("/api/shows/1/layout?v={version}"), &[]).await;
    assert_eq!(header(&fixed, "cache-control"), "public, max-age=31536000, immutable");
    let again = get("/api/shows/1/layout", &[("if-none-match", &header(&layout, "etag"))]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    // Seats are live.
    let seats = get("/api/shows/1/seats", &[]).await;
    assert_eq!((seats.status, header(&seats, "cache-control").as_str()), (200, "no-store"));
    // How full shows are is asked for once, however many look.
    let asked = async || {
        let name = r#"seatwire_gateway_commands_total{command="list_availability""#;
        metric(&addresses.gateway_metrics[0], name).await
    };
    let first = get("/api/availability", &[]).await;
    assert_eq!(header(&first, "cache-control"), "public, max-age=15");
    for _ in 0..20 {
        assert_eq!(get("/api/availability", &[]).await.body, first.body);
    }
    assert!((asked().await - 1.0).abs() < 0.5, "{}", asked().await);
    let shows = first.json::<Value>().unwrap()["shows"].as_array().unwrap().clone();
    let here = shows.iter().find(|s| s["show"] == 1).unwrap();
    let left = seats.json::<Value>().unwrap()["seats"].as_str().unwrap().matches('a').count() as u64;
    assert_eq!((&here["available"], &here["filling"]), (&json!(left), &json!("slow")), "{here}");
    assert_eq!(get("/api/availability?date=tomorrow", &[]).await.error().unwrap().field.as_deref(), Some("date"));
    // A refusal names the id that both services logged.
    let customer = CustomerId::new("anna").unwrap();
    let token = sign_token(&addresses.secrets.jwt, &customer, Duration::from_secs(600)).unwrap();
    let viewer = ViewerClient::open(ClientOptions::new(gateway, &token)).await.unwrap();
    let hold = seatwire_protocol::HoldId([7; 16]);
    let refused = viewer.release(show(), hold).await.unwrap_err();
    let trace = refused.trace_id.unwrap();
    assert_eq!(trace.len(), 16, "{trace}");
    for process in [Process::Gateway(0), Process::Core(0)] {
        let log = std::fs::read_to_string(stack.logs().join(format!("{process}.log"))).unwrap();
        assert!(log.lines().any(|line| line.contains(&trace)), "{trace} is not in the log of {process}");
    }
    stack.shutdown().await;
}
