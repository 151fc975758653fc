//! `bench snapshot`: the whole map of the arena's 20,000 seats, from the core's own clock and over its port, beside a
//! plain GET of 5,000 bytes from the same Redis. One command at a time.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use redis::AsyncCommands as _;
use seatwire_protocol::codec::KIND_ERROR;
use seatwire_protocol::command::{Command as _, GetSnapshot};
use tokio::task::block_in_place;

use super::driver::read_some;
use super::report::{Figure, Report, Times, median};
use super::rig::Rig;
use super::{BenchArgs, cpu, port, progress, raw};
use crate::client::Http;
use crate::launcher::StackOptions;

const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$9\r\nbench:map\r\n";
const MAP_BYTES: usize = 5_000;

/// Runs it.
///
/// # Errors
/// When the stack does not start, or answers what it should not.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let rig = Rig::start(StackOptions::new()).await?;
    let mut report = Report::begin("snapshot", rig.redis_version().await?, args.seconds, args.rounds);
    let () = rig.redis.clone().set("bench:map", vec![0x1B; MAP_BYTES]).await?;
    progress("snapshots and plain GETs in turn");
    let length = Duration::from_secs(args.seconds);
    let mut port = port::connect(rig.addresses.core, &rig.addresses.secrets.core)?;
    let mut redis = TcpStream::connect(rig.redis_address()?)?;
    redis.set_nodelay(true)?;
    let body = port::snapshot_body(rig.show);
    let (mut over_port, mut gets, mut at_core, mut core_us) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        gets.extend(block_in_place(|| repeat(length, || get(&mut redis)))?);
        let (clock, core) = (core_clock(&rig).await?, rig.core_cpu());
        let times = block_in_place(|| {
            repeat(length, || {
                let reply = port::ask(&mut port, GetSnapshot::OP, body.clone())?;
                if reply.kind == KIND_ERROR || reply.body.len() < MAP_BYTES { bail!("no whole map") } else { Ok(()) }
            })
        })?;
        core_us.push(cpu::micros_each(rig.core_cpu().saturating_sub(core), times.len() as u64));
        let after = core_clock(&rig).await?;
        at_core.push(1_000.0 * (after.0 - clock.0) / (after.1 - clock.1).max(1.0));
        over_port.extend(times);
    }
    let (over_port, gets) = (Times::new(over_port), Times::new(gets));
    let mean = median(at_core);
    report.add(
        Figure::new("snapshot of 20,000 seats at the core, mean", "ms", mean)
            .beside(gets.mean_ms())
            .goal("< 1 ms", mean < 1.0),
    );
    for percent in [50, 99] {
        let (measured, reference) = (over_port.percentile_ms(percent), gets.percentile_ms(percent));
        let figure = Figure::new(format!("snapshot over the port, p{percent}"), "ms", measured).beside(reference);
        report.add(if percent == 50 { figure.goal("< 1 ms", measured < 1.0) } else { figure });
    }
    report.add(Figure::new("core CPU of a snapshot", "us", median(core_us)));
    rig.stack.shutdown().await;
    report.end(args.json.as_deref())
}

fn repeat(length: Duration, mut once: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<Duration>> {
    let end = Instant::now() + length;
    let mut times = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        once()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

fn get(redis: &mut TcpStream) -> anyhow::Result<()> {
    redis.write_all(GET)?;
    let mut input = BytesMut::new();
    while raw::skip(&input, 0)?.is_none() {
        read_some(redis, &mut input)?;
    }
    Ok(())
}

/// Seconds that the core has spent on snapshots by its own clock, from a command's last byte to its answer, and how many.
async fn core_clock(rig: &Rig) -> anyhow::Result<(f64, f64)> {
    let reply = Http::default().get(&format!("{}/metrics", rig.addresses.core_http), &[]).await?;
    let text = String::from_utf8_lossy(&reply.body);
    let value = |what: &str| {
        let start = format!("seatwire_core_command_seconds_{what}{{command=\"{}\"}} ", GetSnapshot::NAME);
        text.lines().find_map(|line| line.strip_prefix(&start)?.trim().parse::<f64>().ok())
    };
    let sum = value("sum").context("the core does not time snapshots")?;
    Ok((sum, value("count").unwrap_or(0.0)))
}
