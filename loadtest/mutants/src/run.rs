//! Runs cargo on the copy: builds, and tests with a deadline.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::list::{Mutant, Suite};

/// A test run of one mutant that takes longer is ended; that is a catch too.
const TEST_MAX: Duration = Duration::from_secs(300);
/// Builds, and all tests without a mutant.
const LONG_MAX: Duration = Duration::from_secs(3_600);
const POLL: Duration = Duration::from_millis(50);

/// Cargo on the copied tree.
#[derive(Debug)]
pub struct Cargo {
    /// The tree.
    pub tree: PathBuf,
    /// Build products, shared by all mutants.
    pub target: PathBuf,
    /// What each run printed.
    pub logs: PathBuf,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Exit status 0.
    pub succeeded: bool,
    /// Ended because it took too long.
    pub hung: bool,
    /// Everything that it printed.
    pub text: String,
}

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// These tests failed; none when they did not end.
    Caught(Vec<String>),
    /// Every test passed.
    Survived,
    /// It says nothing: what was replaced leaves no program.
    DoesNotCompile,
}

impl Cargo {
    /// Binaries that tests start as processes.
    ///
    /// # Errors
    /// When cargo can't be run.
    pub fn build_binaries(&self) -> Result<Ran> {
        self.run(
            "binaries",
            &["build", "--locked", "--workspace", "--bins", "--features", "seatwire-core/files-from-disk"],
            LONG_MAX,
        )
    }

    /// Compiles a suite.
    ///
    /// # Errors
    /// When cargo can't be run.
    pub fn compile(&self, name: &str, suite: Suite) -> Result<Ran> {
        let arguments = [&["test", "--locked", "--no-run"], suite.arguments()].concat();
        self.run(&format!("{name}.build"), &arguments, LONG_MAX)
    }

    /// Runs the tests of a suite whose names contain one of `tests`, without a mutant.
    ///
    /// # Errors
    /// When cargo can't be run.
    pub fn control(&self, suite: Suite, tests: &[&str]) -> Result<Ran> {
        self.test("control", suite, tests, LONG_MAX)
    }

    fn test(&self, name: &str, suite: Suite, tests: &[&str], limit: Duration) -> Result<Ran> {
        let arguments = [&["test", "--locked"], suite.arguments(), &["--"], tests].concat();
        self.run(&format!("{name}.test"), &arguments, limit)
    }

    /// Builds a mutant that is in the tree, and runs its tests.
    ///
    /// # Errors
    /// When cargo can't be run.
    pub fn judge(&self, mutant: &Mutant) -> Result<Verdict> {
        if !self.compile(mutant.name, mutant.suite)?.succeeded {
            return Ok(Verdict::DoesNotCompile);
        }
        let ran = self.test(mutant.name, mutant.suite, mutant.tests, TEST_MAX)?;
        Ok(if ran.succeeded { Verdict::Survived } else { Verdict::Caught(failed_tests(&ran.text)) })
    }

    fn run(&self, name: &str, arguments: &[&str], limit: Duration) -> Result<Ran> {
        fs::create_dir_all(&self.logs)?;
        let log = self.logs.join(name);
        let output = File::create(&log)?;
        let mut child = Command::new("cargo")
            .args(arguments)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .context("cargo")?;
        let hung = !wait(&mut child, limit)?;
        if hung {
            let group = Pid::from_raw(i32::try_from(child.id())?);
            killpg(group, Signal::SIGKILL)?;
        }
        let succeeded = child.wait()?.success();
        Ok(Ran { succeeded, hung, text: read(&log)? })
    }
}

fn wait(child: &mut Child, limit: Duration) -> Result<bool> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(POLL);
    }
    Ok(false)
}

fn read(log: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(log)?).into_owned())
}

/// Names of tests that ended in a way.
fn tests_that(text: &str, end: &str) -> Vec<String> {
    let name = |line: &str| line.strip_prefix("test ")?.strip_suffix(end)?.strip_suffix(" ... ").map(str::to_owned);
    text.lines().filter_map(name).collect()
}

/// Names of the tests that failed.
#[must_use]
pub fn failed_tests(text: &str) -> Vec<String> {
    tests_that(text, "FAILED")
}

/// Names of the tests that passed.
#[must_use]
pub fn passed_tests(text: &str) -> Vec<String> {
    tests_that(text, "ok")
}
