//! PostgreSQL and Redis alone: many at once, killed, stopped, restarted.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, time::Duration};

use seatwire_loadtest::launcher::{Postgres, PostgresOptions, Redis, RedisOptions, StartError, process_tree};
use tokio::time::timeout;

use crate::support::{connect, eventually, pid};

#[tokio::test]
async fn ten_pairs_start_at_once_each_on_its_own_ports() {
    let pairs = (0..10).map(|_| tokio::spawn(async { tokio::try_join!(Postgres::start(), Redis::start()) }));
    let pairs: Vec<_> = pairs.collect();
    let mut running = Vec::new();
    for pair in pairs {
        running.push(pair.await.unwrap().unwrap());
    }
    let ports: BTreeSet<_> = running.iter().flat_map(|(p, r)| [p.address().port(), r.address().port()]).collect();
    assert_eq!(ports.len(), 20);
    for (postgres, redis) in &running {
        // Its own password opens only its own server.
        connect(&postgres.core_url()).await.simple_query("SELECT 1").await.unwrap();
        let () = ask(redis, redis::cmd("SET").arg("port").arg(redis.address().port())).await;
    }
    for (_, redis) in &running {
        let found: u16 = ask(redis, redis::cmd("GET").arg("port")).await;
        assert_eq!(found, redis.address().port());
    }
}

#[tokio::test]
async fn committed_rows_survive_a_kill_of_postgres() {
    let mut postgres = Postgres::start().await.unwrap();
    let address = postgres.address();
    let owner = connect(&postgres.migrator_url()).await;
    owner.batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1), (2)").await.unwrap();
    owner.batch_execute("BEGIN; INSERT INTO kept VALUES (3)").await.unwrap();
    let server = pid(postgres.pid());
    let backends = process_tree::descendants(server);
    assert!(backends.len() > 3, "{backends:?}");

    postgres.kill();

    assert!(postgres.pid().is_none());
    assert!(!process_tree::is_alive(server));
    eventually("all backends gone", async || !backends.iter().copied().any(process_tree::is_alive)).await;
    assert!(owner.simple_query("SELECT 1").await.is_err());

    postgres.restart().await.unwrap();

    assert_eq!(postgres.address(), address);
    let rows = connect(&postgres.migrator_url()).await.query_one("SELECT count(*) FROM kept", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 2);
}

#[tokio::test]
async fn roles_may_do_no_more_than_they_should() {
    let postgres = Postgres::start().await.unwrap();
    let core = connect(&postgres.core_url()).await;
    let row = core.query_one("SELECT rolsuper FROM pg_roles WHERE rolname = current_user", &[]).await.unwrap();
    assert!(!row.get::<_, bool>(0));
    let timeouts = core.query_one("SELECT current_setting('lock_timeout')", &[]).await.unwrap();
    assert_eq!(timeouts.get::<_, String>(0), "2s");
    let wrong = postgres.core_url().replacen("seatwire_core:", "seatwire_core:0", 1);
    assert!(tokio_postgres::connect(&wrong, tokio_postgres::NoTls).await.is_err());
}

#[tokio::test]
async fn a_data_folder_keeps_its_rows_and_passwords_for_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let options = PostgresOptions { folder: Some(folder.path().join("postgres")), ..PostgresOptions::default() };
    let first = Postgres::start_with(options.clone()).await.unwrap();
    connect(&first.migrator_url()).await.batch_execute("CREATE TABLE kept ()").await.unwrap();
    let passwords = folder.path().join("postgres/passwords.json");
    assert_eq!(fs::metadata(passwords).unwrap().permissions().mode() & 0o777, 0o600);
    first.shutdown().await;
    let second = Postgres::start_with(options).await.unwrap();
    connect(&second.migrator_url()).await.batch_execute("DROP TABLE kept").await.unwrap();
}

#[tokio::test]
async fn a_stopped_server_is_silent_until_it_continues() {
    let (postgres, redis) = tokio::try_join!(Postgres::start(), Redis::start()).unwrap();
    let sql = connect(&postgres.core_url()).await;
    sql.simple_query("SELECT 1").await.unwrap();
    postgres.stop();
    redis.stop();
    for server in [pid(postgres.pid()), pid(redis.pid())] {
        eventually("stopped", async || state(server) == 'T').await;
    }
    let mut waiting = Box::pin(sql.simple_query("SELECT 1"));
    // The only way to see that nothing comes is to wait a little.
    assert!(timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    postgres.cont();
    redis.cont();
    waiting.await.unwrap();
    let pong: String = ask(&redis, &redis::cmd("PING")).await;
    assert_eq!(pong, "PONG");
}

#[tokio::test]
async fn redis_forgets_with_its_process_unless_it_keeps_a_file() {
    for append_only in [false, true] {
        let options = RedisOptions {
            append_only,
            settings: vec![("appendfsync".to_owned(), "always".to_owned())],
            ..RedisOptions::default()
        };
        let mut redis = Redis::start_with(options).await.unwrap();
        let address = redis.address();
        let () = ask(&redis, redis::cmd("SET").arg("hold").arg(1)).await;
        redis.kill();
        redis.restart().await.unwrap();
        assert_eq!(redis.address(), address);
        let kept: Option<u8> = ask(&redis, redis::cmd("GET").arg("hold")).await;
        assert_eq!(kept.is_some(), append_only);
    }
}

#[tokio::test]
async fn an_old_redis_is_refused_by_version() {
    let program = script("echo 'Redis server v=6.2.14 sha=00000000:0'");
    let options = RedisOptions { program: Some(program.0), ..RedisOptions::default() };
    let error = Redis::start_with(options).await.unwrap_err();
    assert!(matches!(&error, StartError::WrongVersion { found, .. } if found == "6.2"), "{error}");
    assert_eq!(error.to_string(), "redis: version 6.2 is too old, 7.0 is needed");
}

#[tokio::test]
async fn a_server_that_exits_at_once_is_reported_with_its_last_words() {
    let program = script("[ $1 = --version ] && echo v=7.2.1 && exit; echo 'out of paper' >&2; exit 3");
    let options = RedisOptions { program: Some(program.0), ..RedisOptions::default() };
    let error = Redis::start_with(options).await.unwrap_err();
    let StartError::Exited { server, status, log } = error else { panic!("{error}") };
    assert_eq!(
        (server.as_str(), status.code(), log.0.as_slice()),
        ("redis", Some(3), &["out of paper".to_owned()][..])
    );
}

/// A stand-in for a server, and the folder that it lies in.
fn script(lines: &str) -> (std::path::PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (path, folder)
}

async fn ask<T: redis::FromRedisValue>(server: &Redis, command: &redis::Cmd) -> T {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

/// One letter from the system: R, S, D, T, Z.
fn state(pid: i32) -> char {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}
