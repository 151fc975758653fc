//! `loadtest up`: the whole product on this machine, for people who want to see it and for tools that need it running.
//!
//! What is said here goes to standard output in plain lines; the services' own logs are files in the data folder.

mod console;

use std::{
    collections::VecDeque,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

use crate::launcher::{Process, Stack, StackOptions};
use crate::provider::Shapes;
use console::Console;

/// Below the flags in `--help`.
pub const AFTER_HELP: &str = "\
Settings of the services reach them from the environment, such as SEATWIRE_HOLD_MS=20000 (see `seatwire-core serve \
--help` and `seatwire-gateway --help`); addresses and secrets that join the parts are chosen here. PostgreSQL and Redis \
(or Valkey) are taken from PATH; what is missing is unpacked into .data/servers once.";

/// Flags of `loadtest up`.
#[derive(Debug, Clone, clap::Args)]
pub struct UpArgs {
    /// Folder of all data, secrets and logs; made when missing.
    #[arg(long, env = "SEATWIRE_UP_DATA_DIR", default_value = ".data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Remove the data of earlier runs first.
    #[arg(long, env = "SEATWIRE_UP_FRESH")]
    pub fresh: bool,
    /// Write one JSON object with every address, pid and secret to this file (mode 0600) when all is ready; it is
    /// removed at the end.
    #[arg(long, env = "SEATWIRE_UP_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Number of gateways.
    #[arg(long, env = "SEATWIRE_UP_GATEWAYS", default_value_t = 1, value_name = "N", value_parser = count())]
    pub gateways: u8,
    /// Number of booking cores.
    #[arg(long, env = "SEATWIRE_UP_CORES", default_value_t = 1, value_name = "N", value_parser = count())]
    pub cores: u8,
    /// Where the first gateway serves the page; if the port is taken, a free one of the same address.
    #[arg(long, env = "SEATWIRE_GATEWAY_LISTEN", default_value = "127.0.0.1:7000", value_name = "ADDRESS")]
    pub gateway_listen: SocketAddr,
    /// Whose API the simulated payment provider speaks.
    #[arg(long, env = "SEATWIRE_UP_PROVIDER", value_enum, default_value_t, value_name = "NAME")]
    pub provider: Shapes,
    /// Write no demo data.
    #[arg(long, env = "SEATWIRE_UP_NO_SEED")]
    pub no_seed: bool,
    /// Put a fault proxy on every link, and read faults from standard input; `help` there lists them.
    #[arg(long, env = "SEATWIRE_UP_PROXIES")]
    pub proxies: bool,
}

fn count() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(1..=16)
}

/// Runs until Ctrl-C or SIGTERM; nothing that it started is left then.
///
/// # Errors
/// When a part does not start, or does not stay up.
pub async fn run(args: UpArgs) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let begin = Instant::now();
    if let Some(file) = &args.ready_file {
        remove(file)?;
    }
    say(&format!("Seatwire starts; its data are in {}", args.data_dir.display()));
    let mut stack = tokio::select! {
        started = Stack::start(options(&args)) => started?,
        () = signals.next() => {
            say("Stopped before it was ready.");
            return Ok(());
        }
    };
    write_ready_file(&args, &stack)?;
    greet(&args, &stack, begin.elapsed());
    let ended = watch(&args, &mut stack, &mut signals).await;
    if let Some(file) = &args.ready_file {
        remove(file)?;
    }
    say("Stopping …");
    tokio::select! {
        () = stack.shutdown() => say("Everything has stopped."),
        () = signals.next() => say("Killed what was still running."),
    }
    ended
}

fn options(args: &UpArgs) -> StackOptions {
    let options = StackOptions::new()
        .folder(&args.data_dir)
        .fresh(args.fresh)
        .gateways(args.gateways.into())
        .cores(args.cores.into())
        .gateway_listen(args.gateway_listen)
        .provider(args.provider)
        .seed(!args.no_seed)
        .pass_environment();
    if args.proxies { options.all_proxies() } else { options }
}

fn greet(args: &UpArgs, stack: &Stack, after: Duration) {
    let addresses = stack.addresses();
    let page = &addresses.gateway;
    if !page.ends_with(&format!(":{}", args.gateway_listen.port())) {
        say(&format!("{} is taken, so the page is on a free port.", args.gateway_listen));
    }
    say(&format!("Ready after {:.1} s.\n", after.as_secs_f64()));
    say(&format!("  Open       {page}"));
    for other in addresses.gateways.iter().skip(1) {
        say(&format!("             {other}"));
    }
    let shapes = args.provider.name();
    say(&format!("  Payments   {} (simulated, in {shapes}'s shapes; no money moves)", addresses.provider));
    let (operator, token) = (&addresses.core_http, stack.admin_token());
    say(&format!("  Operator   {operator}/operator (the admin token is in {})", token.display()));
    say(&format!("  Mail       {} (one file each; nobody gets it)", stack.mail().display()));
    say(&format!("  Logs       {}", stack.logs().display()));
    if let Some(file) = &args.ready_file {
        say(&format!("  Addresses  {}", file.display()));
    }
    say("\nCtrl-C stops everything.");
}

/// Until a signal comes; what falls meanwhile is started again.
async fn watch(args: &UpArgs, stack: &mut Stack, signals: &mut Signals) -> anyhow::Result<()> {
    let mut console = args.proxies.then(Console::open);
    let mut falls = Falls::default();
    let mut look = interval(Duration::from_millis(200));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = signals.next() => return Ok(()),
            line = console::next(&mut console) => say(&console::obey(&line, stack).await),
            _ = look.tick() => {}
        }
        let fallen = stack.take_exited();
        for (process, status) in &fallen {
            start_again(*process, *status, stack, &mut falls).await?;
        }
        if !fallen.is_empty() {
            write_ready_file(args, stack)?;
        }
    }
}

async fn start_again(process: Process, status: ExitStatus, stack: &mut Stack, falls: &mut Falls) -> anyhow::Result<()> {
    let tail = stack.log_tail(process);
    if falls.too_many() {
        bail!("{process} ended ({status}), and too much has ended lately{tail}");
    }
    say(&format!("{process} ended ({status}); starting it again."));
    stack.restart(process).await?;
    say(&format!("{process} is back."));
    Ok(())
}

/// Times of the latest restarts: something that falls again and again is not helped by one more.
#[derive(Default)]
struct Falls(VecDeque<Instant>);

impl Falls {
    fn too_many(&mut self) -> bool {
        let now = Instant::now();
        self.0.push_back(now);
        self.0.retain(|at| now.duration_since(*at) < Duration::from_secs(60));
        self.0.len() > 20
    }
}

fn write_ready_file(args: &UpArgs, stack: &Stack) -> anyhow::Result<()> {
    let Some(file) = &args.ready_file else { return Ok(()) };
    stack.addresses().write(file).with_context(|| format!("can't write {}", file.display()))
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

fn say(line: &str) {
    println!("{line}");
}

/// What asks this program to end.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
