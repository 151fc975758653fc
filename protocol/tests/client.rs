//! The client against a core of this file: a real TCP server that resets, reorders, lies and falls silent on request.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use seatwire_protocol::client::{CoreClient, CoreClientConfig, LinkError};
use seatwire_protocol::codec::{self, Frame, FrameError, KIND_ERROR, REPLY_BIT};
use seatwire_protocol::command::{Command, GetPositions, Hello, HelloReply, PositionsReply, ReleaseHold, Released};
use seatwire_protocol::limits::CORE_FRAME_BYTES_MAX;
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode, HoldId, Position, ShowId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(60);
const SECRET: &str = "0123456789abcdef";

/// What the core does about one command.
enum Act {
    Send(Frame),
    Raw(Vec<u8>),
    Close,
}

/// A core: `act` is asked for each command with its number (over all connections) and the frame.
struct FakeCore {
    address: String,
    commands: Arc<Mutex<Vec<Frame>>>,
}

impl FakeCore {
    async fn start(in_flight_max: u32, act: impl Fn(usize, &Frame) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let commands = Arc::new(Mutex::new(Vec::new()));
        let (act, seen) = (Arc::new(act), Arc::clone(&commands));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, in_flight_max, Arc::clone(&act), Arc::clone(&seen)));
            }
        });
        Self { address, commands }
    }

    fn commands(&self) -> Vec<Frame> {
        self.commands.lock().unwrap().clone()
    }
}

async fn next(stream: &mut TcpStream, input: &mut BytesMut) -> Option<Frame> {
    loop {
        if let Some(frame) = Frame::take(input).unwrap() {
            return Some(frame);
        }
        if !matches!(stream.read_buf(input).await, Ok(1..)) {
            return None;
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    in_flight_max: u32,
    act: Arc<impl Fn(usize, &Frame) -> Vec<Act>>,
    commands: Arc<Mutex<Vec<Frame>>>,
) {
    let mut input = BytesMut::new();
    let Some(first) = next(&mut stream, &mut input).await else { return };
    let hello: Hello = codec::decode(&first.body).unwrap();
    if hello.secret != SECRET {
        return;
    }
    let reply = HelloReply {
        version: 1,
        core: "fake".to_owned(),
        frame_bytes_max: u32::try_from(CORE_FRAME_BYTES_MAX).unwrap(),
        in_flight_max,
    };
    write(&mut stream, &Frame::new(Hello::OP | REPLY_BIT, first.request_id, codec::encode(&reply))).await;
    while let Some(frame) = next(&mut stream, &mut input).await {
        let nth = {
            let mut commands = commands.lock().unwrap();
            commands.push(frame.clone());
            commands.len() - 1
        };
        for act in act(nth, &frame) {
            match act {
                Act::Send(frame) => write(&mut stream, &frame).await,
                Act::Raw(bytes) => stream.write_all(&bytes).await.unwrap(),
                Act::Close => return,
            }
        }
    }
}

async fn write(stream: &mut TcpStream, frame: &Frame) {
    let mut out = BytesMut::new();
    frame.put(&mut out);
    // A client that went away is no fault of the core's.
    let _ = stream.write_all(&out).await;
}

fn config(cores: &[&FakeCore]) -> CoreClientConfig {
    let addresses = cores.iter().map(|core| core.address.clone()).collect();
    let mut config = CoreClientConfig::new(addresses, SECRET, "test");
    config.connections_per_core = 1;
    config.backoff_min = Duration::from_millis(5);
    config
}

fn release(n: u8) -> ReleaseHold {
    let customer = CustomerId::new("ann").unwrap();
    ReleaseHold { show: ShowId::new(7).unwrap(), customer, hold: HoldId([n; 16]) }
}

/// Answers a release with its own hold id.
fn released(frame: &Frame) -> Act {
    let command: ReleaseHold = codec::decode(&frame.body).unwrap();
    let reply = Released { hold: command.hold, position: Position::new(1, 1) };
    Act::Send(Frame::new(ReleaseHold::OP | REPLY_BIT, frame.request_id, codec::encode(&reply)))
}

fn error(frame: &Frame, error: &ErrorBody) -> Act {
    Act::Send(Frame::new(KIND_ERROR, frame.request_id, codec::encode(error)))
}

fn pong(frame: &Frame) -> Act {
    let reply = PositionsReply { positions: Vec::new() };
    Act::Send(Frame::new(GetPositions::OP | REPLY_BIT, frame.request_id, codec::encode(&reply)))
}

async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap();
}

#[tokio::test]
async fn replies_in_reverse_order_reach_their_callers() {
    let waiting = Mutex::new(Vec::new());
    let core = FakeCore::start(100, move |_, frame| {
        let mut waiting = waiting.lock().unwrap();
        waiting.push(frame.clone());
        if waiting.len() < 50 { Vec::new() } else { waiting.drain(..).rev().map(|f| released(&f)).collect() }
    })
    .await;
    let client = CoreClient::new(config(&[&core]));
    let calls: Vec<_> = (0..50)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.call(&release(n), LONG, 9).await.unwrap().hold })
        })
        .collect();
    for (n, call) in (0..50).zip(calls) {
        assert_eq!(call.await.unwrap(), HoldId([n; 16]));
    }
    assert!(core.commands().iter().all(|f| f.trace == 9 && f.deadline_ms > 0 && f.deadline_ms <= 60_000));
}

