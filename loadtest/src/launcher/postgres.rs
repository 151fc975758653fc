//! A private PostgreSQL server: own data folder, own random passwords, loopback only, never as root.
//!
//! Commits are honest (fsync on), because tests kill the server and then look for what it promised.

mod control_file;
mod password;
mod template;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio_postgres::NoTls;

use super::{
    StartError,
    account::{Account, create_passable},
    error::LogTail,
    folder,
    port::Port,
    process::{Program, ServerProcess},
    process_tree::Ending,
    secrets, servers,
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
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { folder: None, log: None, max_connections: 100, shared_buffers_mib: 32, settings: Vec::new() }
    }
}

/// A running server with the database `seatwire` and the roles `seatwire_migrator` and `seatwire_core`.
#[derive(Debug)]
pub struct Postgres {
    process: ServerProcess,
    port: Port,
    passwords: Passwords,
    data: PathBuf,
    /// Removed after the server has ended.
    _temporary: Option<TempDir>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Passwords {
    postgres: String,
    seatwire_migrator: String,
    seatwire_core: String,
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
        let program = |port: &Port| Program {
            name: NAME.to_owned(),
            path: binaries.folder.join("postgres"),
            args: arguments(&options, &data, port),
            env: vec![("LC_ALL".to_owned(), "C".into())],
            account,
            log: options.log.clone().unwrap_or_else(|| folder.join("postgres.log")),
            output: None,
            ending: Ending::Quit,
        };
        let (process, port) = start_on_free_port(program, &data).await?;
        let passwords = match first {
            Some(password) => set_passwords(port.address(), &password, &folder).await?,
            None => known_passwords(&folder)?,
        };
        Ok(Self { process, port, passwords, data, _temporary: temporary })
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

impl Drop for Postgres {
    fn drop(&mut self) {
        self.process.end();
        control_file::release_shared_memory(&self.data);
    }
}

/// Where the data lie and who owns them.
struct Place {
    folder: PathBuf,
    account: Option<Account>,
}

impl Place {
    /// Makes the data folder if there is none; then returns the superuser's password in it, which is to be replaced.
    fn prepare(&self, binaries: &servers::PostgresBinaries) -> Result<Option<String>, StartError> {
        let io_error = || StartError::io(NAME, format!("preparing {}", self.folder.display()));
        create_passable(&self.folder, self.account).map_err(io_error())?;
        let (data, unfinished) = (self.folder.join("data"), self.folder.join(UNFINISHED));
        if data.exists() && !unfinished.exists() {
            control_file::remove_stale(&data);
            return Ok(None);
        }
        fs::write(&unfinished, "").map_err(io_error())?;
        let real = self.reachable_data().map_err(io_error())?;
        if real != data {
            std::os::unix::fs::symlink(&real, &data).map_err(io_error())?;
        }
        template::copy(binaries, self.account, &real).map(Some)
    }

    /// A path for the data that the account can reach, with nothing there yet. It is elsewhere only for a project
    /// below a private home of root.
    fn reachable_data(&self) -> io::Result<PathBuf> {
        let data = self.folder.join("data");
        folder::remove_with_target(&data)?;
        match self.account {
            Some(account) if !account.can_reach(&self.folder) => {
                let parent = Path::new("/var/lib/seatwire");
                create_passable(parent, self.account)?;
                Ok(parent.join(format!("postgres-{}", uuid::Uuid::new_v4().simple())))
            }
            _ => Ok(data),
        }
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

fn arguments(options: &PostgresOptions, data: &Path, port: &Port) -> Vec<std::ffi::OsString> {
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
    let settings = own.iter().chain(&options.settings).map(|(name, value)| format!("{name}={value}").into());
    let folder: [std::ffi::OsString; 2] = ["-D".into(), data.into()];
    folder.into_iter().chain(settings.flat_map(|setting| ["-c".into(), setting])).collect()
}

/// Gives each role a password of its own, then marks the data as complete.
async fn set_passwords(address: SocketAddr, old: &str, folder: &Path) -> Result<Passwords, StartError> {
    let new = || secrets::random_secret();
    let passwords = Passwords { postgres: new(), seatwire_migrator: new(), seatwire_core: new() };
    let failed = |error: tokio_postgres::Error| StartError::Failed {
        server: NAME.to_owned(),
        step: "setting its passwords".to_owned(),
        log: LogTail::of_text(&error.to_string()),
    };
    let (client, connection) = tokio_postgres::connect(&url(address, "postgres", old), NoTls).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let statements = format!(
        "ALTER ROLE postgres PASSWORD '{}'; ALTER ROLE seatwire_migrator PASSWORD '{}'; \
         ALTER ROLE seatwire_core PASSWORD '{}'",
        password::stored_form(&passwords.postgres),
        password::stored_form(&passwords.seatwire_migrator),
        password::stored_form(&passwords.seatwire_core)
    );
    client.batch_execute(&statements).await.map_err(failed)?;
    drop(client);
    // It ends with the client; how it ended does not matter.
    let _ = connection.await;
    let written = secrets::write_json(&folder.join(PASSWORDS), &passwords);
    written
        .and_then(|()| fs::remove_file(folder.join(UNFINISHED)))
        .map_err(StartError::io(NAME, "keeping its passwords"))?;
    Ok(passwords)
}

fn known_passwords(folder: &Path) -> Result<Passwords, StartError> {
    let path = folder.join(PASSWORDS);
    let step = || format!("reading {} (start with --fresh to begin anew)", path.display());
    let known = secrets::read_json(&path).map_err(StartError::io(NAME, step()))?;
    known.ok_or_else(|| StartError::io(NAME, step())(io::ErrorKind::NotFound.into()))
}

fn url(address: SocketAddr, role: &str, password: &str) -> String {
    format!("postgres://{role}:{password}@{address}/seatwire")
}

const NAME: &str = "postgres";
const PASSWORDS: &str = "passwords.json";
/// Exists while a new data folder is not complete.
const UNFINISHED: &str = "unfinished";
const START_PATIENCE: Duration = Duration::from_secs(60);
const FINISH_PATIENCE: Duration = Duration::from_secs(10);
