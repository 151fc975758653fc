//! Folders of data: the one that was asked for, or a temporary one that no crash leaves behind.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    StartError,
    account::{Account, create_passable, temporary_root},
    reaper,
};

/// The folder's absolute path, and what removes it if it is temporary.
pub(crate) fn given_or_temporary(
    given: Option<PathBuf>,
    server: &str,
    account: Option<Account>,
) -> Result<(PathBuf, Option<TempDir>), StartError> {
    if let Some(folder) = given {
        let io_error = || StartError::io(server, format!("making {}", folder.display()));
        create_passable(&folder, account).map_err(io_error())?;
        return Ok((folder.canonicalize().map_err(io_error())?, None));
    }
    let io_error = || StartError::io(server, "making a temporary folder");
    let name = format!("{}{server}-", reaper::FOLDER_PREFIX);
    let temporary = tempfile::Builder::new().prefix(&name).tempdir_in(temporary_root(account)).map_err(io_error())?;
    reaper::watch_folder(temporary.path())?;
    create_passable(temporary.path(), account).map_err(io_error())?;
    let folder = temporary.path().canonicalize().map_err(io_error())?;
    Ok((folder, Some(temporary)))
}

/// Removes a folder or a link together with the folder that it points to; nothing there is fine.
pub(crate) fn remove_with_target(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.is_symlink() {
        return fs::remove_dir_all(path);
    }
    match path.canonicalize() {
        Ok(target) => fs::remove_dir_all(target)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::remove_file(path)
}
