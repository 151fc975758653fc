//! The stack of a herd, the show whose doors open, those who watch whether all is right, and how it looks at rest.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use seatwire_protocol::{CustomerId, ShowId};

use super::{Event, ThunderingHerd, habits};
use crate::audit::Check;
use crate::client::{ClientOptions, Encoding, ViewerClient, sign_token};
use crate::faults::Normal;
use crate::launcher::{Addresses, Clock, Process, Service, Stack};
use crate::run::house::House;
use crate::run::place::Place;
use crate::run::report::FaultLine;
use crate::run::{sale, strikes};
use crate::viewers::Herd;

pub(super) struct Stage {
    pub(super) place: Place,
    pub(super) opens_at: SystemTime,
    pub(super) normal: Arc<Normal>,
}

impl Stage {
    pub(super) async fn set(
        args: &ThunderingHerd,
        faults: &strikes::Plan,
        event: Option<Event>,
    ) -> anyhow::Result<Self> {
        let options = Place::roomy(&args.common).cores(CORES).gateways(GATEWAYS).provider(args.provider);
        let mut options = sale::short_lives(options);
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
        // Tokens have to be signed, and the early birds want to see the doors open.
        let lead = house(args, 0).lead();
        let (place, opens_at) = Place::opening(&args.common, options, args.seats, lead).await?;
        let (at, show) = (place.addresses(), place.show);
        let mut watchers = Vec::new();
        for number in 0..WATCHERS {
            watchers.push(Arc::new(watcher(&at, show, number).await?));
        }
        // Far from the good seats, and from the last ones, which quiet purchases take.
        let middle = args.seats / 2;
        let normal = Arc::new(Normal::new(&at, show, (middle..middle + NEWCOMERS_SEATS).collect(), watchers));
        Ok(Self { place, opens_at, normal })
    }

    /// A tenth of the time before the doors open the first ones come.
    pub(super) async fn herd(&self, args: &ThunderingHerd, seed: u64) -> anyhow::Result<Herd> {
        let come_at = self.opens_at.checked_sub(args.house.within.0 / 10).context("a time before this one")?;
        house(args, seed).fill(&self.place.addresses(), self.place.show, come_at).await
    }

    /// Unpaid bookings made while PostgreSQL's clock was ahead last until that time comes: it comes now.
    pub(super) fn end_steps(&self, faults: &[FaultLine]) -> anyhow::Result<()> {
        let ahead = crate::faults::Fault::ClockAhead(Clock::Postgres).row().name;
        let stepped = faults.iter().any(|fault| fault.name == ahead);
        if let Some(stack) = self.place.stack().filter(|_| stepped) {
            stack.step_clock(Clock::Postgres, 20 * 60)?;
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
        if let Err(error) = self.normal.maps_are_equal(&self.place.addresses().redis).await {
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
    House::of(&args.house, habits(args), seed)
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
