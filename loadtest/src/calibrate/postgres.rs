//! The PostgreSQL transaction rate: a transaction of the shape of a claim, statement by statement, with commits synced
//! to disk. Its tables are in a schema of their own.

use std::time::{Duration, Instant};

use rand::Rng as _;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

use super::rate;

/// The same transaction as a script for pgbench.
pub(crate) const PLAIN_SCRIPT: &str = r#"
\set a random(0, 19999)
\set b random(0, 19999)
\set c random(0, 19999)
\set n random(1, 4000000000000000)
BEGIN;
SELECT seat, status, version FROM calibration.show_seats
    WHERE show_id = 1 AND seat = ANY(ARRAY[:a, :b, :c]::integer[]) ORDER BY seat FOR UPDATE;
UPDATE calibration.show_seats SET status = 'claimed', booking_id = md5('b' || :n)::uuid, version = version + 1
    WHERE show_id = 1 AND seat = ANY(ARRAY[:a, :b, :c]::integer[]);
INSERT INTO calibration.bookings (id, show_id, customer_id, state)
    VALUES (md5('b' || :n)::uuid, 1, 'customer', 'PENDING');
INSERT INTO calibration.outbox (booking_id, change) VALUES (md5('b' || :n)::uuid, '{"seats": [[1, 1, 2]]}');
COMMIT;
"#;

/// Makes tables for the measurement: one show of 20,000 seats.
pub(crate) async fn prepare(url: &str) -> anyhow::Result<()> {
    let client = connect(url).await?;
    Ok(client.batch_execute(SCHEMA).await?)
}

/// Transactions a second on so many connections.
pub(super) async fn measure(url: &str, connections: usize, length: Duration) -> anyhow::Result<f64> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = connect(url).await?;
        let statements = Statements::prepare(&client).await?;
        clients.push((client, statements));
    }
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for (client, statements) in clients {
        workers.spawn(async move {
            let mut done = 0_u64;
            while started.elapsed() < length {
                claim(&client, &statements).await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut done = 0;
    while let Some(worker) = workers.join_next().await {
        done += worker??;
    }
    Ok(rate(done, started.elapsed()))
}

struct Statements {
    lock: Statement,
    change: Statement,
    booking: Statement,
    outbox: Statement,
}

impl Statements {
    async fn prepare(client: &Client) -> anyhow::Result<Self> {
        Ok(Self {
            lock: client.prepare(LOCK).await?,
            change: client.prepare(CHANGE).await?,
            booking: client.prepare(BOOKING).await?,
            outbox: client.prepare(OUTBOX).await?,
        })
    }
}

async fn claim(client: &Client, statements: &Statements) -> anyhow::Result<()> {
    let seats: [i32; 3] = std::array::from_fn(|_| rand::rng().random_range(0..SEATS));
    let seats = &seats[..];
    let booking = Uuid::new_v4();
    client.batch_execute("BEGIN").await?;
    client.query(&statements.lock, &[&seats]).await?;
    client.execute(&statements.change, &[&seats, &booking]).await?;
    client.execute(&statements.booking, &[&booking]).await?;
    client.execute(&statements.outbox, &[&booking]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Ends with the client, which sees what went wrong.
    tokio::spawn(connection);
    Ok(client)
}

const SEATS: i32 = 20_000;
const SCHEMA: &str = "
    CREATE SCHEMA calibration;
    CREATE TABLE calibration.show_seats (
        show_id bigint, seat integer, status text NOT NULL, booking_id uuid, version bigint NOT NULL,
        PRIMARY KEY (show_id, seat)
    ) WITH (fillfactor = 70);
    INSERT INTO calibration.show_seats SELECT 1, seat, 'available', NULL, 1 FROM generate_series(0, 19999) seat;
    CREATE TABLE calibration.bookings (
        id uuid PRIMARY KEY, show_id bigint NOT NULL, customer_id text NOT NULL, state text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE TABLE calibration.outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, booking_id uuid NOT NULL, change jsonb NOT NULL
    );
    ANALYZE calibration.show_seats;";
const LOCK: &str = "SELECT seat, status, version FROM calibration.show_seats \
                    WHERE show_id = 1 AND seat = ANY($1) ORDER BY seat FOR UPDATE";
const CHANGE: &str = "UPDATE calibration.show_seats SET status = 'claimed', booking_id = $2, version = version + 1 \
                      WHERE show_id = 1 AND seat = ANY($1)";
const BOOKING: &str =
    "INSERT INTO calibration.bookings (id, show_id, customer_id, state) VALUES ($1, 1, 'customer', 'PENDING')";
const OUTBOX: &str = "INSERT INTO calibration.outbox (booking_id, change) VALUES ($1, '{\"seats\": [[1, 1, 2]]}')";
