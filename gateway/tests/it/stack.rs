//! The gateway in a whole private Seatwire: what viewers see of each other, and what they see when something breaks.

use std::time::Duration;

use futures_util::future::join_all;
use seatwire_loadtest::client::{
    ClientError, ClientOptions, Encoding, Event, Http, TokenBy, ViewerClient, guest, new_key, sign_token,
};
use seatwire_loadtest::launcher::{Link, Process, Service, Stack, StackOptions};
use seatwire_protocol::command::HoldInfo;
use seatwire_protocol::error::SeatConflictReason;
use seatwire_protocol::feed::{CONTROL_CHANNEL, ControlMessage};
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::viewer::{SeatView, ShowViewer};
use seatwire_protocol::ws::{ClientMessage, HoldEndReason, Push, ServerMessage};
use seatwire_protocol::{CustomerId, ErrorCode, Position, SaleState, SeatIndex, SeatStatus, ShowId, codec};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::raw::{Frame, Raw};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A cinema screen of the demo data, on sale.
const SHOW: u64 = 1;

/// A stack is nine processes: several at once are more than a small machine can start in time.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub(crate) fn show() -> ShowId {
    ShowId::new(SHOW).unwrap()
}

async fn viewer(gateway: &str) -> ViewerClient {
    let token = guest(gateway).await.unwrap().token;
    ViewerClient::connect(gateway, &token, show()).await.unwrap()
}

/// Seats of the show that are free, in seat order.
pub(crate) fn free_seats(viewer: &ViewerClient, count: usize) -> Vec<u32> {
    let statuses = viewer.viewer(show(), |v| v.map().statuses().unwrap().clone()).unwrap();
    let free = (0..).zip(statuses.iter()).filter(|(_, status)| *status == SeatStatus::Available);
    let seats: Vec<u32> = free.map(|(seat, _)| seat).take(count).collect();
    assert_eq!(seats.len(), count);
    seats
}

pub(crate) async fn sees(viewer: &ViewerClient, seats: &[u32], status: SeatStatus) {
    let all = |v: &ShowViewer| v.is_live() && seats.iter().all(|seat| v.map().status(SeatIndex(*seat)) == Some(status));
    viewer.wait_until(&format!("{seats:?} {status:?}"), show(), PATIENCE, all).await.unwrap();
}

async fn sees_position(viewer: &ViewerClient, position: Position) {
    let there = |v: &ShowViewer| v.is_live() && v.map().position() >= Some(position);
    viewer.wait_until(&format!("position {position}"), show(), PATIENCE, there).await.unwrap();
}

pub(crate) async fn hold(viewer: &ViewerClient, show: ShowId, seats: &[u32]) -> HoldInfo {
    let key = new_key();
    viewer.persist(PATIENCE, || viewer.hold(show, &key, seats)).await.unwrap()
}

/// Waits until the show's map is loaded: on a busy machine that may take longer than a request waits.
pub(crate) async fn is_loaded(gateway: &str) {
    let loaded = async {
        let url = format!("{gateway}/api/shows/{SHOW}/seats");
        while Http::default().get(&url, &[]).await.unwrap().status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, loaded).await.expect("a map");
}

pub(crate) fn is_right(viewer: &ViewerClient) {
    viewer.read(|state| assert!(state.history().violations().is_empty(), "{:?}", state.history().violations()));
}

