//! A core whose event bus is out of reach: ready all the same, what waits is told, and it catches up. Mail beside it.

use redis::AsyncCommands;
use seatwire_loadtest::launcher::Redis;
use serde_json::{Value, json};

use crate::http_listener::request;
use crate::support::{Core, SECRET};
use crate::world::{stores, until};

async fn backlog(core: &Core) -> Value {
    request(core.http, "GET", "/admin/backlog", SECRET, "").await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_is_ready_without_its_bus_tells_what_waits_and_catches_up() {
    let ((redis, postgres), mut bus) = (stores().await, Redis::start().await.unwrap());
    bus.kill();
    let url = format!("--bus-redis-url={}", bus.url());
    let core = Core::start(&redis.url(), &postgres.core_url(), &[&url, "--bus-groups=tickets, reports"]).await;
    let (sql, connection) = tokio_postgres::connect(&postgres.superuser_url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let event = "INSERT INTO booking_events (booking_id, version, kind, mail_next_try_at)
        VALUES (gen_random_uuid(), 1, 'BookingPending', now())";
    sql.execute(event, &[]).await.unwrap();
    until("the core is ready", || async { request(core.http, "GET", "/ready", "", "").await.0 == 200 }).await;
    // Mail is off: the row is marked, so that nobody hears of it when mail is switched on.
    until("mail is off", || async { backlog(&core).await["mail"] == 0 }).await;
    let waiting = backlog(&core).await;
    assert_eq!((&waiting["bus"], &waiting["bus_parked"]), (&json!(1), &json!(0)), "{waiting}");
    assert!(waiting["bus_error"].is_string(), "{waiting}");
    let told = || async {
        let metrics = request(core.http, "GET", "/metrics", "", "").await.1;
        metrics.as_str().unwrap().contains("seatwire_core_backlog{queue=\"bus\"} 1")
    };
    until("the metric tells of it", told).await;

    bus.restart().await.unwrap();
    until("it has caught up", || async { backlog(&core).await["bus"] == 0 }).await;
    let groups = backlog(&core).await["bus_groups"].clone();
    let lag = json!({ "lag": 1, "pending": 0 });
    assert_eq!(groups, json!({ "reports": lag, "tickets": lag }));
    let mut connection = redis::Client::open(bus.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    assert_eq!(connection.xlen::<_, u64>("seatwire.events").await.unwrap(), 1);
    core.drain().await;
}
