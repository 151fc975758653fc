//! `postmaster.pid`: tells when PostgreSQL accepts connections, and what a killed server left behind.
//!
//! Its lines: pid, data folder, start time, port, socket folder, address, shared memory (key and id), state.

use std::{fs, path::Path, process::Command};

use crate::launcher::process_tree;

/// Whether the server with this pid accepts connections.
pub(super) fn is_ready(data: &Path, pid: u32) -> bool {
    let Some(lines) = read(data) else { return false };
    let own = lines.first().and_then(|line| line.parse().ok()) == Some(pid);
    own && lines.get(7).is_some_and(|state| state == "ready")
}

/// Removes the file of a dead server whose pid another process got meanwhile: PostgreSQL would refuse to start. All
/// other cases it judges better itself.
pub(super) fn remove_stale(data: &Path) {
    let Some(lines) = read(data) else { return };
    let Some(pid) = lines.first().and_then(|line| line.parse::<i32>().ok()) else { return };
    if process_tree::is_alive(pid) && process_tree::command(pid).is_some_and(|command| command != "postgres") {
        // If it cannot be removed, PostgreSQL names it in its own words.
        let _ = fs::remove_file(data.join(FILE));
    }
}

/// Gives back the small block of shared memory that a killed server could not remove.
pub(super) fn release_shared_memory(data: &Path) {
    let Some(lines) = read(data) else { return };
    let dead = lines.first().and_then(|pid| pid.parse().ok()).is_some_and(|pid| !process_tree::is_alive(pid));
    let block = lines.get(6).and_then(|line| line.split_whitespace().nth(1).map(str::to_owned));
    if let (true, Some(block)) = (dead, block) {
        // Only tidiness: the system has thousands of them.
        let _ = Command::new("ipcrm").args(["-m", &block]).output();
    }
}

fn read(data: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(data.join(FILE)).ok()?;
    Some(text.lines().map(|line| line.trim().to_owned()).collect())
}

const FILE: &str = "postmaster.pid";
