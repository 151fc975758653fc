//! Processes as the system sees them: who is alive, who descends from whom, and how to end all of them for good.
//!
//! PostgreSQL's backends leave the group of their parent, so a signal to the group is not enough.

use std::{
    collections::HashMap,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// How a process is ended when nobody waits for it to finish its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGKILL.
    Kill,
    /// SIGQUIT first: PostgreSQL stops at once, and still gives its shared memory back.
    Quit,
}

impl Ending {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Quit => "quit",
        }
    }
}

impl FromStr for Ending {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "kill" => Ok(Self::Kill),
            "quit" => Ok(Self::Quit),
            _ => Err(()),
        }
    }
}

/// Ends a process and all that it started; `is_gone` says when the process itself has left.
pub(crate) fn end(pid: i32, ending: Ending, mut is_gone: impl FnMut() -> bool) {
    if ending == Ending::Quit {
        // A stopped process acts on a signal only when it goes on.
        send_to_tree(pid, Signal::SIGCONT);
        send(pid, Signal::SIGQUIT);
        if wait_until(QUIT_PATIENCE, &mut is_gone) {
            return;
        }
    }
    kill_tree(pid);
    wait_until(KILL_PATIENCE, &mut is_gone);
}

/// SIGKILL to the process and all that it started, with no time between them to start another.
pub fn kill_tree(pid: i32) {
    send(pid, Signal::SIGSTOP);
    send_to_tree(pid, Signal::SIGKILL);
}

/// The signal to the process, its group and all its descendants.
pub(crate) fn send_to_tree(pid: i32, signal: Signal) {
    for descendant in descendants(pid) {
        send(descendant, signal);
    }
    // An error means that the group is gone already.
    let _ = killpg(Pid::from_raw(pid), signal);
    send(pid, signal);
}

pub(crate) fn send(pid: i32, signal: Signal) {
    // An error means that the process is gone already.
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Whether the process runs or could run again; a zombie does not.
pub fn is_alive(pid: i32) -> bool {
    match kill(Pid::from_raw(pid), None) {
        Ok(()) | Err(Errno::EPERM) => stat(pid).is_none_or(|(state, _)| state != "Z"),
        Err(_) => false,
    }
}

/// All living processes below this one.
pub fn descendants(pid: i32) -> Vec<i32> {
    let parents = parents();
    let below = |mut candidate: i32| {
        while let Some(&parent) = parents.get(&candidate) {
            if parent == pid {
                return true;
            }
            candidate = parent;
        }
        false
    };
    parents.keys().copied().filter(|&candidate| below(candidate)).collect()
}

#[cfg(target_os = "linux")]
fn parents() -> HashMap<i32, i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?.1))).collect()
}

#[cfg(not(target_os = "linux"))]
fn parents() -> HashMap<i32, i32> {
    let listing = std::process::Command::new("ps").args(["-axo", "pid=,ppid="]).output();
    let text = listing.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let pair = |line: &str| {
        let mut fields = line.split_whitespace().filter_map(|field| field.parse().ok());
        Some((fields.next()?, fields.next()?))
    };
    text.lines().filter_map(pair).collect()
}

/// The name of the program that the process runs, where the system tells it.
pub(crate) fn command(pid: i32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned())
}

/// State and parent of a process. The command in front of them may hold spaces and brackets.
fn stat(pid: i32) -> Option<(String, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

fn wait_until(patience: Duration, is_done: &mut impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if is_done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

const QUIT_PATIENCE: Duration = Duration::from_secs(3);
const KILL_PATIENCE: Duration = Duration::from_secs(5);
