//! One server as a child process: started in a group of its own, its log in a file, ended by pid at the latest on drop.
//!
//! The child begins as a shell that waits for a word from us and then becomes the server: so the reaper knows its pid
//! before the server exists, and no moment is left in which a dying launcher could leave an orphan.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{
    StartError,
    account::Account,
    error::LogTail,
    process_tree::{self, Ending},
    reaper,
};

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// As errors and logs call it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Beside the few variables of [`INHERITED`] nothing else reaches the server.
    pub(crate) env: Vec<(String, OsString)>,
    pub(crate) account: Option<Account>,
    /// Standard error, and standard output unless `output` is set; appended.
    pub(crate) log: PathBuf,
    /// Standard output of this run alone.
    pub(crate) output: Option<PathBuf>,
    pub(crate) ending: Ending,
}

#[derive(Debug)]
pub(crate) struct ServerProcess {
    program: Program,
    child: Option<Child>,
    /// Length of the log when the current run began.
    log_start: u64,
}

impl ServerProcess {
    pub(crate) fn start(program: Program) -> Result<Self, StartError> {
        // What earlier launchers wrote is of no use any more.
        let removed = match fs::remove_file(&program.log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        removed.map_err(StartError::io(&program.name, "beginning its log"))?;
        let mut process = Self { program, child: None, log_start: 0 };
        process.start_again()?;
        Ok(process)
    }

    /// Starts the same program once more; the last run must have ended.
    pub(crate) fn start_again(&mut self) -> Result<(), StartError> {
        let name = self.program.name.clone();
        let log = self.open_log().map_err(StartError::io(&name, "opening its log"))?;
        let child = self.command(log).and_then(|mut command| command.spawn());
        let mut child = child.map_err(StartError::io(&name, "starting it"))?;
        let gate = child.stdin.take();
        let pid = child.id();
        self.child = Some(child);
        reaper::watch(pid, self.program.ending)?;
        let opened = gate.map_or(Ok(()), |mut gate| gate.write_all(b"go\n"));
        opened.map_err(StartError::io(&name, "starting it"))
    }

    pub(crate) fn name(&self) -> &str {
        &self.program.name
    }

    /// The pid while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The status of a server that has ended by itself.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.forget();
        Some(status)
    }

    /// What it wrote since its latest start.
    pub(crate) fn log_tail(&self) -> LogTail {
        LogTail::of_file(&self.program.log, self.log_start)
    }

    /// Waits until `probe`, which is given the pid, finds it ready; ends it if that never happens.
    pub(crate) async fn ready(&mut self, patience: Duration, probe: impl FnMut(u32) -> bool) -> Result<(), StartError> {
        let result = self.answers(patience, probe).await;
        if result.is_err() {
            self.end();
        }
        result
    }

    /// Waits until `probe` finds it ready; leaves it as it is if that never happens.
    pub(crate) async fn answers(
        &mut self,
        patience: Duration,
        mut probe: impl FnMut(u32) -> bool,
    ) -> Result<(), StartError> {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let pid = self.pid().unwrap_or_default();
            if let Some(status) = self.exited() {
                return Err(StartError::Exited { server: self.name().to_owned(), status, log: self.log_tail() });
            }
            if probe(pid) {
                return Ok(());
            }
            if begin.elapsed() > patience {
                return Err(StartError::TimedOut {
                    server: self.name().to_owned(),
                    after: patience,
                    log: self.log_tail(),
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// SIGKILL to it and all it started; returns when it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = raw(child.id());
            process_tree::kill_tree(pid);
            // It cannot refuse, so this returns.
            let _ = child.wait();
            reaper::forget(child.id());
        }
    }

    /// A signal to it and all it started.
    pub(crate) fn signal_all(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            process_tree::send_to_tree(raw(pid), signal);
        }
    }

    /// Asks it to finish; what has not left when patience ends is killed.
    pub(crate) async fn finish(&mut self, signal: Signal, patience: Duration) {
        let Some(pid) = self.pid() else { return };
        self.signal_all(Signal::SIGCONT);
        process_tree::send(raw(pid), signal);
        let begin = Instant::now();
        while self.exited().is_none() && begin.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.end();
    }

    /// Ends it without asking, in the way that leaves the least behind.
    pub(crate) fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id();
        process_tree::end(raw(pid), self.program.ending, || !matches!(child.try_wait(), Ok(None)));
        reaper::forget(pid);
    }

    fn forget(&mut self) {
        if let Some(child) = self.child.take() {
            reaper::forget(child.id());
        }
    }

    fn open_log(&mut self) -> io::Result<File> {
        if let Some(folder) = self.program.log.parent() {
            fs::create_dir_all(folder)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.program.log)?;
        self.log_start = log.metadata()?.len();
        Ok(log)
    }

    fn command(&self, log: File) -> io::Result<Command> {
        let program = &self.program;
        let output = match &program.output {
            Some(path) => File::create(path)?,
            None => log.try_clone()?,
        };
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"read -r go && exec "$0" "$@" </dev/null"#]).arg(&program.path).args(&program.args);
        command.stdin(Stdio::piped()).stdout(output).stderr(log).current_dir("/").process_group(0);
        command.env_clear().envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(program.env.iter().map(|(name, value)| (name, value)));
        if let Some(account) = program.account {
            command.uid(account.uid).gid(account.gid);
        }
        Ok(command)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// Process numbers fit both ways; one that does not is no process.
pub(crate) fn raw(pid: u32) -> i32 {
    i32::try_from(pid).unwrap_or(i32::MAX)
}

/// What a server sees of this process's environment.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "TZ",
    "LANG",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "RUST_BACKTRACE",
    "LLVM_PROFILE_FILE",
];
