//! A stack whose gateways have a core to themselves, and what the benchmarks of gateways need of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seatwire_protocol::command::GetSnapshot;
use seatwire_protocol::limits::WATCHED_SHOWS_MAX;
use seatwire_protocol::{Position, ShowId};
use tokio::task::block_in_place;

use super::crowd::{Crowd, Join, Published};
use super::report::count;
use super::rig::{Rig, call};
use super::{cpu, pin};
use crate::client::Http;
use crate::launcher::{Process, Service, StackOptions};

/// More than the system lets a process have anyway.
const CONNECTIONS: u32 = 100_000;

/// The stack.
pub(super) struct Edge {
    pub(super) rig: Rig,
}

impl Edge {
    pub(super) async fn start(options: StackOptions) -> anyhow::Result<Self> {
        // Whatever this process starts follows it; the gateways are moved below.
        pin::process(std::process::id(), pin::LOAD);
        raise_file_limit()?;
        let caps = ["CONNECTIONS_MAX", "CONNECTIONS_PER_ADDRESS_MAX", "JOINS_PER_SECOND_MAX"];
        let raise =
            |options: StackOptions, cap: &str| options.env(Service::Gateway, format!("SEATWIRE_{cap}"), CONNECTIONS);
        let options = caps.into_iter().fold(options, raise);
        // One core, one worker.
        let rig = Rig::start(options.env(Service::Gateway, "TOKIO_WORKER_THREADS", 1)).await?;
        let edge = Self { rig };
        edge.pin();
        Ok(edge)
    }

    /// Gives every gateway that runs the measured core.
    pub(super) fn pin(&self) {
        for gateway in 0..self.rig.addresses.gateways.len() {
            if let Some(pid) = self.pid(gateway) {
                pin::process(pid, pin::MEASURED);
            }
        }
    }

    pub(super) fn pid(&self, gateway: usize) -> Option<u32> {
        self.rig.stack.pid(Process::Gateway(gateway))
    }

    /// Processor time of a gateway.
    pub(super) fn used(&self, gateway: usize) -> cpu::Used {
        self.pid(gateway).map_or_else(cpu::Used::default, cpu::used_by_process)
    }

    pub(super) fn address(&self, gateway: usize) -> anyhow::Result<SocketAddr> {
        let url = self.rig.addresses.gateways.get(gateway).context("no such gateway")?;
        Ok(url.trim_start_matches("http://").parse()?)
    }

    /// How a viewer joins: a customer of its own.
    pub(super) fn join(&self, gateway: usize, number: usize, show: ShowId) -> anyhow::Result<Join> {
        let token = self.rig.token(&format!("bench-viewer-{number}"))?;
        let gateway = self.address(gateway)?;
        Ok(Join { gateway, token, shows: vec![(show, None)], receive_buffer: None, meant: None })
    }

    /// A crowd of viewers, the shows in turn, all live. They join no faster than a gateway takes them.
    pub(super) fn crowd(
        &self,
        viewers: usize,
        shows: &[ShowId],
        published: &[(ShowId, Arc<Published>)],
    ) -> anyhow::Result<Crowd> {
        let mut crowd = Crowd::new()?;
        for (show, published) in published {
            crowd.set_published(*show, published);
        }
        self.add_viewers(&mut crowd, viewers, shows)?;
        Ok(crowd)
    }

    /// More viewers for a crowd.
    pub(super) fn add_viewers(&self, crowd: &mut Crowd, viewers: usize, shows: &[ShowId]) -> anyhow::Result<()> {
        for (number, show) in (0..viewers).zip(shows.iter().cycle()) {
            crowd.join(&self.join(0, number, *show)?)?;
            if number % 64 == 63 {
                crowd.settle()?;
            }
        }
        crowd.settle()
    }

    /// Watches all these shows at the first gateway, by as few viewers as may be; answers the crowd, all live.
    pub(super) fn watch_all(&self, shows: &[ShowId]) -> anyhow::Result<Crowd> {
        let mut crowd = Crowd::new()?;
        for (number, some) in shows.chunks(WATCHED_SHOWS_MAX).enumerate() {
            let mut join = self.join(0, number, self.rig.show)?;
            join.shows = some.iter().map(|show| (*show, None)).collect();
            crowd.join(&join)?;
            // The core loads each of them from the ledger first.
            if number % 16 == 15 {
                crowd.settle()?;
            }
        }
        crowd.settle()?;
        Ok(crowd)
    }

    /// Waits until a gateway has let go of all connections.
    pub(super) async fn emptied(&self, gateway: usize) -> anyhow::Result<()> {
        self.emptied_to(gateway, 0).await
    }

    /// Waits until a gateway has let go of all connections but so many.
    pub(super) async fn emptied_to(&self, gateway: usize, left: usize) -> anyhow::Result<()> {
        for _ in 0..600 {
            if self.metric(gateway, "seatwire_gateway_connections").await? < count(left as u64) + 1.0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the gateway does not let go of connections that are closed")
    }

    /// The sum of a metric over its labels; 0 where it was never counted.
    pub(super) async fn metric(&self, gateway: usize, name: &str) -> anyhow::Result<f64> {
        let url = self.rig.addresses.gateway_metrics.get(gateway).context("no such gateway")?;
        let reply = Http::default().get(&format!("{url}/metrics"), &[]).await?;
        if reply.status != 200 {
            bail!("metrics answered {}", reply.status);
        }
        let text = String::from_utf8_lossy(&reply.body);
        let of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with(['{', ' ']);
            if is_it { rest.rsplit_once(' ')?.1.parse::<f64>().ok() } else { None }
        };
        Ok(text.lines().filter_map(of).sum())
    }

    /// Every reading viewer has the map that the core has.
    pub(super) async fn verify(&self, crowd: &mut Crowd, positions: &[(ShowId, Position)]) -> anyhow::Result<()> {
        for (show, position) in positions {
            if !block_in_place(|| crowd.reach(*show, *position))? {
                bail!("not every viewer of show {show} came to {position:?}");
            }
            let snapshot = call(&self.rig.client, &GetSnapshot { show: *show }).await?;
            if snapshot.position != *position {
                bail!("show {show} is at {:?}, not at {position:?}", snapshot.position);
            }
            let maps = crowd.viewers().iter().filter(|v| v.is_reading() && v.is_live()).flat_map(|v| &v.maps);
            for map in maps.filter(|map| map.show == *show) {
                let bytes = map.statuses.as_bytes();
                // Redis does not store zeros at the end that were never written.
                let same = bytes.starts_with(&snapshot.statuses)
                    && bytes.iter().skip(snapshot.statuses.len()).all(|byte| *byte == 0);
                if !same {
                    bail!("a viewer's map of show {show} differs from the core's");
                }
            }
        }
        if let Some(violation) = crowd.stats.violations.first() {
            bail!("{} frames broke the delta rule, the first: {violation}", crowd.stats.violations_total);
        }
        Ok(())
    }

    pub(super) async fn shutdown(self) {
        self.rig.stack.shutdown().await;
    }
}

/// For this process and for those that it starts.
pub(crate) fn raise_file_limit() -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of open files")?;
    }
    Ok(())
}
