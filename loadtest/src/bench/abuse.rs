//! `bench abuse`: what a gateway's memory does while a thousand connections misbehave: send what is no message and come
//! back when they are thrown out, ask without ever reading an answer, or open ten thousand shows. Honest viewers of the
//! same gateway must be live and right afterwards.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use seatwire_protocol::ws::{ClientMessage, SUBPROTOCOL_MSGPACK};
use seatwire_protocol::{ShowId, codec};
use tokio::task::block_in_place;

use super::crowd::{self, Crowd};
use super::edge::Edge;
use super::report::{Figure, Report, count};
use super::{BenchArgs, memory, progress, shows};
use crate::launcher::StackOptions;

const VANDALS: usize = 1_000;
const HONEST: usize = 200;
const SHOWS: u32 = 10_000;
const SHOW_SEATS: u32 = 500;
/// As little as a phone far away.
const RECEIVE_BUFFER: usize = 4 << 10;
const GARBAGE_MAX: usize = 4 << 10;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Until what is over is given back.
const CALM: Duration = Duration::from_secs(3);

/// Runs it.
///
/// # Errors
/// When the stack does not start, or an honest viewer's map ends up wrong.
pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let edge = Edge::start(StackOptions::new()).await?;
    let mut report = Report::begin("abuse", edge.rig.redis_version().await?, args.seconds, args.rounds);
    let mut honest = block_in_place(|| edge.crowd(HONEST, &[edge.rig.show], &[]))?;
    let length = Duration::from_secs(args.seconds.max(10));
    for (name, manner) in [("send garbage", Manner::Garbage), ("ask and never read", Manner::Deaf)] {
        progress(&format!("{VANDALS} connections {name}"));
        block_in_place(|| scene(&edge, &mut honest, name, manner, length, &mut report))?;
        edge.emptied_to(0, HONEST).await?;
    }
    progress("ten thousand shows");
    many_shows(&edge, &mut honest, &mut report).await?;
    let show = edge.rig.show;
    let position = super::rig::call(&edge.rig.client, &seatwire_protocol::command::GetSnapshot { show }).await?;
    edge.verify(&mut honest, &[(show, position.position)]).await?;
    let live = honest.viewers().iter().filter(|viewer| viewer.is_live()).count();
    let figure = Figure::new("honest viewers that stayed, of 200", "", count(live as u64));
    report.add(figure.goal("all", live == HONEST));
    drop(honest);
    edge.shutdown().await;
    report.end(args.json.as_deref())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Garbage,
    Deaf,
}

/// One scene: the most memory while it lasts, and what is left when all of them are gone.
fn scene(
    edge: &Edge,
    honest: &mut Crowd,
    name: &str,
    manner: Manner,
    length: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let pid = edge.pid(0).unwrap_or(0);
    honest.run_for(CALM)?;
    let before = memory::rss_kib(pid);
    let show = edge.rig.show;
    let mut vandals = Vec::new();
    for number in 0..VANDALS {
        vandals.push(Vandal::new(edge.address(0)?, edge.rig.token(&format!("vandal-{number}"))?, number, manner, show));
    }
    let (began, mut looked, mut most) = (Instant::now(), Instant::now(), before);
    let mut send_most = 0;
    while began.elapsed() < length {
        vandals.iter_mut().try_for_each(Vandal::act)?;
        honest.step(Duration::ZERO)?;
        if looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            most = most.max(memory::rss_kib(pid));
        }
    }
    if let Some(sockets) = memory::send_memory(edge.address(0)?) {
        send_most = sockets.into_iter().max().unwrap_or(0);
    }
    let (opened, bytes) = vandals.iter().fold((0, 0), |(opened, bytes), v| (opened + v.opened, bytes + v.sent));
    drop(vandals);
    honest.run_for(CALM)?;
    let after = memory::rss_kib(pid);
    let more = |kib: u64| count(kib.saturating_sub(before));
    report.add(Figure::new(format!("1,000 {name}: connections opened"), "", count(opened)));
    report.add(Figure::new(format!("1,000 {name}: sent"), "MB", count(bytes) / 1e6));
    let figure =
        Figure::new(format!("1,000 {name}: RSS added at most, each"), "KiB", more(most) / count(VANDALS as u64));
    report.add(figure.goal("<= 32", more(most) <= 32.0 * count(VANDALS as u64)));
    report.add(Figure::new(format!("1,000 {name}: RSS left when they are gone"), "KiB", more(after)));
    if manner == Manner::Deaf {
        let kib = count(send_most) / 1_024.0;
        let figure = Figure::new(format!("1,000 {name}: kernel send memory of one, most"), "KiB", kib);
        report.add(figure.goal("<= 100", kib <= 100.0));
    }
    Ok(())
}

