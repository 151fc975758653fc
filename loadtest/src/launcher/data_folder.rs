//! The folder of a stack: servers' data and logs, and the secrets that make them usable after a restart.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use super::{StackSecrets, StartError, account::Account, folder, secrets};

#[derive(Debug)]
pub(crate) struct DataFolder {
    pub(crate) path: PathBuf,
    pub(crate) secrets: StackSecrets,
    /// One launcher at a time.
    _lock: Flock<File>,
    _temporary: Option<TempDir>,
}

impl DataFolder {
    pub(crate) fn open(given: Option<PathBuf>, fresh: bool) -> Result<Self, StartError> {
        let (path, temporary) = folder::given_or_temporary(given, "stack", Account::for_postgres())?;
        let lock = lock(&path)?;
        let io_error = || StartError::io(NAME, format!("preparing {}", path.display()));
        if fresh {
            clear(&path).map_err(io_error())?;
        }
        let secrets = known_or_new_secrets(&path.join(SECRETS)).map_err(io_error())?;
        // One line: for the operator's page, and for `seatwire-core admin --token-file`.
        let mut token = secrets::create_private(&path.join(ADMIN_TOKEN)).map_err(io_error())?;
        writeln!(token, "{}", secrets.admin).map_err(io_error())?;
        fs::create_dir_all(path.join("logs")).map_err(io_error())?;
        fs::create_dir_all(path.join("provider")).map_err(io_error())?;
        Ok(Self { path, secrets, _lock: lock, _temporary: temporary })
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    pub(crate) fn admin_token(&self) -> PathBuf {
        self.path.join(ADMIN_TOKEN)
    }

    pub(crate) fn mail(&self) -> PathBuf {
        self.path.join("mail")
    }
}

fn lock(path: &Path) -> Result<Flock<File>, StartError> {
    let file = File::create(path.join("lock")).map_err(StartError::io(NAME, "making its lock"))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        let step = format!("{} is in use by another launcher", path.display());
        StartError::io(NAME, step)(errno.into())
    })
}

/// Removes data and logs; servers that were unpacked stay.
fn clear(path: &Path) -> io::Result<()> {
    // As root below a private home this is a link.
    folder::remove_with_target(&path.join("postgres/data"))?;
    for name in ["postgres", "redis", "provider", "mail", "logs"] {
        folder::remove_with_target(&path.join(name))?;
    }
    match fs::remove_file(path.join(SECRETS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn known_or_new_secrets(path: &Path) -> io::Result<StackSecrets> {
    if let Some(known) = secrets::read_json(path)? {
        return Ok(known);
    }
    let new = StackSecrets::random();
    secrets::write_json(path, &new)?;
    Ok(new)
}

const NAME: &str = "data folder";
const SECRETS: &str = "secrets.json";
const ADMIN_TOKEN: &str = "admin-token";
