//! The stack of a herd, the show whose doors open, those who watch whether all is right, and how it looks at rest.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use seatwire_protocol::{CustomerId, ShowId};

use super::{Event, ThunderingHerd, habits};
use crate::audit::Check;
use crate::bench::{cpu, memory, shows};
use crate::client::{ClientOptions, Encoding, ViewerClient, sign_token};
use crate::crowd::Crowd;
use crate::faults::Normal;
use crate::launcher::{Addresses, Clock, Process, Service, Stack};
use crate::run::house::House;
use crate::run::report::FaultLine;
use crate::run::{sale, strikes};
use crate::viewers::Herd;

pub(super) struct Stage {
    pub(super) stack: Stack,
    pub(super) show: ShowId,
    pub(super) opens_at: SystemTime,
    pub(super) normal: Arc<Normal>,
}

/// Memory of the gateways.
pub(super) struct Resident {
    pids: Vec<u32>,
    kib: u64,
}

impl Resident {
    /// KiB since then.
    pub(super) fn grown(&self) -> u64 {
        resident(&self.pids).saturating_sub(self.kib)
    }
}

impl Stage {
    pub(super) async fn set(
        args: &ThunderingHerd,
        faults: &strikes::Plan,
        event: Option<Event>,
    ) -> anyhow::Result<Self> {
        let options = args.common.stack().cores(CORES).gateways(GATEWAYS).provider(args.provider);
        let mut options = sale::short_lives(options);
        for cap in ["CONNECTIONS_MAX", "CONNECTIONS_PER_ADDRESS_MAX", "JOINS_PER_SECOND_MAX"] {
            options = options.env(Service::Gateway, format!("SEATWIRE_{cap}"), 100_000);
        }
        if event == Some(Event::RollingRestart) {
            // As long as the gateway's own default, not the launcher's short one.
            options = options.env(Service::Gateway, "SEATWIRE_DRAIN_MS", 10_000);
        }
        if faults.wanted() > 0 {
            options = options.all_proxies().redis_append_only().clocks();
        }
        if faults.needs_disks() {
            let (data, wal) = POSTGRES_DISKS_MIB;
            options = options.redis_disk_mib(REDIS_DISK_MIB).postgres_disks_mib(data, wal);
        }
        crate::bench::edge::raise_file_limit()?;
        let stack = Stack::start(options).await?;
        let at = stack.addresses();
        // Tokens have to be signed, and the early birds want to see the doors open.
        let opens_at = SystemTime::now() + house(args, 0).lead();
        let show = shows::add_opening(&at.postgres, args.seats, opens_at).await?;
        let mut watchers = Vec::new();
        for number in 0..WATCHERS {
            watchers.push(Arc::new(watcher(&at, show, number).await?));
        }
        // Far from the good seats, and from the last ones, which quiet purchases take.
        let middle = args.seats / 2;
        let normal = Arc::new(Normal::new(&at, show, (middle..middle + NEWCOMERS_SEATS).collect(), watchers));
        Ok(Self { stack, show, opens_at, normal })
    }

    pub(super) async fn crowd(&self, at: &Addresses) -> anyhow::Result<Crowd> {
        Crowd::gather_at(at, self.show).await
    }

    /// A tenth of the time before the doors open the first ones come.
    pub(super) async fn herd(&self, args: &ThunderingHerd, seed: u64) -> anyhow::Result<Herd> {
        let come_at = self.opens_at.checked_sub(args.within.0 / 10).context("a time before this one")?;
        house(args, seed).fill(&self.stack.addresses(), self.show, come_at).await
    }

    pub(super) fn resident(&self) -> Resident {
        let pids = self.gateways();
        let kib = resident(&pids);
        Resident { pids, kib }
    }

    /// Processor time of the gateways, nanoseconds.
    pub(super) fn gateways_cpu(&self) -> u64 {
        self.gateways().into_iter().map(cpu::of_process).sum()
    }

    fn gateways(&self) -> Vec<u32> {
        (0..GATEWAYS).filter_map(|gateway| self.stack.pid(Process::Gateway(gateway))).collect()
    }

    /// Unpaid bookings made while PostgreSQL's clock was ahead last until that time comes: it comes now.
    pub(super) fn end_steps(&self, faults: &[FaultLine]) -> anyhow::Result<()> {
        let ahead = crate::faults::Fault::ClockAhead(Clock::Postgres).row().name;
        if faults.iter().any(|fault| fault.name == ahead) {
            self.stack.step_clock(Clock::Postgres, 20 * 60)?;
        }
        Ok(())
    }

    /// Those with whole histories, in both encodings.
    pub(super) async fn watchers_check(&self) -> Check {
        let mut check = Check::new("watchers_see_the_map", "20 21 22");
        for watcher in self.normal.viewers() {
            check.examined(1);
            let seen = watcher.read(|state| state.history().violations().to_vec());
            seen.into_iter().for_each(|violation| check.violated(violation));
            if watcher.closed().is_some() {
                // Who is not looked at does not come back by itself.
                let _ = watcher.reconnect().await;
            }
        }
        if let Err(error) = self.normal.maps_are_equal(&self.stack.addresses().redis).await {
            check.violated(format!("{error:#}"));
        }
        check
    }
}

/// One after the other, each given time to be filled again before the next.
pub(super) async fn restart_gateways(stack: &mut Stack) -> anyhow::Result<()> {
    for gateway in 0..GATEWAYS {
        crate::run::say(&format!("gateway {gateway} is drained and restarted"));
        stack.restart(Process::Gateway(gateway)).await?;
        stack.wait_ready().await?;
        tokio::time::sleep(BETWEEN_RESTARTS).await;
    }
    Ok(())
}

fn house(args: &ThunderingHerd, seed: u64) -> House {
    let within = args.within.0;
    House { viewers: args.viewers, within, habits: habits(args), processes: args.processes, seed }
}

fn resident(pids: &[u32]) -> u64 {
    pids.iter().copied().map(memory::rss_kib).sum()
}

/// At each gateway in turn, in each encoding in turn.
async fn watcher(at: &Addresses, show: ShowId, number: usize) -> anyhow::Result<ViewerClient> {
    let customer = CustomerId::new(&format!("watcher-{number}"))?;
    let token = sign_token(&at.secrets.jwt, &customer, Duration::from_secs(24 * 3_600))?;
    let gateway = at.gateways.get(number % at.gateways.len()).context("no gateway")?;
    let encoding = Encoding::ALL.get(number / at.gateways.len() % Encoding::ALL.len()).copied().unwrap_or_default();
    let client = ViewerClient::open(ClientOptions::new(gateway, &token).encoding(encoding)).await?;
    client.watch(show).await?;
    Ok(client)
}

/// Far more than a run writes: full is what a fault makes them.
const POSTGRES_DISKS_MIB: (u32, u32) = (4_096, 256);
/// The append-only file is written anew whenever it has 64 MiB more.
const REDIS_DISK_MIB: u32 = 512;
pub(super) const CORES: usize = 2;
pub(super) const GATEWAYS: usize = 2;
const WATCHERS: usize = 4;
const NEWCOMERS_SEATS: u32 = 8;
const BETWEEN_RESTARTS: Duration = Duration::from_secs(3);
