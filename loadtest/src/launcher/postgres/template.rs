//! An initialised data folder, made once a day and copied for each server: a copy takes a tenth of the time of initdb.
//!
//! It holds the database `seatwire` and the two roles; their passwords are replaced in every copy.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use nix::{
    fcntl::{Flock, FlockArg},
    unistd::geteuid,
};

use super::scram;
use crate::launcher::{
    StartError,
    account::{Account, temporary_root},
    error::LogTail,
    secrets::random_secret,
    servers::PostgresBinaries,
};

/// Copies the template into `data`, which must not exist, for the account; returns the superuser's password in it.
pub(super) fn copy(binaries: &PostgresBinaries, account: Option<Account>, data: &Path) -> Result<String, StartError> {
    let (folder, _lock) = prepared(binaries, account)?;
    let password =
        fs::read_to_string(folder.join("password")).map_err(StartError::io("postgres", "reading template"))?;
    let copied = copy_folder(&folder.join("data"), data).and_then(|()| match account {
        Some(account) => account.own(data),
        None => Ok(()),
    });
    copied.map_err(StartError::io("postgres", format!("copying the template to {}", data.display())))?;
    Ok(password)
}

/// The template's folder, with `data` and `password`; while the lock lives nobody replaces it. Ten tests may ask at
/// once; one makes it.
fn prepared(binaries: &PostgresBinaries, account: Option<Account>) -> Result<(PathBuf, Flock<File>), StartError> {
    let io_error = || StartError::io("postgres", "preparing the template of its data");
    let root = private_root(account).map_err(io_error())?;
    let name = format!("postgres-{}-layout-{LAYOUT}", binaries.version);
    let folder = root.join(&name);
    let lock = File::create(root.join(format!("{name}.lock"))).map_err(io_error())?;
    let lock = Flock::lock(lock, FlockArg::LockShared).map_err(|(_, errno)| io_error()(errno.into()))?;
    if is_fresh(&folder) {
        return Ok((folder, lock));
    }
    lock.relock(FlockArg::LockExclusive).map_err(|errno| io_error()(errno.into()))?;
    if is_fresh(&folder) {
        return Ok((folder, lock));
    }
    let unfinished = root.join(format!("{name}.unfinished"));
    for leftover in [&unfinished, &folder] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(io_error())?;
        }
    }
    fs::create_dir(&unfinished).map_err(io_error())?;
    initialise(binaries, account, &unfinished)?;
    fs::rename(&unfinished, &folder).map_err(io_error())?;
    Ok((folder, lock))
}

/// Cleaners of temporary folders take old files one by one; a template of today is whole.
fn is_fresh(folder: &Path) -> bool {
    let made = fs::metadata(folder.join("password")).and_then(|metadata| metadata.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < Duration::from_secs(24 * 3600)))
}

/// A folder in a shared place that is ours alone, whoever else writes there.
fn private_root(account: Option<Account>) -> io::Result<PathBuf> {
    let root = temporary_root(account).join(format!("seatwire-templates-{}", geteuid()));
    match DirBuilder::new().mode(0o711).create(&root) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(&root)?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} is not ours", root.display())));
    }
    Ok(root)
}

fn initialise(binaries: &PostgresBinaries, account: Option<Account>, folder: &Path) -> Result<(), StartError> {
    let io_error = || StartError::io("postgres", "initialising its data");
    let password = random_secret();
    let data = folder.join("data");
    DirBuilder::new().mode(0o700).create(&data).map_err(io_error())?;
    let password_file = folder.join("initial");
    write_private(&password_file, &password).map_err(io_error())?;
    if let Some(account) = account {
        account.own(&data).and_then(|()| account.own(&password_file)).map_err(io_error())?;
    }
    let mut initdb = command(&binaries.folder.join("initdb"), account);
    initdb.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    initdb.arg("--pwfile").arg(&password_file).arg("--pgdata").arg(&data);
    check("initdb", initdb.output().map_err(io_error())?)?;
    bootstrap(binaries, account, &data, &password)?;
    fs::remove_file(&password_file).map_err(io_error())?;
    write_private(&folder.join("password"), &password).map_err(io_error())
}

/// Roles and database, by a server of one session that nobody can connect to.
fn bootstrap(
    binaries: &PostgresBinaries,
    account: Option<Account>,
    data: &Path,
    password: &str,
) -> Result<(), StartError> {
    let io_error = || StartError::io("postgres", "creating roles and database");
    let mut single = command(&binaries.folder.join("postgres"), account);
    single.args(["--single", "-F", "-c", "exit_on_error=true", "-D"]).arg(data).arg("postgres");
    single.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = single.spawn().map_err(io_error())?;
    if let Some(mut stdin) = child.stdin.take() {
        let password = format!("ALTER ROLE postgres PASSWORD '{}';\n", scram::stored_form(password));
        stdin.write_all(format!("{BOOTSTRAP}{password}").as_bytes()).map_err(io_error())?;
    }
    check("creating roles and database", child.wait_with_output().map_err(io_error())?)
}

fn command(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir("/").stdin(Stdio::null());
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

fn check(step: &str, output: Output) -> Result<(), StartError> {
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let log = LogTail::of_text(&String::from_utf8_lossy(&text));
    Err(StartError::Failed { server: "postgres".to_owned(), step: step.to_owned(), log })
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    crate::launcher::secrets::create_private(path)?.write_all(text.as_bytes())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// To be raised when what is inside the template changes.
const LAYOUT: u32 = 2;

/// One statement a line. The core's timeouts are those that its own statements are written for.
const BOOTSTRAP: &str = "\
CREATE ROLE seatwire_migrator LOGIN;
CREATE ROLE seatwire_core LOGIN;
ALTER ROLE seatwire_core SET lock_timeout = '2s';
ALTER ROLE seatwire_core SET statement_timeout = '5s';
ALTER ROLE seatwire_core SET idle_in_transaction_session_timeout = '10s';
CREATE DATABASE seatwire OWNER seatwire_migrator TEMPLATE template0;
REVOKE CONNECT ON DATABASE seatwire FROM PUBLIC;
GRANT CONNECT ON DATABASE seatwire TO seatwire_core, seatwire_migrator;
";