#[tokio::test]
async fn a_command_without_answer_is_sent_again_unchanged_after_a_reset() {
    let core = FakeCore::start(10, |nth, frame| if nth < 2 { vec![Act::Close] } else { vec![released(frame)] }).await;
    let client = CoreClient::new(config(&[&core]));
    assert_eq!(client.call(&release(3), LONG, 0).await.unwrap().hold, HoldId([3; 16]));
    let bodies: Vec<_> = core.commands().into_iter().map(|frame| frame.body).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| body == &bodies[0]));
}

#[tokio::test]
async fn a_command_that_kills_every_connection_is_given_up() {
    let core = FakeCore::start(10, |_, _| vec![Act::Close]).await;
    let client = CoreClient::new(config(&[&core]));
    let answer = client.call(&release(3), LONG, 0).await.unwrap_err();
    assert_eq!(answer.code, ErrorCode::Unavailable);
    assert_eq!(core.commands().len(), 4);
}

#[tokio::test]
async fn a_dead_core_is_routed_around() {
    let dead = FakeCore::start(10, |_, _| vec![Act::Close]).await;
    let live = FakeCore::start(10, |_, frame| vec![released(frame)]).await;
    let client = CoreClient::new(config(&[&dead, &live]));
    let mut connected = client.watch_connected();
    tokio::time::timeout(LONG, connected.wait_for(|n| *n == 2)).await.unwrap().unwrap();
    for n in 0..20 {
        assert_eq!(client.call(&release(n), LONG, 0).await.unwrap().hold, HoldId([n; 16]));
    }
}

#[tokio::test]
async fn a_silent_core_is_given_up_and_its_commands_go_elsewhere() {
    let silent = FakeCore::start(10, |_, _| Vec::new()).await;
    let mut config = config(&[&silent]);
    let live = FakeCore::start(10, |_, frame| vec![released(frame)]).await;
    config.addresses.push(live.address.clone());
    // Long enough for a busy machine to ask before the silence is found.
    (config.silence, config.ping_timeout) = (Duration::from_millis(1_000), Duration::from_millis(1_000));
    let client = CoreClient::new(config);
    let mut connected = client.watch_connected();
    tokio::time::timeout(LONG, connected.wait_for(|n| *n == 2)).await.unwrap().unwrap();
    let calls: Vec<_> = (0..4)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.call(&release(n), LONG, 0).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let to_silent = silent.commands();
    for again in live.commands() {
        // Sent a second time, a command has less time left.
        let first = to_silent.iter().find(|frame| frame.body == again.body);
        assert!(first.is_none_or(|first| again.deadline_ms < first.deadline_ms), "{first:?} {again:?}");
    }
    assert!(
        to_silent.iter().any(|f| f.kind == ReleaseHold::OP) && to_silent.iter().any(|f| f.kind == GetPositions::OP)
    );
    assert!(client.status().iter().any(|link| matches!(link.last_error, Some(LinkError::Silent(_)))));
}

#[tokio::test]
async fn a_slow_answer_with_signs_of_life_is_waited_for() {
    let slow = Mutex::new((None, 0));
    let core = FakeCore::start(10, move |_, frame| {
        let mut slow = slow.lock().unwrap();
        if frame.kind == ReleaseHold::OP {
            slow.0 = Some(frame.clone());
            return Vec::new();
        }
        slow.1 += 1;
        let mut acts = vec![pong(frame)];
        if slow.1 == 3 {
            acts.extend(slow.0.as_ref().map(released));
        }
        acts
    })
    .await;
    let mut config = config(&[&core]);
    config.silence = Duration::from_millis(20);
    let client = CoreClient::new(config);
    client.call(&release(1), LONG, 0).await.unwrap();
    assert_eq!(core.commands().iter().filter(|f| f.kind == ReleaseHold::OP).count(), 1, "not sent again");
}

#[tokio::test]
async fn a_full_client_answers_overloaded_and_goes_on_when_there_is_room() {
    let core = FakeCore::start(2, |nth, frame| if nth < 2 { Vec::new() } else { vec![released(frame)] }).await;
    let client = CoreClient::new(config(&[&core]));
    let stuck: Vec<_> = (0..2)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.call(&release(n), LONG, 0).await })
        })
        .collect();
    until(|| async { core.commands().len() == 2 }).await;
    let refused = client.call(&release(9), LONG, 0).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Overloaded);
    assert!(refused.retry_after_ms.is_some());
    for call in stuck {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    client.call(&release(9), LONG, 0).await.unwrap();
}

