//! Short questions to a server on loopback: is it there, is it ready?

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Whether Redis says PONG; while it loads its data it says LOADING.
pub(crate) fn redis_answers(address: SocketAddr) -> bool {
    ask(address, "PING\r\n", 5).is_some_and(|answer| answer == b"+PONG")
}

/// Whether `/ready` is answered with 200.
pub(crate) fn http_ready(address: SocketAddr) -> bool {
    let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    ask(address, &request, 12).is_some_and(|answer| answer == b"HTTP/1.1 200")
}

/// The first bytes of the answer.
fn ask(address: SocketAddr, request: &str, length: usize) -> Option<Vec<u8>> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    connection.write_all(request.as_bytes()).ok()?;
    let mut answer = vec![0; length];
    connection.read_exact(&mut answer).ok()?;
    Some(answer)
}

const PATIENCE: Duration = Duration::from_millis(500);
