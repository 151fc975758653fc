//! One of this project's own programs as a child process: ready when it has printed its ready line.

use std::{fs, path::PathBuf, time::Duration};

use nix::sys::signal::Signal;
use serde::Deserialize;

use super::{
    StartError,
    process::{Program, ServerProcess},
};

#[derive(Debug)]
pub(crate) struct ServiceProcess {
    pub(crate) process: ServerProcess,
    output: PathBuf,
}

impl ServiceProcess {
    /// The program's standard output must go to `output`.
    pub(crate) async fn start(program: Program, output: PathBuf) -> Result<Self, StartError> {
        let mut service = Self { process: ServerProcess::start(program)?, output };
        service.wait_ready().await?;
        Ok(service)
    }

    /// Starts it again with the same addresses and settings; one that runs is finished first.
    pub(crate) async fn restart(&mut self) -> Result<(), StartError> {
        self.finish().await;
        self.process.start_again()?;
        self.wait_ready().await
    }

    /// It may finish what it began, for a while.
    pub(crate) async fn finish(&mut self) {
        self.process.finish(Signal::SIGTERM, FINISH_PATIENCE).await;
    }

    async fn wait_ready(&mut self) -> Result<(), StartError> {
        let output = self.output.clone();
        let says_ready = |pid| {
            let text = fs::read_to_string(&output).unwrap_or_default();
            // A line that is not whole is no JSON yet.
            let line = text.lines().next().and_then(|line| serde_json::from_str::<ReadyLine>(line).ok());
            line.is_some_and(|line| line.ready && line.pid == pid)
        };
        self.process.ready(START_PATIENCE, says_ready).await
    }
}

/// What all services print; their addresses are known already.
#[derive(Deserialize)]
struct ReadyLine {
    ready: bool,
    pid: u32,
}

const START_PATIENCE: Duration = Duration::from_secs(60);
const FINISH_PATIENCE: Duration = Duration::from_secs(15);
