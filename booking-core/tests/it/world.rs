//! Redis, PostgreSQL with demo data, the simulated payment provider and a core, all private to one test.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use seatwire_core::db::Db;
use seatwire_core::migrate::{self, Direction};
use seatwire_loadtest::launcher::{Port, Postgres, Redis};
use seatwire_loadtest::provider::{self, ProviderArgs};
use seatwire_protocol::catalogue::{Layout, ShowInfo};
use seatwire_protocol::client::{CoreClient, CoreClientConfig};
use seatwire_protocol::command::{
    Book, BookingInfo, Command, GetBooking, GetLayout, HoldInfo, HoldSeats, ListShows, OwnHolds, ReleaseHold,
};
use seatwire_protocol::{
    BookingId, CustomerId, ErrorBody, ErrorCode, HoldId, IdempotencyKey, SaleState, SeatIndex, ShowId,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::{Core, PATIENCE, SECRET};

/// The sale of one demo show opens this much later; no test waits for it.
const OPENING_IN_MS: u64 = 3_600_000;

pub(crate) struct World {
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    pub(crate) core: Core,
    pub(crate) client: CoreClient,
    provider_port: Port,
    provider: JoinHandle<()>,
    _journal: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let (redis, postgres) = stores().await;
        let provider_port = Port::any().unwrap();
        let provider_address = provider_port.address();
        let provider_flag = format!("--razorpay-url=http://{provider_address}");
        let core = Core::start(&redis.url(), &postgres.core_url(), &[&provider_flag]).await;
        let journal = tempfile::tempdir().unwrap();
        let webhook = format!("http://{}/webhooks/razorpay", core.http);
        let args = provider_args(provider_address, journal.path(), &webhook);
        let provider = tokio::spawn(async move { provider::run(args).await.unwrap() });
        until("the provider listens", || async { TcpStream::connect(provider_address).await.is_ok() }).await;
        let client = client(core.address);
        Self { redis, postgres, core, client, provider_port, provider, _journal: journal }
    }

    pub(crate) async fn end(self) {
        self.provider.abort();
        self.core.drain().await;
    }

    pub(crate) async fn call<C: Command>(&self, command: &C) -> Result<C::Reply, ErrorBody> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.client.call(command, PATIENCE, 0).await {
                // A busy machine may load a map for longer than a command waits.
                Err(error) if error.code == ErrorCode::NotReady && Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(error.retry_after_ms.unwrap_or(100))).await;
                }
                answer => return answer,
            }
        }
    }

    /// A demo show in this state of sale.
    pub(crate) async fn show(&self, sale: SaleState) -> ShowInfo {
        let shows = self.call(&ListShows { city: Some("Mumbai".to_owned()), ..ListShows::default() }).await.unwrap();
        shows.shows.into_iter().find(|show| show.sale == sale).unwrap()
    }

    /// An open demo show, its layout, and the first seats of it that can be had.
    pub(crate) async fn open_show(&self) -> (ShowId, Layout) {
        let show = self.show(SaleState::Open).await.show;
        (show, self.call(&GetLayout { show }).await.unwrap())
    }

    pub(crate) async fn hold(&self, who: &str, show: ShowId, key: &str, seats: &[u32]) -> Result<HoldInfo, ErrorBody> {
        let (customer, key) = (customer(who), self::key(key));
        let seats = seats.iter().copied().map(SeatIndex).collect();
        self.call(&HoldSeats { show, customer, key, seats, best: None }).await
    }

    pub(crate) async fn release(&self, who: &str, show: ShowId, hold: HoldId) -> Result<(), ErrorBody> {
        self.call(&ReleaseHold { show, customer: customer(who), hold }).await.map(drop)
    }

    pub(crate) async fn book(&self, who: &str, hold: &HoldInfo, key: &str) -> Result<BookingInfo, ErrorBody> {
        let (customer, key, email) = (customer(who), self::key(key), format!("{who}@example.org"));
        self.call(&Book { show: hold.show, customer, hold: hold.hold, key, email }).await
    }

    pub(crate) async fn booking(&self, who: &str, booking: BookingId) -> Result<BookingInfo, ErrorBody> {
        self.call(&GetBooking { customer: customer(who), booking }).await
    }

    /// Live holds and pending bookings.
    pub(crate) async fn own(&self, who: &str, show: ShowId) -> (Vec<HoldInfo>, Vec<BookingInfo>) {
        let own = self.call(&OwnHolds { show, customers: vec![customer(who)] }).await.unwrap();
        let one = own.customers.into_iter().next().unwrap();
        (one.holds, one.pending)
    }

    /// The database, as who may do everything.
    pub(crate) async fn sql(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.postgres.superuser_url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Pays at the checkout page's JSON door.
    pub(crate) async fn pay(&self, booking: &BookingInfo) {
        let order = booking.order.as_deref().unwrap();
        let mut stream = TcpStream::connect(self.provider_port.address()).await.unwrap();
        let body = r#"{"outcome":"success"}"#;
        let request = format!(
            "POST /checkout/{order}/pay HTTP/1.1\r\nHost: pay\r\nConnection: close\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("captured"), "{answer}");
    }
}

/// Redis, and PostgreSQL with the schema and demo data.
pub(crate) async fn stores() -> (Redis, Postgres) {
    let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
    let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
    migrate::run(&postgres.migrator_url(), Direction::Up).await.unwrap();
    let db = Db::new(&postgres.core_url(), 1).unwrap();
    assert!(seatwire_core::seed::run(&db, OPENING_IN_MS).await.unwrap() > 0);
    (redis, postgres)
}

pub(crate) fn client(core: SocketAddr) -> CoreClient {
    let mut config = CoreClientConfig::new(vec![core.to_string()], SECRET, "test");
    config.backoff_max = Duration::from_millis(50);
    CoreClient::new(config)
}

pub(crate) fn customer(name: &str) -> CustomerId {
    CustomerId::new(name).unwrap()
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

fn provider_args(listen: SocketAddr, folder: &std::path::Path, webhook: &str) -> ProviderArgs {
    use clap::Parser;
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        provider: ProviderArgs,
    }
    let flags = [
        "provider".to_owned(),
        format!("--listen={listen}"),
        format!("--data-dir={}", folder.display()),
        format!("--webhook-url={webhook}"),
        "--webhook-secret=webhook-secret".to_owned(),
        "--key-id=id".to_owned(),
        "--key-secret=key-secret".to_owned(),
    ];
    Cli::parse_from(flags).provider
}

/// Waits until a condition holds, at most [`PATIENCE`].
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}