#[tokio::test]
async fn after_the_deadline_a_late_answer_is_nobodys() {
    let first = Mutex::new(None);
    let core = FakeCore::start(10, move |_, frame| {
        let mut first = first.lock().unwrap();
        match first.take() {
            None => {
                *first = Some(frame.clone());
                Vec::new()
            }
            Some(late) => vec![released(&late), released(frame)],
        }
    })
    .await;
    let client = CoreClient::new(config(&[&core]));
    let mut connected = client.watch_connected();
    tokio::time::timeout(LONG, connected.wait_for(|n| *n == 1)).await.unwrap().unwrap();
    let late = client.call(&release(1), Duration::from_millis(300), 0).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::DeadlineExceeded);
    assert_eq!(client.call(&release(2), LONG, 0).await.unwrap().hold, HoldId([2; 16]));
}

#[tokio::test]
async fn not_ready_is_asked_again_and_other_refusals_are_not() {
    let core = FakeCore::start(10, |nth, frame| match nth {
        0 | 1 => vec![error(frame, &ErrorBody::new(ErrorCode::NotReady, "loading").retry_after_ms(1))],
        2 => vec![released(frame)],
        _ => vec![error(frame, &ErrorBody::new(ErrorCode::Gone, "gone"))],
    })
    .await;
    let client = CoreClient::new(config(&[&core]));
    client.call(&release(1), LONG, 0).await.unwrap();
    assert_eq!(client.call(&release(2), LONG, 0).await.unwrap_err().code, ErrorCode::Gone);
    assert_eq!(core.commands().len(), 4);
}

#[tokio::test]
async fn garbage_from_the_core_ends_the_connection_and_not_the_client() {
    let garbage = AtomicUsize::new(0);
    let core = FakeCore::start(10, move |_, frame| match garbage.fetch_add(1, Ordering::Relaxed) {
        // A frame of 4 GiB, one of another version, one of no known kind, a reply with trailing bytes.
        0 => vec![Act::Raw(vec![0xFF; 64])],
        1 => vec![Act::Send(Frame { version: 99, ..Frame::new(KIND_ERROR, frame.request_id, Vec::new()) })],
        2 => vec![Act::Send(Frame::new(0x44, frame.request_id, Vec::new()))],
        3 => vec![Act::Send(Frame::new(ReleaseHold::OP | REPLY_BIT, frame.request_id, vec![0x80, 0x80]))],
        _ => vec![released(frame)],
    })
    .await;
    let client = CoreClient::new(config(&[&core]));
    let answer = client.call(&release(1), LONG, 0).await.unwrap_err();
    assert_eq!(answer.code, ErrorCode::Internal, "the third, after two lost connections");
    assert_eq!(client.status()[0].last_error, Some(LinkError::Version(99)));
    assert_eq!(client.call(&release(1), LONG, 0).await.unwrap_err().code, ErrorCode::Internal);
    client.call(&release(1), LONG, 0).await.unwrap();
}

/// A core that answers the handshake with these bytes, or closes when there are none.
async fn handshake_error(answer: Vec<u8>) -> LinkError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut input = BytesMut::new();
            next(&mut stream, &mut input).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    let mut config = CoreClientConfig::new(vec![address], SECRET, "test");
    config.connections_per_core = 1;
    let client = CoreClient::new(config);
    until(|| async { client.status()[0].last_error.is_some() }).await;
    let answer = client.call(&release(1), Duration::from_millis(50), 0).await.unwrap_err();
    assert_eq!(answer.code, ErrorCode::Unavailable);
    assert!(answer.retry_after_ms.is_some() && !client.is_connected());
    client.status()[0].last_error.clone().unwrap()
}

fn frame_bytes(kind: u8, body: Vec<u8>) -> Vec<u8> {
    let mut out = BytesMut::new();
    Frame::new(kind, 0, body).put(&mut out);
    out.to_vec()
}

#[tokio::test]
async fn a_handshake_that_fails_is_named() {
    assert_eq!(handshake_error(Vec::new()).await, LinkError::ClosedInHandshake);
    assert_eq!(handshake_error(vec![0xFF; 8]).await, LinkError::Frame(FrameError::TooLarge(0xFFFF_FFFF)));
    let reply = HelloReply { version: 2, core: "new".to_owned(), frame_bytes_max: 9, in_flight_max: 9 };
    let newer = frame_bytes(Hello::OP | REPLY_BIT, codec::encode(&reply));
    assert_eq!(handshake_error(newer).await, LinkError::Version(2));
    let refusal = ErrorBody::new(ErrorCode::UnsupportedVersion, "2 to 3");
    assert_eq!(
        handshake_error(frame_bytes(KIND_ERROR, codec::encode(&refusal))).await,
        LinkError::Refused(refusal.clone())
    );
}

#[tokio::test]
async fn a_wrong_secret_is_told_apart_from_a_dead_core() {
    let core = FakeCore::start(10, |_, frame| vec![released(frame)]).await;
    let mut config = config(&[&core]);
    config.secret = "wrong".to_owned();
    assert!(!format!("{config:?}").contains("wrong"));
    let client = CoreClient::new(config);
    until(|| async { client.status()[0].last_error == Some(LinkError::ClosedInHandshake) }).await;
    assert!(core.commands().is_empty());
}
