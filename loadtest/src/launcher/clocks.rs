//! Wall clocks that can be stepped: a small library that is preloaded into servers adds what a file says to each reading.
//! It is built once a stack with the C compiler that Rust links with anyway.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{StartError, account::Account, error::LogTail, folder};

/// Whose clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Redis,
    Postgres,
    /// All cores together.
    Cores,
}

#[derive(Debug)]
pub(crate) struct Clocks {
    library: PathBuf,
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl Clocks {
    /// `None` when there is no C compiler that can build it.
    pub(crate) fn build() -> Result<Option<Self>, StartError> {
        let (folder, temporary) = folder::given_or_temporary(None, "clocks", Account::for_postgres())?;
        let (source, library) = (folder.join("clock_shim.c"), folder.join("clock_shim.so"));
        fs::write(&source, SHIM).map_err(StartError::io(NAME, "writing the shim"))?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source);
        match compiler.output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                tracing::warn!("no clocks to step: {}", LogTail::of_text(&String::from_utf8_lossy(&output.stderr)));
                return Ok(None);
            }
            Err(_) => return Ok(None),
        }
        let clocks = Self { library, folder, _temporary: temporary };
        for clock in [Clock::Redis, Clock::Postgres, Clock::Cores] {
            clocks.step(clock, 0)?;
        }
        Ok(Some(clocks))
    }

    /// What a server needs in its environment.
    pub(crate) fn environment(&self, clock: Clock) -> Vec<(String, OsString)> {
        vec![
            ("LD_PRELOAD".to_owned(), self.library.clone().into()),
            ("SEATWIRE_CLOCK_FILE".to_owned(), self.file(clock).into()),
        ]
    }

    /// From now on the clock differs so much from the true one.
    pub(crate) fn step(&self, clock: Clock, seconds: i64) -> Result<(), StartError> {
        let file = fs::OpenOptions::new().create(true).write(true).truncate(false).mode(0o644).open(self.file(clock));
        // One write of eight bytes: no reader sees half of a step.
        let written = file.and_then(|file| file.write_all_at(&seconds.to_ne_bytes(), 0));
        written.map_err(StartError::io(NAME, "stepping a clock"))
    }

    fn file(&self, clock: Clock) -> PathBuf {
        let name = match clock {
            Clock::Redis => "redis",
            Clock::Postgres => "postgres",
            Clock::Cores => "cores",
        };
        Path::new(&self.folder).join(name)
    }
}

const NAME: &str = "clocks";
const SHIM: &str = include_str!("clock_shim.c");
