//! pgbench with a script, on as many connections as a core has, until it is told to stop.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// Ends by itself after so many seconds, should nobody end it.
const LONGEST: u64 = 600;

/// A running pgbench; ends when it is dropped.
pub(super) struct Pgbench(Child);

impl Pgbench {
    /// Runs a script over and over; `numbers` are variables of it. Statements are prepared once a connection.
    pub(super) fn start(
        program: &Path,
        url: &str,
        script: &Path,
        numbers: &[(&str, u64)],
        connections: usize,
    ) -> anyhow::Result<Self> {
        let server: Config = url.parse()?;
        let Some(Host::Tcp(host)) = server.get_hosts().first() else { bail!("no host in the URL") };
        let port = server.get_ports().first().copied().unwrap_or(5432);
        let child = Command::new(program)
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=1"])
            .arg(format!("--client={connections}"))
            .arg(format!("--time={LONGEST}"))
            .arg(format!("--file={}", script.display()))
            .args(numbers.iter().map(|(name, value)| format!("--define={name}={value}")))
            .env("PGHOST", host)
            .env("PGPORT", port.to_string())
            .env("PGUSER", server.get_user().unwrap_or_default())
            // Not among the arguments, which every user of the machine can see.
            .env("PGPASSWORD", String::from_utf8_lossy(server.get_password().unwrap_or_default()).as_ref())
            .env("PGDATABASE", server.get_dbname().unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        Ok(Self(child.with_context(|| format!("{} does not start", program.display()))?))
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.0.id()
    }

    /// An error if it has ended by itself: a statement failed.
    pub(super) async fn must_run(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.0.try_wait()? else { return Ok(()) };
        let mut errors = String::new();
        if let Some(mut pipe) = self.0.stderr.take() {
            pipe.read_to_string(&mut errors).await?;
        }
        bail!("pgbench ended, {status}: {errors}");
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.0.kill().await?)
    }
}
