//! `loadtest up` as its users run it: a ready file, restarts of what falls, a clean end at any moment.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use seatwire_loadtest::launcher::{Addresses, process_tree};

use crate::support::{eventually, get};

struct Up {
    child: Child,
    folder: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Up {
    fn start(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = temporary.path().to_owned();
        let child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["up", "--gateway-listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join("data"))
            .arg("--ready-file")
            .arg(folder.join("ready.json"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(fs::File::create(folder.join("said")).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder, _temporary: temporary }
    }

    fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    fn ready_file(&self) -> PathBuf {
        self.folder.join("ready.json")
    }

    async fn ready(&mut self) -> Addresses {
        let file = self.ready_file();
        eventually("ready", async || {
            assert!(self.child.try_wait().unwrap().is_none(), "it goes on running");
            file.exists()
        })
        .await;
        Addresses::read(&file).unwrap()
    }

    /// The text that a person sees.
    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("said")).unwrap()
    }

    async fn end(&mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
        let mut status = None;
        eventually("it ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It has ended unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn alive(addresses: &Addresses) -> usize {
    addresses.pids.values().filter(|&&pid| process_tree::is_alive(pid.try_into().unwrap())).count()
}

#[tokio::test]
async fn it_serves_demo_data_restarts_what_falls_and_leaves_nothing() {
    let mut up = Up::start(&[]);
    let addresses = up.ready().await;
    assert_eq!(alive(&addresses), 5);
    assert!(up.said().contains(&addresses.gateway), "{}", up.said());
    assert_eq!(get(&format!("{}/api/shows", addresses.gateway)).await, 200);

    let fallen = addresses.pids["core"];
    kill(Pid::from_raw(fallen.try_into().unwrap()), Signal::SIGKILL).unwrap();
    let file = up.ready_file();
    eventually("a new core", async || Addresses::read(&file).unwrap().pids.get("core").is_some_and(|&p| p != fallen))
        .await;
    let addresses = Addresses::read(&file).unwrap();
    eventually("ready again", async || get(&format!("{}/ready", addresses.gateway)).await == 200).await;

    assert_eq!(up.end(Signal::SIGTERM).await, Some(0));
    assert_eq!(alive(&addresses), 0);
    assert!(!file.exists());
    assert!(up.said().contains("Everything has stopped."), "{}", up.said());
}

#[tokio::test]
async fn an_interrupt_while_it_starts_leaves_nothing() {
    let mut up = Up::start(&["--no-seed"]);
    let pid = up.pid();
    let mut begun = Vec::new();
    eventually("the first servers", async || {
        begun = process_tree::descendants(pid);
        begun.len() > 2
    })
    .await;
    assert_eq!(up.end(Signal::SIGINT).await, Some(0));
    eventually("nothing left", async || !begun.iter().copied().any(process_tree::is_alive)).await;
    assert!(!up.ready_file().exists());
}

#[tokio::test]
async fn faults_are_typed_on_standard_input() {
    use std::io::Write as _;
    let mut up = Up::start(&["--no-seed", "--proxies"]);
    let addresses = up.ready().await;
    let ready = format!("{}/ready", addresses.gateway);
    let mut typed = up.child.stdin.take().unwrap();
    for (fault, status) in [("gateway-redis refuse", 503), ("gateway-redis restore", 200), ("kill redis", 503)] {
        writeln!(typed, "{fault}").unwrap();
        eventually(fault, async || get(&ready).await == status).await;
    }
    writeln!(typed, "restart redis").unwrap();
    eventually("redis is back", async || get(&ready).await == 200).await;
    writeln!(typed, "break everything").unwrap();
    eventually("help", async || up.said().contains("core-postgres")).await;
    // The end of input is not the end of the stack.
    drop(typed);
    assert_eq!(get(&ready).await, 200);
    assert_eq!(up.end(Signal::SIGINT).await, Some(0));
}

#[test]
fn wrong_flags_are_named() {
    for (arguments, name) in [(["--gateways", "0"], "--gateways"), (["--gateway-listen", "7000"], "--gateway-listen")] {
        let output = Command::new(env!("CARGO_BIN_EXE_loadtest")).arg("up").args(arguments).current_dir("/").output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(name));
    }
    let mut nowhere = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let output = nowhere.args(["up", "--data-dir", "/dev/null/data"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("loadtest: stack: making /dev/null/data: "),
        "{output:?}"
    );
}
