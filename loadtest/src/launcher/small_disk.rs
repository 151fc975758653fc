//! A disk of a few MiB for one server, to be filled: a tmpfs in a mount namespace of the server's own, which is gone with
//! its process whatever becomes of this one. We reach into it through `/proc`.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Whether this process may give a server a disk of its own: root in most places.
pub fn can_mount() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]);
    let quiet = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The program and arguments that mount the disk on `folder` and then become `program` with `args`.
pub(crate) fn command(size_mib: u32, folder: &Path, program: &Path, args: Vec<OsString>) -> (PathBuf, Vec<OsString>) {
    let script = r#"mount -t tmpfs -o size="$0"m tmpfs "$1" && shift && exec "$@""#;
    let mut all: Vec<OsString> = ["--mount", "sh", "-c", script].map(OsString::from).to_vec();
    all.extend([OsString::from(size_mib.to_string()), folder.into(), program.into()]);
    all.extend(args);
    (PathBuf::from("unshare"), all)
}

/// Writes until nothing more fits.
pub(crate) fn fill(pid: u32, folder: &Path) -> io::Result<()> {
    let mut file = fs::File::create(filler(pid, folder))?;
    for size in [1 << 20, 1 << 12, 1] {
        let piece = vec![0_u8; size];
        loop {
            match io::Write::write(&mut file, &piece) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

pub(crate) fn free(pid: u32, folder: &Path) -> io::Result<()> {
    fs::remove_file(filler(pid, folder))
}

fn filler(pid: u32, folder: &Path) -> PathBuf {
    let inside = folder.strip_prefix("/").unwrap_or(folder);
    PathBuf::from(format!("/proc/{pid}/root")).join(inside).join("filler")
}
