//! Brings a private database to the newest schema, by the core's own `migrate`.

use std::time::Duration;

use super::{Postgres, StartError, binaries, error::LogTail};

/// Runs `seatwire-core migrate` to the end.
pub async fn migrate(postgres: &Postgres) -> Result<(), StartError> {
    run("migrate", &[], &[("SEATWIRE_MIGRATE_DATABASE_URL", &postgres.migrator_url())]).await
}

/// Runs a subcommand of `seatwire-core` that ends by itself.
pub(crate) async fn run(subcommand: &str, arguments: &[&str], env: &[(&str, &str)]) -> Result<(), StartError> {
    let server = format!("seatwire-core {subcommand}");
    let mut command = tokio::process::Command::new(binaries::find("seatwire-core")?);
    command
        .arg(subcommand)
        .args(arguments)
        .envs(env.iter().copied())
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let timed_out = |_| StartError::TimedOut { server: server.clone(), after: PATIENCE, log: LogTail::default() };
    let output = output.map_err(timed_out)?.map_err(StartError::io(&server, "starting it"))?;
    if output.status.success() {
        return Ok(());
    }
    let log = LogTail::of_text(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    Err(StartError::Exited { server, status: output.status, log })
}

const PATIENCE: Duration = Duration::from_secs(60);
