//! Disks of a few MiB for one server, to be filled: tmpfs in a mount namespace that a process of its own keeps, so that
//! what is on them survives the server and is gone with the keeper, whatever becomes of this process. The server enters
//! the namespace; we look into it through `/proc`.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    StartError,
    account::Account,
    process::{Program, ServerProcess},
    process_tree::Ending,
};

/// Whether this process may give a server disks of its own: root in most places.
pub fn can_mount() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt && command -v nsenter setpriv"]);
    let quiet = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Keeps the namespace.
#[derive(Debug)]
pub(crate) struct SmallDisks {
    keeper: ServerProcess,
}

impl SmallDisks {
    /// One disk in place of this folder, empty.
    pub(crate) async fn of_folder(folder: &Path, size_mib: u32) -> Result<Self, StartError> {
        let script = r#"mount -t tmpfs -o size="$1"m tmpfs "$2""#;
        Self::keep(folder, script, vec![size_mib.to_string().into(), folder.into()]).await
    }

    /// Two for PostgreSQL, with what is in its data folder: one in the place of the folder, one for its log at [`WAL`].
    pub(crate) async fn of_postgres(
        data: &Path,
        log_folder: &Path,
        account: Option<Account>,
        (data_mib, wal_mib): (u32, u32),
    ) -> Result<Self, StartError> {
        let owner = account.map_or_else(String::new, |account| format!(",uid={},gid={}", account.uid, account.gid));
        // Nothing is left behind on the real disk: the places for both disks are on a third one.
        let script = r#"mkdir /mnt/data /mnt/wal
            mount -t tmpfs -o size="$1"m,mode=0700"$3" tmpfs /mnt/data
            mount -t tmpfs -o size="$2"m,mode=0700"$3" tmpfs /mnt/wal
            cp -a "$4/." /mnt/data/
            cp -a /mnt/data/pg_wal/. /mnt/wal/
            rm -r /mnt/data/pg_wal
            ln -s /mnt/wal /mnt/data/pg_wal
            mount --bind /mnt/data "$4""#;
        let sizes = [data_mib, wal_mib].map(|size| size.to_string().into());
        let args = sizes.into_iter().chain([owner.into(), data.into()]).collect();
        Self::keep(log_folder, script, args).await
    }

    async fn keep(log_folder: &Path, mounts: &str, args: Vec<OsString>) -> Result<Self, StartError> {
        let script = format!(
            "set -e; mount -t tmpfs -o size=1m,mode=0755 tmpfs /mnt; {mounts}; touch /mnt/ready; exec sleep infinity"
        );
        let begin = ["--mount", "sh", "-c", script.as_str(), "disks"].map(OsString::from);
        let mut keeper = ServerProcess::start(Program {
            name: "disks".to_owned(),
            path: PathBuf::from("unshare"),
            args: begin.into_iter().chain(args).collect(),
            env: Vec::new(),
            account: None,
            log: log_folder.with_extension("disks.log"),
            output: None,
            ending: Ending::Kill,
        })?;
        keeper.ready(READY_PATIENCE, |pid| seen(pid, Path::new("/mnt/ready")).exists()).await?;
        Ok(Self { keeper })
    }

    /// The program and arguments that enter the namespace as this account and become `program` with `args`.
    pub(crate) fn command(
        &self,
        account: Option<Account>,
        program: &Path,
        args: Vec<OsString>,
    ) -> (PathBuf, Vec<OsString>) {
        let mut all: Vec<OsString> = vec![format!("--mount=/proc/{}/ns/mnt", self.pid()).into(), "--".into()];
        if let Some(Account { uid, gid }) = account {
            let ids = [format!("--reuid={uid}"), format!("--regid={gid}")];
            all.extend(["setpriv".into(), "--clear-groups".into()]);
            all.extend(ids.map(OsString::from));
        }
        all.push(program.into());
        all.extend(args);
        (PathBuf::from("nsenter"), all)
    }

    /// Where a path of the server is for us.
    pub(crate) fn seen(&self, path: &Path) -> PathBuf {
        seen(self.pid(), path)
    }

    /// From now on not a page more fits on the disk at this path than is on it.
    pub(crate) fn fill(&self, disk: &Path) -> io::Result<()> {
        // Somebody may write between the two looks.
        let mut result = Ok(());
        for _ in 0..TRIES {
            let stat = nix::sys::statvfs::statvfs(&self.seen(disk))?;
            let used = (stat.blocks() - stat.blocks_free()) * stat.fragment_size();
            result = self.resize(disk, &used.to_string());
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// The disk has its size again.
    pub(crate) fn free(&self, disk: &Path, size_mib: u32) -> io::Result<()> {
        self.resize(disk, &format!("{size_mib}m"))
    }

    fn resize(&self, disk: &Path, size: &str) -> io::Result<()> {
        let mut mount = Command::new("nsenter");
        mount.arg(format!("--mount=/proc/{}/ns/mnt", self.pid())).arg("--");
        mount.args(["mount", "-o", &format!("remount,size={size}")]).arg(disk);
        let done = mount.stdin(Stdio::null()).output()?;
        if done.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
    }

    fn pid(&self) -> u32 {
        self.keeper.pid().unwrap_or_default()
    }
}

fn seen(pid: u32, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap_or(path))
}

/// Of PostgreSQL's two disks.
pub(crate) const WAL: &str = "/mnt/wal";
pub(crate) const DATA: &str = "/mnt/data";
const READY_PATIENCE: Duration = Duration::from_secs(60);
const TRIES: u32 = 20;
