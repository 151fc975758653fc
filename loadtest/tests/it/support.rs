//! Waiting for conditions, numbers from the environment, and a plain connection to PostgreSQL.

use std::time::{Duration, Instant};

/// Waits until the condition holds; tests never sleep for a guessed time. A busy machine takes its time to start a stack.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("postgres answers");
    tokio::spawn(connection);
    client
}

pub(crate) fn pid(pid: Option<u32>) -> i32 {
    pid.expect("it runs").try_into().expect("a process number")
}

/// The status of a GET; 0 when there is no answer.
pub(crate) async fn get(url: &str) -> u16 {
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    let client = Client::builder(TokioExecutor::new()).build_http::<http_body_util::Empty<bytes::Bytes>>();
    client.get(url.parse().expect("a URL")).await.map_or(0, |answer| answer.status().as_u16())
}

/// A test's setting from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
