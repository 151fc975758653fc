//! Takes a running gateway's file descriptors away: its limit is set below the numbers that it has open already, so that
//! what is open goes on and nothing new can be opened, a connection to accept least of all.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::inject::Injected;
use crate::bench::cpu;
use crate::launcher::{Process, Stack};

/// How a server was when it began.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) at: Instant,
    pub(super) cpu_ns: u64,
    pub(super) failures: usize,
}

pub(super) fn exhaust(stack: &Stack) -> anyhow::Result<Mark> {
    let pid = pid(stack)?;
    let mark = Mark { at: Instant::now(), cpu_ns: cpu::of_process(pid), failures: failures(stack)? };
    limit(pid, "4:")?;
    Ok(mark)
}

/// Tells what the gateway did meanwhile.
///
/// # Errors
/// When it tried to accept without a pause.
pub(super) fn restore(stack: &Stack, injected: &mut Injected) -> anyhow::Result<()> {
    let pid = pid(stack)?;
    let hard = hard_limit(pid)?;
    limit(pid, &format!("{hard}:"))?;
    let Some(mark) = &injected.mark else { return Ok(()) };
    let (took, tries) = (mark.at.elapsed(), failures(stack)?.saturating_sub(mark.failures));
    let cpu = Duration::from_nanos(cpu::of_process(pid).saturating_sub(mark.cpu_ns));
    let share = cpu.as_secs_f64() / took.as_secs_f64();
    injected.note = format!("{tries} times nothing could be accepted, {share:.2} cores busy meanwhile");
    anyhow::ensure!(tries > 0, "every connection could be accepted");
    let most = took.as_millis() / PAUSE_MS * LISTENERS + LISTENERS;
    anyhow::ensure!(tries as u128 <= most, "accepting was tried {tries} times within {took:?}: it spins");
    Ok(())
}

/// Lines of the gateway's log about connections that could not be accepted.
fn failures(stack: &Stack) -> anyhow::Result<usize> {
    let log = stack.logs().join(format!("{GATEWAY}.log"));
    let text = fs::read_to_string(&log).with_context(|| format!("reading {}", log.display()))?;
    Ok(text.matches("accepting a connection failed").count())
}

fn hard_limit(pid: u32) -> anyhow::Result<String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find(|line| line.starts_with("Max open files")).context("a limit of open files")?;
    Ok(line.split_whitespace().nth(4).context("its hard value")?.to_owned())
}

/// The soft limit; of one's own processes anybody may set it.
fn limit(pid: u32, nofile: &str) -> anyhow::Result<()> {
    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--nofile={nofile}")]).output();
    let done = done.context("running prlimit")?;
    let said = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(done.status.success(), "prlimit: {}", said.trim());
    Ok(())
}

fn pid(stack: &Stack) -> anyhow::Result<u32> {
    stack.pid(GATEWAY).context("the gateway does not run")
}

const GATEWAY: Process = Process::Gateway(0);
/// The gateway's own, after a connection that it could not accept.
const PAUSE_MS: u128 = 50;
/// For customers, and for operators.
const LISTENERS: u128 = 2;
