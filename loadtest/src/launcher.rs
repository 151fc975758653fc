//! Starts and breaks a private Seatwire: Redis, PostgreSQL, and the project's own programs, on free loopback ports.
//!
//! Every server is a child process in a group of its own. It ends with its handle, and with this process however that
//! ends: see [`reaper`]. A port stays the same while its handle lives, so a restarted server is found where it was.

mod account;
mod addresses;
mod binaries;
mod clocks;
mod data_folder;
mod error;
mod fault_proxy;
mod folder;
mod kafka;
mod migrate;
mod options;
mod port;
mod postgres;
mod probe;
mod process;
pub mod process_tree;
pub mod reaper;
mod redis;
mod secrets;
mod servers;
mod service;
mod small_disk;
mod stack;
mod wheel;
mod wiring;

pub use addresses::{Addresses, StackSecrets};
pub(crate) use binaries::find as binary;
pub use clocks::Clock;
pub use error::{LogTail, StartError};
pub use fault_proxy::FaultProxy;
pub use kafka::Kafka;
pub use migrate::migrate;
pub use options::{Link, Process, Service, StackOptions};
pub use port::Port;
pub use postgres::{Disk, Postgres, PostgresOptions};
pub use redis::{Redis, RedisOptions};
pub use small_disk::can_mount;
pub use stack::Stack;
