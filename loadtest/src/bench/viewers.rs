//! `bench viewers`: what ten thousand viewers cost a gateway while nothing happens, in memory and processor time, with
//! the kernel's part, and how much memory stays after a busy period. Every viewer has a token of its own, watches, and
//! has been told of its own holds. Beside the idle cost stands the raw `send()` that a beat can't do without.

use std::time::{Duration, Instant};

use tokio::task::block_in_place;

use super::crowd::Crowd;
use super::edge::Edge;
use super::publisher::Publisher;
use super::report::{Figure, Report, count};
use super::sends::Sends;
use super::{BenchArgs, cpu, memory, progress};
use crate::launcher::StackOptions;

const VIEWERS: usize = 10_000;
/// Those of a sale, which are busier than they are many.
const BATCHES_PER_SECOND: u32 = 500;
/// As the gateway has it; a viewer gets one in 70 to 90 % of it.
const BEAT: Duration = Duration::from_secs(25);
/// Until what joining needed is given back.
const CALM: Duration = Duration::from_secs(5);
const MILLION: f64 = 1e6;

/// Runs it.
///
/// # Errors
/// When the stack does not start, or a viewer's map ends up wrong.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let edge = Edge::start(StackOptions::new()).await?;
    let mut report = Report::begin("viewers", edge.rig.redis_version().await?, args.seconds, args.rounds);
    let show = edge.rig.show;
    let pid = edge.pid(0).unwrap_or(0);
    progress("a gateway without viewers");
    // One viewer, so that the room is there: a show's map is no part of a viewer.
    let mut first = block_in_place(|| edge.crowd(1, &[show], &[]))?;
    let alone = block_in_place(|| idle(&edge, &mut first, BEAT * 2))?;
    let (rss_alone, queues_alone) = (memory::rss_kib(pid), memory::tcp_queue_bytes());
    let mut crowd = Crowd::new()?;
    progress(&format!("{VIEWERS} viewers"));
    block_in_place(|| edge.add_viewers(&mut crowd, VIEWERS, &[show]))?;
    block_in_place(|| crowd.run_for(CALM))?;
    let rss_idle = memory::rss_kib(pid);
    let queues = memory::tcp_queue_bytes().zip(queues_alone).map(|(now, before)| now.saturating_sub(before));
    let each = |kib: u64| count(kib) / count(VIEWERS as u64);
    let viewer_kib = each(rss_idle.saturating_sub(rss_alone));
    report.add(Figure::new("RSS of an idle viewer", "KiB", viewer_kib).goal("<= 3.0", viewer_kib <= 3.0));
    report.add(Figure::new("RSS of a gateway without them", "MiB", count(rss_alone) / 1_024.0));
    // Both ends of each connection are on this machine.
    let queue_bytes = queues.map(|bytes| count(bytes) / count(VIEWERS as u64) / 2.0);
    if let Some(bytes) = queue_bytes {
        report.add(Figure::new("kernel's queues of an idle viewer", "bytes", bytes));
    }
    if let Some(bytes) = memory::kernel_objects_bytes() {
        let bytes = count(bytes);
        report.add(Figure::new("kernel's objects of an idle viewer", "bytes", bytes));
        let gigabytes = (viewer_kib * 1_024.0 + bytes + queue_bytes.unwrap_or(0.0)) * MILLION / 1e9;
        let figure = Figure::new("a million idle viewers, extrapolated", "GB", gigabytes);
        report.add(figure.goal("<= 8", gigabytes <= 8.0));
    }
    progress("idle, two beats long");
    let busy = block_in_place(|| idle(&edge, &mut crowd, BEAT * 2))?;
    let raw = block_in_place(|| raw_send_us(args))? / BEAT.mul_f64(0.8).as_secs_f64();
    let us = (busy - alone).max(0.0) / count(VIEWERS as u64);
    let figure = Figure::new("CPU of an idle viewer, a second", "us", us).beside(raw);
    report.add(figure.goal("<= 0.5", us <= 0.5));

    progress(&format!("{} s of a sale", args.busy));
    let length = Duration::from_secs(args.busy);
    let mut publisher = Publisher::new(&edge.rig, &[show], 1).await?;
    block_in_place(|| -> anyhow::Result<()> {
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| publisher.run(BATCHES_PER_SECOND, length));
            while !sender.is_finished() {
                crowd.step(Duration::from_millis(5))?;
            }
            sender.join().map_err(|_| anyhow::anyhow!("the publisher fell"))??;
            Ok(())
        })
    })?;
    edge.verify(&mut crowd, &publisher.positions()).await?;
    block_in_place(|| crowd.run_for(CALM))?;
    let rss_after = memory::rss_kib(pid);
    let ratio = count(rss_after) / count(rss_idle.max(1));
    report.add(
        Figure::new(format!("RSS after {} s of a sale", args.busy), "MiB", count(rss_after) / 1_024.0)
            .beside(count(rss_idle) / 1_024.0)
            .goal("ratio <= 1.2", ratio <= 1.2),
    );
    drop((crowd, first));
    edge.shutdown().await;
    report.end(args.json.as_deref())
}

/// Microseconds of processor time a second that the gateway takes while its viewers only listen.
fn idle(edge: &Edge, crowd: &mut Crowd, length: Duration) -> anyhow::Result<f64> {
    let (began, before) = (Instant::now(), edge.used(0));
    crowd.run_for(length)?;
    Ok(count(edge.used(0).since(before).nanos) / 1_000.0 / began.elapsed().as_secs_f64())
}

/// One `send()` at a low rate, with caches as cold as those of a beat.
fn raw_send_us(args: &BenchArgs) -> anyhow::Result<f64> {
    let mut bare = Crowd::new()?;
    let show = seatwire_protocol::ShowId::new(1)?;
    let mut sends = Sends::open(&mut bare, 1_000, show, 500)?;
    let cost = sends.run(&mut bare, Duration::from_secs(1), 1, Duration::from_secs(args.seconds.max(3)))?;
    Ok(cpu::micros_each(cost.used.nanos, cost.frames))
}
