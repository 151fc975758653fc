//! Socket options. None of them is needed to be right, so failures are ignored.

use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

/// Unsent bytes the kernel keeps for a viewer: enough for a round trip, little enough for what is sent to be recent.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 16 << 10;
/// Sent bytes may stay unconfirmed for this long before the connection is dead.
#[cfg(target_os = "linux")]
const UNCONFIRMED_MAX: Duration = Duration::from_secs(30);
const KEEPALIVE: Duration = Duration::from_secs(60);

/// For every accepted connection.
pub fn for_http(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

/// For a connection that became a WebSocket.
pub fn for_websocket(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE));
    #[cfg(target_os = "linux")]
    {
        let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
        let _ = socket.set_tcp_user_timeout(Some(UNCONFIRMED_MAX));
    }
}