/// A connection without manners; one that was thrown out comes back.
struct Vandal {
    gateway: SocketAddr,
    token: String,
    number: usize,
    manner: Manner,
    show: ShowId,
    random: StdRng,
    stream: Option<TcpStream>,
    /// What the socket has not taken yet.
    rest: Vec<u8>,
    opened: u64,
    sent: u64,
}

impl Vandal {
    fn new(gateway: SocketAddr, token: String, number: usize, manner: Manner, show: ShowId) -> Self {
        let random = StdRng::seed_from_u64(number as u64);
        Self { gateway, token, number, manner, show, random, stream: None, rest: Vec::new(), opened: 0, sent: 0 }
    }

    /// Sends some more, or connects again. What comes back is read only to find the end.
    fn act(&mut self) -> anyhow::Result<()> {
        let Some(stream) = &mut self.stream else {
            let buffer = (self.manner == Manner::Deaf).then_some(RECEIVE_BUFFER);
            self.stream = Some(crowd::connect(self.gateway, self.number, buffer)?);
            self.opened += 1;
            self.rest = format!(
                "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
                 Sec-WebSocket-Protocol: {SUBPROTOCOL_MSGPACK}\r\nAuthorization: Bearer {}\r\n\r\n",
                self.gateway, self.token
            )
            .into_bytes();
            return Ok(());
        };
        let over = match stream.write(&self.rest) {
            Ok(taken) => {
                self.sent += taken as u64;
                self.rest.drain(..taken);
                false
            }
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        let ended = self.manner == Manner::Garbage && {
            let mut bytes = [0; 4_096];
            match stream.read(&mut bytes) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            }
        };
        if over || ended {
            self.stream = None;
        } else if self.rest.is_empty() {
            self.rest = self.more();
        }
        Ok(())
    }

    fn more(&mut self) -> Vec<u8> {
        match self.manner {
            // The snapshot of a large show for a few bytes, each time.
            Manner::Deaf => crowd::masked(2, &codec::encode(&ClientMessage::Watch { show: self.show, pos: None })),
            Manner::Garbage => {
                let mut bytes = vec![0; self.random.random_range(1..GARBAGE_MAX)];
                self.random.fill_bytes(&mut bytes);
                // In a whole frame of text, bytes or control, or as no frame at all.
                match self.random.random_range(0..5_u8) {
                    0 => bytes,
                    opcode @ (1 | 2) => crowd::masked(opcode, &bytes),
                    _ => {
                        bytes.truncate(125);
                        crowd::masked(9, &bytes)
                    }
                }
            }
        }
    }
}

async fn many_shows(edge: &Edge, honest: &mut Crowd, report: &mut Report) -> anyhow::Result<()> {
    let shows = shows::add(&edge.rig.addresses.postgres, SHOW_SEATS, SHOWS).await?;
    let pid = edge.pid(0).unwrap_or(0);
    let before = memory::rss_kib(pid);
    let crowd = block_in_place(|| edge.watch_all(&shows))?;
    block_in_place(|| honest.step(Duration::ZERO))?;
    let more = count(memory::rss_kib(pid).saturating_sub(before));
    report.add(Figure::new("10,000 shows of 500 seats watched: RSS added", "MiB", more / 1_024.0));
    report.add(Figure::new("10,000 shows: RSS of each", "KiB", more / count(u64::from(SHOWS))));
    drop(crowd);
    Ok(())
}
