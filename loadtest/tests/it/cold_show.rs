//! A show that nobody looked at yet, and a crowd that opens it at once at two gateways and two cores: PostgreSQL is asked
//! for its seats once. What PostgreSQL counted is the witness.
//!
//! `SEATWIRE_TEST_JOINS` sets how many come; 10,000 need about 12,000 open files and a minute or two.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use seatwire_loadtest::client::{ClientOptions, Http, ViewerClient, sign_token};
use seatwire_loadtest::launcher::{Addresses, Process, Stack, StackOptions};
use seatwire_protocol::{CustomerId, ShowId};
use tokio_postgres::NoTls;

const JOINS: usize = 600;
/// Of these so many are under way at a time.
const AT_A_TIME: usize = 300;
const PATIENCE: Duration = Duration::from_secs(120);

async fn database(addresses: &Addresses) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&addresses.postgres, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Makes the server count its statements, where it can.
async fn count_statements(stack: &mut Stack) -> bool {
    let known = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'";
    let sql = database(&stack.addresses()).await;
    if sql.query_one(known, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        return false;
    }
    sql.batch_execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'").await.unwrap();
    stack.restart(Process::Postgres).await.unwrap();
    stack.wait_ready().await.unwrap();
    database(&stack.addresses()).await.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
    true
}

/// How often the seats of a show were selected: by statement, or else by looks at the table.
async fn selects(sql: &tokio_postgres::Client, by_statement: bool) -> i64 {
    let query = if by_statement {
        "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
         WHERE query LIKE '%JOIN show_seats s ON s.show_id = w.id%' AND query LIKE '%b.hold_id%'"
    } else {
        "SELECT (seq_scan + idx_scan)::bigint FROM pg_stat_user_tables WHERE relname = 'show_seats'"
    };
    sql.query_one(query, &[]).await.unwrap().get(0)
}

async fn metric(services: &[String], name: &str) -> f64 {
    let mut sum = 0.0;
    for service in services {
        let start = Instant::now();
        let text = loop {
            // With thousands of sockets here, a fresh connection may be found too slow by the other side.
            match Http::default().get(&format!("{service}/metrics"), &[]).await {
                Ok(reply) => break reply.text(),
                Err(error) => assert!(start.elapsed() < PATIENCE, "no metrics: {error}"),
            }
        };
        let lines = text.lines().filter(|line| line.starts_with(name));
        sum += lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>();
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_a_cold_show_costs_one_select_of_its_seats() {
    let joins = std::env::var("SEATWIRE_TEST_JOINS").map_or(JOINS, |text| text.parse().expect("a number of joins"));
    let mut stack = Stack::start(StackOptions::new().gateways(2).cores(2)).await.unwrap();
    let by_statement = count_statements(&mut stack).await;
    let addresses = stack.addresses();
    let sql = database(&addresses).await;
    let before = selects(&sql, by_statement).await;
    let (cores, show) = (addresses.core_http_all.clone(), ShowId::new(1).unwrap());

    let start = Instant::now();
    let viewers: Vec<ViewerClient> = futures_util::stream::iter(0..joins)
        .map(|n| {
            let customer = CustomerId::new(&format!("viewer-{n}")).unwrap();
            let token = sign_token(&addresses.secrets.jwt, &customer, Duration::from_secs(900)).unwrap();
            let gateway = &addresses.gateways[n % addresses.gateways.len()];
            let options = ClientOptions { timeout: PATIENCE, ..ClientOptions::new(gateway, &token) };
            async move {
                let viewer = ViewerClient::open(options).await.unwrap();
                viewer.watch(show).await.unwrap();
                viewer
            }
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let took = start.elapsed();
    assert_eq!(viewers.len(), joins);

    // The scrubber reads a watched show as well, now and then; it counts its looks.
    let (selected, scrubs) = loop {
        let scrubs = metric(&cores, "seatwire_core_scrubs_total").await;
        let selected = selects(&sql, by_statement).await;
        if (metric(&cores, "seatwire_core_scrubs_total").await - scrubs).abs() < 0.5 {
            break (selected - before, scrubs);
        }
    };
    let loads = metric(&cores, "seatwire_core_shows_loaded_total").await;
    let snapshots = metric(&addresses.gateway_metrics, "seatwire_gateway_snapshots_fetched_total").await;
    println!(
        "{joins} joins in {:.1} s: {selected} selects of seats ({scrubs} of them by the scrubber), {loads} loads, \
         {snapshots} snapshots by 2 gateways, counted by {}",
        took.as_secs_f64(),
        if by_statement { "pg_stat_statements" } else { "looks at the table" }
    );
    assert!((selected as f64 - scrubs - 1.0).abs() < 0.5, "{selected} selects, {scrubs} by the scrubber");
    assert!((loads - 1.0).abs() < 0.5, "{loads} loads");
    // One a gateway, and some more where a starved machine made a gateway doubt its feed; never one a viewer.
    assert!((2.0..joins as f64 / 50.0).contains(&snapshots), "{snapshots} snapshots");
    drop(viewers);
    stack.shutdown().await;
}
