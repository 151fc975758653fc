//! Takes out each guard of Seatwire in turn and expects the tests to fail: a guard whose loss no test notices is not
//! guarded itself. `make mutants` runs all of them, see `docs/MUTANTS.md`.
//!
//! Each mutant is one replacement in one file of a copy of the checked-in tree. It has to compile: only a failing test
//! counts as a catch.

pub mod list;
pub mod report;
pub mod run;
pub mod tree;
