//! What tests of every crate and the `loadtest` program share: the simulated payment provider, the calibration and the
//! audit. Never linked into the services.

pub mod provider;
