//! PostgreSQL as the benchmarks of bookings see it: shows of their own, and what bookings cost the server.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use seatwire_protocol::ShowId;
use tokio_postgres::{Client, NoTls};

use super::cpu;
use super::rig::Rig;
use crate::launcher::Process;
use crate::launcher::process_tree::descendants;

/// First id of a benchmark's show: no other number in a statement looks like it.
const FIRST_SHOW: i64 = 7_000_001;
/// How long rows may wait for their marks when nobody books any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection as superuser, and the server's process.
pub(super) struct Ledger {
    sql: Client,
    postmaster: u32,
    next_show: i64,
}

/// What a reference does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counted {
    /// Bookings of this show and those after it.
    Booked(ShowId),
    Plain,
}

/// Counters of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    /// Transactions that wrote: each takes one id, and one that only read takes none. `xact_commit` counts both, and the
    /// WAL would have to be read from its files.
    pub(super) writes: i64,
    /// Processor time of all its processes, also of those that have ended.
    pub(super) cpu_nanos: u64,
}

impl Ledger {
    pub(super) async fn of(rig: &Rig) -> anyhow::Result<Self> {
        let sql = connect(&rig.addresses.postgres).await?;
        let postmaster = rig.stack.pid(Process::Postgres).context("no PostgreSQL")?;
        Ok(Self { sql, postmaster, next_show: FIRST_SHOW })
    }

    /// A new open show with the seats of another, all free.
    pub(super) async fn add_show(&mut self, like: ShowId) -> anyhow::Result<ShowId> {
        let (show, like) = (self.next_show, like.as_i64());
        self.next_show += 1;
        let sql = format!(
            "INSERT INTO shows (id, screen_id, movie_id, starts_at, sale, seats, currency, tiers, price_min, price_max)
                SELECT {show}, screen_id, movie_id, starts_at + ({show} - {FIRST_SHOW} + 1) * interval '1 day', 'open',
                    seats, currency, tiers, price_min, price_max FROM shows WHERE id = {like};
            INSERT INTO show_seats (show_id, seat, label, tier, price)
                SELECT {show}, seat, label, tier, price FROM show_seats WHERE show_id = {like} ORDER BY seat;
            INSERT INTO show_streams (show_id) VALUES ({show});
            ANALYZE show_seats;"
        );
        self.sql.batch_execute(&sql).await?;
        Ok(ShowId::new(u64::try_from(show)?)?)
    }

    /// Everybody starts with the same: nothing to be written but his own.
    pub(super) async fn checkpoint(&self) -> anyhow::Result<()> {
        Ok(self.sql.batch_execute("CHECKPOINT").await?)
    }

    pub(super) async fn counts(&self) -> anyhow::Result<Counts> {
        let query = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
        let row = self.sql.query_one(query, &[]).await?;
        let processes = descendants(i32::try_from(self.postmaster)?);
        let living: u64 = processes.into_iter().filter_map(|pid| u32::try_from(pid).ok()).map(cpu::of_process).sum();
        let cpu_nanos = cpu::of_process(self.postmaster) + living + cpu::of_ended_children(self.postmaster);
        Ok(Counts { writes: row.get(0), cpu_nanos })
    }

    /// Waits until nothing is left to be done for any booking: all that it costs has been paid then.
    pub(super) async fn at_rest(&self) -> anyhow::Result<()> {
        let query = "SELECT (SELECT count(*) FROM outbox WHERE applied_at IS NULL)
            + (SELECT count(*) FROM payment_events WHERE processed_at IS NULL)
            + (SELECT count(*) FROM refunds WHERE state IN ('DUE', 'REQUESTED'))
            + (SELECT count(*) FROM booking_events WHERE bus_next_try_at IS NOT NULL OR mail_next_try_at IS NOT NULL)";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let open: i64 = self.sql.query_one(query, &[]).await?.get(0);
            if open == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{open} rows still wait for a worker");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Marks what the reference wrote as done: there is nothing to be told of bookings that nobody made.
    pub(super) async fn forget(&self) -> anyhow::Result<()> {
        let sql = "UPDATE outbox SET applied_at = clock_timestamp() WHERE applied_at IS NULL;
            UPDATE booking_events SET bus_next_try_at = NULL, bus_done_at = coalesce(bus_done_at, clock_timestamp()),
                mail_next_try_at = NULL
            WHERE bus_next_try_at IS NOT NULL OR mail_next_try_at IS NOT NULL;
            UPDATE payment_events SET processed_at = clock_timestamp(), result = 'ignored' WHERE processed_at IS NULL";
        Ok(self.sql.batch_execute(sql).await?)
    }

    /// How much of a reference's work is done.
    pub(super) async fn done(&self, counted: Counted) -> anyhow::Result<u64> {
        let query = match counted {
            // Booked seats, three to a booking.
            Counted::Booked(first) => {
                format!("SELECT count(*) / 3 FROM show_seats WHERE show_id >= {first} AND status = 'booked'")
            }
            Counted::Plain => "SELECT count(*) FROM calibration.bookings".to_owned(),
        };
        Ok(u64::try_from(self.sql.query_one(&query, &[]).await?.get::<_, i64>(0))?)
    }

    /// How long after it was decided the provider was asked for each refund of a show.
    pub(super) async fn refund_lags(&self, show: ShowId) -> anyhow::Result<Vec<Duration>> {
        let query = "SELECT extract(epoch FROM coalesce(r.requested_at, r.ended_at) - r.created_at)::double precision
            FROM refunds r JOIN bookings b ON b.id = r.booking_id WHERE b.show_id = $1 AND r.state = 'PROCESSED'";
        let rows = self.sql.query(query, &[&show.as_i64()]).await?;
        if rows.is_empty() {
            bail!("nothing was refunded");
        }
        Ok(rows.iter().map(|row| Duration::from_secs_f64(row.get::<_, f64>(0).max(0.0))).collect())
    }

    pub(super) const fn sql(&self) -> &Client {
        &self.sql
    }

    /// pgbench of the same installation as the server, or of the search path.
    pub(super) fn pgbench(&self) -> PathBuf {
        let server = fs::read_link(format!("/proc/{}/exe", self.postmaster));
        let beside = server.ok().map(|path| path.with_file_name("pgbench")).filter(|path| path.is_file());
        beside.unwrap_or_else(|| PathBuf::from("pgbench"))
    }

    pub(super) async fn version(&self) -> anyhow::Result<String> {
        Ok(self.sql.query_one("SELECT current_setting('server_version')", &[]).await?.get(0))
    }
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Ends with the client, which sees what went wrong.
    tokio::spawn(connection);
    Ok(client)
}
