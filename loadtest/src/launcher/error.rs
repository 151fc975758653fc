//! Why a server did not start: which one, what happened, and the last lines that it wrote.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    process::ExitStatus,
    time::Duration,
};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{server}: not found; {hint}")]
    MissingBinary { server: String, hint: String },
    #[error("{server}: version {found} is too old, {needed} is needed")]
    WrongVersion { server: String, found: String, needed: String },
    #[error("{server}: stopped by itself before it was ready ({status}){log}")]
    Exited { server: String, status: ExitStatus, log: LogTail },
    #[error("{server}: not ready within {} s{log}", .after.as_secs())]
    TimedOut { server: String, after: Duration, log: LogTail },
    #[error("{server}: {step} failed{log}")]
    Failed { server: String, step: String, log: LogTail },
    #[error("{server}: {step}: {cause}")]
    Io { server: String, step: String, cause: io::Error },
}

impl StartError {
    /// The name of the server that the error is about.
    pub fn server(&self) -> &str {
        match self {
            Self::MissingBinary { server, .. }
            | Self::WrongVersion { server, .. }
            | Self::Exited { server, .. }
            | Self::TimedOut { server, .. }
            | Self::Failed { server, .. }
            | Self::Io { server, .. } => server,
        }
    }

    /// Whether another process took the port between choosing and listening, so that another port may help.
    pub(crate) fn is_port_clash(&self) -> bool {
        matches!(self, Self::Exited { log, .. } if log.0.iter().any(|line| line.contains("ddress already in use")))
    }

    pub(crate) fn io(server: &str, step: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let (server, step) = (server.to_owned(), step.into());
        move |cause| Self::Io { server, step, cause }
    }
}

/// The last lines of a server's log since its latest start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTail(pub Vec<String>);

impl LogTail {
    const LINES: usize = 20;

    pub(crate) fn of_text(text: &str) -> Self {
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        Self(lines.into_iter().rev().take(Self::LINES).rev().collect())
    }

    /// The end of what was written to the file behind byte `start`; no log is not worth an error of its own.
    pub(crate) fn of_file(path: &Path, start: u64) -> Self {
        Self::of_text(&read_end(path, start).unwrap_or_default())
    }
}

fn read_end(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(length.saturating_sub(END_BYTES))))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}

/// More than enough for the last lines.
const END_BYTES: u64 = 16 * 1024;

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "; it wrote nothing");
        }
        write!(f, "; its last lines:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}
