//! Making a connection: diesel's, over a socket that lets errors say their SQLSTATE ([`super::sqlstate`]), with the time
//! limits of the core's role. Of several hosts in the URL the first that can be used is taken.

use std::fmt::Display;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::sqlstate::Coded;

/// Making a connection, which goes on when its caller has stopped waiting.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Lock waits end before the statement does, and a statement before the gateway's patience. A transaction that idles
/// is one whose core hangs: the server ends it, so that its locks don't stop a sale.
const SESSION: &str = "SET lock_timeout = '2s'; SET statement_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '10s'; SET application_name = 'seatwire-core'; SET TIME ZONE 'UTC'";
const PORT: u16 = 5432;

pub(super) async fn connect(url: String) -> Result<AsyncPgConnection, ConnectionError> {
    let late = |_| bad(&format!("not connected within {CONNECT:?}"));
    tokio::time::timeout(CONNECT, connect_to_any(&url)).await.map_err(late)?
}

async fn connect_to_any(url: &str) -> Result<AsyncPgConnection, ConnectionError> {
    let config = Config::from_str(url).map_err(|e| bad(&e))?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(bad(&"connections to PostgreSQL have no TLS; leave sslmode out, or put a tunnel in between"));
    }
    let mut last = bad(&"the URL names no host");
    for (nth, host) in config.get_hosts().iter().enumerate() {
        match connect_to(&config, host, nth).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to(config: &Config, host: &Host, nth: usize) -> Result<AsyncPgConnection, ConnectionError> {
    // There is one port for each host, or one for all.
    let ports = config.get_ports();
    let port = ports.get(nth).or(ports.first()).copied().unwrap_or(PORT);
    let client = match host {
        Host::Tcp(name) => {
            let socket = TcpStream::connect((name.as_str(), port)).await.map_err(|e| bad(&e))?;
            set_options(config, &socket).map_err(|e| bad(&e))?;
            greet(config, socket).await
        }
        Host::Unix(folder) => {
            let socket = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await.map_err(|e| bad(&e))?;
            greet(config, socket).await
        }
    };
    let client = client.map_err(|e| bad(&e))?;
    if config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite && !takes_writes(&client).await {
        return Err(bad(&"the server takes no writes"));
    }
    let mut conn = AsyncPgConnection::try_from(client).await?;
    conn.batch_execute(SESSION).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// As the URL says.
fn set_options(config: &Config, socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let options = SockRef::from(socket);
    #[cfg(target_os = "linux")]
    options.set_tcp_user_timeout(config.get_tcp_user_timeout().copied())?;
    if !config.get_keepalives() {
        return Ok(());
    }
    let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
    if let Some(interval) = config.get_keepalives_interval() {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        keepalive = keepalive.with_retries(retries);
    }
    options.set_tcp_keepalive(&keepalive)
}

/// The connection's task ends with its client.
async fn greet<S>(config: &Config, socket: S) -> Result<Client, tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = config.connect_raw(Coded::new(socket), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn takes_writes(client: &Client) -> bool {
    let shown = client.simple_query("SHOW transaction_read_only").await.unwrap_or_default();
    shown.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("off")))
}

fn bad(error: &dyn Display) -> ConnectionError {
    ConnectionError::BadConnection(error.to_string())
}
