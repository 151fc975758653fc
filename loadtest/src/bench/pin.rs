//! Which core does what: the gateway, or the raw loop beside it, has one core to itself; viewers, publisher, core, Redis
//! and PostgreSQL share another. On a machine with one core, and on systems that pin nothing, all share what there is.

#[cfg(target_os = "linux")]
use std::fs;

/// Of what is measured.
pub(super) const MEASURED: usize = 0;
/// Of everything else.
pub(super) const LOAD: usize = 1;

/// All present threads of a process; those that they start follow.
#[cfg(target_os = "linux")]
pub(super) fn process(pid: u32, core: usize) {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    for thread in threads.filter_map(Result::ok).filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        set(thread, core);
    }
}

/// The calling thread.
#[cfg(target_os = "linux")]
pub(super) fn this_thread(core: usize) {
    set(0, core);
}

#[cfg(target_os = "linux")]
fn set(thread: i32, core: usize) {
    use nix::sched::{CpuSet, sched_setaffinity};
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut set = CpuSet::new();
    // Once this thread itself is pinned only one core seems to be there.
    let fits = cores > core || fs::metadata(format!("/sys/devices/system/cpu/cpu{core}")).is_ok();
    if fits && set.set(core).is_ok() {
        // A thread may have ended meanwhile; others keep their core.
        let _ = sched_setaffinity(nix::unistd::Pid::from_raw(thread), &set);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn process(_pid: u32, _core: usize) {}

#[cfg(not(target_os = "linux"))]
pub(super) fn this_thread(_core: usize) {}
