//! A whole stack: it starts, each part can be killed and comes back where it was, links can be cut, nothing stays.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use seatwire_loadtest::launcher::{Addresses, Link, Process, Service, Stack, StackOptions, process_tree};

use crate::support::{connect, eventually, get, pid};

#[tokio::test(flavor = "multi_thread")]
async fn every_process_can_be_killed_and_comes_back_where_it_was() {
    let options = StackOptions::new().cores(2).gateways(2).seed(false);
    let mut stack = Stack::start(options).await.unwrap();
    let before = stack.addresses();
    assert_eq!((before.gateways.len(), before.cores.len(), before.pids.len()), (2, 2, 7));
    for process in stack.all() {
        let old = pid(stack.pid(process));
        stack.kill(process);
        assert!(!process_tree::is_alive(old), "{process}");
        assert!(stack.pid(process).is_none());
        assert!(stack.take_exited().is_empty(), "a kill on purpose is no surprise");
        stack.restart(process).await.unwrap();
        assert_ne!(pid(stack.pid(process)), old);
    }
    stack.wait_ready().await.unwrap();
    let after = stack.addresses();
    assert_eq!(
        (before.gateways, before.cores, before.core_http_all),
        (after.gateways, after.cores, after.core_http_all)
    );
    assert_eq!((before.provider, before.redis, before.postgres), (after.provider, after.redis, after.postgres));

    let pids: Vec<_> = after.pids.values().map(|&number| pid(Some(number))).collect();
    let folder = stack.folder().to_owned();
    stack.shutdown().await;
    assert!(!pids.into_iter().any(process_tree::is_alive));
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_starts_again_in_its_folder_has_its_data_and_a_fresh_one_has_not() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let options = || StackOptions::new().folder(folder.path().join("data")).seed(false);

    let stack = Stack::start(options()).await.unwrap();
    let in_use = Stack::start(options()).await.unwrap_err();
    assert!(in_use.to_string().contains("in use by another launcher"), "{in_use}");
    let first = stack.addresses();
    connect(&first.postgres).await.batch_execute("CREATE TABLE kept ()").await.unwrap();
    stack.shutdown().await;

    let stack = Stack::start(options()).await.unwrap();
    let second = stack.addresses();
    assert_eq!(first.secrets.jwt, second.secrets.jwt);
    connect(&second.postgres).await.simple_query("SELECT FROM kept").await.unwrap();
    stack.shutdown().await;

    let stack = Stack::start(options().fresh(true)).await.unwrap();
    let third = stack.addresses();
    assert_ne!(first.secrets.jwt, third.secrets.jwt);
    assert!(connect(&third.postgres).await.simple_query("SELECT FROM kept").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_makes_the_part_behind_it_not_ready_until_it_is_whole() {
    let stack = Stack::start(StackOptions::new().all_proxies().seed(false)).await.unwrap();
    let core = format!("{}/ready", stack.addresses().core_http);
    let gateway = format!("{}/ready", stack.addresses().gateway);
    let cut = [
        (Link::CoreRedis, &core),
        (Link::CorePostgres, &core),
        (Link::GatewayCore(0), &gateway),
        (Link::GatewayRedis, &gateway),
    ];
    for (link, url) in cut {
        let proxy = stack.proxy(link).unwrap();
        assert!(proxy.connections() > 0, "{link} is in use");
        proxy.refuse();
        eventually(&format!("not ready without {link}"), async || get(url).await == 503).await;
        proxy.restore();
        eventually(&format!("ready with {link}"), async || get(url).await == 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_reach_their_service_and_a_wrong_one_is_reported_in_its_own_words() {
    let options = StackOptions::new().seed(false).env(Service::Gateway, "SEATWIRE_BEAT_MS", "often");
    let error = Stack::start(options).await.unwrap_err();
    assert_eq!(error.server(), "gateway");
    assert!(error.to_string().contains("SEATWIRE_BEAT_MS"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_by_itself_is_told_once() {
    let mut stack = Stack::start(StackOptions::new().seed(false)).await.unwrap();
    process_tree::kill_tree(pid(stack.pid(Process::Provider)));
    let mut told = Vec::new();
    eventually("told", async || {
        told.extend(stack.take_exited());
        !told.is_empty()
    })
    .await;
    assert_eq!(told[0].0, Process::Provider);
    assert!(stack.take_exited().is_empty());
    stack.restart(Process::Provider).await.unwrap();
}

#[tokio::test]
async fn the_ready_file_is_private_whole_and_readable() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(StackOptions::new().seed(false)).await.unwrap();
    let path = folder.path().join("ready.json");
    stack.addresses().write(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let read = Addresses::read(&path).unwrap();
    assert_eq!(read.pids, stack.addresses().pids);
    assert!(!format!("{read:?}").contains(&read.secrets.jwt));
    tokio::time::timeout(Duration::from_secs(60), stack.shutdown()).await.unwrap();
}
