//! Processor time that other processes have used, in nanoseconds: unlike wall-clock rates it stays comparable on a
//! machine that others use too.

use std::fs;

/// Of all threads of a process so far.
pub(crate) fn of_process(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let of_thread = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    threads.filter_map(Result::ok).filter_map(of_thread).sum()
}

/// Nanoseconds as microseconds, for each of `operations`.
#[expect(clippy::cast_precision_loss, reason = "both stay far below 2^52")]
pub(super) fn micros_each(nanos: u64, operations: u64) -> f64 {
    nanos as f64 / 1_000.0 / operations.max(1) as f64
}
