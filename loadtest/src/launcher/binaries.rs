//! Where this project's own programs lie: beside the running program or test.

use std::path::PathBuf;

use super::StartError;

/// The path of one of `seatwire-core`, `seatwire-gateway`, `loadtest`.
pub(crate) fn find(name: &str) -> Result<PathBuf, StartError> {
    let path = folder().map(|folder| folder.join(name)).filter(|path| path.is_file());
    path.ok_or_else(|| StartError::MissingBinary {
        server: name.to_owned(),
        hint: "run `cargo build --workspace` first (or set SEATWIRE_BIN_DIR)".to_owned(),
    })
}

fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("SEATWIRE_BIN_DIR") {
        return Some(PathBuf::from(folder));
    }
    let folder = std::env::current_exe().ok()?.parent()?.to_owned();
    let is_for_tests = folder.ends_with("deps") || folder.ends_with("examples");
    if is_for_tests { folder.parent().map(PathBuf::from) } else { Some(folder) }
}
