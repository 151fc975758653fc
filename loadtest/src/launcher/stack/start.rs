//! The order in which a stack comes up: what does not need each other at the same time.

use std::{collections::BTreeMap, io, net::SocketAddr};

use futures_util::future::try_join_all;
use tokio::try_join;

use super::{Core, Gateway, NOWHERE, Provider, Stack, as_seen_here};
use crate::launcher::{
    FaultProxy, Link, Postgres, PostgresOptions, Process, Redis, RedisOptions, StackOptions, StartError, binaries,
    clocks::{Clock, Clocks},
    data_folder::DataFolder,
    migrate,
    port::Port,
    process::Program,
    process_tree::Ending,
    service::ServiceProcess,
    wiring::Wiring,
};

/// Ports that are known before anybody listens there.
struct Ports {
    gateways: Vec<Port>,
    /// MessagePack and HTTP.
    cores: Vec<(Port, Port)>,
    provider: Port,
}

pub(super) async fn start(options: &StackOptions) -> Result<Stack, StartError> {
    for name in ["seatwire-core", "seatwire-gateway", "loadtest"] {
        binaries::find(name)?;
    }
    let folder = DataFolder::open(options.folder.clone(), options.fresh)?;
    let ports = Ports::choose(options).map_err(StartError::io("launcher", "choosing ports"))?;
    let clocks = if options.clocks { Clocks::build()? } else { None };
    let (postgres, redis) = servers(options, &folder, clocks.as_ref()).await?;
    let proxies = proxies(options, &ports, &postgres, &redis).await;
    let proxies = proxies.map_err(StartError::io("launcher", "starting proxies"))?;
    let wiring = wiring(&folder, &ports, &postgres, &redis, &proxies);
    let starter = Starter { options, folder: &folder, wiring: &wiring, clocks: clocks.as_ref() };
    let Ports { gateways, cores, provider } = ports;
    let cores = async {
        starter.prepare_database(&postgres).await?;
        try_join_all(cores.into_iter().enumerate().map(|(index, ports)| starter.core(index, ports))).await
    };
    let gateways = try_join_all(gateways.into_iter().enumerate().map(|(index, port)| starter.gateway(index, port)));
    let (cores, gateways, provider) = try_join!(cores, gateways, starter.provider(provider))?;
    let (replica, replicas_started) = (None, 0);
    Ok(Stack { gateways, cores, provider, postgres, redis, replica, replicas_started, proxies, clocks, folder })
}

impl Ports {
    fn choose(options: &StackOptions) -> io::Result<Self> {
        let first = options.gateway_listen.map(wanted_or_free).transpose()?;
        let others =
            std::iter::repeat_with(Port::any).take(options.gateways.saturating_sub(usize::from(first.is_some())));
        let cores = (0..options.cores).map(|_| Ok((Port::any()?, Port::any()?)));
        Ok(Self {
            gateways: first.map(Ok).into_iter().chain(others).collect::<io::Result<_>>()?,
            cores: cores.collect::<io::Result<_>>()?,
            provider: Port::any()?,
        })
    }
}

fn wanted_or_free(wanted: SocketAddr) -> io::Result<Port> {
    match Port::reserve(wanted) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Port::reserve(SocketAddr::new(wanted.ip(), 0)),
        result => result,
    }
}

async fn servers(
    options: &StackOptions,
    folder: &DataFolder,
    clocks: Option<&Clocks>,
) -> Result<(Postgres, Redis), StartError> {
    let env = |clock| clocks.map(|clocks| clocks.environment(clock)).unwrap_or_default();
    let postgres = PostgresOptions {
        folder: Some(folder.path.join("postgres")),
        log: Some(folder.logs().join("postgres.log")),
        env: env(Clock::Postgres),
        disks_mib: options.postgres_disks_mib,
        ..PostgresOptions::default()
    };
    let redis = RedisOptions {
        folder: Some(folder.path.join("redis")),
        log: Some(folder.logs().join("redis.log")),
        append_only: options.redis_append_only,
        disk_mib: options.redis_disk_mib,
        env: env(Clock::Redis),
        ..RedisOptions::default()
    };
    try_join!(Postgres::start_with(postgres), Redis::start_with(redis))
}

