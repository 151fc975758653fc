//! Where a run happened, and of what source.

use serde::Serialize;

use crate::bench::report::{cores, cpu_model, load_average};

/// The machine, as far as its speed depends on it.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub cpu: String,
    /// Of one minute, when the report was made: others on the machine are seen here.
    pub load_average: f64,
    /// Of this program: `release` or `debug`; times of debug builds say nothing.
    pub build: &'static str,
}

impl Machine {
    pub fn here() -> Self {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self { cores: cores(), cpu: cpu_model(), load_average: load_average(), build }
    }
}

/// Of the source tree that this program was built in.
pub fn commit() -> Option<String> {
    let mut git = std::process::Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
