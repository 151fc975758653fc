//! Life of a WebSocket: `upgrade` admits it and answers the handshake; its `session` reads messages until the end and
//! writes when the socket was full; `connection` is what everybody else writes through; `outbound` decides what is
//! written next; `wheel` does what is due by time.

pub mod connection;
pub mod diagnose;
pub mod echo;
pub mod frame;
pub mod on_message;
pub mod outbound;
pub mod session;
pub mod upgrade;
pub mod watch;
pub mod wheel;
