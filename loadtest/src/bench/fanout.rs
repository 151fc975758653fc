//! `bench fanout`: seat changes through Redis and one gateway on one core to thousands of viewers, each of which decodes
//! and applies them, at several loads; beside each the raw `send()` loop on the same core, to as many sockets of the same
//! crowd, at the same rate, with as many seats in a frame. Passes in which the crowd or the publisher could not keep up
//! say nothing about a gateway and are left out.

mod load;
mod pass;

use std::time::Duration;

use seatwire_protocol::ShowId;
use tokio::task::block_in_place;

use self::load::{LOADS, Load, SATURATIONS, Saturation};
use self::pass::Pass;
use super::crowd::Crowd;
use super::edge::Edge;
use super::publisher::Publisher;
use super::report::{Figure, Report, count, median, median_ratio};
use super::sends::Sends;
use super::{BenchArgs, progress, shows};
use crate::launcher::{Service, StackOptions};

/// As the gateway has it by default.
const TICK_MS: f64 = 25.0;
/// Sockets of the raw loop at most: two descriptors each in this process, beside the viewers'.
const RAW_MAX: usize = 4_500;
const HALL_SEATS: u32 = 500;
const HALLS: u32 = 20;

/// Runs it.
///
/// # Errors
/// When the stack does not start, or a viewer's map ends up wrong.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let edge = Edge::start(StackOptions::new()).await?;
    let mut report = Report::begin("fanout", edge.rig.redis_version().await?, args.seconds, args.rounds);
    let halls = shows::add(&edge.rig.addresses.postgres, HALL_SEATS, HALLS).await?;
    for load in LOADS {
        let arena = [edge.rig.show];
        let shows = if load.shows == 1 { &arena[..] } else { halls.get(..load.shows).unwrap_or_default() };
        progress(load.name);
        let (measured, reference) = measure(&edge, load, shows, args).await?;
        load::report(&mut report, load, &measured, &reference);
    }
    edge.shutdown().await;

    // Without a tick, and with all of it to have, only the core is a limit.
    let unlimited = StackOptions::new().env(Service::Gateway, "SEATWIRE_TICK_MS", 0);
    let edge = Edge::start(unlimited.env(Service::Gateway, "SEATWIRE_FANOUT_SHARE", 100)).await?;
    let halls = shows::add(&edge.rig.addresses.postgres, HALL_SEATS, HALLS).await?;
    for saturation in SATURATIONS {
        progress(saturation.name);
        saturate(&edge, saturation, halls.get(..saturation.shows).unwrap_or_default(), args, &mut report).await?;
    }
    edge.shutdown().await;
    report.end(args.json.as_deref())
}

/// Gateway and raw loop in turn; what of both counts.
async fn measure(
    edge: &Edge,
    load: &Load,
    shows: &[ShowId],
    args: &BenchArgs,
) -> anyhow::Result<(Vec<Pass>, Vec<Pass>)> {
    let length = Duration::from_secs(args.seconds.max(load.seconds_min));
    let batches = (length.as_secs() + 4) * (args.rounds as u64 + 1) * u64::from(load.batches_per_second);
    let mut publisher = Publisher::new(&edge.rig, shows, batches / load.shows as u64 + 1_000).await?;
    let published: Vec<_> = publisher.published().map(|(show, times)| (show, times.clone())).collect();
    let mut crowd = block_in_place(|| edge.crowd(load.viewers, shows, &published))?;
    let mut bare = Crowd::new()?;
    let seats = if load.shows == 1 { 20_000 } else { HALL_SEATS };
    let raw_viewers = load.viewers.min(RAW_MAX);
    let first = *shows.first().unwrap_or(&edge.rig.show);
    let mut sends = block_in_place(|| Sends::open(&mut bare, raw_viewers, first, seats))?;
    let (mut measured, mut reference) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        let gateway =
            block_in_place(|| pass::gateway(edge, &mut crowd, &mut publisher, load.batches_per_second, length))?;
        edge.verify(&mut crowd, &publisher.positions()).await?;
        let per_viewer = gateway.frames_per_s() / count(load.viewers as u64);
        let every = Duration::from_secs_f64(1.0 / per_viewer.max(0.1));
        let raw = block_in_place(|| pass::raw(&mut bare, &mut sends, every, gateway.entries_a_frame(), length))?;
        if gateway.is_behind() || raw.is_behind() {
            progress(&format!("{}, round {}: left out, {gateway}", load.name, round + 1));
            continue;
        }
        measured.push(gateway);
        reference.push(raw);
    }
    publisher.release_all()?;
    drop((crowd, bare, sends));
    edge.emptied(0).await?;
    Ok((measured, reference))
}

/// More rooms than a core can serve, beside the raw loop without a pause.
async fn saturate(
    edge: &Edge,
    what: &Saturation,
    shows: &[ShowId],
    args: &BenchArgs,
    report: &mut Report,
) -> anyhow::Result<()> {
    let length = Duration::from_secs(args.seconds);
    let batches = (args.seconds + 4) * (args.rounds as u64 + 1) * u64::from(what.batches_per_second);
    let mut publisher = Publisher::new(&edge.rig, shows, batches / what.shows as u64 + 1_000).await?;
    let mut crowd = block_in_place(|| edge.crowd(what.viewers, shows, &[]))?;
    let mut bare = Crowd::new()?;
    let first = *shows.first().unwrap_or(&edge.rig.show);
    let mut sends = block_in_place(|| Sends::open(&mut bare, what.viewers.min(RAW_MAX), first, HALL_SEATS))?;
    let (mut measured, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let gateway =
            block_in_place(|| pass::gateway(edge, &mut crowd, &mut publisher, what.batches_per_second, length))?;
        edge.verify(&mut crowd, &publisher.positions()).await?;
        let entries = gateway.entries_a_frame();
        let raw = block_in_place(|| pass::raw(&mut bare, &mut sends, Duration::ZERO, entries, length))?;
        progress(&format!("gateway: {gateway}; raw: {raw}"));
        measured.push(gateway);
        reference.push(raw);
    }
    let all = |passes: &[Pass], of: fn(&Pass) -> f64| passes.iter().map(of).collect::<Vec<_>>();
    let (frames, raw) = (all(&measured, Pass::frames_per_s), all(&reference, Pass::frames_per_s));
    let ratio = median_ratio(&frames, &raw);
    let mut figure = Figure::new(format!("{}, frames", what.name), "/s", median(frames)).beside(median(raw));
    figure.ratio = Some(ratio);
    report.add(figure.goal("ratio >= 0.85", ratio >= 0.85));
    let (frames, raw) = (all(&measured, Pass::us_a_frame), all(&reference, Pass::us_a_frame));
    let ratio = median_ratio(&frames, &raw);
    let mut figure = Figure::new(format!("{}, CPU of a frame", what.name), "us", median(frames)).beside(median(raw));
    figure.ratio = Some(ratio);
    report.add(figure.goal("ratio <= 1.15", ratio <= 1.15));
    report.add(Figure::new(format!("{}, gateway's core", what.name), "", median(all(&measured, Pass::cores))));
    publisher.release_all()?;
    drop((crowd, bare, sends));
    edge.emptied(0).await
}
