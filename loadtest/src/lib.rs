//! What tests of every crate and the `loadtest` program share: a private stack of real servers with faults, the
//! simulated payment provider, the audit, the scenarios, the calibration and the benchmarks. Never linked into the services.

pub mod audit;
pub mod bench;
pub mod calibrate;
pub mod capacity;
pub mod client;
pub mod crowd;
pub mod faults;
pub mod launcher;
mod map_difference;
pub mod provider;
pub mod run;
pub mod times;
pub mod up;
pub mod viewers;
