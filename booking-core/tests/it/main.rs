//! Integration tests of the core, on a real Redis and a real PostgreSQL that the launcher starts.

mod holds;
