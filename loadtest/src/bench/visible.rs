//! `bench visible`: from a buyer's hold to the seat shown as held to a viewer at another gateway, at light load. Beside
//! it the same script call on the same Redis, from its first byte to the message at a plain subscriber.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Buf as _, BytesMut};
use seatwire_protocol::feed::feed_channel;
use seatwire_protocol::{HoldId, SeatIndex, SeatStatus};
use tokio::task::block_in_place;

use super::capture::Pattern;
use super::driver::read_some;
use super::report::{Figure, Report, Times, count};
use super::rig::Rig;
use super::{BenchArgs, progress, raw};
use crate::client::{ClientOptions, ViewerClient, new_key};
use crate::launcher::StackOptions;

/// Buyers take turns, so that none comes near the gateways' limit of commands.
const BUYERS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two holds, milliseconds: they must not keep step with the gateway's beat.
const PAUSE_MS: std::ops::Range<u64> = 10..60;

/// Runs it.
///
/// # Errors
/// When the stack does not start, or a hold does not become visible.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let rig = Rig::start(StackOptions::new().gateways(2)).await?;
    let mut report = Report::begin("visible", rig.redis_version().await?, args.seconds, args.rounds);
    let (near, far) = (&rig.addresses.gateway, rig.addresses.gateways.last().context("no gateway")?);
    let viewer = ViewerClient::connect(far, &rig.token("bench-viewer")?, rig.show).await?;
    let mut buyers = Vec::new();
    for n in 0..BUYERS {
        buyers.push(ViewerClient::open(ClientOptions::new(near, &rig.token(&format!("bench-buyer-{n}"))?)).await?);
    }
    let patterns = rig.patterns().await?;
    let mut subscriber = TcpStream::connect(rig.redis_address()?)?;
    write!(subscriber, "SUBSCRIBE {}\r\n", feed_channel(rig.show))?;
    let mut input = BytesMut::new();
    take(&mut subscriber, &mut input)?;
    let mut caller = TcpStream::connect(rig.redis_address()?)?;
    caller.set_nodelay(true)?;
    progress("holds and plain script calls in turn");
    let (mut seen, mut plain) = (Vec::new(), Vec::new());
    let length = Duration::from_secs(args.seconds);
    for _ in 0..args.rounds {
        let end = Instant::now() + length;
        while Instant::now() < end {
            plain.push(block_in_place(|| plain_call(&rig, &patterns, &mut caller, &mut subscriber, &mut input))?);
            pause().await;
        }
        let end = Instant::now() + length;
        for buyer in buyers.iter().cycle() {
            if Instant::now() >= end {
                break;
            }
            seen.push(one(&rig, buyer, &viewer).await?);
            pause().await;
        }
        // The viewer saw the others as well; what is of them must not be taken for the next round's.
        while subscriber_has(&mut subscriber, &mut input)? {}
    }
    report.add(Figure::new("holds seen", "", count(seen.len() as u64)));
    let (seen, plain) = (Times::new(seen), Times::new(plain));
    for (percent, goal, most) in [(50, "<= 5 ms", 5.0), (99, "<= 20 ms", 20.0), (100, "", f64::INFINITY)] {
        let name = if percent == 100 { "max".to_owned() } else { format!("p{percent}") };
        let measured = seen.percentile_ms(percent);
        let figure = Figure::new(format!("hold to visible at another gateway, {name}"), "ms", measured);
        let figure = figure.beside(plain.percentile_ms(percent));
        report.add(if goal.is_empty() { figure } else { figure.goal(goal, measured <= most) });
    }
    rig.stack.shutdown().await;
    report.end(args.json.as_deref())
}

async fn one(rig: &Rig, buyer: &ViewerClient, viewer: &ViewerClient) -> anyhow::Result<Duration> {
    let start = *rig.starts.get(rand::random_range(0..rig.starts.len())).context("no seats")?;
    let is = |status| move |v: &seatwire_protocol::viewer::ShowViewer| v.map().status(SeatIndex(start)) == Some(status);
    let seats = [start, start + 1, start + 2];
    let key = new_key();
    let began = Instant::now();
    let visible = async {
        viewer.wait_until("the held seat", rig.show, PATIENCE, is(SeatStatus::Held)).await?;
        anyhow::Ok(began.elapsed())
    };
    let (hold, visible) = tokio::join!(buyer.hold(rig.show, &key, &seats), visible);
    let (hold, visible) = (hold?, visible?);
    buyer.release(rig.show, hold.hold).await?;
    viewer.wait_until("the free seat", rig.show, PATIENCE, is(SeatStatus::Available)).await?;
    Ok(visible)
}

/// From the call to the message; the hold is released again.
fn plain_call(
    rig: &Rig,
    (hold, release): &(Pattern, Pattern),
    caller: &mut TcpStream,
    subscriber: &mut TcpStream,
    input: &mut BytesMut,
) -> anyhow::Result<Duration> {
    let start = *rig.starts.get(rand::random_range(0..rig.starts.len())).context("no seats")?;
    let id = HoldId(rand::random());
    let mut out = Vec::new();
    hold.put(&mut out, id, "bench-plain", [start, start + 1, start + 2]);
    let began = Instant::now();
    caller.write_all(&out)?;
    take(subscriber, input)?;
    let took = began.elapsed();
    out.clear();
    release.put(&mut out, id, "bench-plain", [0; 3]);
    caller.write_all(&out)?;
    take(subscriber, input)?;
    let mut answers = BytesMut::new();
    take(caller, &mut answers)?;
    take(caller, &mut answers)?;
    Ok(took)
}

/// Waits for one value and drops it.
fn take(stream: &mut TcpStream, input: &mut BytesMut) -> anyhow::Result<()> {
    loop {
        if let Some(length) = raw::skip(input, 0)? {
            input.advance(length);
            return Ok(());
        }
        read_some(stream, input)?;
    }
}

/// Takes what has arrived already; whether there was something.
fn subscriber_has(subscriber: &mut TcpStream, input: &mut BytesMut) -> anyhow::Result<bool> {
    input.clear();
    subscriber.set_nonblocking(true)?;
    let mut bytes = [0; 4_096];
    let read = std::io::Read::read(subscriber, &mut bytes);
    subscriber.set_nonblocking(false)?;
    Ok(matches!(read, Ok(1..)))
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(rand::random_range(PAUSE_MS))).await;
}
