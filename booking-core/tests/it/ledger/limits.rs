//! The time limits of the core's role, for whoever connects as it.

use seatwire_core::migrate::{self, Direction};
use seatwire_loadtest::launcher::Postgres;

use super::rig::connect;

const STEP: &str = include_str!("../../../../migrations/20261121180200_limit_core_role/up.sql");

async fn limits(postgres: &Postgres) -> Vec<String> {
    let core = connect(&postgres.core_url()).await;
    let mut limits = Vec::new();
    for name in ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"] {
        limits.push(core.query_one(&format!("SHOW {name}"), &[]).await.unwrap().get(0));
    }
    limits
}

#[tokio::test(flavor = "multi_thread")]
async fn the_migrator_sets_the_limits_of_the_cores_role_where_it_may() {
    let postgres = Postgres::start().await.unwrap();
    let admin = connect(&postgres.superuser_url()).await;
    admin.batch_execute("ALTER ROLE seatwire_core RESET ALL").await.unwrap();
    migrate::run(&postgres.migrator_url(), Direction::Up).await.unwrap();
    assert_eq!(limits(&postgres).await, ["0", "0", "0"], "it may not, and goes on");
    let may = "ALTER ROLE seatwire_migrator CREATEROLE; GRANT seatwire_core TO seatwire_migrator WITH ADMIN OPTION";
    admin.batch_execute(may).await.unwrap();
    connect(&postgres.migrator_url()).await.batch_execute(STEP).await.unwrap();
    assert_eq!(limits(&postgres).await, ["2s", "5s", "10s"]);
}
