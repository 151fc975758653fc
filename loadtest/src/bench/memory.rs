//! Memory of a process and of its sockets in the kernel, as the system tells it. What the system does not tell (slab
//! sizes without root, `ss` where it is missing) is `None`, never 0.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

/// Resident memory of a process, KiB.
pub(crate) fn rss_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// Bytes that the kernel keeps in queues of all TCP sockets.
pub(super) fn tcp_queue_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = text.lines().find(|line| line.starts_with("TCP:"))?;
    let pages: u64 = line.rsplit_once("mem ")?.1.trim().parse().ok()?;
    Some(pages * PAGE)
}

/// Bytes of the kernel's objects of one accepted socket that is waited for by epoll: sizes from the slab allocator.
pub(super) fn kernel_objects_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/slabinfo").ok()?;
    let size = |name: &str| {
        let mut words = text.lines().find(|line| line.split(' ').next() == Some(name))?.split_ascii_whitespace();
        words.nth(3)?.parse::<u64>().ok()
    };
    SOCKET_OBJECTS.iter().map(|name| size(name)).sum()
}

/// Socket with its inode, open file with its name, and the entry of epoll.
const SOCKET_OBJECTS: [&str; 5] = ["TCP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi"];
const PAGE: u64 = 4_096;

/// Bytes of send memory (with the kernel's own overhead) of each established socket of a listener.
pub(super) fn send_memory(listener: SocketAddr) -> Option<Vec<u64>> {
    let filter = format!("sport = :{}", listener.port());
    let output = Command::new("ss").args(["-tnmH", "state", "established", &filter]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let of = |line: &str| {
        let memory = line.split_once("skmem:(")?.1.split_once(')')?.0;
        memory.split(',').find_map(|item| item.strip_prefix('w')?.parse::<u64>().ok())
    };
    Some(text.lines().filter_map(of).collect()).filter(|all: &Vec<u64>| !all.is_empty())
}
