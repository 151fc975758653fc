//! Processor time that processes and threads have used, in nanoseconds: unlike wall-clock rates it stays comparable on a
//! machine that others use too.

use std::fs;
use std::path::Path;

/// What the scheduler knows of a process or thread.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    /// On a processor.
    pub(super) nanos: u64,
    /// Ready to run, while others had the processor.
    pub(super) waited: u64,
}

impl Used {
    /// From an earlier look until this one.
    pub(super) fn since(self, earlier: Self) -> Self {
        let nanos = self.nanos.saturating_sub(earlier.nanos);
        Self { nanos, waited: self.waited.saturating_sub(earlier.waited) }
    }
}

/// Of all threads of a process so far.
pub(crate) fn of_process(pid: u32) -> u64 {
    used_by_process(pid).nanos
}

/// The same, with the time that they waited.
pub(super) fn used_by_process(pid: u32) -> Used {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Used::default() };
    let all = threads.filter_map(Result::ok).filter_map(|entry| used(&entry.path()));
    all.fold(Used::default(), |sum, one| Used { nanos: sum.nanos + one.nanos, waited: sum.waited + one.waited })
}

/// Of the calling thread.
pub(super) fn used_here() -> Used {
    used(Path::new("/proc/thread-self")).unwrap_or_default()
}

fn used(thread: &Path) -> Option<Used> {
    let text = fs::read_to_string(thread.join("schedstat")).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some(Used { nanos: numbers.next()?.ok()?, waited: numbers.next()?.ok()? })
}

/// Nanoseconds as microseconds, for each of `operations`.
#[expect(clippy::cast_precision_loss, reason = "both stay far below 2^52")]
pub(super) fn micros_each(nanos: u64, operations: u64) -> f64 {
    nanos as f64 / 1_000.0 / operations.max(1) as f64
}

/// Of the children of a process that have ended and were waited for, to a hundredth of a second.
pub(super) fn of_ended_children(pid: u32) -> u64 {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0 };
    // Behind the command, which may hold spaces: state is the first, and their two times the 14th and 15th.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks * 1_000_000_000 / TICKS_PER_SECOND
}

/// As Linux tells user programs, on every machine.
const TICKS_PER_SECOND: u64 = 100;
