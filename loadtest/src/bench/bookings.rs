//! `bench bookings`: purchases from hold to confirmed booking, by customers who come one after the other, beside pgbench
//! with the very statements of such a purchase on the same server, and beside pgbench with one plain transaction that
//! locks and changes three seats. All three take turns, with as many connections as the core has.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;

use super::customers::{Places, Shop};
use super::ledger::{Counted, Ledger};
use super::pgbench::Pgbench;
use super::report::{Figure, Report, Times, count, median, median_ratio};
use super::rig::Rig;
use super::{BenchArgs, cpu, progress, statements};
use crate::calibrate;
use crate::launcher::{Process, StackOptions};

/// Of the core, by default; pgbench gets as many.
const CONNECTIONS: usize = 16;
/// Seats that the watched bookings take: numbers that appear in nothing else of theirs.
const WATCHED: [u32; 2] = [18_731, 18_743];
/// A reference that books faster would run out of seats.
const PER_SECOND_MAX: u64 = 3_000;
/// How often each connection of a reference has run its script before it counts, and how long that may take.
const WARM: u64 = 4;
const WARM_WITHIN: Duration = Duration::from_secs(60);

/// What a stretch of work cost, for each booking (or transaction).
#[derive(Default)]
struct Cost {
    per_second: f64,
    commits: f64,
    postgres_us: f64,
    core_us: f64,
    redis_us: f64,
    provider_us: f64,
    client_us: f64,
    /// Of all of them together: what bounds the rate on a machine whose cores are all busy.
    all_us: f64,
}

/// Processor time so far.
struct Processes {
    core: u64,
    redis: u64,
    provider: u64,
    client: u64,
}

struct Bench {
    rig: Rig,
    ledger: Ledger,
    shop: Shop,
    length: Duration,
    script: PathBuf,
    plain: PathBuf,
    /// Numbers that the reference has used.
    run: u64,
    book: Vec<Duration>,
    confirmed: Vec<Duration>,
}

/// Runs it.
///
/// # Errors
/// When the stack or pgbench does not start, or a purchase fails.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let rig = Rig::start(StackOptions::new()).await?;
    let mut report = Report::begin("bookings", rig.redis_version().await?, args.seconds, args.rounds);
    let mut ledger = Ledger::of(&rig).await?;
    report.postgres(ledger.version().await?);
    let shop = Shop::open(&rig).await?;
    let show = ledger.add_show(rig.show).await?;
    let log = rig.stack.logs().join("postgres.log");
    progress("watching one booking");
    let script = statements::of_one_booking(&ledger, &shop, &Places::of(show, &WATCHED), &log).await?;
    let folder = rig.stack.folder().to_owned();
    let (booking, plain) = (folder.join("booking.sql"), folder.join("plain.sql"));
    std::fs::write(&booking, &script.text)?;
    std::fs::write(&plain, calibrate::PLAIN_SCRIPT)?;
    calibrate::prepare_postgres(&rig.addresses.postgres).await?;
    let grants = "GRANT USAGE ON SCHEMA calibration TO seatwire_core;
        GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA calibration TO seatwire_core";
    ledger.sql().batch_execute(grants).await?;
    progress(&format!("a booking alone is {} transactions of {} statements", script.transactions, script.statements));
    let length = Duration::from_secs(args.seconds);
    let times = (Vec::new(), Vec::new());
    let mut bench =
        Bench { rig, ledger, shop, length, script: booking, plain, run: 0, book: times.0, confirmed: times.1 };
    // Caches warm, and files grow: what is measured comes after.
    bench.purchases(args.customers).await?;
    bench.reference().await?;
    (bench.book, bench.confirmed) = (Vec::new(), Vec::new());
    let (mut measured, mut reference, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        progress(&format!("round {round}: the same statements, plain transactions, purchases"));
        reference.push(bench.reference().await?);
        plain.push(bench.plain().await?);
        measured.push(bench.purchases(args.customers).await?);
    }
    report_all(&mut report, &bench, &measured, &reference, &plain);
    bench.rig.stack.shutdown().await;
    report.end(args.json.as_deref())
}

impl Bench {
    fn processes(&self) -> Processes {
        Processes {
            core: self.rig.core_cpu(),
            redis: self.rig.redis_cpu(),
            provider: self.rig.stack.pid(Process::Provider).map_or(0, cpu::of_process),
            client: cpu::of_process(std::process::id()),
        }
    }

    /// Customers buy for some time; waits until nothing is left to be done for them.
    async fn purchases(&mut self, customers: usize) -> anyhow::Result<Cost> {
        let show = self.ledger.add_show(self.rig.show).await?;
        let places = Places::of(show, &self.rig.all_starts());
        // Loads the seat map.
        self.shop.buy(&places).await?;
        self.ledger.at_rest().await?;
        self.ledger.checkpoint().await?;
        let (counts, before) = (self.ledger.counts().await?, self.processes());
        let began = Instant::now();
        let all = self.shop.crowd(&places, customers, began + self.length).await?;
        let took = began.elapsed();
        self.ledger.at_rest().await?;
        let (after, now) = (self.ledger.counts().await?, self.processes());
        let bookings = all.len() as u64;
        self.book.extend(all.iter().map(|bought| bought.book));
        self.confirmed.extend(all.iter().map(|bought| bought.confirmed));
        let writes = u64::try_from(after.writes - counts.writes).unwrap_or(0);
        let mut cost = Cost {
            per_second: count(bookings) / took.as_secs_f64(),
            commits: count(writes) / count(bookings),
            postgres_us: cpu::micros_each(after.cpu_nanos.saturating_sub(counts.cpu_nanos), bookings),
            core_us: cpu::micros_each(now.core.saturating_sub(before.core), bookings),
            redis_us: cpu::micros_each(now.redis.saturating_sub(before.redis), bookings),
            provider_us: cpu::micros_each(now.provider.saturating_sub(before.provider), bookings),
            client_us: cpu::micros_each(now.client.saturating_sub(before.client), bookings),
            all_us: 0.0,
        };
        cost.all_us = cost.postgres_us + cost.core_us + cost.redis_us + cost.provider_us + cost.client_us;
        Ok(cost)
    }

