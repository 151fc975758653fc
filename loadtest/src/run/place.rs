//! Where a scenario plays: on a private stack that it starts, or on one that runs already (`--target`), always at a show
//! of its own.

use std::path::PathBuf;

use anyhow::Context as _;
use seatwire_protocol::ShowId;

use super::Common;
use super::sale::AT_REST_WITHIN;
use crate::audit::{AuditOptions, AuditReport, Sources, audit};
use crate::bench::{cpu, memory, shows};
use crate::launcher::{Addresses, Service, Stack, StackOptions};

pub(super) struct Place {
    /// Of the run's own, if it has one.
    stack: Option<Stack>,
    pub(super) at: Addresses,
    pub(super) show: ShowId,
}

impl Place {
    /// With a show of so many seats that is on sale. The options are for a private stack; one that runs already is taken as
    /// it is.
    pub(super) async fn open(common: &Common, options: StackOptions, seats: u32) -> anyhow::Result<Self> {
        crate::bench::edge::raise_file_limit()?;
        let (stack, at) = match &common.target {
            Some(file) => {
                let read = Addresses::read(file);
                (None, read.with_context(|| format!("--target: can't read {}", file.display()))?)
            }
            None => {
                super::say("starting a private stack");
                let stack = Stack::start(options).await?;
                let at = stack.addresses();
                (Some(stack), at)
            }
        };
        let show = shows::add(&at.postgres, seats, 1).await.context("a show of the run's own")?;
        let show = show.into_iter().next().context("no show was added")?;
        Ok(Self { stack, at, show })
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

    pub(super) fn is_private(&self) -> bool {
        self.stack.is_some()
    }

    pub(super) fn sources(&self) -> Sources {
        Sources::from(&self.at)
    }

    /// Where the provider keeps what it sent.
    pub(super) fn journal(&self) -> PathBuf {
        PathBuf::from(&self.at.data_dir).join("provider")
    }

    /// Waits for rest first. In a stack that others use, their bookings may be pending.
    pub(super) async fn audit(&self) -> anyhow::Result<AuditReport> {
        super::say("waiting for rest, then the audit");
        let options = AuditOptions::default().wait(AT_REST_WITHIN);
        audit(self.sources(), if self.is_private() { options } else { options.allow_pending() }).await
    }

    /// Processor time of the gateways, nanoseconds.
    pub(super) fn gateways_cpu(&self) -> u64 {
        self.gateways().map(cpu::of_process).sum()
    }

    /// Resident memory of the gateways, KiB.
    pub(super) fn gateways_kib(&self) -> u64 {
        self.gateways().map(memory::rss_kib).sum()
    }

    fn gateways(&self) -> impl Iterator<Item = u32> {
        self.at.pids.iter().filter(|(name, _)| name.starts_with("gateway")).map(|(_, pid)| *pid)
    }

    /// Ends what the run started.
    pub(super) async fn close(self) {
        if let Some(stack) = self.stack {
            stack.shutdown().await;
        }
    }
}