async fn proxies(
    options: &StackOptions,
    ports: &Ports,
    postgres: &Postgres,
    redis: &Redis,
) -> io::Result<BTreeMap<Link, FaultProxy>> {
    let mut proxies = BTreeMap::new();
    for link in options.links() {
        let core = |index: usize| ports.cores.get(index);
        let upstream = match link {
            Link::GatewayCore(index) => core(index).map_or(NOWHERE, |(port, _)| port.address()),
            Link::ProviderCore => core(0).map_or(NOWHERE, |(_, http)| http.address()),
            Link::GatewayRedis | Link::CoreRedis => redis.address(),
            Link::CorePostgres => postgres.address(),
            Link::CoreProvider => ports.provider.address(),
        };
        proxies.insert(link, FaultProxy::start(upstream).await?);
    }
    Ok(proxies)
}

fn wiring(
    folder: &DataFolder,
    ports: &Ports,
    postgres: &Postgres,
    redis: &Redis,
    proxies: &BTreeMap<Link, FaultProxy>,
) -> Wiring {
    let through = |link, direct: SocketAddr| proxies.get(&link).map_or(direct, FaultProxy::address);
    let cores = ports.cores.iter().enumerate();
    let webhook = ports.cores.first().map_or(NOWHERE, |(_, http)| http.address());
    let page = ports.gateways.first().map_or(NOWHERE, |port| as_seen_here(port.address()));
    Wiring {
        gateway_redis: through(Link::GatewayRedis, redis.address()),
        core_redis: through(Link::CoreRedis, redis.address()),
        core_database_url: postgres.core_url_at(through(Link::CorePostgres, postgres.address())),
        core_provider: through(Link::CoreProvider, ports.provider.address()),
        provider: ports.provider.address(),
        provider_webhook: through(Link::ProviderCore, webhook),
        gateway_cores: cores.map(|(index, (port, _))| through(Link::GatewayCore(index), port.address())).collect(),
        page: format!("http://{page}"),
        provider_data: folder.path.join("provider").display().to_string(),
        mail: folder.mail().display().to_string(),
        secrets: folder.secrets.clone(),
    }
}

struct Starter<'a> {
    options: &'a StackOptions,
    folder: &'a DataFolder,
    wiring: &'a Wiring,
    clocks: Option<&'a Clocks>,
}

impl Starter<'_> {
    async fn prepare_database(&self, postgres: &Postgres) -> Result<(), StartError> {
        migrate(postgres).await?;
        if !self.options.seed {
            return Ok(());
        }
        let opening = self.options.opening_in.map(|wait| wait.as_millis().to_string());
        let arguments = opening.iter().flat_map(|wait| ["--opening-in-ms", wait]).collect::<Vec<_>>();
        migrate::run("seed", &arguments, &[("SEATWIRE_DATABASE_URL", &postgres.core_url())]).await
    }

    async fn core(&self, index: usize, (port, http_port): (Port, Port)) -> Result<Core, StartError> {
        let mut env = self.wiring.core(self.options, index, port.address(), http_port.address());
        env.extend(self.clocks.map(|clocks| clocks.environment(Clock::Cores)).unwrap_or_default());
        let service = self.service(Process::Core(index), "seatwire-core", &["serve"], env).await?;
        Ok(Core { service, port, http_port })
    }

    async fn gateway(&self, index: usize, port: Port) -> Result<Gateway, StartError> {
        let metrics_port = Port::any().map_err(StartError::io("launcher", "choosing ports"))?;
        let env = self.wiring.gateway(self.options, port.address(), metrics_port.address());
        let service = self.service(Process::Gateway(index), "seatwire-gateway", &[], env).await?;
        Ok(Gateway { service, port, metrics_port })
    }

    async fn provider(&self, port: Port) -> Result<Provider, StartError> {
        let env = self.wiring.provider(self.options);
        let service = self.service(Process::Provider, "loadtest", &["provider"], env).await?;
        Ok(Provider { service, port })
    }

    async fn service(
        &self,
        process: Process,
        binary: &str,
        arguments: &[&str],
        env: Vec<(String, std::ffi::OsString)>,
    ) -> Result<ServiceProcess, StartError> {
        let output = self.folder.logs().join(format!("{process}.out"));
        let program = Program {
            name: process.to_string(),
            path: binaries::find(binary)?,
            args: arguments.iter().map(Into::into).collect(),
            env,
            account: None,
            log: self.folder.logs().join(format!("{process}.log")),
            output: Some(output.clone()),
            ending: Ending::Kill,
        };
        ServiceProcess::start(program, output).await
    }
}
