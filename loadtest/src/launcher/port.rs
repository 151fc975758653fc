//! A loopback port that stays ours while its server is down, so that a restarted server gets it back.
//!
//! On Linux a bound socket that never listens keeps the port: the kernel gives it to nobody who asks for any port, nor
//! to outgoing connections, yet the server itself may bind it, because both ask for the reuse of addresses.
//! Elsewhere the port is only chosen; the caller tries another one on a clash.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};

#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    /// Only held, never used.
    _reservation: Option<Socket>,
}

impl Port {
    /// Any free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub fn any() -> io::Result<Self> {
        Self::reserve(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
    }

    /// This address, if nobody listens there.
    pub(crate) fn reserve(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let holds = cfg!(target_os = "linux");
        Ok(Self { address, _reservation: holds.then_some(socket) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn number(&self) -> u16 {
        self.address.port()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_server_can_listen_on_a_reserved_port_and_again_after_a_restart() {
        let port = Port::any().unwrap();
        for _ in 0..3 {
            let server = TcpListener::bind(port.address()).unwrap();
            let client = TcpStream::connect(port.address()).unwrap();
            drop((server.accept().unwrap(), client, server));
        }
    }

    #[test]
    fn a_taken_address_is_refused() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = Port::reserve(server.local_addr().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }
}
