//! What each fault of the proxy looks like from both ends of a connection.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use seatwire_loadtest::launcher::{FaultProxy, Port};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
/// Fifty of these one after the other would take far longer than the slowest machine.
const LATENCY: Duration = Duration::from_millis(300);

/// A client and a server that talk through a proxy.
struct Link {
    proxy: FaultProxy,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Link {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = FaultProxy::start(listener.local_addr().unwrap()).await.unwrap();
        let (client, server) = pair(&proxy, &listener).await;
        Self { proxy, listener, client, server }
    }
}

async fn pair(proxy: &FaultProxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    exchange(&mut client, &mut server).await;
    (client, server)
}

async fn exchange(client: &mut TcpStream, server: &mut TcpStream) {
    client.write_all(b"ask").await.unwrap();
    assert_eq!(read(server, 3).await, b"ask");
    server.write_all(b"answer").await.unwrap();
    assert_eq!(read(client, 6).await, b"answer");
}

async fn read(from: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    timeout(PATIENCE, from.read_exact(&mut buffer)).await.unwrap().unwrap();
    buffer
}

async fn is_silent(from: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(50), from.read_u8()).await.is_err()
}

async fn was_reset(from: &mut TcpStream) -> bool {
    let ended = timeout(PATIENCE, from.read_u8()).await.expect("an end");
    ended.unwrap_err().kind() == ErrorKind::ConnectionReset
}

#[tokio::test]
async fn it_carries_large_answers_and_half_closes() {
    let Link { mut client, mut server, proxy, .. } = Link::new().await;
    let large: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let (sent, received) = tokio::join!(
        async {
            client.write_all(&large).await.unwrap();
            client.shutdown().await
        },
        async {
            let mut all = Vec::new();
            server.read_to_end(&mut all).await.map(|_| all)
        }
    );
    sent.unwrap();
    assert!(received.unwrap() == large, "the same bytes in the same order");
    server.write_all(b"last").await.unwrap();
    assert_eq!(read(&mut client, 4).await, b"last");
    drop(server);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    drop(client);
    eventually("no connection left", async || proxy.connections() == 0).await;
}

#[tokio::test]
async fn latency_delays_both_directions_without_narrowing_them() {
    let Link { mut client, mut server, proxy, .. } = Link::new().await;
    proxy.latency(LATENCY);
    let begin = Instant::now();
    exchange(&mut client, &mut server).await;
    assert!(begin.elapsed() >= LATENCY * 2);
    // Pieces wait side by side, not one behind the other.
    let begin = Instant::now();
    for _ in 0..50 {
        client.write_all(b"piece").await.unwrap();
        tokio::task::yield_now().await;
    }
    read(&mut server, 250).await;
    assert!(begin.elapsed() < LATENCY * 50);
    proxy.restore();
    exchange(&mut client, &mut server).await;
}

#[tokio::test]
async fn reset_cuts_both_ends_once() {
    let Link { mut client, mut server, proxy, listener } = Link::new().await;
    proxy.reset();
    assert!(was_reset(&mut client).await);
    assert!(was_reset(&mut server).await);
    pair(&proxy, &listener).await;
}

#[tokio::test]
async fn refuse_cuts_new_connections_until_restored() {
    let Link { mut client, proxy, listener, .. } = Link::new().await;
    proxy.refuse();
    assert!(was_reset(&mut client).await);
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(was_reset(&mut next).await);
    proxy.restore();
    pair(&proxy, &listener).await;
}

#[tokio::test]
async fn a_blackhole_moves_nothing_and_loses_nothing() {
    let Link { mut client, mut server, proxy, listener } = Link::new().await;
    proxy.blackhole();
    client.write_all(b"ask").await.unwrap();
    let mut early = TcpStream::connect(proxy.address()).await.unwrap();
    early.write_all(b"early").await.unwrap();
    assert!(is_silent(&mut server).await);
    assert!(is_silent(&mut early).await);
    assert!(timeout(Duration::from_millis(20), listener.accept()).await.is_err());
    // Not even an end gets through.
    server.shutdown().await.unwrap();
    assert!(is_silent(&mut client).await);
    proxy.restore();
    assert_eq!(read(&mut server, 3).await, b"ask");
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    let (mut late, _) = listener.accept().await.unwrap();
    assert_eq!(read(&mut late, 5).await, b"early");
}

#[tokio::test]
async fn half_open_ends_the_server_and_tells_the_client_only_later() {
    let Link { mut client, mut server, proxy, listener } = Link::new().await;
    proxy.half_open();
    assert!(was_reset(&mut server).await);
    client.write_all(b"ask").await.unwrap();
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    new.write_all(b"ask").await.unwrap();
    assert!(is_silent(&mut client).await);
    assert!(is_silent(&mut new).await);
    proxy.restore();
    assert!(was_reset(&mut client).await);
    assert!(was_reset(&mut new).await);
    pair(&proxy, &listener).await;
}

#[tokio::test]
async fn a_server_that_is_down_resets_and_is_found_when_it_is_back() {
    // Its own while nobody listens there.
    let port = Port::any().unwrap();
    let address = port.address();
    let listener = TcpListener::bind(address).await.unwrap();
    let proxy = FaultProxy::start(address).await.unwrap();
    drop((pair(&proxy, &listener).await, listener));
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(was_reset(&mut refused).await);
    let listener = TcpListener::bind(address).await.unwrap();
    pair(&proxy, &listener).await;
}

#[tokio::test]
async fn another_server_is_found_at_the_same_address() {
    let mut link = Link::new().await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    link.proxy.lead_to(other.local_addr().unwrap());
    assert!(was_reset(&mut link.client).await);
    assert!(was_reset(&mut link.server).await);
    pair(&link.proxy, &other).await;
}

#[tokio::test]
async fn a_deaf_subscriber_misses_only_what_is_published() {
    let mut link = Link::new().await;
    link.proxy.deaf();
    assert!(was_reset(&mut link.client).await);
    let mut client = TcpStream::connect(link.proxy.address()).await.unwrap();
    let (mut server, _) = link.listener.accept().await.unwrap();
    let message = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n";
    server.write_all(&[message.as_slice(), b"+PONG\r\n"].concat()).await.unwrap();
    assert_eq!(read(&mut client, 7).await, b"+PONG\r\n");
    link.proxy.restore();
    eventually("it hears again", async || {
        server.write_all(message).await.unwrap();
        !is_silent(&mut client).await
    })
    .await;
}
