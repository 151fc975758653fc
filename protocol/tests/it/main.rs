//! Tests of the protocol from outside: properties of the viewer, round trips, hostile bytes, golden vectors.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests stop at the first surprise")]

mod fields;
mod golden;
mod hostile;
mod reference;
mod round_trip;
mod strategies;
mod viewer;
mod viewer_cases;
