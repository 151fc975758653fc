//! The raw `send()` loop: one thread writes a small frame to each of N connections in turn, as a fan-out round does,
//! with nothing around it. Other threads only read, as the viewers of a real gateway would elsewhere.

use std::io::{ErrorKind, Write as _};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::rate;

pub(super) struct Sends {
    pub(super) microseconds: f64,
    pub(super) frames_per_s: f64,
}

pub(super) async fn measure(connections: u32, length: Duration) -> anyhow::Result<Sends> {
    raise_file_limit(connections)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let mut readers = JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..connections {
        let (reader, accepted) = tokio::try_join!(TcpStream::connect(address), listener.accept())?;
        readers.spawn(drain(reader));
        let stream = accepted.0.into_std()?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let sent = tokio::task::spawn_blocking(move || send_in_turn(streams, length)).await??;
    // All writers are closed: the readers end.
    while readers.join_next().await.is_some() {}
    Ok(sent)
}

fn send_in_turn(mut streams: Vec<std::net::TcpStream>, length: Duration) -> anyhow::Result<Sends> {
    let frame = [0x5A_u8; FRAME_BYTES];
    let started = Instant::now();
    let mut sent = 0_u64;
    while started.elapsed() < length {
        for stream in &mut streams {
            match stream.write(&frame) {
                Ok(_) => sent += 1,
                // A full socket is passed over, as a slow viewer is.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("send to loopback"),
            }
        }
    }
    let frames_per_s = rate(sent, started.elapsed());
    Ok(Sends { microseconds: 1e6 / frames_per_s, frames_per_s })
}

async fn drain(mut reader: TcpStream) {
    let mut buffer = [0_u8; 4096];
    while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// Two descriptors a connection, and some for everything else.
fn raise_file_limit(connections: u32) -> anyhow::Result<()> {
    let needed = u64::from(connections) * 2 + 200;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= needed {
        return Ok(());
    }
    ensure!(hard >= needed, "{connections} connections need {needed} open files; the limit (ulimit -Hn) is {hard}");
    setrlimit(Resource::RLIMIT_NOFILE, needed, hard).context("raising the limit of open files")
}

/// A seat frame with three seats.
const FRAME_BYTES: usize = 60;
