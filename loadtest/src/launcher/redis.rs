//! A private Redis (or Valkey) on loopback: refuses to evict, and forgets everything with its process unless told to
//! keep an append-only file.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{
    StartError,
    error::LogTail,
    folder,
    port::Port,
    probe,
    process::{Program, ServerProcess},
    process_tree::Ending,
    servers,
    small_disk::SmallDisks,
};

#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Where its data, if any, are kept; `None`: a temporary folder that is removed at the end.
    pub folder: Option<PathBuf>,
    /// `None`: `redis.log` in its folder.
    pub log: Option<PathBuf>,
    /// Keeps data in an append-only file, so that they survive a restart.
    pub append_only: bool,
    /// This server instead of one that is searched for.
    pub program: Option<PathBuf>,
    /// Further settings, as in `redis.conf`.
    pub settings: Vec<(String, String)>,
    /// Its folder is a disk of its own of this size, whose content survives the server; see [`Redis::fill_disk`].
    pub disk_mib: Option<u32>,
    /// Environment of the server.
    pub env: Vec<(String, OsString)>,
}

#[derive(Debug)]
pub struct Redis {
    process: ServerProcess,
    port: Port,
    folder: PathBuf,
    append_only: bool,
    /// With its size.
    disk: Option<(SmallDisks, u32)>,
    /// Removed after the server has ended.
    _temporary: Option<TempDir>,
}

impl Redis {
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(RedisOptions::default()).await
    }

    pub async fn start_with(options: RedisOptions) -> Result<Self, StartError> {
        let path = match &options.program {
            Some(path) => servers::check_redis(path).map(|()| path.clone())?,
            None => servers::redis()?,
        };
        let (folder, temporary) = folder::given_or_temporary(options.folder.clone(), NAME, None)?;
        let disk = match options.disk_mib {
            Some(size) => Some((SmallDisks::of_folder(&folder, size).await?, size)),
            None => None,
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            let port = Port::any().map_err(StartError::io(NAME, "choosing a port"))?;
            let args = arguments(&options, &folder, &port);
            let (path, args) = match &disk {
                Some((disk, _)) => disk.command(None, &path, args),
                None => (path.clone(), args),
            };
            let mut process = ServerProcess::start(Program {
                name: NAME.to_owned(),
                path,
                args,
                env: options.env.clone(),
                account: None,
                log: options.log.clone().unwrap_or_else(|| folder.join("redis.log")),
                output: None,
                ending: Ending::Kill,
            })?;
            match wait_ready(&mut process, &port).await {
                Ok(()) => {
                    let append_only = options.append_only;
                    return Ok(Self { process, port, folder, append_only, disk, _temporary: temporary });
                }
                Err(error) if error.is_port_clash() && attempts < 5 => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
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

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGSTOP.
    pub fn stop(&self) {
        self.process.signal_all(Signal::SIGSTOP);
    }

    pub fn cont(&self) {
        self.process.signal_all(Signal::SIGCONT);
    }

    /// Starts it again on the same port; a server that runs is finished first.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.finish().await;
        self.process.start_again()?;
        wait_ready(&mut self.process, &self.port).await
    }

    pub(crate) fn is_append_only(&self) -> bool {
        self.append_only
    }

    /// Its data; only while it does not run are they anybody else's.
    pub fn folder(&self) -> PathBuf {
        self.disk.as_ref().map_or_else(|| self.folder.clone(), |(disk, _)| disk.seen(&self.folder))
    }

    /// The size of the disk of its own.
    pub(crate) fn disk_mib(&self) -> Option<u32> {
        self.disk.as_ref().map(|(_, size)| *size)
    }

    /// Fills the disk of its own that the options asked for.
    pub fn fill_disk(&self) -> Result<(), StartError> {
        let filled = self.disk.as_ref().map_or_else(no_disk, |(disk, _)| disk.fill(&self.folder));
        filled.map_err(StartError::io(NAME, "filling its disk"))
    }

    /// Makes room on it again.
    pub fn free_disk(&self) -> Result<(), StartError> {
        let freed = self.disk.as_ref().map_or_else(no_disk, |(disk, size)| disk.free(&self.folder, *size));
        freed.map_err(StartError::io(NAME, "freeing its disk"))
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
        self.process.finish(Signal::SIGTERM, FINISH_PATIENCE).await;
    }
}

/// Who was started without.
pub(crate) fn no_disk() -> std::io::Result<()> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "it has no disk of its own"))
}

async fn wait_ready(process: &mut ServerProcess, port: &Port) -> Result<(), StartError> {
    process.ready(START_PATIENCE, |_| probe::redis_answers(port.address())).await
}

fn arguments(options: &RedisOptions, folder: &Path, port: &Port) -> Vec<OsString> {
    let text = |value: &str| value.to_owned();
    let own = [
        (text("bind"), port.address().ip().to_string()),
        (text("port"), port.number().to_string()),
        (text("dir"), folder.display().to_string()),
        (text("maxmemory-policy"), text("noeviction")),
        (text("save"), String::new()),
        (text("appendonly"), text(if options.append_only { "yes" } else { "no" })),
    ];
    let settings = own.iter().chain(&options.settings);
    settings.flat_map(|(name, value)| [format!("--{name}").into(), value.into()]).collect()
}

const NAME: &str = "redis";
const START_PATIENCE: Duration = Duration::from_secs(60);
const FINISH_PATIENCE: Duration = Duration::from_secs(5);
