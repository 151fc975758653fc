//! The passwords of one server's roles: random, its own, kept beside its data with mode 0600.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tokio_postgres::NoTls;

use super::{NAME, scram};
use crate::launcher::{StartError, error::LogTail, secrets};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Passwords {
    pub(super) postgres: String,
    pub(super) seatwire_migrator: String,
    pub(super) seatwire_core: String,
}

impl Passwords {
    /// Gives each role a password of its own, then marks the data as complete.
    pub(super) async fn replace(address: SocketAddr, old: &str, folder: &Path) -> Result<Self, StartError> {
        let new = secrets::random_secret;
        let passwords = Self { postgres: new(), seatwire_migrator: new(), seatwire_core: new() };
        let failed = |error: tokio_postgres::Error| StartError::Failed {
            server: NAME.to_owned(),
            step: "setting its passwords".to_owned(),
            log: LogTail::of_text(&error.to_string()),
        };
        let (client, connection) =
            tokio_postgres::connect(&url(address, "postgres", old), NoTls).await.map_err(failed)?;
        let connection = tokio::spawn(connection);
        let statements = format!(
            "ALTER ROLE postgres PASSWORD '{}'; ALTER ROLE seatwire_migrator PASSWORD '{}'; \
             ALTER ROLE seatwire_core PASSWORD '{}'",
            scram::stored_form(&passwords.postgres),
            scram::stored_form(&passwords.seatwire_migrator),
            scram::stored_form(&passwords.seatwire_core)
        );
        client.batch_execute(&statements).await.map_err(failed)?;
        drop(client);
        // It ends with the client; how it ended does not matter.
        let _ = connection.await;
        let written = secrets::write_json(&folder.join(PASSWORDS), &passwords);
        written
            .and_then(|()| fs::remove_file(unfinished(folder)))
            .map_err(StartError::io(NAME, "keeping its passwords"))?;
        Ok(passwords)
    }

    pub(super) fn known(folder: &Path) -> Result<Self, StartError> {
        let path = folder.join(PASSWORDS);
        let step = || format!("reading {} (start with --fresh to begin anew)", path.display());
        let known = secrets::read_json(&path).map_err(StartError::io(NAME, step()))?;
        known.ok_or_else(|| StartError::io(NAME, step())(io::ErrorKind::NotFound.into()))
    }
}

pub(super) fn url(address: SocketAddr, role: &str, password: &str) -> String {
    format!("postgres://{role}:{password}@{address}/seatwire")
}

/// Exists while a new data folder is not complete.
pub(super) fn unfinished(folder: &Path) -> PathBuf {
    folder.join("unfinished")
}

const PASSWORDS: &str = "passwords.json";