    /// The statements of purchases, without anybody who thinks.
    async fn reference(&mut self) -> anyhow::Result<Cost> {
        let places = u64::try_from(self.rig.all_starts().len())?;
        let shows = ((self.length.as_secs() + 2) * PER_SECOND_MAX).div_ceil(places).max(1);
        let first = self.ledger.add_show(self.rig.show).await?;
        for _ in 1..shows {
            self.ledger.add_show(self.rig.show).await?;
        }
        self.run += 100_000_000;
        let numbers = [("i", 0), ("run", self.run), ("first", first.get()), ("places", places)];
        // The core would take what is written now for its own work.
        self.rig.stack.stop(Process::Core(0));
        let cost = self.pgbench(&self.script, &numbers, Counted::Booked(first)).await;
        self.ledger.forget().await?;
        self.rig.stack.cont(Process::Core(0));
        self.rig.stack.wait_ready().await?;
        cost
    }

    async fn plain(&mut self) -> anyhow::Result<Cost> {
        self.pgbench(&self.plain, &[], Counted::Plain).await
    }

    /// Counts what pgbench does for some time, once its connections have prepared everything.
    async fn pgbench(&self, script: &Path, numbers: &[(&str, u64)], counted: Counted) -> anyhow::Result<Cost> {
        let numbers = [numbers, &[("connections", CONNECTIONS as u64)]].concat();
        self.ledger.checkpoint().await?;
        let (program, url) = (self.ledger.pgbench(), &self.rig.addresses.postgres_core);
        let mut running = Pgbench::start(&program, url, script, &numbers, CONNECTIONS)?;
        let first = self.ledger.done(counted).await?;
        let deadline = Instant::now() + WARM_WITHIN;
        let mut done = first;
        while done < first + WARM * CONNECTIONS as u64 {
            running.must_run().await?;
            if Instant::now() > deadline {
                bail!("pgbench did {} of the script in {WARM_WITHIN:?}", done - first);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            done = self.ledger.done(counted).await?;
        }
        let client = || running.pid().map_or(0, cpu::of_process);
        let (counts, before, began) = (self.ledger.counts().await?, client(), Instant::now());
        tokio::time::sleep(self.length).await;
        let (after, now, took) = (self.ledger.counts().await?, client(), began.elapsed());
        let operations = self.ledger.done(counted).await? - done;
        running.must_run().await?;
        running.stop().await?;
        let commits = count(u64::try_from(after.writes - counts.writes).unwrap_or(0)) / count(operations);
        let postgres = after.cpu_nanos.saturating_sub(counts.cpu_nanos);
        let client = now.saturating_sub(before);
        Ok(Cost {
            per_second: count(operations) / took.as_secs_f64(),
            commits,
            postgres_us: cpu::micros_each(postgres, operations),
            client_us: cpu::micros_each(client, operations),
            all_us: cpu::micros_each(postgres + client, operations),
            ..Cost::default()
        })
    }
}

fn report_all(report: &mut Report, bench: &Bench, measured: &[Cost], reference: &[Cost], plain: &[Cost]) {
    let all = |costs: &[Cost], of: fn(&Cost) -> f64| costs.iter().map(of).collect::<Vec<_>>();
    let beside = |what: &str, unit, costs: &[Cost], of: fn(&Cost) -> f64| {
        let (measured, reference) = (all(measured, of), all(costs, of));
        let mut figure = Figure::new(what, unit, median(measured.clone())).beside(median(reference.clone()));
        figure.ratio = Some(median_ratio(&measured, &reference));
        figure
    };
    let alone = |what: &str, unit, of: fn(&Cost) -> f64| Figure::new(what, unit, median(all(measured, of)));
    let figure = beside("bookings confirmed, beside their statements", "/s", reference, |cost| cost.per_second);
    let met = figure.ratio.is_some_and(|ratio| ratio >= 0.8);
    report.add(figure.goal("ratio >= 0.8", met));
    let figure = beside("bookings confirmed, beside plain transactions", "/s", plain, |cost| cost.per_second);
    let met = figure.ratio.is_some_and(|ratio| ratio >= 1.0);
    report.add(figure.goal("ratio >= 1.0 (stretch)", met));
    let figure = beside("commits of a booking", "", reference, |cost| cost.commits);
    let met = figure.measured <= 2.2;
    report.add(figure.goal("<= 2.2", met));
    report.add(beside("PostgreSQL CPU of a booking", "us", reference, |cost| cost.postgres_us));
    report.add(beside("PostgreSQL CPU, beside a plain transaction", "us", plain, |cost| cost.postgres_us));
    report.add(beside("CPU of all processes for a booking", "us", reference, |cost| cost.all_us));
    report.add(alone("core CPU of a booking", "us", |cost| cost.core_us));
    report.add(alone("Redis CPU of a booking", "us", |cost| cost.redis_us));
    report.add(alone("provider's CPU of a booking", "us", |cost| cost.provider_us));
    report.add(beside("client's CPU of a booking", "us", reference, |cost| cost.client_us));
    for (name, times) in [("book answered", &bench.book), ("paid to told", &bench.confirmed)] {
        let times = Times::new(times.clone());
        for percent in [50, 99] {
            report.add(Figure::new(format!("{name}, p{percent}"), "ms", times.percentile_ms(percent)));
        }
    }
}
