//! A private PostgreSQL server: own data folder, own random passwords, loopback only, never as root.
//!
//! Commits are honest (fsync on), because tests kill the server and then look for what it promised.

mod control_file;
mod passwords;
mod place;
mod scram;
mod template;

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use passwords::{Passwords, url};
use place::Place;

use super::{
    StartError,
    account::Account,
    error::LogTail,
    folder,
    port::Port,
    process::{Program, ServerProcess},
    process_tree::Ending,
    redis::no_disk,
    servers,
    small_disk::{self, SmallDisks},
};

#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where data and passwords are kept; `None`: a temporary folder that is removed at the end.
    pub folder: Option<PathBuf>,
    /// `None`: `postgres.log` in its folder.
    pub log: Option<PathBuf>,
    pub max_connections: u32,
    pub shared_buffers_mib: u32,
    /// Further settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
    /// Environment of the server.
    pub env: Vec<(String, OsString)>,
    /// Disks of its own, for its data and for its log, of these sizes; see [`Postgres::fill_disk`].
    pub disks_mib: Option<(u32, u32)>,
}

/// One of the disks of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Data,
    /// The write-ahead log.
    Wal,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            folder: None,
            log: None,
            max_connections: 100,
            shared_buffers_mib: 32,
            settings: Vec::new(),
            env: Vec::new(),
            disks_mib: None,
        }
    }
}

/// A running server with the database `seatwire` and the roles `seatwire_migrator` and `seatwire_core`.
#[derive(Debug)]
pub struct Postgres {
    process: ServerProcess,
    port: Port,
    passwords: Passwords,
    /// As we see it.
    data: PathBuf,
    /// With their sizes.
    disks: Option<(SmallDisks, (u32, u32))>,
    /// Removed after the server has ended.
    _temporary: Option<TempDir>,
}

impl Postgres {
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(PostgresOptions::default()).await
    }

    pub async fn start_with(options: PostgresOptions) -> Result<Self, StartError> {
        let account = Account::for_postgres();
        let binaries = servers::postgres(account)?;
        let (folder, temporary) = folder::given_or_temporary(options.folder.clone(), "postgres", account)?;
        let place = Place { folder: folder.clone(), account };
        let prepared = tokio::task::spawn_blocking(move || place.prepare(&binaries).map(|first| (first, binaries)));
        let (first, binaries) = prepared.await.map_err(|error| StartError::io(NAME, "preparing")(error.into()))??;
        // Where it really is: the account may not be able to follow a link to it.
        let data = folder.join("data").canonicalize().map_err(StartError::io(NAME, "finding its data"))?;
        let log = options.log.clone().unwrap_or_else(|| folder.join("postgres.log"));
        let disks = match options.disks_mib {
            Some(sizes) => Some((SmallDisks::of_postgres(&data, &log, account, sizes).await?, sizes)),
            None => None,
        };
        let program = |port: &Port| {
            let (path, args) = (binaries.folder.join("postgres"), arguments(&options, &data, port));
            let (path, args) = match &disks {
                Some((disks, _)) => disks.command(account, &path, args),
                None => (path, args),
            };
            Program {
                name: NAME.to_owned(),
                path,
                args,
                env: std::iter::once(("LC_ALL".to_owned(), "C".into())).chain(options.env.clone()).collect(),
                // Only root may enter a namespace; the command becomes the account's then.
                account: account.filter(|_| disks.is_none()),
                log: log.clone(),
                output: None,
                ending: Ending::Quit,
            }
        };
        let seen = disks.as_ref().map_or_else(|| data.clone(), |(disks, _)| disks.seen(&data));
        let (process, port) = start_on_free_port(program, &seen).await?;
        let passwords = match first {
            Some(password) => Passwords::replace(port.address(), &password, &folder).await?,
            None => Passwords::known(&folder)?,
        };
        Ok(Self { process, port, passwords, data: seen, disks, _temporary: temporary })
    }

    /// To the database `seatwire` as superuser.
    pub fn superuser_url(&self) -> String {
        url(self.address(), "postgres", &self.passwords.postgres)
    }

    /// As the owner of database and tables.
    pub fn migrator_url(&self) -> String {
        url(self.address(), "seatwire_migrator", &self.passwords.seatwire_migrator)
    }

    /// As the booking core, which may neither delete nor define.
    pub fn core_url(&self) -> String {
        self.core_url_at(self.address())
    }

    /// The same through a proxy.
    pub(crate) fn core_url_at(&self, address: SocketAddr) -> String {
        url(address, "seatwire_core", &self.passwords.seatwire_core)
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// The server's latest log lines.
    pub fn log_tail(&self) -> LogTail {
        self.process.log_tail()
    }

    /// SIGKILL to the server and all its backends.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGSTOP to the server and all its backends.
    pub fn stop(&self) {
        self.process.signal_all(Signal::SIGSTOP);
    }

    pub fn cont(&self) {
        self.process.signal_all(Signal::SIGCONT);
    }

    /// Starts it again on the same port and data, recovery included; a server that runs is finished first.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.finish().await;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            control_file::remove_stale(&self.data);
            self.process.start_again()?;
            match wait_ready(&mut self.process, &self.data).await {
                // The last backends of a killed server may need a moment to notice.
                Err(StartError::Exited { log, .. }) if is_still_in_use(&log) && Instant::now() < deadline => {}
                result => return result,
            }
        }
    }

    /// Fills one of the disks of its own that the options asked for.
    pub fn fill_disk(&self, disk: Disk) -> Result<(), StartError> {
        let filled = self.disks.as_ref().map_or_else(no_disk, |(disks, _)| disks.fill(disk.path()));
        filled.map_err(StartError::io(NAME, "filling a disk"))
    }

    /// Makes room on it again.
    pub fn free_disk(&self, disk: Disk) -> Result<(), StartError> {
        let freed = self.disks.as_ref().map_or_else(no_disk, |(disks, (data, wal))| {
            disks.free(disk.path(), if disk == Disk::Data { *data } else { *wal })
        });
        freed.map_err(StartError::io(NAME, "freeing a disk"))
    }

    pub async fn shutdown(mut self) {
        self.finish().await;
    }

    pub(crate) fn process(&self) -> &ServerProcess {
        &self.process
    }

    pub(crate) fn process_mut(&mut self) -> &mut ServerProcess {
        &mut self.process
    }

    pub(crate) async fn finish(&mut self) {
        // SIGINT: PostgreSQL's fast shutdown, which ends sessions and writes a checkpoint.
        self.process.finish(Signal::SIGINT, FINISH_PATIENCE).await;
    }
}

