//! What a stack consists of, and the names of its parts.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use crate::provider::Shapes;

/// A process of a stack. Cores and gateways are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    Redis,
    Postgres,
    Provider,
    Core(usize),
    Gateway(usize),
}

/// As in the ready file: `core`, `core_1`, `core_2`, …
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis => f.write_str("redis"),
            Self::Postgres => f.write_str("postgres"),
            Self::Provider => f.write_str("provider"),
            Self::Core(0) => f.write_str("core"),
            Self::Core(index) => write!(f, "core_{index}"),
            Self::Gateway(0) => f.write_str("gateway"),
            Self::Gateway(index) => write!(f, "gateway_{index}"),
        }
    }
}

/// The programs of this project, each of which may have settings of its own in a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Core,
    Gateway,
    Provider,
}

/// A way between two parts that a [`FaultProxy`](super::FaultProxy) can be put on. All cores, or all gateways, share
/// one, except that each core has its own way from the gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    GatewayCore(usize),
    GatewayRedis,
    CoreRedis,
    CorePostgres,
    CoreProvider,
    /// Webhooks.
    ProviderCore,
}

/// `gateway-core`, `gateway-core-1`, `core-redis`, …
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GatewayCore(0) => f.write_str("gateway-core"),
            Self::GatewayCore(index) => write!(f, "gateway-core-{index}"),
            Self::GatewayRedis => f.write_str("gateway-redis"),
            Self::CoreRedis => f.write_str("core-redis"),
            Self::CorePostgres => f.write_str("core-postgres"),
            Self::CoreProvider => f.write_str("core-provider"),
            Self::ProviderCore => f.write_str("provider-core"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct StackOptions {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) fresh: bool,
    pub(crate) cores: usize,
    pub(crate) gateways: usize,
    pub(crate) gateway_listen: Option<SocketAddr>,
    pub(crate) provider: Shapes,
    pub(crate) seed: bool,
    pub(crate) opening_in: Option<Duration>,
    pub(crate) proxies: Vec<Link>,
    pub(crate) all_proxies: bool,
    pub(crate) env: Vec<(Service, String, String)>,
    pub(crate) pass_environment: bool,
    pub(crate) redis_append_only: bool,
    pub(crate) redis_disk_mib: Option<u32>,
    pub(crate) postgres_disks_mib: Option<(u32, u32)>,
    pub(crate) clocks: bool,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl StackOptions {
    /// One core and one gateway with demo data in a temporary folder, no proxies.
    pub fn new() -> Self {
        Self {
            folder: None,
            fresh: false,
            cores: 1,
            gateways: 1,
            gateway_listen: None,
            provider: Shapes::Razorpay,
            seed: true,
            opening_in: None,
            proxies: Vec::new(),
            all_proxies: false,
            env: Vec::new(),
            pass_environment: false,
            redis_append_only: false,
            redis_disk_mib: None,
            postgres_disks_mib: None,
            clocks: false,
        }
    }

    /// Keeps all data here; they survive the stack.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Removes the data of an earlier stack in the folder first.
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }

    pub fn cores(mut self, count: usize) -> Self {
        self.cores = count;
        self
    }

    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// Where the first gateway listens; a free port of the same address if this one is taken.
    pub fn gateway_listen(mut self, address: SocketAddr) -> Self {
        self.gateway_listen = Some(address);
        self
    }

    /// Whose API the simulated provider speaks; Razorpay's by default.
    pub fn provider(mut self, shapes: Shapes) -> Self {
        self.provider = shapes;
        self
    }

    /// Whether demo data are written; true by default.
    pub fn seed(mut self, seed: bool) -> Self {
        self.seed = seed;
        self
    }

    /// How long after the seed the demo show that is not yet on sale opens.
    pub fn opening_in(mut self, wait: Duration) -> Self {
        self.opening_in = Some(wait);
        self
    }

    /// Puts a fault proxy on this link.
    pub fn proxy(mut self, link: Link) -> Self {
        self.proxies.push(link);
        self
    }

    /// Puts a fault proxy on every link.
    pub fn all_proxies(mut self) -> Self {
        self.all_proxies = true;
        self
    }

    /// Sets an environment variable of a service; wins over everything else.
    pub fn env(mut self, service: Service, name: impl Into<String>, value: impl ToString) -> Self {
        self.env.push((service, name.into(), value.to_string()));
        self
    }

    /// Lets the services see this process's own `SEATWIRE_…` variables, as far as they do not join the parts.
    pub fn pass_environment(mut self) -> Self {
        self.pass_environment = true;
        self
    }

    /// Redis keeps an append-only file, so that holds survive its restart.
    pub fn redis_append_only(mut self) -> Self {
        self.redis_append_only = true;
        self
    }

    /// Redis keeps its files on a disk of its own of this size, which [`Redis::fill_disk`](super::Redis::fill_disk) fills.
    /// Needs root: ask [`can_mount`](super::can_mount) first.
    pub fn redis_disk_mib(mut self, size: u32) -> Self {
        self.redis_disk_mib = Some(size);
        self
    }

    /// PostgreSQL keeps its data and its log on disks of their own of these sizes. Needs root as well.
    pub fn postgres_disks_mib(mut self, data: u32, wal: u32) -> Self {
        self.postgres_disks_mib = Some((data, wal));
        self
    }

    /// Redis, PostgreSQL and the cores read clocks that [`Stack::step_clock`](super::Stack::step_clock) can step. Needs a
    /// C compiler; without one the stack starts with true clocks, and steps are refused.
    pub fn clocks(mut self) -> Self {
        self.clocks = true;
        self
    }

    /// The same with a free port instead of the one that was wanted.
    pub(crate) fn with_any_gateway_port(mut self) -> Self {
        if let Some(address) = &mut self.gateway_listen {
            address.set_port(0);
        }
        self
    }

    pub(crate) fn links(&self) -> Vec<Link> {
        let every = [Link::GatewayRedis, Link::CoreRedis, Link::CorePostgres, Link::CoreProvider, Link::ProviderCore];
        let every = every.into_iter().chain((0..self.cores).map(Link::GatewayCore));
        every.filter(|link| self.all_proxies || self.proxies.contains(link)).collect()
    }
}
