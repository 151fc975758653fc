//! The stack of a herd, the show whose doors open, those who watch whether all is right, and how it looks at rest.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use seatwire_protocol::client::{CoreClient, CoreClientConfig};
use seatwire_protocol::command::GetSnapshot;
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{CustomerId, Position, SeatIndex, SeatStatus, ShowId};

use super::{Event, ThunderingHerd, habits};
use crate::audit::{Check, Sources};
use crate::bench::{cpu, memory, shows};
use crate::client::{ClientOptions, Encoding, ViewerClient, sign_token};
use crate::crowd::Crowd;
use crate::faults::Normal;
use crate::launcher::{Addresses, Clock, Process, Service, Stack};
use crate::run::report::FaultLine;
use crate::run::sale;
use crate::viewers::{Herd, Plan};

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
    pub(super) async fn set(args: &ThunderingHerd, with_faults: bool, event: Option<Event>) -> anyhow::Result<Self> {
        let options = args.common.stack().cores(CORES).gateways(GATEWAYS).provider(args.provider);
        let mut options = sale::short_lives(options);
        for cap in ["CONNECTIONS_MAX", "CONNECTIONS_PER_ADDRESS_MAX", "JOINS_PER_SECOND_MAX"] {
            options = options.env(Service::Gateway, format!("SEATWIRE_{cap}"), 100_000);
        }
        if event == Some(Event::RollingRestart) {
            // As long as the gateway's own default, not the launcher's short one.
            options = options.env(Service::Gateway, "SEATWIRE_DRAIN_MS", 10_000);
        }
        if with_faults {
            options = options.all_proxies().redis_append_only().clocks();
        }
        crate::bench::edge::raise_file_limit()?;
        let stack = Stack::start(options).await?;
        let at = stack.addresses();
        // Tokens have to be signed, and the early birds want to see the doors open.
        let opens_at = SystemTime::now() + LEAD + Duration::from_millis(u64::from(args.viewers) / 5);
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
        let at = self.stack.addresses();
        let gateways = at.gateways.iter().map(|url| Ok(url.trim_start_matches("http://").parse()?));
        let within = args.within.0;
        let come_at = self.opens_at.checked_sub(within / 10).context("a time before this one")?;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let plan = Plan {
            show: self.show,
            gateways: gateways.collect::<anyhow::Result<_>>()?,
            redis: at.redis.clone(),
            jwt: at.secrets.jwt.clone(),
            viewers: usize::try_from(args.viewers)?,
            come_at_ms: ms(come_at.duration_since(UNIX_EPOCH)?),
            within_ms: ms(within),
            habits: habits(args),
            seed,
            number: 0,
        };
        let processes = args.processes.unwrap_or_else(|| plan.viewers.div_ceil(VIEWERS_OF_A_PROCESS));
        // Processes that are ready too late are late with the first viewers, and say so.
        Herd::start(plan, processes).await
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

    /// Waits until the last hold is over, so that the map in Redis is the ledger's; answers both.
    pub(super) async fn at_rest(&self) -> anyhow::Result<(Position, Vec<u8>)> {
        let at = self.stack.addresses();
        let config = CoreClientConfig::new(vec![at.core.to_string()], &at.secrets.core, "herd");
        let (core, end) = (CoreClient::new(config), Instant::now() + REST_WITHIN);
        loop {
            let ledger = ledger(&Sources::from(&at), self.show).await?;
            let map = core.call(&GetSnapshot { show: self.show }, Duration::from_secs(5), 0).await;
            if let Ok(map) = map {
                let statuses = PackedStatuses::from_bytes(map.seats, &map.statuses).context("statuses")?;
                // At the end the viewers say what differs.
                if statuses == ledger || Instant::now() > end {
                    return Ok((map.position, ledger.as_bytes().to_vec()));
                }
            }
            anyhow::ensure!(Instant::now() < end + Duration::from_secs(10), "no core answers");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
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

/// What viewers have to see at rest: claimed seats are shown as held.
async fn ledger(sources: &Sources, show: ShowId) -> anyhow::Result<PackedStatuses> {
    let database = sources.connect_postgres().await?;
    let query = "SELECT seat, status FROM show_seats WHERE show_id = $1 ORDER BY seat";
    let rows = database.query(query, &[&i64::try_from(show.get())?]).await?;
    let mut statuses = PackedStatuses::new(u32::try_from(rows.len())?);
    for row in rows {
        let status = match row.try_get::<_, &str>(1)? {
            "available" => SeatStatus::Available,
            "claimed" => SeatStatus::Held,
            "booked" => SeatStatus::Booked,
            _ => SeatStatus::Blocked,
        };
        statuses.set(SeatIndex(row.try_get::<_, i32>(0)?.cast_unsigned()), status);
    }
    Ok(statuses)
}

pub(super) const CORES: usize = 2;
pub(super) const GATEWAYS: usize = 2;
const WATCHERS: usize = 4;
const NEWCOMERS_SEATS: u32 = 8;
/// Each has some descriptors beside them, of the 20,000 that a process may have.
const VIEWERS_OF_A_PROCESS: usize = 5_000;
const BETWEEN_RESTARTS: Duration = Duration::from_secs(3);
const LEAD: Duration = Duration::from_secs(4);
const REST_WITHIN: Duration = Duration::from_secs(30);
