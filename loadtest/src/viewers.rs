//! Many thousand viewers of one show, played by processes of their own, each with its own descriptors and loopback
//! addresses, and led by one. Each viewer comes when the plan says so, reads, may drop its connection, stall or hide its
//! page, comes back to any gateway, and in the end compares its map with the ledger's.
//!
//! [`Herd`] is the leading side, [`worker`] a process. They talk in lines of JSON: orders in, tellings out.

mod feed_watch;
mod herd;
mod life;
mod orders;
mod steps;
pub mod worker;

pub use herd::{Herd, Looker, Seen};
pub use orders::{Habits, Plan};
