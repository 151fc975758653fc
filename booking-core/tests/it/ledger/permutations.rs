//! All interleavings of transactions on a real PostgreSQL, as its own isolation tests run them: each session is a core
//! of its own that stops before each named step, one session at a time is let go on, and a session that waits for a
//! lock is known by `pg_blocking_pids`, never by time. The steps are the statements that the product sends, seen on the
//! wire; nothing in it knows of the test. A schedule is a path through the tree of choices, and every path is walked.
//!
//! By default sessions stop before steps that matter to locks, three of them before those that matter most;
//! `SEATWIRE_TEST_ALL_STEPS=1` stops two before every named step, and three as two are by default.

mod pairs;
mod schedule;
mod stage;
mod triples;
mod wire;

fn all_steps() -> bool {
    std::env::var_os("SEATWIRE_TEST_ALL_STEPS").is_some()
}
