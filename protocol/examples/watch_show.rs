//! Watches a show in a terminal: the whole map where there is one, else one line a change.
//!
//! ```sh
//! cargo run -p seatwire-protocol --example watch_show -- http://127.0.0.1:7000 1
//! ```
//!
//! `--changes N` ends after N changed frames. Reads MessagePack frames, resumes after every disconnect, and never shows
//! an old map as the present.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seatwire_protocol::catalogue::Layout;
use seatwire_protocol::close_code::CloseCode;
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::viewer::{Applied, Ask, SeatView, ShowViewer};
use seatwire_protocol::ws::{ClientMessage, SUBPROTOCOL_MSGPACK, ServerMessage};
use seatwire_protocol::{SeatIndex, SeatStatus, ShowId, codec};
use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(gateway), Some(show)) = (args.next(), args.next()) else {
        bail!("usage: watch_show http://HOST:PORT SHOW [--changes N]");
    };
    let mut changes_left = match (args.next().as_deref(), args.next()) {
        (Some("--changes"), Some(count)) => count.parse().context("--changes wants a number")?,
        _ => u64::MAX,
    };
    let show: ShowId = show.parse()?;
    let layout: Layout = serde_json::from_slice(&http("GET", &format!("{gateway}/api/shows/{show}/layout")).await?)?;
    let mut viewer = ShowViewer::new(show);
    let mut wait = Duration::from_millis(200);
    loop {
        let token = guest_token(&gateway).await;
        let ended = match token {
            Ok(token) => follow(&gateway, &token, &layout, &mut viewer, &mut changes_left).await,
            Err(error) => Err(error),
        };
        viewer.on_disconnected();
        if changes_left == 0 {
            return Ok(());
        }
        match ended {
            Ok(Some(after)) => wait = after,
            Ok(None) => wait = Duration::from_millis(200),
            Err(error) => {
                eprintln!("disconnected: {error:#}");
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
        // A crowd that was cut off together should not come back together.
        tokio::time::sleep(wait.mul_f64(0.5 + f64::from(std::process::id() % 100) / 200.0)).await;
    }
}

/// Follows the show over one connection; answers the time to stay away when the gateway asks for one.
async fn follow(
    gateway: &str,
    token: &str,
    layout: &Layout,
    viewer: &mut ShowViewer,
    changes_left: &mut u64,
) -> anyhow::Result<Option<Duration>> {
    let mut request = format!("{}/ws", gateway.replacen("http", "ws", 1)).into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("Authorization", format!("Bearer {token}").parse()?);
    headers.insert("Sec-WebSocket-Protocol", SUBPROTOCOL_MSGPACK.parse()?);
    let stream = tokio::net::TcpStream::connect(request.uri().authority().context("an address")?.as_str()).await?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    let mut next_id = 0;
    // Twice the gateway's beat, once it has told it.
    let mut patience = Duration::from_secs(10);
    viewer.on_connected();
    loop {
        for ask in viewer.take_asks() {
            next_id += 1;
            let message = match ask {
                Ask::Watch { pos } => ClientMessage::Watch { show: viewer.show(), pos },
                Ask::OwnHolds => ClientMessage::OwnHolds { id: next_id, show: viewer.show() },
                Ask::Booking { booking } => ClientMessage::Booking { id: next_id, booking },
            };
            viewer.on_sent(&message);
            socket.send(Message::binary(codec::encode(&message))).await?;
        }
        let message = match tokio::time::timeout(patience, socket.next()).await.context("no sign of life")? {
            Some(Ok(message)) => message,
            Some(Err(Error::ConnectionClosed)) | None => return Ok(None),
            Some(Err(error)) => return Err(error.into()),
        };
        match message {
            // Seat frames start below 0x80, MessagePack maps do not.
            Message::Binary(bytes) if bytes.first().is_some_and(|first| *first < 0x80) => {
                let before = viewer.clone();
                let frame = SeatFrame::from_packed(&bytes)?;
                if viewer.on_frame(&frame) == Applied::Applied {
                    print(layout, &before, viewer)?;
                    *changes_left -= 1;
                    if *changes_left == 0 {
                        return Ok(None);
                    }
                }
            }
            Message::Binary(bytes) => {
                let message: ServerMessage = codec::decode(&bytes)?;
                viewer.on_message(&message);
                match message {
                    ServerMessage::Welcome { beat_ms, .. } => patience = Duration::from_millis(2 * beat_ms),
                    ServerMessage::Stale { stale: true, .. } => println!("the gateway does not know the present state"),
                    ServerMessage::Error { id: None, error } => bail!("{}: {}", error.code, error.message),
                    _ => {}
                }
            }
            Message::Close(Some(close)) => match CloseCode::from_code(close.code.into()) {
                Some(CloseCode::ServiceRestart) => {
                    return Ok(Some(Duration::from_millis(close.reason.parse().unwrap_or(1_000))));
                }
                Some(code) if !code.may_reconnect() && code != CloseCode::Unauthenticated => {
                    bail!("closed with {}: {}", close.code, close.reason)
                }
                _ => return Ok(None),
            },
            _ => {}
        }
    }
}

/// The map on a terminal, what changed elsewhere.
fn print(layout: &Layout, before: &ShowViewer, now: &ShowViewer) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let position = now.map().position().context("a map that was applied to has a position")?;
    let letter = |seat| match now.seat(seat) {
        Some(SeatView::Own) => '*',
        Some(SeatView::Asked) => '?',
        Some(SeatView::Status(SeatStatus::Available)) => '.',
        Some(SeatView::Status(status)) => status.letter(),
        None => ' ',
    };
    if out.is_terminal() {
        // Home, clear.
        write!(out, "\x1b[H\x1b[2J")?;
        for row in layout.sections.iter().flat_map(|section| &section.rows) {
            let seats = (0..).zip(&row.numbers).map(|(k, _)| SeatIndex(row.first.0 + k));
            writeln!(out, "{:>8}  {}", row.name, seats.map(letter).collect::<String>())?;
        }
        writeln!(out, "\nposition {position}   . available  h held  b booked  x blocked   Ctrl-C ends")?;
    } else if before.map().generation() != now.map().generation() {
        let free = (0..layout.seats).filter(|seat| letter(SeatIndex(*seat)) == '.').count();
        writeln!(out, "{position} map of {} seats, {free} available", layout.seats)?;
    } else {
        let changed = (0..layout.seats).map(SeatIndex).filter(|seat| before.seat(*seat) != now.seat(*seat));
        let told = changed.map(|seat| format!("{}={}", layout.label(seat).unwrap_or_default(), letter(seat)));
        writeln!(out, "{position} {}", told.collect::<Vec<_>>().join(" "))?;
    }
    out.flush()?;
    Ok(())
}

async fn guest_token(gateway: &str) -> anyhow::Result<String> {
    let guest: Value = serde_json::from_slice(&http("POST", &format!("{gateway}/api/guest")).await?)?;
    Ok(guest.get("token").and_then(Value::as_str).context("an answer without a token")?.to_owned())
}

async fn http(method: &str, url: &str) -> anyhow::Result<Bytes> {
    let request = hyper::Request::builder().method(method).uri(url).body(Empty::<Bytes>::new())?;
    let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await.context(url.to_owned())?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    anyhow::ensure!(status.is_success(), "{url}: {status} {}", String::from_utf8_lossy(&body));
    Ok(body)
}
