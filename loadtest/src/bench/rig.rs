//! A private stack for one benchmark, the show that it uses, and short ways to its parts.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use seatwire_protocol::client::{CoreClient, CoreClientConfig};
use seatwire_protocol::command::{Command, GetSnapshot, HoldSeats, ListShows, ReleaseHold};
use seatwire_protocol::seat::{PackedStatuses, SeatStatus};
use seatwire_protocol::{CustomerId, ErrorBody, IdempotencyKey, SaleState, SeatIndex, ShowId};

use super::capture::{Monitor, Pattern, Watched};
use super::cpu;
use crate::client::sign_token;
use crate::launcher::{Addresses, Process, Service, Stack, StackOptions};

/// Everything that a benchmark needs.
pub(super) struct Rig {
    pub(super) stack: Stack,
    pub(super) addresses: Addresses,
    pub(super) client: CoreClient,
    pub(super) redis: MultiplexedConnection,
    /// The largest open show of the demo data.
    pub(super) show: ShowId,
    /// First seats of free runs of three that do not overlap.
    pub(super) starts: Vec<u32>,
    /// Of its seats, free or not.
    seats: u32,
}

const DEADLINE: Duration = Duration::from_secs(5);

impl Rig {
    pub(super) async fn start(options: StackOptions) -> anyhow::Result<Self> {
        // A few customers do here what thousands do at a sale.
        let limits = ["SEATWIRE_CUSTOMER_HOLDS", "SEATWIRE_CUSTOMER_COMMANDS_PER_SECOND"];
        Self::start_limited(limits.iter().fold(options, |options, limit| options.env(Service::Core, *limit, 0))).await
    }

    /// With the limits of a customer as they are shipped.
    pub(super) async fn start_limited(options: StackOptions) -> anyhow::Result<Self> {
        super::progress("starting a private stack");
        let stack = Stack::start(options).await?;
        let addresses = stack.addresses();
        let redis = redis::Client::open(addresses.redis.clone())?.get_multiplexed_async_connection().await?;
        let config = CoreClientConfig::new(vec![addresses.core.to_string()], &addresses.secrets.core, "bench");
        let client = CoreClient::new(config);
        let shows = call(&client, &ListShows::default()).await?.shows;
        let mut largest: Option<(ShowId, PackedStatuses)> = None;
        for show in shows.into_iter().filter(|show| show.sale == SaleState::Open) {
            let snapshot = call(&client, &GetSnapshot { show: show.show }).await?;
            let statuses = PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).context("statuses")?;
            if largest.as_ref().is_none_or(|(_, other)| other.len() < statuses.len()) {
                largest = Some((show.show, statuses));
            }
        }
        let (show, statuses) = largest.context("no demo show is open")?;
        let free = |seat: &u32| statuses.get(SeatIndex(*seat)) == Some(SeatStatus::Available);
        let runs = (0..statuses.len().saturating_sub(2)).step_by(3);
        let starts = runs.filter(|start| (*start..start + 3).all(|seat| free(&seat))).collect();
        let seats = statuses.len();
        Ok(Self { stack, addresses, client, redis, show, starts, seats })
    }

    /// First seats of all runs of three that do not overlap, for a show of the same seats with nothing taken.
    pub(super) fn all_starts(&self) -> Vec<u32> {
        (0..self.seats.saturating_sub(2)).step_by(3).collect()
    }

    pub(super) fn redis_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.addresses.redis.trim_start_matches("redis://").parse()?)
    }

    /// The script calls that a hold and a release of three seats cause.
    pub(super) async fn patterns(&self) -> anyhow::Result<(Pattern, Pattern)> {
        let monitor = Monitor::open(self.redis_address()?)?;
        let start = *self.starts.last().context("no seats")?;
        let seats = [start, start + 1, start + 2];
        let hold = self.hold("bench-pattern", &seats).await?;
        let customer = CustomerId::new("bench-pattern")?;
        call(&self.client, &ReleaseHold { show: self.show, customer, hold: hold.hold }).await?;
        monitor.hold_and_release(&Watched { hold: hold.hold, customer: "bench-pattern", seats })
    }

    /// Holds seats over the port under a new key.
    pub(super) async fn hold(
        &self,
        customer: &str,
        seats: &[u32],
    ) -> anyhow::Result<seatwire_protocol::command::HoldInfo> {
        let command = HoldSeats {
            show: self.show,
            customer: CustomerId::new(customer)?,
            key: IdempotencyKey::new(&uuid::Uuid::new_v4().to_string())?,
            seats: seats.iter().copied().map(SeatIndex).collect(),
            best: None,
        };
        Ok(call(&self.client, &command).await?)
    }

    /// A customer's token.
    pub(super) fn token(&self, customer: &str) -> anyhow::Result<String> {
        Ok(sign_token(&self.addresses.secrets.jwt, &CustomerId::new(customer)?, Duration::from_secs(3_600))?)
    }

    /// Processor time of the first core, nanoseconds.
    pub(super) fn core_cpu(&self) -> u64 {
        self.stack.pid(Process::Core(0)).map_or(0, cpu::of_process)
    }

    /// Processor time of Redis, nanoseconds.
    pub(super) fn redis_cpu(&self) -> u64 {
        self.stack.pid(Process::Redis).map_or(0, cpu::of_process)
    }

    pub(super) async fn redis_version(&self) -> anyhow::Result<String> {
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut self.redis.clone()).await?;
        Ok(info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown").to_owned())
    }
}

/// One command, with patience.
pub(super) async fn call<C: Command>(client: &CoreClient, command: &C) -> Result<C::Reply, ErrorBody> {
    client.call(command, DEADLINE, 0).await
}
