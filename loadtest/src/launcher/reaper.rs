//! No orphan, even when the launcher itself is killed with SIGKILL: a small child process (`loadtest reaper`) reads from
//! a pipe which processes and temporary folders exist; when the pipe closes, it ends and removes what is left of them.
//!
//! Lines: `watch <pid> <kill|quit>`, `forget <pid>`, `folder <path>`.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    StartError, binaries,
    process_tree::{self, Ending},
};

/// What temporary folders of this launcher are called; the reaper removes no other.
pub(crate) const FOLDER_PREFIX: &str = "seatwire-";

/// From now on the process does not outlive this one.
pub(crate) fn watch(pid: u32, ending: Ending) -> Result<(), StartError> {
    let mut reaper = lock();
    reaper.watched.insert(pid, ending);
    reaper.tell(&format!("watch {pid} {}", ending.name()))
}

/// The process has left, its number may be given to another.
pub(crate) fn forget(pid: u32) {
    let mut reaper = lock();
    if reaper.watched.remove(&pid).is_some() {
        // Without a reaper there is nothing to tell.
        let _ = reaper.tell(&format!("forget {pid}"));
    }
}

/// From now on the temporary folder does not outlive this process.
pub(crate) fn watch_folder(folder: &Path) -> Result<(), StartError> {
    let mut reaper = lock();
    reaper.folders.push(folder.to_owned());
    reaper.tell(&format!("folder {}", folder.display()))
}

/// The reaper's own work: reads until the pipe closes, then ends what is left.
pub fn run(input: impl BufRead) {
    let mut watched: BTreeMap<i32, Ending> = BTreeMap::new();
    let mut folders = Vec::new();
    for line in input.lines().map_while(Result::ok) {
        match *line.splitn(3, ' ').collect::<Vec<_>>() {
            ["watch", pid, ending] => {
                if let (Ok(pid), Ok(ending)) = (pid.parse(), ending.parse()) {
                    watched.insert(pid, ending);
                }
            }
            ["forget", pid] => drop(pid.parse().map(|pid| watched.remove(&pid))),
            _ => folders.extend(line.strip_prefix("folder ").map(PathBuf::from)),
        }
    }
    for (pid, ending) in watched {
        process_tree::end(pid, ending, || !process_tree::is_alive(pid));
    }
    let is_ours = |folder: &Path| folder.file_name().is_some_and(|n| n.to_string_lossy().starts_with(FOLDER_PREFIX));
    for folder in folders.iter().filter(|folder| is_ours(folder)) {
        // It is gone already unless the launcher died.
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Reads standard input.
pub fn run_on_stdin() {
    run(BufReader::new(io::stdin()));
}

/// One reaper serves the whole process.
#[derive(Default)]
struct Reaper {
    child: Option<Child>,
    watched: BTreeMap<u32, Ending>,
    folders: Vec<PathBuf>,
}

static REAPER: Mutex<Reaper> = Mutex::new(Reaper { child: None, watched: BTreeMap::new(), folders: Vec::new() });

fn lock() -> MutexGuard<'static, Reaper> {
    REAPER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reaper {
    fn tell(&mut self, line: &str) -> Result<(), StartError> {
        if self.write(line).is_ok() {
            return Ok(());
        }
        // There is none yet, or somebody ended it: a new one has to know everything.
        self.child = Some(spawn()?);
        let watched = self.watched.iter().map(|(pid, ending)| format!("watch {pid} {}", ending.name()));
        let folders = self.folders.iter().map(|folder| format!("folder {}", folder.display()));
        let everything: Vec<_> = watched.chain(folders).collect();
        self.write(&everything.join("\n")).map_err(StartError::io("reaper", "telling it what to watch"))
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        let stdin = self.child.as_mut().and_then(|child| child.stdin.as_mut());
        stdin.ok_or(io::ErrorKind::NotConnected)?.write_all(format!("{lines}\n").as_bytes())
    }
}

fn spawn() -> Result<Child, StartError> {
    let mut command = Command::new(binaries::find("loadtest")?);
    // A group of its own: Ctrl-C in the terminal is not for it.
    command.arg("reaper").process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(StartError::io("reaper", "starting it"))
}
