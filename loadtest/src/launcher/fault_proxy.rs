//! A TCP proxy between two parts of a stack that can slow, cut, swallow and half-close what it carries, and lead to
//! another server. A stable address whose server can be exchanged is how a failover is played.
//!
//! It knows no protocol, except that it can make a Redis subscriber deaf, and repeat what is published and commands. A fault holds for connections that exist and
//! for new ones until the next call changes it.

mod connection;
mod deaf;
mod repeat;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// What the proxy does to its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Carries everything, each piece this much later.
    Pass(Duration),
    /// Like a cable that was pulled: connections stay open, nothing moves, and nothing is lost once it is back.
    Blackhole,
    /// Like a server that lost its power: it is gone, and its clients are not told. They may write; nothing comes back.
    HalfOpen,
    /// Resets each connection.
    Refuse,
    /// Carries everything but what Redis publishes: a subscription that is confirmed and hears nothing.
    Deaf,
    /// Carries everything, and what Redis publishes again and out of order.
    RepeatPublished,
    /// Carries everything, and each command to a core again.
    RepeatCommands,
}

#[derive(Debug, Clone, Copy)]
struct Control {
    /// Where new connections lead.
    upstream: SocketAddr,
    mode: Mode,
    /// Counts calls of `reset`: a connection that sees it change ends.
    resets: u64,
}

/// Lives on the runtime that it was started on; carries nothing after its drop.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    open: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl FaultProxy {
    /// Listens on a free loopback port and carries each connection to `upstream`.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (control, watched) = watch::channel(Control { upstream, mode: PASS, resets: 0 });
        let open = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, watched, Arc::clone(&open))).abort_handle();
        Ok(Self { address, control, open, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections clients have through it now.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Each piece arrives this much later, in both directions, in order.
    pub fn latency(&self, delay: Duration) {
        self.set(Mode::Pass(delay));
    }

    /// Cuts all connections with RST on both sides; new ones are carried.
    pub fn reset(&self) {
        self.control.send_modify(|control| control.resets += 1);
    }

    /// Cuts all connections with RST, and each new one too.
    pub fn refuse(&self) {
        self.set(Mode::Refuse);
    }

    /// Connections stay open and new ones are accepted, but nothing moves.
    pub fn blackhole(&self) {
        self.set(Mode::Blackhole);
    }

    /// The server's side is cut; clients stay connected to nobody. `restore` tells them by RST, as a server would that
    /// is back and does not know them.
    pub fn half_open(&self) {
        self.set(Mode::HalfOpen);
    }

    /// For connections to Redis: cuts those that exist; new ones carry everything except what is published.
    pub fn deaf(&self) {
        self.begin_anew(Mode::Deaf);
    }

    /// For connections to Redis: cuts those that exist; new ones carry what is published twice and out of order.
    pub fn repeat_published(&self) {
        self.begin_anew(Mode::RepeatPublished);
    }

    /// For connections to a core: cuts those that exist; new ones carry each command twice, later ones between.
    pub fn repeat_commands(&self) {
        self.begin_anew(Mode::RepeatCommands);
    }

    /// New connections lead to this server; those that exist are cut with RST.
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.control.send_modify(|control| {
            control.upstream = upstream;
            control.resets += 1;
        });
    }

    /// Carries everything at once, as at the start.
    pub fn restore(&self) {
        self.set(PASS);
    }

    /// A connection whose words are to be told apart is carried from its beginning.
    fn begin_anew(&self, mode: Mode) {
        self.control.send_modify(|control| {
            control.mode = mode;
            control.resets += 1;
        });
    }

    fn set(&self, mode: Mode) {
        self.control.send_modify(|control| control.mode = mode);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, control: watch::Receiver<Control>, open: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let counted = Counted::new(&open);
                    let serving = connection::serve(client, control.clone());
                    connections.spawn(async move {
                        let _counted = counted;
                        serving.await;
                    });
                }
                // Out of file descriptors: the next connection that ends gives one back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One open connection, counted as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

const PASS: Mode = Mode::Pass(Duration::ZERO);
