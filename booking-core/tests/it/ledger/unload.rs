//! Shows that are over leave Redis, and come back when somebody touches them.

use seatwire_protocol::ShowId;

use super::rig::{Rig, customer};

/// Keys of the show in Redis, its entries of the due-set included.
async fn traces(rig: &Rig) -> usize {
    let client = redis::Client::open(rig.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let ours = keys.iter().filter(|key| key.ends_with(&format!(":{}", rig.show)) && !key.starts_with("watched:"));
    let due: usize = redis::cmd("ZCARD")
        .arg(format!("hold_expiry:{{{}}}", rig.show.bucket()))
        .query_async(&mut connection)
        .await
        .unwrap();
    ours.count() + due
}

async fn watch(rig: &Rig, command: &str) {
    let client = redis::Client::open(rig.redis.url()).unwrap();
    let mut cmd = redis::cmd(command);
    cmd.arg(format!("watched:{{{}}}:{}", rig.show.bucket(), rig.show));
    if command == "SET" {
        cmd.arg(1);
    }
    let _: redis::Value = cmd.query_async(&mut client.get_multiplexed_async_connection().await.unwrap()).await.unwrap();
}

async fn generation(rig: &Rig) -> u64 {
    rig.holds.snapshot(rig.show).await.unwrap().unwrap().position.generation
}

#[tokio::test(flavor = "multi_thread")]
async fn a_show_that_is_over_and_not_watched_is_unloaded_until_it_is_touched() {
    let rig = Rig::new().await;
    rig.hold(&customer("ann"), "k", &[1, 2]).await;
    let other = ShowId::new(2).unwrap();
    rig.holds.snapshot(other).await.unwrap().unwrap();
    let first = generation(&rig).await;
    assert_eq!(rig.saga.unload_once().await.unwrap(), 0, "nothing is over");

    let ended = "UPDATE shows SET sale = 'closed', sale_version = sale_version + 1,
        starts_at = now() - interval '7 hours' WHERE id = $1";
    rig.sql.execute(ended, &[&rig.show.as_i64()]).await.unwrap();
    watch(&rig, "SET").await;
    assert_eq!(rig.saga.unload_once().await.unwrap(), 0, "somebody watches");
    assert_eq!(generation(&rig).await, first);
    watch(&rig, "DEL").await;
    assert_eq!(rig.saga.unload_once().await.unwrap(), 1);
    assert_eq!(traces(&rig).await, 0);
    assert_eq!(rig.saga.unload_once().await.unwrap(), 0, "once is enough");
    assert!(rig.holds.positions(&[other]).await.unwrap()[0].is_some(), "the other show stays");

    // Touched again: loaded again, and unloaded again. Also what a restart of Redis left of it.
    assert_eq!(generation(&rig).await, first + 1);
    let client = redis::Client::open(rig.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let show = format!("show:{{{}}}:{}", rig.show.bucket(), rig.show);
    let _: () = redis::cmd("HSET").arg(&show).arg("run_id").arg("gone").query_async(&mut connection).await.unwrap();
    assert_eq!(rig.saga.unload_once().await.unwrap() + rig.saga.unload_once().await.unwrap(), 1);
    assert_eq!(traces(&rig).await, 0);
}