pub(crate) async fn metric(metrics: &str, name: &str) -> f64 {
    let text = Http::default().get(&format!("{metrics}/metrics"), &[]).await.unwrap().text();
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_at_two_gateways_and_over_http_agree() {
    let _one = ONE_AT_A_TIME.lock().await;
    let options = StackOptions::new().gateways(2).opening_in(Duration::from_secs(600));
    let stack = Stack::start(options.env(Service::Core, "SEATWIRE_HOLD_MS", 10_000)).await.unwrap();
    let [first, second] = [&stack.addresses().gateways[0], &stack.addresses().gateways[1]].map(String::clone);
    let buyer = viewer(&first).await;
    let token = guest(&second).await.unwrap().token;
    let options = ClientOptions::new(&second, &token).encoding(Encoding::Json).token_by(TokenBy::Subprotocol);
    let other = ViewerClient::open(options).await.unwrap();
    other.watch(show()).await.unwrap();

    let seats = free_seats(&buyer, 3);
    let held = hold(&buyer, show(), &seats).await;
    assert_eq!(buyer.viewer(show(), |v| v.seat(SeatIndex(seats[0]))).unwrap(), Some(SeatView::Own));
    sees(&other, &seats, SeatStatus::Held).await;
    // The second buyer is refused by the seat's name and reason.
    let refused = other.hold(show(), &new_key(), &[seats[1], 150]).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Taken);
    assert_eq!((refused.seats[0].seat, refused.seats[0].reason), (SeatIndex(seats[1]), SeatConflictReason::Held));
    // HTTP tells the same as the sockets.
    let http = Http::default();
    let map: Value = http.get(&format!("{first}/api/shows/1/seats"), &[]).await.unwrap().json().unwrap();
    assert_eq!((&map["g"], &map["s"]), (&json!(held.position.generation), &json!(held.position.sequence)));
    assert_eq!(map["seats"].as_str().unwrap().chars().nth(seats[0] as usize), Some('h'));
    // Whoever comes back is told of its own hold unasked, and not of others'.
    buyer.disconnect().await;
    buyer.move_to(&second).await.unwrap();
    let own = |v: &ShowViewer| v.own().hold(&held.hold).is_some();
    buyer.wait_until("own hold", show(), PATIENCE, own).await.unwrap();
    let pushed = buyer.wait_for_event("the push of it", PATIENCE, |event| match event {
        Event::Message(ServerMessage::Push { push: Push::Hold { hold } }) => Some(hold.hold),
        _ => None,
    });
    assert_eq!(pushed.await.unwrap(), held.hold);
    assert!(other.messages().iter().all(|m| !matches!(m, ServerMessage::Push { .. })), "{:?}", other.messages());
    // Nobody releases it: its end is seen by all and told to its owner.
    sees(&other, &seats, SeatStatus::Available).await;
    let ended = buyer.wait_for_event("the end of the hold", PATIENCE, |event| match event {
        Event::Message(ServerMessage::Push { push: Push::HoldEnded { hold, reason, .. } }) => Some((*hold, *reason)),
        _ => None,
    });
    assert_eq!(ended.await.unwrap(), (held.hold, HoldEndReason::Expired));
    // A sale is put off, and opens in front of everybody.
    let shows: Value = http.get(&format!("{first}/api/shows"), &[]).await.unwrap().json().unwrap();
    let closed = shows["shows"].as_array().unwrap().iter().find(|s| s["sale"] == "before").expect("one that opens");
    let closed = ShowId::new(closed["show"].as_u64().unwrap()).unwrap();
    other.watch(closed).await.unwrap();
    other.wait_until("the map", closed, PATIENCE, ShowViewer::is_live).await.unwrap();
    let put_off = async |wait_ms: u128| {
        let bearer = format!("Bearer {}", stack.addresses().secrets.admin);
        let url = format!("{}/admin/shows/{closed}/sale", stack.addresses().core_http);
        let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let body = json!({ "state": "before", "opens_at_ms": now_ms + wait_ms });
        assert_eq!(http.post(&url, &[("authorization", &bearer)], &body).await.unwrap().status, 200);
    };
    put_off(3_600_000).await;
    let later = |v: &ShowViewer| v.is_live() && v.map().opens_in_ms() > 3_000_000;
    other.wait_until("the later time", closed, PATIENCE, later).await.unwrap();
    put_off(3_000).await;
    let open = |v: &ShowViewer| v.is_live() && v.map().sale() == Some(SaleState::Open);
    other.wait_until("the opening", closed, PATIENCE * 2, open).await.unwrap();
    is_right(&buyer);
    is_right(&other);
    // A logout closes the customer's sockets everywhere, and voids its tokens.
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let before_ms = u64::try_from(now_ms).unwrap() + 1_000;
    let logout = codec::encode(&ControlMessage::Logout { customer: other.customer().unwrap(), before_ms });
    let redis = redis::Client::open(stack.addresses().redis.as_str()).unwrap();
    let heard: u64 =
        redis::cmd("PUBLISH").arg(CONTROL_CHANNEL).arg(logout).query(&mut redis.get_connection().unwrap()).unwrap();
    assert_eq!(heard, 2, "both gateways listen");
    other.wait_for_state("the close", PATIENCE, |state| state.closed().is_some()).await.unwrap();
    assert_eq!(other.closed().unwrap().code, Some(4401));
    let again = ViewerClient::open(ClientOptions::new(&first, &token)).await.unwrap_err();
    assert!(matches!(again, ClientError::Refused { status: 401, .. }), "{again}");
    assert_eq!(buyer.closed(), None, "nobody else is logged out");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_resumes_by_what_it_missed_and_never_by_what_never_was() {
    let _one = ONE_AT_A_TIME.lock().await;
    let stack = Stack::start(StackOptions::new().gateways(2)).await.unwrap();
    let addresses = stack.addresses();
    let [first, second] = [&addresses.gateways[0], &addresses.gateways[1]].map(String::clone);
    let (moving, staying, buyer) = (viewer(&first).await, viewer(&second).await, viewer(&first).await);
    let before = moving.viewer(show(), |v| v.map().position()).unwrap().unwrap();
    moving.disconnect().await;
    let held = hold(&buyer, show(), &free_seats(&buyer, 2)).await;
    sees_position(&staying, held.position).await;
    moving.move_to(&second).await.unwrap();
    sees_position(&moving, held.position).await;
    let frames = moving.read(|state| state.history().frames().map(|(frame, _)| frame.clone()).collect::<Vec<_>>());
    assert!(
        matches!(frames.as_slice(), [SeatFrame::Snapshot(_), SeatFrame::Delta(d)] if d.from == before.sequence),
        "{frames:?}"
    );
    // Positions that never were: from the future, of another generation.
    let now = moving.viewer(show(), |v| v.map().position()).unwrap().unwrap();
    let claims = [
        Position::new(now.generation, now.sequence + 1_000),
        Position::new(now.generation + 5, 3),
        Position::new(0, 7),
    ];
    for claim in claims {
        let token = guest(&second).await.unwrap().token;
        let mut liar = Raw::open(second.strip_prefix("http://").unwrap(), &token).await;
        let watch = ClientMessage::Watch { show: show(), pos: Some(claim) };
        liar.send_text(&serde_json::to_string(&watch).unwrap()).await;
        let Frame::Text(answer) = liar.frame().await else { panic!("no answer to {claim}") };
        assert_eq!((&answer["t"], &answer["s"]), (&json!("snapshot"), &json!(now.sequence)), "{claim}: {answer}");
    }
    // A claim is no reason to doubt the room; a feed that a starved machine lost is.
    let metrics = &addresses.gateway_metrics[1];
    let lost = metric(metrics, "seatwire_gateway_feed_disconnects_total").await;
    assert!(
        lost > 0.5 || !staying.messages().iter().any(|m| matches!(m, ServerMessage::Stale { .. })),
        "{:?}",
        staying.messages()
    );
    [&moving, &staying, &buyer].into_iter().for_each(is_right);
    // Ten thousand people or three: one snapshot a show and gateway.
    let fetched = metric(metrics, "seatwire_gateway_snapshots_fetched_total").await;
    assert!(lost > 0.5 || (fetched - 1.0).abs() < 0.5, "{fetched}");
    stack.shutdown().await;
}

/// The show's snapshot or delta that a viewer gets when it comes with a map at `pos`.
async fn first_frame_at(mut raw: Raw, pos: Position) -> u64 {
    let watch = ClientMessage::Watch { show: show(), pos: Some(pos) };
    raw.send_text(&serde_json::to_string(&watch).unwrap()).await;
    loop {
        let Frame::Text(frame) = raw.frame().await else { panic!("no answer") };
        match frame["t"].as_str().unwrap() {
            "snapshot" | "beat" => return frame["s"].as_u64().unwrap(),
            "delta" => return frame["to"].as_u64().unwrap(),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_that_are_ahead_of_their_gateway_wait_for_one_answer_of_the_core() {
    let _one = ONE_AT_A_TIME.lock().await;
    let stack = Stack::start(StackOptions::new().proxy(Link::GatewayRedis)).await.unwrap();
    let addresses = stack.addresses();
    let (gateway, metrics) = (addresses.gateway.clone(), addresses.gateway_metrics[0].clone());
    let ahead = async || metric(&metrics, r#"seatwire_gateway_watches_total{how="ahead"}"#).await;
    let buyer = viewer(&gateway).await;
    let seats = free_seats(&buyer, 2);
    let proxy = stack.proxy(Link::GatewayRedis).unwrap();
    // On a busy machine the news may come before the viewers, or later than they wait: then it is shown another time.
    for _ in 0..20 {
        let address = gateway.strip_prefix("http://").unwrap();
        let token = guest(&gateway).await.unwrap().token;
        let [first, second, third] =
            [Raw::open(address, &token).await, Raw::open(address, &token).await, Raw::open(address, &token).await];
        let before = ahead().await;
        // The gateway hears late of what was told to those who come.
        proxy.latency(Duration::from_millis(200));
        let held = hold(&buyer, show(), &seats).await;
        let told = held.position;
        let seen = tokio::join!(first_frame_at(first, told), first_frame_at(second, told), first_frame_at(third, told));
        buyer.persist(PATIENCE, || buyer.release(show(), held.hold)).await.unwrap();
        proxy.restore();
        sees(&buyer, &seats, SeatStatus::Available).await;
        let all_ahead = (ahead().await - before - 3.0).abs() < 0.5;
        if all_ahead && [seen.0, seen.1, seen.2].iter().all(|seen| *seen >= told.sequence) {
            stack.shutdown().await;
            return;
        }
    }
    panic!("not all of them waited, in any of the rounds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_viewer_is_right_again_in_one_catch_up_and_slows_nobody() {
    let _one = ONE_AT_A_TIME.lock().await;
    let stack = Stack::start(StackOptions::new()).await.unwrap();
    let addresses = stack.addresses();
    let gateway = addresses.gateway.clone();
    // The arena: its snapshots fill a socket soon.
    let shows: Value = Http::default().get(&format!("{gateway}/api/shows"), &[]).await.unwrap().json().unwrap();
    let arena = shows["shows"].as_array().unwrap().iter().find(|s| s["seats"] == 20_000).expect("an arena").clone();
    let arena = ShowId::new(arena["show"].as_u64().unwrap()).unwrap();
    let token = |name: &str| {
        sign_token(&addresses.secrets.jwt, &CustomerId::new(name).unwrap(), Duration::from_secs(600)).unwrap()
    };
    let options = ClientOptions::new(&gateway, &token("slow")).encoding(Encoding::Json);
    let slow = ViewerClient::open(options).await.unwrap();
    slow.watch(arena).await.unwrap();
    slow.set_reading(false).await;
    let skips = "seatwire_gateway_slow_viewer_skips_total";
    let buyer = ViewerClient::connect(&gateway, &token("buyer"), arena).await.unwrap();
    let free = |count| {
        let statuses = buyer.viewer(arena, |v| v.map().statuses().unwrap().clone()).unwrap();
        let free = (0..).zip(statuses.iter()).filter(|(_, status)| *status == SeatStatus::Available);
        free.map(|(seat, _): (u32, _)| seat).take(count).collect::<Vec<_>>()
    };
    let seats = free(2);
    // Asks for snapshots that it does not read, until a round passes it over.
    let mut rounds = 0;
    while metric(&addresses.gateway_metrics[0], skips).await < 1.0 {
        rounds += 1;
        assert!(rounds < 400, "the socket never filled");
        slow.send(ClientMessage::Watch { show: arena, pos: None }).await.unwrap();
        if rounds % 10 == 0 {
            let held = hold(&buyer, arena, &seats).await;
            buyer.persist(PATIENCE, || buyer.release(arena, held.hold)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut last = None;
    for _ in 0..8 {
        let held = hold(&buyer, arena, &seats).await;
        last = Some(buyer.persist(PATIENCE, || buyer.release(arena, held.hold)).await.unwrap().position);
    }
    let last = last.unwrap();
    let there = |v: &ShowViewer| v.map().position() >= Some(last);
    buyer.wait_until("all of its own changes", arena, PATIENCE, there).await.unwrap();
    let stalled_at = slow.viewer(arena, |v| v.map().position()).unwrap();
    assert!(stalled_at < Some(last), "it was not stalled");
    slow.set_reading(true).await;
    slow.wait_until("the catch-up", arena, PATIENCE, there).await.unwrap();
    let frames = slow.read(|state| state.history().frames().map(|(frame, _)| position_of(frame)).collect::<Vec<_>>());
    // What the kernel had taken is from before; then one step to the present.
    assert!(frames.iter().filter(|p| **p > stalled_at.unwrap()).count() <= rounds / 10 * 2 + 2, "{frames:?}");
    let jump = frames.windows(2).map(|pair| pair[1].sequence - pair[0].sequence).max().unwrap();
    assert!(jump >= 16, "one step over everything that was missed: {frames:?}");
    is_right(&slow);
    is_right(&buyer);
    stack.shutdown().await;
}

fn position_of(frame: &SeatFrame) -> Position {
    match frame {
        SeatFrame::Snapshot(s) => s.position,
        SeatFrame::Delta(d) => Position::new(d.generation, d.to),
        SeatFrame::Beat(b) => b.position,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_feed_loses_viewers_stay_and_are_right_again() {
    let _one = ONE_AT_A_TIME.lock().await;
    let stack = Stack::start(StackOptions::new().proxy(Link::GatewayRedis)).await.unwrap();
    let addresses = stack.addresses();
    let gateway = addresses.gateway.clone();
    let viewers = join_all((0..3).map(|_| viewer(&gateway))).await;
    let buyer = &viewers[0];
    let stale_told = async || {
        for viewer in &viewers {
            let told = viewer.wait_for_event("word of doubt", PATIENCE, |event| match event {
                Event::Message(ServerMessage::Stale { stale: true, .. }) => Some(()),
                _ => None,
            });
            told.await.unwrap();
        }
    };
    // Redis closes the subscription.
    let redis = redis::Client::open(addresses.redis.as_str()).unwrap();
    let mut connection = redis.get_connection().unwrap();
    let killed: u64 = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]).query(&mut connection).unwrap();
    assert_eq!(killed, 1);
    stale_told().await;
    let seats = free_seats(buyer, 6);
    hold(buyer, show(), &seats[..2]).await;
    for viewer in &viewers {
        sees(viewer, &seats[..2], SeatStatus::Held).await;
    }
    // The network to Redis goes silent while seats change.
    let proxy = stack.proxy(Link::GatewayRedis).unwrap();
    proxy.half_open();
    hold(buyer, show(), &seats[2..4]).await;
    proxy.restore();
    for viewer in &viewers {
        sees(viewer, &seats[..4], SeatStatus::Held).await;
    }
    // A message that never came, the last one: the show is further than the feed ever said.
    let key = format!("show:{{{}}}:{SHOW}", show().bucket());
    let sequence: u64 = redis::cmd("HINCRBY").arg(key).arg(&["sequence", "1"]).query(&mut connection).unwrap();
    let lost = Position::new(viewers[0].viewer(show(), |v| v.map().generation()).unwrap().unwrap(), sequence);
    for viewer in &viewers {
        sees_position(viewer, lost).await;
        is_right(viewer);
        assert_eq!((viewer.connections(), viewer.closed()), (1, None), "nobody was disconnected");
    }
    assert!(metric(&addresses.gateway_metrics[0], "seatwire_gateway_feed_deaf_total").await >= 1.0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_core_viewers_are_told_and_commands_are_refused_until_it_is_back() {
    let _one = ONE_AT_A_TIME.lock().await;
    let options = StackOptions::new().env(Service::Gateway, "SEATWIRE_COMMAND_MS", 1_500);
    let mut stack = Stack::start(options).await.unwrap();
    let gateway = stack.addresses().gateway;
    let (buyer, other) = (viewer(&gateway).await, viewer(&gateway).await);
    let seats = free_seats(&buyer, 2);
    stack.kill(Process::Core(0));
    let refused = buyer.hold(show(), &new_key(), &seats).await.unwrap_err();
    assert!(refused.code.is_retryable(), "{refused:?}");
    for viewer in [&buyer, &other] {
        viewer.wait_until("doubt", show(), PATIENCE, |v| v.is_stale()).await.unwrap();
    }
    let nothing = Http::default().get(&format!("{gateway}/api/shows/1/seats"), &[]).await.unwrap();
    assert_eq!(nothing.status, 503, "a map in doubt is not served");
    stack.restart(Process::Core(0)).await.unwrap();
    hold(&buyer, show(), &seats).await;
    sees(&other, &seats, SeatStatus::Held).await;
    assert_eq!(other.connections(), 1);
    let missing = ShowId::new(999_999).unwrap();
    buyer.send(ClientMessage::Watch { show: missing, pos: None }).await.unwrap();
    let code = buyer.wait_for_event("a refusal", PATIENCE, |event| match event {
        Event::Message(ServerMessage::Error { error, .. }) if error.field.as_deref() == Some("show") => {
            Some(error.code.clone())
        }
        _ => None,
    });
    assert_eq!(code.await.unwrap(), ErrorCode::NoSuchShow);
    stack.shutdown().await;
}
