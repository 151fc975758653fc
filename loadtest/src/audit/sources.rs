//! Where an audit looks.

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use tokio_postgres::{Client, NoTls};

use crate::launcher::Addresses;

/// PostgreSQL always; what is missing of the rest is not looked at.
#[derive(Clone, Default)]
pub struct Sources {
    /// As a role that may read all tables.
    pub postgres: String,
    pub redis: Option<String>,
    /// Of the event bus, where it is not the same.
    pub bus_redis: Option<String>,
    pub provider: Option<String>,
    pub gateways: Vec<String>,
}

impl From<&Addresses> for Sources {
    fn from(addresses: &Addresses) -> Self {
        Self {
            postgres: addresses.postgres.clone(),
            redis: Some(addresses.redis.clone()),
            bus_redis: None,
            provider: Some(addresses.provider.clone()),
            gateways: addresses.gateways.clone(),
        }
    }
}

impl Sources {
    pub(crate) async fn connect_postgres(&self) -> anyhow::Result<Client> {
        let connected = tokio_postgres::connect(&self.postgres, NoTls).await;
        let (client, connection) = connected.context("can't connect to PostgreSQL")?;
        // Ends with the client, which sees what went wrong.
        tokio::spawn(connection);
        client.batch_execute("SET statement_timeout = '120s'").await?;
        Ok(client)
    }

    pub(super) async fn connect_redis(&self) -> anyhow::Result<Option<MultiplexedConnection>> {
        connect(self.redis.as_deref()).await
    }

    pub(super) async fn connect_bus(&self) -> anyhow::Result<Option<MultiplexedConnection>> {
        connect(self.bus_redis.as_deref().or(self.redis.as_deref())).await
    }
}

async fn connect(url: Option<&str>) -> anyhow::Result<Option<MultiplexedConnection>> {
    let Some(url) = url else { return Ok(None) };
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_WITHIN));
    let connected = redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await;
    connected.map(Some).context("can't connect to Redis")
}

/// Whole maps of large shows are read at once.
const ANSWER_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
