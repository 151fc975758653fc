//! What faults ask of the Redis that serves now, directly and not through a proxy.

use std::time::Duration;

use anyhow::Context as _;
use redis::Cmd;

use crate::launcher::Redis;

/// `CONFIG SET`.
pub(super) async fn set(server: &Redis, name: &str, value: &str) -> anyhow::Result<()> {
    run(server, redis::cmd("CONFIG").arg("SET").arg(name).arg(value)).await
}

/// One command on a connection of its own.
pub(super) async fn run(server: &Redis, command: &Cmd) -> anyhow::Result<()> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_WITHIN));
    let client = redis::Client::open(server.url())?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    command.query_async::<()>(&mut connection).await.with_context(|| "a command of a fault".to_owned())
}

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
