//! A whole private Seatwire: Redis, PostgreSQL, payment provider, cores, gateways, and faults for each of them.

mod failover;
mod start;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, process::ExitStatus, time::Duration};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::{
    Addresses, Clock, FaultProxy, Link, Postgres, Process, Redis, StackOptions, StartError, clocks::Clocks,
    data_folder::DataFolder, error::LogTail, port::Port, probe, process::ServerProcess, service::ServiceProcess,
};

/// All processes end with this handle, at the latest on its drop.
#[derive(Debug)]
pub struct Stack {
    gateways: Vec<Gateway>,
    cores: Vec<Core>,
    provider: Provider,
    postgres: Postgres,
    redis: Redis,
    /// Follows `redis` while there is one.
    replica: Option<failover::Replica>,
    replicas_started: usize,
    proxies: BTreeMap<Link, FaultProxy>,
    clocks: Option<Clocks>,
    /// Last: it may be removed when all others are gone.
    folder: DataFolder,
}

#[derive(Debug)]
struct Gateway {
    service: ServiceProcess,
    port: Port,
    metrics_port: Port,
}

#[derive(Debug)]
struct Core {
    service: ServiceProcess,
    port: Port,
    http_port: Port,
}

#[derive(Debug)]
struct Provider {
    service: ServiceProcess,
    port: Port,
}

impl Stack {
    /// Starts everything and returns when all parts say that they are ready.
    pub async fn start(options: StackOptions) -> Result<Self, StartError> {
        let mut stack = match start::start(&options).await {
            // Another launcher wanted the same address at the same moment, and was faster.
            Err(error) if error.is_port_clash() && options.gateway_listen.is_some() => {
                start::start(&options.with_any_gateway_port()).await?
            }
            result => result?,
        };
        stack.wait_ready().await?;
        Ok(stack)
    }

    /// Where everything is. Behind fault proxies these are still the parts themselves.
    pub fn addresses(&self) -> Addresses {
        let url = |address: SocketAddr| format!("http://{}", as_seen_here(address));
        let gateways: Vec<_> = self.gateways.iter().map(|gateway| url(gateway.port.address())).collect();
        let gateway_metrics = self.gateways.iter().map(|gateway| url(gateway.metrics_port.address())).collect();
        let cores: Vec<_> = self.cores.iter().map(|core| core.port.address()).collect();
        let core_http: Vec<_> = self.cores.iter().map(|core| url(core.http_port.address())).collect();
        Addresses {
            gateway: gateways.first().cloned().unwrap_or_default(),
            gateways,
            gateway_metrics,
            core: cores.first().copied().unwrap_or(NOWHERE),
            cores,
            core_http: core_http.first().cloned().unwrap_or_default(),
            core_http_all: core_http,
            provider: url(self.provider.port.address()),
            redis: self.redis.url(),
            postgres: self.postgres.superuser_url(),
            postgres_migrator: self.postgres.migrator_url(),
            postgres_core: self.postgres.core_url(),
            pids: self.pids(),
            data_dir: self.folder.path.display().to_string(),
            secrets: self.folder.secrets.clone(),
        }
    }

    /// Where each process logs.
    pub fn logs(&self) -> std::path::PathBuf {
        self.folder.logs()
    }

    /// A file of mode 0600 with the admin token in one line.
    pub fn admin_token(&self) -> std::path::PathBuf {
        self.folder.admin_token()
    }

    /// Where mail to customers becomes files.
    pub fn mail(&self) -> std::path::PathBuf {
        self.folder.mail()
    }

    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// `None` while it is down.
    pub fn pid(&self, process: Process) -> Option<u32> {
        self.process(process).pid()
    }

    /// What it wrote lately.
    pub fn log_tail(&self, process: Process) -> LogTail {
        self.process(process).log_tail()
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&mut self, process: Process) {
        self.process_mut(process).kill();
    }

