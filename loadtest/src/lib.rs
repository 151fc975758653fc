//! What tests of every crate and the `loadtest` program share: a private stack of real servers with faults, the
//! simulated payment provider, the audit and the calibration. Never linked into the services.

pub mod audit;
pub mod calibrate;
pub mod client;
pub mod faults;
pub mod launcher;
pub mod provider;
pub mod up;