impl Disk {
    fn path(self) -> &'static Path {
        Path::new(match self {
            Self::Data => small_disk::DATA,
            Self::Wal => small_disk::WAL,
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.process.end();
        control_file::release_shared_memory(&self.data);
    }
}

async fn start_on_free_port(
    program: impl Fn(&Port) -> Program,
    data: &Path,
) -> Result<(ServerProcess, Port), StartError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let port = Port::any().map_err(StartError::io(NAME, "choosing a port"))?;
        let mut process = ServerProcess::start(program(&port))?;
        match wait_ready(&mut process, data).await {
            Ok(()) => return Ok((process, port)),
            Err(error) if error.is_port_clash() && attempts < 5 => {}
            Err(error) => return Err(error),
        }
    }
}

async fn wait_ready(process: &mut ServerProcess, data: &Path) -> Result<(), StartError> {
    process.ready(START_PATIENCE, |pid| control_file::is_ready(data, pid)).await
}

fn is_still_in_use(log: &LogTail) -> bool {
    log.0.iter().any(|line| line.contains("still in use") || line.contains("already exists"))
}

fn arguments(options: &PostgresOptions, data: &Path, port: &Port) -> Vec<OsString> {
    let own = [
        ("listen_addresses", port.address().ip().to_string()),
        ("port", port.number().to_string()),
        ("unix_socket_directories", String::new()),
        ("max_connections", options.max_connections.to_string()),
        ("shared_buffers", format!("{}MB", options.shared_buffers_mib)),
        ("timezone", "UTC".to_owned()),
        // A backend whose client is gone ends its statement.
        ("client_connection_check_interval", "2s".to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    // A disk for the log holds some segments, of 16 MiB.
    let wal = options.disks_mib.map(|(_, wal)| ("max_wal_size".to_owned(), format!("{}MB", wal / 2)));
    let few = options.disks_mib.map(|_| ("min_wal_size".to_owned(), "32MB".to_owned()));
    let settings = own
        .iter()
        .chain(&wal)
        .chain(&few)
        .chain(&options.settings)
        .map(|(name, value)| format!("{name}={value}").into());
    let folder: [OsString; 2] = ["-D".into(), data.into()];
    folder.into_iter().chain(settings.flat_map(|setting| ["-c".into(), setting])).collect()
}

const NAME: &str = "postgres";
const START_PATIENCE: Duration = Duration::from_secs(60);
const FINISH_PATIENCE: Duration = Duration::from_secs(10);