    /// SIGSTOP.
    pub fn stop(&self, process: Process) {
        self.process(process).signal_all(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn cont(&self, process: Process) {
        self.process(process).signal_all(Signal::SIGCONT);
    }

    /// Starts it again where it was, and waits until it listens; one that runs is asked to finish first.
    pub async fn restart(&mut self, process: Process) -> Result<(), StartError> {
        match process {
            Process::Redis => self.redis.restart().await,
            Process::Postgres => self.postgres.restart().await,
            Process::Provider => self.provider.service.restart().await,
            Process::Core(index) => self.core_mut(index).service.restart().await,
            Process::Gateway(index) => self.gateway_mut(index).service.restart().await,
        }
    }

    /// Waits until every gateway and core that runs answers 200 to `/ready`.
    pub async fn wait_ready(&mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + READY_PATIENCE;
        let cores = self.cores.iter_mut().map(|core| (&mut core.service.process, core.http_port.address()));
        let gateways = self.gateways.iter_mut().map(|gateway| (&mut gateway.service.process, gateway.port.address()));
        for (process, address) in cores.chain(gateways).filter(|(process, _)| process.pid().is_some()) {
            let patience = deadline.saturating_duration_since(Instant::now());
            process.answers(patience, |_| probe::http_ready(as_seen_here(address))).await?;
        }
        Ok(())
    }

    /// The proxy on a link that the options asked for.
    pub fn proxy(&self, link: Link) -> Option<&FaultProxy> {
        self.proxies.get(&link)
    }

    pub fn proxies(&self) -> &BTreeMap<Link, FaultProxy> {
        &self.proxies
    }

    /// The server that serves now.
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// Whether clocks were asked for, and could be built.
    pub fn has_clocks(&self) -> bool {
        self.clocks.is_some()
    }

    /// From now on this clock differs by so many seconds from the true one.
    pub fn step_clock(&self, clock: Clock, seconds: i64) -> Result<(), StartError> {
        let none = || StartError::Io {
            server: "clocks".to_owned(),
            step: "stepping a clock".to_owned(),
            cause: std::io::ErrorKind::Unsupported.into(),
        };
        self.clocks.as_ref().ok_or_else(none)?.step(clock, seconds)
    }

    /// Processes that have ended although nobody asked them to; each is told once.
    pub fn take_exited(&mut self) -> Vec<(Process, ExitStatus)> {
        let all = self.all();
        all.into_iter().filter_map(|process| Some((process, self.process_mut(process).exited()?))).collect()
    }

    /// Asks all to finish, those that write first, and waits for them.
    pub async fn shutdown(mut self) {
        join_all(self.gateways.iter_mut().map(|gateway| gateway.service.finish())).await;
        let cores = join_all(self.cores.iter_mut().map(|core| core.service.finish()));
        tokio::join!(cores, self.provider.service.finish());
        tokio::join!(self.postgres.finish(), self.redis.finish());
    }

    /// Every process that this stack has.
    pub fn all(&self) -> Vec<Process> {
        let servers = [Process::Redis, Process::Postgres, Process::Provider].into_iter();
        let cores = (0..self.cores.len()).map(Process::Core);
        servers.chain(cores).chain((0..self.gateways.len()).map(Process::Gateway)).collect()
    }

    fn pids(&self) -> BTreeMap<String, u32> {
        self.all().into_iter().filter_map(|process| Some((process.to_string(), self.pid(process)?))).collect()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "to name a process that the stack does not have is a fault of the test"
    )]
    fn process(&self, process: Process) -> &ServerProcess {
        match process {
            Process::Redis => self.redis.process(),
            Process::Postgres => self.postgres.process(),
            Process::Provider => &self.provider.service.process,
            Process::Core(index) => &self.cores[index].service.process,
            Process::Gateway(index) => &self.gateways[index].service.process,
        }
    }

    fn process_mut(&mut self, process: Process) -> &mut ServerProcess {
        match process {
            Process::Redis => self.redis.process_mut(),
            Process::Postgres => self.postgres.process_mut(),
            Process::Provider => &mut self.provider.service.process,
            Process::Core(index) => &mut self.core_mut(index).service.process,
            Process::Gateway(index) => &mut self.gateway_mut(index).service.process,
        }
    }

    #[expect(clippy::indexing_slicing, reason = "as above")]
    fn core_mut(&mut self, index: usize) -> &mut Core {
        &mut self.cores[index]
    }

    #[expect(clippy::indexing_slicing, reason = "as above")]
    fn gateway_mut(&mut self, index: usize) -> &mut Gateway {
        &mut self.gateways[index]
    }
}

/// A test that fails should tell what the parts said.
impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in self.all() {
                eprintln!("{process}{}", self.log_tail(process));
            }
        }
    }
}

/// An address to listen on everywhere is reached here by loopback.
fn as_seen_here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { NOWHERE.ip() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address
}

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const READY_PATIENCE: Duration = Duration::from_secs(60);
