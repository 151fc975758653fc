//! Whatever becomes of the launcher, its servers do not outlive it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use seatwire_loadtest::launcher::{Postgres, Redis, process_tree};

use crate::support::{eventually, pid};

#[tokio::test]
async fn a_panic_leaves_no_process() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let (postgres, redis) = tokio::try_join!(Postgres::start(), Redis::start()).unwrap();
        let mut pids = process_tree::descendants(pid(postgres.pid()));
        pids.extend([pid(postgres.pid()), pid(redis.pid())]);
        tell.send(pids).unwrap();
        panic!("on purpose");
    });
    let pids = told.await.unwrap();
    assert!(task.await.unwrap_err().is_panic());
    assert!(pids.len() > 5, "{pids:?}");
    eventually("all gone", async || !pids.iter().copied().any(process_tree::is_alive)).await;
}

/// Not a test of its own: the launcher that the next test kills.
#[tokio::test]
#[ignore = "run by a_killed_launcher_leaves_no_process"]
async fn launcher_to_kill() {
    let (postgres, redis) = tokio::try_join!(Postgres::start(), Redis::start()).unwrap();
    // A stopped server has to be found too.
    redis.stop();
    let mut pids = process_tree::descendants(pid(postgres.pid()));
    pids.extend([pid(postgres.pid()), pid(redis.pid())]);
    let folder = std::fs::read_link(format!("/proc/{}/cwd", pid(postgres.pid()))).unwrap();
    println!("\nlaunched {} {pids:?}", folder.display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_launcher_leaves_no_process() {
    let mut launcher = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "orphans::launcher_to_kill", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(launcher.stdout.take().unwrap());
    let launched =
        output.lines().map(Result::unwrap).find_map(|line| line.strip_prefix("launched ").map(str::to_owned));
    let (folder, pids) = launched.as_deref().unwrap().split_once(' ').unwrap();
    let pids: Vec<i32> = serde_json::from_str(pids).unwrap();
    assert!(pids.iter().copied().all(process_tree::is_alive), "{pids:?}");
    assert!(std::path::Path::new(folder).exists());

    launcher.kill().unwrap();
    launcher.wait().unwrap();

    eventually("all gone", async || !pids.iter().copied().any(process_tree::is_alive)).await;
    eventually("its data gone", async || !std::path::Path::new(folder).exists()).await;
}
