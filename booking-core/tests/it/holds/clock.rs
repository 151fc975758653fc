//! The bucket's logical clock, with the server's time given by the test.

use seatwire_loadtest::launcher::Redis;

/// The file as it is, but for the source of time.
fn script() -> String {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/holds/scripts/clock.lua")).unwrap();
    let (mine, theirs) = ("{ ARGV[1] / 1000, 0 }", "call('TIME')");
    assert_eq!(file.matches(theirs).count(), 1);
    format!("#!lua\n{}\nreturn now(KEYS[1], ARGV[2] == 'read')", file.replace(theirs, mine))
}

#[tokio::test]
async fn it_never_goes_back_and_runs_at_the_normal_rate() {
    let redis = Redis::start().await.unwrap();
    let client = redis::Client::open(redis.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let text = script();
    let ask = |server_ms: i64, mode: &'static str| {
        let mut eval = redis::cmd("EVAL");
        eval.arg(&text).arg(1).arg("clock:{1}").arg(server_ms).arg(mode);
        let mut connection = connection.clone();
        async move { eval.query_async::<i64>(&mut connection).await.unwrap() }
    };
    let start = 1_790_000_000_000;
    assert_eq!(ask(start, "").await, start);
    assert_eq!(ask(start + 400, "").await, start + 400);
    // The server's clock is set back by a quarter of an hour: time stands for that moment, then goes on.
    let back = start + 400 - 900_000;
    assert_eq!(ask(back, "").await, start + 400);
    assert_eq!(ask(back + 1_000, "").await, start + 1_400);
    assert_eq!(ask(back + 1_500, "read").await, start + 1_900);
    assert_eq!(ask(back + 1_200, "").await, start + 1_600);
    // A second step back while it is ahead.
    assert_eq!(ask(back - 60_000, "").await, start + 1_600);
    // Corrected: what it was ahead is paid back, and no more than five seconds are jumped.
    assert_eq!(ask(start + 3_000, "").await, start + 6_600);
    assert_eq!(ask(start + 4_000, "").await, start + 7_600);
    // Forward alone is followed at once: holds may end early.
    assert_eq!(ask(start + 900_000, "").await, start + 900_000);
    redis.shutdown().await;
}
