//! The data folder on disk: made from the template the first time, found again later, reachable for its account.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{NAME, control_file, passwords, template};
use crate::launcher::{
    StartError,
    account::{Account, create_passable},
    folder,
    servers::PostgresBinaries,
};

/// Where the data lie and who owns them.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) account: Option<Account>,
}

impl Place {
    /// Makes the data folder if there is none; then returns the superuser's password in it, which is to be replaced.
    pub(super) fn prepare(&self, binaries: &PostgresBinaries) -> Result<Option<String>, StartError> {
        let io_error = || StartError::io(NAME, format!("preparing {}", self.folder.display()));
        create_passable(&self.folder, self.account).map_err(io_error())?;
        let (data, unfinished) = (self.folder.join("data"), passwords::unfinished(&self.folder));
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
