//! Where a scenario plays: on a private stack that it starts, or on one that runs already (`--target`), always at a show
//! of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use seatwire_protocol::{CustomerId, ShowId};

use super::Common;
use super::sale::AT_REST_WITHIN;
use crate::audit::{AuditOptions, AuditReport, Sources, audit};
use crate::bench::{cpu, memory, shows};
use crate::client::{ClientOptions, ViewerClient, new_key, sign_token};
use crate::launcher::{Addresses, Service, Stack, StackOptions};

pub(super) struct Place {
    /// Of the run's own, if it has one.
    stack: Option<Stack>,
    /// As it was at the beginning.
    began: Addresses,
    pub(super) show: ShowId,
}

impl Place {
    /// With a show of so many seats that is on sale. The options are for a private stack; one that runs already is taken as
    /// it is, if holds last there as long as the options say.
    pub(super) async fn open(common: &Common, options: StackOptions, seats: u32) -> anyhow::Result<Self> {
        let (stack, began) = reach(common, options).await?;
        let show = a_show(&began, seats).await?;
        Ok(Self { stack, began, show })
    }

    /// With a show whose sale opens so long from when the place is ready; answers that moment.
    pub(super) async fn opening(
        common: &Common,
        options: StackOptions,
        seats: u32,
        lead: Duration,
    ) -> anyhow::Result<(Self, SystemTime)> {
        let (stack, began) = reach(common, options).await?;
        let opens_at = SystemTime::now() + lead;
        let show = shows::add_opening(&began.postgres, seats, opens_at).await.context("a show of the run's own")?;
        Ok((Self { stack, began, show }, opens_at))
    }

    /// Who asks for a private stack gets one with room for everybody.
    pub(super) fn roomy(common: &Common) -> StackOptions {
        let mut options = common.stack();
        for cap in ["CONNECTIONS_MAX", "CONNECTIONS_PER_ADDRESS_MAX", "JOINS_PER_SECOND_MAX"] {
            options = options.env(Service::Gateway, format!("SEATWIRE_{cap}"), 100_000);
        }
        options
    }

    /// The same without a limit of new holds: a few customers stand for many.
    pub(super) fn unlimited(common: &Common) -> StackOptions {
        Self::roomy(common).env(Service::Core, "SEATWIRE_CUSTOMER_HOLDS", 0)
    }

    /// The run's own, to be broken.
    pub(super) fn stack(&self) -> Option<&Stack> {
        self.stack.as_ref()
    }

    pub(super) fn stack_mut(&mut self) -> Option<&mut Stack> {
        self.stack.as_mut()
    }

    /// Of what runs now: faults move servers.
    pub(super) fn addresses(&self) -> Addresses {
        self.stack.as_ref().map_or_else(|| self.began.clone(), Stack::addresses)
    }

    pub(super) fn sources(&self) -> Sources {
        Sources::from(&self.addresses())
    }

    /// Where the provider keeps what it sent.
    pub(super) fn journal(&self) -> PathBuf {
        PathBuf::from(&self.began.data_dir).join("provider")
    }

    /// Where others buy too.
    pub(super) fn own_show_alone(&self) -> Option<ShowId> {
        self.stack.is_none().then_some(self.show)
    }

    /// Waits for rest first. In a stack that others use, their bookings may be pending, but none of this run's show.
    pub(super) async fn audit(&self) -> anyhow::Result<AuditReport> {
        super::say("waiting for rest, then the audit");
        let options = AuditOptions::default().wait(AT_REST_WITHIN);
        if self.stack.is_some() {
            return audit(self.sources(), options).await;
        }
        self.wait_for_own_bookings().await?;
        audit(self.sources(), options.allow_pending()).await
    }

    /// Until none waits for its payment any more, or for too long.
    async fn wait_for_own_bookings(&self) -> anyhow::Result<()> {
        let (show, end) = (i64::try_from(self.show.get())?, Instant::now() + AT_REST_WITHIN);
        let database = self.sources().connect_postgres().await?;
        let pending = "SELECT count(*) FROM bookings WHERE show_id = $1 AND state = 'PENDING'";
        while database.query_one(pending, &[&show]).await?.try_get::<_, i64>(0)? > 0 && Instant::now() < end {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Processor time of the gateways, nanoseconds.
    pub(super) fn gateways_cpu(&self) -> u64 {
        self.gateways().into_iter().map(cpu::of_process).sum()
    }

    /// Memory of the gateways now.
    pub(super) fn resident(&self) -> Resident {
        let pids = self.gateways();
        Resident { kib: resident_kib(&pids), pids }
    }

    fn gateways(&self) -> Vec<u32> {
        let pids = self.addresses().pids;
        pids.into_iter().filter(|(name, _)| name.starts_with("gateway")).map(|(_, pid)| pid).collect()
    }

    /// Ends what the run started.
    pub(super) async fn close(self) {
        if let Some(stack) = self.stack {
            stack.shutdown().await;
        }
    }
}

/// Memory of the gateways at some moment.
pub(super) struct Resident {
    pids: Vec<u32>,
    kib: u64,
}

impl Resident {
    /// KiB since then.
    pub(super) fn grown(&self) -> u64 {
        resident_kib(&self.pids).saturating_sub(self.kib)
    }
}

fn resident_kib(pids: &[u32]) -> u64 {
    pids.iter().copied().map(memory::rss_kib).sum()
}

async fn reach(common: &Common, options: StackOptions) -> anyhow::Result<(Option<Stack>, Addresses)> {
    crate::bench::edge::raise_file_limit()?;
    if let Some(at) = common.target()? {
        let settings = options.env.iter().filter(|(service, ..)| *service == Service::Core);
        let settings = settings.map(|(_, name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
        holds_last(&at, &settings).await?;
        return Ok((None, at));
    }
    super::say("starting a private stack");
    let stack = Stack::start(options).await?;
    let at = stack.addresses();
    Ok((Some(stack), at))
}

async fn a_show(at: &Addresses, seats: u32) -> anyhow::Result<ShowId> {
    let shows = shows::add(&at.postgres, seats, 1).await.context("a show of the run's own")?;
    shows.into_iter().next().context("no show was added")
}

/// A scenario that counts on short holds and claims needs a target with these settings of its cores: one hold, at a small
/// show of its own, tells.
async fn holds_last(at: &Addresses, settings: &[(&str, &str)]) -> anyhow::Result<()> {
    let Some((_, wanted)) = settings.iter().find(|(name, _)| *name == "SEATWIRE_HOLD_MS") else { return Ok(()) };
    let (wanted, show) = (wanted.parse::<u64>()?, a_show(at, 25).await.context("--target")?);
    let token = sign_token(&at.secrets.jwt, &CustomerId::new(&format!("probe-{show}"))?, Duration::from_secs(60))?;
    let client = ViewerClient::open(ClientOptions::new(&at.gateway, &token)).await.context("--target")?;
    let key = new_key();
    let hold = client.persist(PROBE_WITHIN, || client.hold(show, &key, &[0])).await.context("--target")?;
    client.release(show, hold.hold).await.context("--target")?;
    let needed: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    anyhow::ensure!(
        (wanted * 3 / 4..=wanted).contains(&hold.remaining_ms),
        "--target: a hold lasts {} ms there, and this scenario needs {wanted} ms; start the target with these settings: {}",
        hold.remaining_ms,
        needed.join(" ")
    );
    Ok(())
}

const PROBE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
